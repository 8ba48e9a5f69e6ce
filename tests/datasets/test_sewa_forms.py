"""SEWA as copies differ: packed, with labels by time, on another scale, at a varying rate."""

from fractions import Fraction

import av
import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.index import read_index
from hocbench.datasets.video import probe_video
from tests.datasets.conftest import refusal
from tests.datasets.layouts import change_labels, pack, pack_segment


@pytest.fixture
def root(copy_of):
    return copy_of("sewa")


@pytest.fixture
def segment(root):
    return next(root.glob("*_P001_*"))


def rows_of(index, name):
    return index.frames.query("clip == @name").reset_index(drop=True)


def annotations(segment):
    return [segment / f"{segment.name}_{target}_AV_Aligned.csv" for target in ("Valence", "Arousal")]


def rewrite(segment, change):
    for path in annotations(segment):
        change(pd.read_csv(path)).to_csv(path, index=False)


def same_but_for_sources(found, expected):
    columns = [column for column in expected.columns if column not in ("source", "landmarks")]
    pd.testing.assert_frame_equal(found[columns], expected[columns])
    assert all(np.array_equal(a, b) for a, b in zip(found["landmarks"], expected["landmarks"], strict=True))


def test_packed_segments_read_like_unpacked_ones(root, indices):
    for folder in list(root.glob("S*_P*")):
        pack_segment(folder)
    index = read_index("sewa", root)
    same_but_for_sources(index.frames, indices["sewa"].frames)
    assert set(index.frames["source"].str.split("/").str[1].str.rpartition("-")[2]) == {"Video.zip"}
    assert index.notes == indices["sewa"].notes


def test_an_archive_per_segment_reads_like_its_folder(root, indices):
    for folder in list(root.glob("S*_P*")):
        files = [path for path in folder.rglob("*") if path.is_file()]
        pack(root / f"{folder.name}.zip", files, root)
    for path in sorted(root.glob("S*_P*/**/*"), reverse=True):
        if path.is_dir():
            path.rmdir()
    for folder in root.glob("S*_P*"):
        if folder.is_dir():
            folder.rmdir()
    same_but_for_sources(read_index("sewa", root).frames, indices["sewa"].frames)


def at_50_per_second(table):
    """Two labels per frame of 25 per second, a ramp that tells when each was given."""
    value = table.columns[1]
    return pd.DataFrame({"frame_idx": np.arange(24), value: np.arange(24) / 100})


@pytest.mark.parametrize("shift", [0, 1, 742])
def test_labels_at_50_per_second_are_joined_by_time(root, segment, shift):
    rewrite(segment, at_50_per_second)
    change_labels(root, lambda table, _: table.assign(frame_idx=table["frame_idx"] + shift))
    index = read_index("sewa", root)
    found = rows_of(index, segment.name)
    # Frame k is shown at k / 25 seconds, when label 2 k was given.
    np.testing.assert_allclose(found["valence"], np.arange(12) * 2 / 100)
    np.testing.assert_allclose(found["arousal"], np.arange(12) * 2 / 100)
    assert index.notes["label_rate"] == "by time, 50 labels per second"


def test_labels_that_begin_late_or_end_early_move_no_other(root):
    """Of a second and a half, the first two and the last four labels are missing: within what a rate may be off."""
    folder = next(root.glob("*_P001_*"))
    times_ms = (np.arange(150) * 40).tolist()
    write_varying(folder / f"{folder.name}.avi", times_ms)
    ramp = pd.DataFrame({"frame_idx": np.arange(300), "valence": np.arange(300) / 1000})
    for path, name in zip(annotations(folder), ("valence", "arousal"), strict=True):
        ramp.rename(columns={"valence": name}).iloc[2:-4].to_csv(path, index=False)
    index = read_index("sewa", root)
    found = rows_of(index, folder.name)
    assert found["status"].tolist()[:2] == [
        "label_missing",
        "landmarks_failed" if not len(found["landmarks"][1]) else "ok",
    ]
    labelled = found["valence"].notna()
    assert labelled.tolist() == [False] + [True] * 148 + [False]
    # The label of frame 148 is missing; the one that was given 20 ms before it stands in.
    np.testing.assert_allclose(found.loc[labelled, "valence"], np.minimum(np.arange(1, 149) * 2, 295) / 1000)
    assert index.notes["first_label"]["frame 1 of the video"] == 1


def test_a_label_missing_at_its_time_leaves_its_frame_without_label(root, segment):
    rewrite(segment, lambda table: at_50_per_second(table).drop(index=[6, 7]))
    found = rows_of(read_index("sewa", root), segment.name)
    assert found["status"].tolist() == ["ok"] * 3 + ["label_missing"] + ["ok"] * 8
    np.testing.assert_allclose(found["valence"].drop(3), np.delete(np.arange(12) * 2 / 100, 3))


def write_varying(path, times_ms):
    """Encode frames that are shown at given times."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time_ms in times_ms:
            frame = av.VideoFrame.from_ndarray(np.full((64, 80, 3), 90, np.uint8), format="bgr24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_video_of_varying_rate_takes_each_label_at_the_time_of_its_frame(root, segment):
    """Frames are those of the grid, whichever picture each shows; see test_video.py for which that is."""
    times_ms = np.array([0, 40, 80, 120, 200, 240, 280, 320, 360, 380, 400, 440])
    write_varying(segment / f"{segment.name}.avi", times_ms.tolist())
    video = probe_video(root, f"{segment.name}/{segment.name}.avi")
    assert video.times().tolist() == [number / 25 for number in range(12)]
    rewrite(segment, at_50_per_second)
    index = read_index("sewa", root)
    found = rows_of(index, segment.name)
    np.testing.assert_allclose(found["valence"], 2 * np.arange(12) / 100)
    assert found["source_frame"].tolist() == list(range(12))
    assert index.notes["varying_frame_rate"] == {segment.name: "shown on a grid of 25 per second"}
    assert index.notes["repeated_pictures"] == {segment.name: "1 of 12 frames"}
    assert index.notes["pictures_never_shown"] == {segment.name: "1 of 12 pictures"}


def test_labels_counted_by_picture_are_refused_where_frames_repeat_pictures(root, segment):
    video = segment / f"{segment.name}.avi"
    write_varying(video, [0, 40, 80, 240, 280, 320, 360, 400, 440])
    rewrite(segment, lambda table: at_50_per_second(table).iloc[:9])
    message = (
        f"sewa: {video} shows 9 pictures in 12 frames, and {annotations(segment)[0].name} has 9 labels: they were "
        "counted by picture, so nobody knows when each was given; number them by frame, or leave the segment out"
    )
    assert message in refusal("sewa", root)


@pytest.mark.parametrize(("rows", "rate"), [(20, "41.7"), (40, "83.3"), (6, "12.5")])
def test_labels_over_another_length_are_refused_with_both_rates(root, segment, rows, rate):
    rewrite(segment, lambda table: at_50_per_second(table).reindex(range(rows)).ffill().assign(frame_idx=range(rows)))
    video = segment / f"{segment.name}.avi"
    first, *lines = refusal("sewa", root).splitlines()
    assert first == "sewa: 2 parts cannot be read:"
    assert lines == [
        f"  sewa: {video} has 12 frames, the labels of {path.name} go over {rows}, {rate} per second; by the other "
        "files there would be 24 at 50 per second: the video is cut short, or the labels are at another rate or of "
        "another clip; compare both files with the release"
        for path in annotations(segment)
    ]


@pytest.mark.parametrize("scale", [10, 100, 1000])
def test_the_scale_of_the_labels_is_found_and_stated(root, indices, scale):
    high = max(indices["sewa"].frames[target].abs().max() for target in ("valence", "arousal"))
    for path in root.glob("*/*_Aligned.csv"):
        table = pd.read_csv(path)
        table.iloc[:, 1] *= scale / high
        table.to_csv(path, index=False)
    index = read_index("sewa", root)
    assert index.notes["label_scale"] == scale
    np.testing.assert_allclose(index.frames["valence"], indices["sewa"].frames["valence"] / high, rtol=1e-9)


def test_a_file_without_any_label_does_not_change_the_scale(root, indices, segment):
    for path in root.glob("*/*_Aligned.csv"):
        table = pd.read_csv(path)
        table.iloc[:, 1] *= 9
        table.to_csv(path, index=False)
    blank = pd.read_csv(annotations(segment)[0]).assign(valence=np.nan)
    blank.to_csv(annotations(segment)[0], index=False)
    index = read_index("sewa", root)
    assert index.notes["label_scale"] == 10
    assert set(rows_of(index, segment.name)["status"]) == {"label_missing"}


def test_one_file_on_another_scale_is_at_fault(root, segment):
    path = annotations(segment)[0]
    table = pd.read_csv(path)
    table.loc[4, "valence"] = 7.5
    table.to_csv(path, index=False)
    assert refusal("sewa", root) == (
        f"sewa: {path}, row 5: valence 7.5 is outside [-1, 1], the scale of the other files; "
        "check the scale of the file"
    )


def test_all_bad_segments_are_named_at_once(root):
    segments = sorted(path for path in root.iterdir() if path.is_dir())[:3]
    for folder in segments:
        (folder / f"{folder.name}.avi").unlink()
    lines = refusal("sewa", root).splitlines()
    assert lines[0] == "sewa: 3 parts cannot be read:"
    assert [line.split(" is missing")[0] for line in lines[1:]] == [
        f"  sewa: {folder / folder.name}.avi" for folder in segments
    ]


def test_a_length_that_differs_from_the_name_is_noted(root, segment):
    longer = segment.name[:-6] + f"{int(segment.name[-6:]) + 3:06d}"
    for path in sorted(segment.rglob(f"{segment.name}*"), key=lambda path: -len(path.parts)):
        path.rename(path.with_name(path.name.replace(segment.name, longer)))
    segment.rename(segment.with_name(longer))
    assert read_index("sewa", root).notes["length"] == {"-3 frames against the name": 1}
