import numpy as np
import pytest

from hocbench.synthetic.writers import _write_video
from tests.datasets.conftest import refusal
from tests.datasets.layouts import label_per_frame


@pytest.fixture
def root(copy_of):
    return label_per_frame(copy_of("sewa"))


@pytest.fixture
def segment(root):
    return next(root.glob("*_P003_*"))


@pytest.fixture
def video(segment):
    return segment / f"{segment.name}.avi"


@pytest.fixture
def valence(segment):
    return segment / f"{segment.name}_Valence_AV_Aligned.csv"


def test_a_missing_video_is_named(root, video):
    video.unlink()
    assert refusal("sewa", root) == f"sewa: {video} is missing; copy the segment again"


def test_an_archive_that_is_none_is_named(root, segment, video):
    archive = segment / f"{segment.name}-Video.zip"
    video.rename(archive)
    text = refusal("sewa", root)
    assert text == f"sewa: {archive} cannot be read as a zip archive (File is not a zip file); copy it again"


@pytest.mark.parametrize("content", [b"", b"no video\n" * 100, "start of it"])
def test_an_unreadable_video_is_named(root, video, content):
    video.write_bytes(video.read_bytes()[:100] if isinstance(content, str) else content)
    text = refusal("sewa", root)
    assert text.startswith(f"sewa: {video} cannot be read as a video (")
    assert text.endswith("); copy it again")


def test_a_video_shorter_than_its_labels_is_refused_with_both_lengths(root, video):
    _write_video(video, [np.full((64, 80, 3), 90, np.uint8)] * 11, 25)
    first, *lines = refusal("sewa", root).splitlines()
    assert first == "sewa: 2 parts cannot be read:"
    assert [line.partition("_AV_")[0] for line in lines] == [
        f"  sewa: {video} has 11 frames, the labels of {video.stem}_{target}" for target in ("Valence", "Arousal")
    ]
    assert " go over 12, 27.3 per second; by the other files there would be 11, one per frame: " in lines[0]


@pytest.mark.parametrize("target", ["Valence", "Arousal"])
def test_a_missing_annotation_is_named(root, segment, target):
    for path in segment.glob(f"*_{target}_*"):
        path.unlink()
    path = segment / f"{segment.name}_{target}_AV_Aligned.csv"
    text = refusal("sewa", root)
    assert text == f"sewa: {path} is missing, and so are the V and A annotations; copy the segment again"


def test_an_empty_annotation_is_refused(root, valence):
    valence.write_bytes(b"")
    assert refusal("sewa", root) == f"sewa: {valence} is empty; copy it from the release again"


def test_an_annotation_of_only_a_header_is_refused(root, valence):
    valence.write_text("frame_idx,valence\n")
    assert refusal("sewa", root) == f"sewa: {valence} is empty below its header; copy the segment again"


def test_an_annotation_without_frame_numbers_is_refused_with_its_columns(root, valence):
    valence.write_text("time,valence\n0,0\n")
    text = refusal("sewa", root)
    assert text == f"sewa: {valence} has no column frame_idx; it has time, valence. Use the file as released"


@pytest.mark.parametrize("header", ["frame_idx,a,b", "frame_idx"])
def test_an_annotation_whose_value_column_is_unclear_is_refused_with_its_columns(root, valence, header):
    valence.write_text(header + "\n" + ",".join("0" for _ in header.split(",")) + "\n")
    assert refusal("sewa", root) == (
        f"sewa: {valence} has no column valence and not exactly one number beside frame_idx; "
        f"it has {header.replace(',', ', ')}. Use the file as released"
    )


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("2,1.5", "valence 1.5 is outside [-1, 1], the scale of the other files; check the scale of the file"),
        ("2,-300", "valence -300 is outside [-1, 1], the scale of the other files; check the scale of the file"),
        ("2,high", "valence 'high' is not a number; correct the row"),
        ("two,0.5", "frame_idx 'two' is not a number; correct the row"),
        (",0.5", "frame_idx is empty; correct the row"),
        ("2.5,0.5", "frame_idx 2.5 is not a frame number; correct the row"),
        ("inf,0.5", "frame_idx inf is not a frame number; correct the row"),
        ("1,0.5", "frame 1 is listed twice; remove one of the rows"),
    ],
)
def test_a_bad_row_is_named(root, valence, row, fault):
    lines = valence.read_text().splitlines()
    valence.write_text("\n".join([*lines[:3], row, *lines[4:]]) + "\n")
    assert refusal("sewa", root) == f"sewa: {valence}, row 3: {fault}"


@pytest.mark.parametrize("content", [b"frame_idx,valence\n0,\xff\xfe\n", b"frame_idx,valence\n0,1\n1,2,3,4\n"])
def test_an_annotation_that_is_not_csv_in_utf_8_is_refused(root, valence, content):
    valence.write_bytes(content)
    assert refusal("sewa", root).startswith(f"sewa: {valence} cannot be read as CSV (")
