import re
import shutil

import av
import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.index import read_index
from hocbench.datasets.video import probe_video
from hocbench.seeds import generator
from hocbench.synthetic.face import sample_identities
from hocbench.synthetic.scenes import render_clip
from hocbench.synthetic.writers import SEWA_POINTS
from tests.datasets.conftest import nearest
from tests.datasets.layouts import change_labels, label_per_frame, shift_landmarks

COLUMNS = ["frame", "source_frame", "valence", "arousal", "status"]


@pytest.fixture
def root(copy_of):
    """A copy with one label per frame; those at 50 per second are in test_sewa_forms.py."""
    return label_per_frame(copy_of("sewa"))


@pytest.fixture
def segment(root):
    """The folder of the first subject, whose landmarks are all there."""
    return next(root.glob("*_P001_*"))


def annotation(segment, target="Valence", kind="AV"):
    return segment / f"{segment.name}_{target}_{kind}_Aligned.csv"


def change_both(segment, change):
    for target in ("Valence", "Arousal"):
        path = annotation(segment, target)
        change(pd.read_csv(path)).to_csv(path, index=False)


def rows_of(index, segment):
    return index.frames.query("clip == @segment.name").reset_index(drop=True)


def test_each_frame_of_each_segment_has_a_row(indices):
    frames = indices["sewa"].frames
    assert frames.groupby("clip")["source_frame"].apply(list).to_list() == [list(range(12))] * 6
    assert indices["sewa"].notes == {
        "segments": 6,
        "annotation": {"AV": 12},
        "value_column": {"valence": 6, "arousal": 6},
        "first_label": {"frame 0 of the video": 6},
        "without_landmarks": 0,
        "label_rate": "by time, 50 labels per second",
        "label_numbering": "from 0, as 12 of 12 say",
        "landmark_numbering": "from 1, as 6 of 6 say",
        "label_scale": 1,
    }


def test_both_partners_of_a_chat_share_their_session(indices):
    people = indices["sewa"].frames[["session", "subject"]].drop_duplicates()
    assert people.groupby("session")["subject"].apply(sorted).to_dict() == {
        "S001": ["P001", "P002"],
        "S002": ["P003", "P004"],
        "S003": ["P005", "P006"],
    }


@pytest.mark.parametrize("subject", range(1, 7))
def test_labels_landmarks_and_pictures_are_what_was_rendered(indices, rendered, subject):
    rng = generator(2, dataset="sewa", subject=subject)
    truth = render_clip(rng, sample_identities(rng, 1), 12, 64, 80, 25, True)
    frames = indices["sewa"].frames.query("subject == @name", local_dict={"name": f"P{subject:03d}"})
    np.testing.assert_allclose(frames["valence"], truth.valence, atol=1e-6)
    np.testing.assert_allclose(frames["arousal"], truth.arousal, atol=1e-6)
    with av.open(str(rendered["sewa"] / frames["source"].iloc[0])) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for row in frames.itertuples():
        assert nearest(pictures[row.source_frame], truth.frames) == row.source_frame
        if row.status == "ok":
            expected = truth.landmarks[row.source_frame][SEWA_POINTS]
            np.testing.assert_allclose(row.landmarks.reshape(49, 2), expected, atol=0.001)


@pytest.mark.parametrize("shift", [1, 742])
def test_frame_numbers_may_start_anywhere(root, segment, indices, shift):
    change_labels(root, lambda table, _: table.assign(frame_idx=table["frame_idx"] + shift))
    found, expected = (rows_of(index, segment) for index in (read_index("sewa", root), indices["sewa"]))
    pd.testing.assert_frame_equal(found[COLUMNS], expected.assign(frame=expected["frame"] + shift)[COLUMNS])
    assert np.array_equal(np.stack(found["landmarks"]), np.stack(expected["landmarks"]))


def test_frame_numbers_of_landmark_files_may_start_anywhere(root, segment, indices):
    shift_landmarks(root, 9)
    found, expected = (rows_of(index, segment) for index in (read_index("sewa", root), indices["sewa"]))
    assert np.array_equal(np.stack(found["landmarks"]), np.stack(expected["landmarks"]))


@pytest.mark.parametrize("numbering", ["from 0", "from 1", "from the name"])
def test_a_missing_label_moves_no_other(root, segment, indices, numbering):
    def start_of(name):
        return {"from 0": 0, "from 1": 1, "from the name": int(name.split("_")[-2])}[numbering]

    change_labels(root, lambda table, name: table.assign(frame_idx=table["frame_idx"] + start_of(name)))
    change_both(segment, lambda table: table.drop(index=[0, 5]))
    start = start_of(segment.name)
    index = read_index("sewa", root)
    found, expected = rows_of(index, segment), rows_of(indices["sewa"], segment)
    assert found.loc[[0, 5], "status"].to_list() == ["label_missing"] * 2
    kept = found.drop(index=[0, 5])
    assert kept["source_frame"].to_list() == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert kept["frame"].to_list() == [frame + start for frame in kept["source_frame"]]
    pd.testing.assert_series_equal(kept["valence"], expected["valence"].drop(index=[0, 5]))
    assert index.notes["first_label"] == {"frame 0 of the video": 5, "frame 1 of the video": 1}


def test_a_blank_label_is_missing(root, segment):
    table = pd.read_csv(annotation(segment))
    table.loc[3, "valence"] = np.nan
    table.to_csv(annotation(segment), index=False)
    frames = rows_of(read_index("sewa", root), segment)
    assert frames["status"].to_list() == ["ok"] * 3 + ["label_missing"] + ["ok"] * 8


@pytest.mark.parametrize("name", ["Valence", " VALENCE", "rating"])
def test_the_value_column_is_found_and_noted(root, segment, indices, name):
    table = pd.read_csv(annotation(segment)).rename(columns={"valence": name, "frame_idx": "Frame_Idx"})
    table.to_csv(annotation(segment), index=False)
    index = read_index("sewa", root)
    assert rows_of(index, segment)["valence"].equals(rows_of(indices["sewa"], segment)["valence"])
    assert index.notes["value_column"] == {name: 1, "valence": 5, "arousal": 6}


@pytest.mark.parametrize("kind", ["V", "A"])
def test_what_annotators_saw_or_heard_stands_in_for_both_and_is_noted(root, segment, kind):
    for missing in ("AV", "V", "A"):
        if missing != kind:
            annotation(segment, kind=missing).unlink()
    index = read_index("sewa", root)
    assert index.notes["annotation"] == {"AV": 11, kind: 1}
    expected = pd.read_csv(annotation(segment, kind=kind))["valence"]
    pd.testing.assert_series_equal(rows_of(index, segment)["valence"], expected)


def test_seeing_and_hearing_is_preferred_to_seeing(root, segment):
    annotation(segment, kind="AV").unlink()
    assert read_index("sewa", root).notes["annotation"] == {"AV": 11, "V": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"0 0 0\n1 2\n",
        b"0 0 0\n1 2\n1 2 3\n",
        b"0 0 0\n1 2\n" + b"x " * 98,
        b"0 0 0\n1 2\n" + b"\xff\xfe " * 98,
        b"0 0 0\n1 2\n" + b"nan " * 98,
        b"0 0 0\n1 2\n" + b"5 " * 97 + b"-1",
    ],
)
def test_landmark_files_without_49_points_count_as_failed(root, segment, content):
    (segment / f"{segment.name}-Landmarks" / "000005.txt").write_bytes(content)
    frames = rows_of(read_index("sewa", root), segment)
    assert frames["status"].to_list() == ["ok"] * 4 + ["landmarks_failed"] + ["ok"] * 7


def test_other_text_files_beside_the_landmarks_are_left_alone(root, segment, indices):
    (segment / f"{segment.name}-Landmarks" / "SYNTHETIC.txt").write_text("no landmarks\n" * 3)
    (segment / f"{segment.name}-Landmarks" / "000005.txt").unlink()
    frames = rows_of(read_index("sewa", root), segment)
    assert frames["status"].to_list() == ["ok"] * 4 + ["landmarks_failed"] + ["ok"] * 7


def test_a_segment_without_landmark_files_is_counted(root, segment):
    shutil.rmtree(segment / f"{segment.name}-Landmarks")
    index = read_index("sewa", root)
    assert index.notes["without_landmarks"] == 1
    assert set(rows_of(index, segment)["status"]) == {"landmarks_failed"}


def test_the_renderer_loses_the_landmarks_that_it_lists(indices):
    failed = indices["sewa"].frames.query("status == 'landmarks_failed'")
    assert failed[["subject", "frame"]].to_numpy().tolist() == [["P002", 7], ["P003", 2]]


def test_folders_that_are_no_segments_are_left_alone(root, indices):
    (root / "SAH_C6_S181_P362").mkdir()
    assert len(read_index("sewa", root).frames) == len(indices["sewa"].frames)


def test_frames_are_counted_where_the_header_does_not_state_them(segment, tmp_path):
    raw = tmp_path / "raw.m4v"
    with av.open(str(segment / f"{segment.name}.avi")) as source, av.open(str(raw), "w", format="m4v") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(raw)) as container:
        assert container.streams.video[0].frames == 0
    assert probe_video(tmp_path, "raw.m4v").frames == 12


def test_the_name_of_a_segment_tells_its_length(rendered):
    for folder in rendered["sewa"].glob("S*_P*"):
        first, last = map(int, re.findall(r"_(\d{6})", folder.name))
        assert probe_video(folder, f"{folder.name}.avi").frames == last - first + 1
