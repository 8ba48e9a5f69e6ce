"""How files count and at which rate labels come: decided over a whole copy, contradicted by single files named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.index import read_index
from hocbench.datasets.numbering import FROM_0, FROM_1, FROM_FIRST, FROM_NAME, Span, decide_numbering
from hocbench.datasets.sewa import Sewa
from hocbench.synthetic.writers import _write_video
from tests.datasets.conftest import refusal
from tests.datasets.layouts import change_labels, edit_json, label_per_frame, shift_landmarks


def span(low, high, length=10, start=500):
    return Span(Path(f"{low}-{high}"), low, high, length, start)


@pytest.mark.parametrize(
    ("spans", "kind", "statement"),
    [
        ([span(0, 9), span(0, 8), span(1, 9)], FROM_0, "from 0, as 2 of 3 say; 1 cannot tell"),
        ([span(1, 10), span(1, 9), span(2, 8)], FROM_1, "from 1, as 1 of 3 say; 2 cannot tell"),
        ([span(500, 509), span(503, 509), span(90, 99, start=90)], FROM_NAME, None),
        ([span(700, 709), span(31, 40), span(5, 14)], FROM_FIRST, "from their first, as 3 of 3 say"),
        ([span(1, 9), span(1, 8)], FROM_1, "from 1 by convention, as none of 2 can tell"),
        # A start in the name of 0 is no other way of counting than from 0.
        ([span(0, 9, start=0), span(0, 9, start=1), span(0, 9)], FROM_0, "from 0, as 3 of 3 say"),
    ],
)
def test_files_that_can_tell_decide_for_those_that_cannot(spans, kind, statement):
    numbering = decide_numbering(spans, FROM_1)
    assert numbering.kind == kind
    assert numbering.statement == (statement or f"{kind}, as {len(spans)} of {len(spans)} say")
    assert numbering.against == ()


@pytest.mark.parametrize("other", [span(0, 9), span(500, 509), span(3, 12), span(1, 11)])
def test_a_file_against_the_others_is_found(other):
    numbering = decide_numbering([span(1, 10)] * 5 + [other], FROM_0)
    assert (numbering.kind, numbering.against) == (FROM_1, (other,))


def test_a_few_numbers_too_many_are_allowed_where_they_fit_no_other_way():
    assert decide_numbering([span(0, 9)] * 3 + [span(0, 10)], FROM_0, slack=2).against == ()
    other = span(1, 10)
    assert decide_numbering([span(0, 9)] * 3 + [other], FROM_0, slack=2).against == (other,)


@pytest.fixture
def root(copy_of):
    return copy_of("sewa")


@pytest.fixture
def segment(root):
    return next(root.glob("*_P001_*"))


def same_but_for(index, before, dropped):
    """Hold labels and landmarks against those of the whole copy, apart from the frames of one clip."""
    found, expected = index.frames, before.frames
    kept = ~((found["clip"] == dropped[0]) & found["source_frame"].isin(dropped[1]))
    columns = ["clip", "source_frame", "valence", "arousal"]
    pd.testing.assert_frame_equal(found.loc[kept, columns], expected.loc[kept, columns])
    points = zip(found.loc[kept, "landmarks"], expected.loc[kept, "landmarks"], strict=True)
    assert all(np.array_equal(one, other) for one, other in points)


def drop(segment, rows):
    change_labels(segment.parent, lambda table, _: table.drop(index=[each % len(table) for each in rows]), segment.name)


@pytest.mark.parametrize("per_frame", [False, True], ids=["50 per second", "one per frame"])
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("rows", [[0], [-1], [0, 1], [-1, -2], [0, -1]], ids=str)
def test_labels_missing_at_an_end_move_no_other(root, segment, indices, per_frame, shift, rows):
    if per_frame:
        label_per_frame(root)
    change_labels(root, lambda table, _: table.assign(frame_idx=table["frame_idx"] + shift))
    drop(segment, rows)
    index = read_index("sewa", root)
    same_but_for(index, indices["sewa"], (segment.name, [0, 1, 10, 11]))
    silent = 2 if (-1 if shift else 0) in rows else 0
    voters = f"from {shift}, as {12 - silent} of 12 say" + ("; 2 cannot tell" if silent else "")
    assert index.notes["label_numbering"] == voters
    labelled = index.frames.query("clip == @segment.name")["valence"].notna().sum()
    assert labelled >= 12 - len(rows)


@pytest.mark.parametrize("shift", [0, -1])
@pytest.mark.parametrize("lost", [[1], [12], [1, 2], [1, 12]], ids=str)
def test_landmark_files_missing_at_an_end_move_no_other(root, segment, indices, shift, lost):
    for number in lost:
        (segment / f"{segment.name}-Landmarks" / f"{number:06d}.txt").unlink()
    if shift:
        for path in sorted(root.glob("*/*-Landmarks/*.txt")):
            path.rename(path.with_name(f"{int(path.stem) + shift:06d}.txt"))
    index = read_index("sewa", root)
    same_but_for(index, indices["sewa"], (segment.name, [number - 1 for number in lost]))
    rows = index.frames.query("clip == @segment.name")
    assert rows["landmarks"].map(len).eq(0).to_numpy().nonzero()[0].tolist() == [number - 1 for number in lost]
    assert index.notes["landmark_numbering"].startswith(f"from {1 + shift}, as ")


def test_where_no_file_can_tell_the_convention_is_taken_and_said(root, indices):
    change_labels(root, lambda table, _: table.iloc[1:])
    for path in root.glob("*/*-Landmarks/000012.txt"):
        path.unlink()
    index = read_index("sewa", root)
    assert index.notes["label_numbering"] == "from 0 by convention, as none of 12 can tell"
    assert index.notes["landmark_numbering"] == "from 1 by convention, as none of 6 can tell"
    kept = index.frames["source_frame"].between(1, 10)
    pd.testing.assert_series_equal(index.frames.loc[kept, "valence"], indices["sewa"].frames.loc[kept, "valence"])


def test_a_file_that_counts_against_the_others_is_named(root, segment):
    change_labels(root, lambda table, _: table.assign(frame_idx=table["frame_idx"] + 1), segment.name)
    first, *lines = refusal("sewa", root).splitlines()
    assert first == "sewa: 2 parts cannot be read:"
    assert lines[0] == (
        f"  sewa: {segment / segment.name}_Valence_AV_Aligned.csv numbers its labels 1 to 24 where 24 are expected, "
        "against the other files, which count from 0; check which of its labels belong to which frames and number "
        "them like the others"
    )


def test_landmark_files_that_count_against_the_others_are_named(root, segment):
    shift_landmarks(segment.parent, 0)
    for path in sorted(segment.glob("*-Landmarks/*.txt")):
        path.rename(path.with_name(f"{int(path.stem) - 1:06d}.txt"))
    assert refusal("sewa", root).startswith(
        f"sewa: {segment / segment.name}-Landmarks numbers its landmark files 0 to 11 where 12 are expected, against "
        "the other files, which count from 1; "
    )


def lengthen(root, frames):
    """Make the videos as long as labels at several rates differ clearly."""
    for folder in root.glob("*_P*"):
        picture = np.full((64, 80, 3), 90, np.uint8)
        _write_video(folder / f"{folder.name}.avi", [picture] * frames, 25)


def labels_at(root, rate, frames):
    seconds = np.arange(round(frames / 25 * rate)) / rate
    change_labels(
        root, lambda table, _: pd.DataFrame({"frame_idx": range(len(seconds)), table.columns[1]: seconds / 10 - 0.05})
    )


@pytest.mark.parametrize("rate", [10, 12.5, 30, 50, 60, 100])
def test_a_regular_rate_of_all_files_is_found(root, rate):
    lengthen(root, 100)
    labels_at(root, rate, 100)
    index = read_index("sewa", root)
    assert index.notes["label_rate"] == f"by time, {rate:g} labels per second"
    off_s = index.frames["valence"] * 10 + 0.5 - index.frames["source_frame"] / 25
    assert off_s.abs().max() <= max(0.5 / rate, 0.02) + 1e-9 if rate >= 25 else off_s.abs().max() <= 1 / rate
    assert index.frames["valence"].notna().mean() > 0.97


@pytest.mark.parametrize(("rate", "about"), [(23, "23"), (27, "27"), (45, "45")])
def test_another_rate_is_refused_in_words_of_rates(root, rate, about):
    """At 23 per second there is one label for nine frames of ten, as if some were missing."""
    lengthen(root, 250)
    labels_at(root, rate, 250)
    text = refusal("sewa", root)
    assert "have neither one label per frame nor 50 per second" in text
    assert f"about {about} labels per second, the videos 25 frames per second" in text


def test_a_file_of_another_rate_is_named(root, segment):
    lengthen(root, 100)
    labels_at(root, 50, 100)
    path = segment / f"{segment.name}_Arousal_AV_Aligned.csv"
    table = pd.read_csv(path).iloc[::2]
    table.assign(frame_idx=range(100)).to_csv(path, index=False)
    text = refusal("sewa", root)
    assert f"the labels of {path.name} go over 100, 25 per second; by the other files there would be 200" in text
    assert "\n" not in text


def test_a_file_that_ends_early_is_named_and_joined_like_the_others(root, segment):
    lengthen(root, 100)
    labels_at(root, 50, 100)
    change_labels(root, lambda table, _: table.iloc[:-14], segment.name)
    index = read_index("sewa", root)
    assert index.notes["labels_incomplete"] == {
        f"{segment.name}_{target}_AV_Aligned.csv": "0 to 185, 186 of 200" for target in ("Valence", "Arousal")
    }
    rows = index.frames.query("clip == @segment.name")
    np.testing.assert_allclose(rows["valence"].dropna() * 10 + 0.5, np.minimum(np.arange(94) / 25, 3.7))


def test_an_empty_folder_holds_no_segment(tmp_path):
    frames, notes = Sewa().read(tmp_path)
    assert frames.empty
    assert notes["segments"] == 0


# -- pictures and the file that describes them ----------------------------------------------------------------------


def renumber(root, shift, clips="00[1-6]"):
    for path in sorted(root.glob(f"{clips}/*.png"), reverse=shift > 0):
        path.rename(path.with_name(f"{int(path.stem) + shift:05d}.png"))


@pytest.mark.parametrize("lost", [None, "first", "last"])
def test_pictures_from_1_belong_to_frames_from_0(copy_of, indices, lost):
    root = copy_of("afew_va")
    renumber(root, 1)
    if lost:
        sorted((root / "002").glob("*.png"))[0 if lost == "first" else -1].unlink()
    index = read_index("afew_va", root)
    before = indices["afew_va"].frames
    columns = ["clip", "frame", "valence", "arousal"]
    pd.testing.assert_frame_equal(index.frames[columns], before[columns])
    shifted = before["source"].str[:4] + (before["frame"] + 1).map("{:05d}.png".format)
    assert index.frames["source"].where(index.frames["status"] != "frame_missing", shifted).tolist() == shifted.tolist()
    missing = index.frames[index.frames["status"] == "frame_missing"]
    assert len(missing) == bool(lost)
    said = "one higher than the frames, as 6 of 6 say"
    assert index.notes["picture_numbering"] == (said.replace("6 of", "5 of") + "; 1 cannot tell" if lost else said)


def test_frames_from_1_belong_to_pictures_from_0(copy_of, indices):
    root = copy_of("afew_va")
    for path in root.glob("*/*.json"):
        edit_json(
            path, lambda clip: clip.update(frames={f"{int(k) + 1:05d}": frame for k, frame in clip["frames"].items()})
        )
    index = read_index("afew_va", root)
    assert index.frames["source"].tolist() == indices["afew_va"].frames["source"].tolist()
    assert index.notes["picture_numbering"] == "one lower than the frames, as 6 of 6 say"


def test_a_clip_whose_pictures_are_numbered_otherwise_is_named(copy_of):
    root = copy_of("afew_va")
    renumber(root, 1, "004")
    count = len(list((root / "004").glob("*.png")))
    assert refusal("afew_va", root) == (
        f"afew_va: {root / '004' / '004.json'} describes frames 0 to {count - 1}, and its pictures are numbered 1 to "
        f"{count}, against 5 other clips, whose pictures are numbered as the frames; number them like those"
    )


def test_where_every_clip_lacks_a_picture_names_decide_and_that_is_said(copy_of):
    root = copy_of("afew_va")
    for path in root.glob("*/00000.png"):
        path.unlink()
    index = read_index("afew_va", root)
    assert index.frames.query("status == 'frame_missing'")["frame"].tolist() == [0] * 6
    assert index.notes["picture_numbering"] == (
        "as the frames by convention, as none of 6 clips has a picture for each frame"
    )
