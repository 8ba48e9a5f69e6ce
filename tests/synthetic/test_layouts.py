import json
import re

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.layouts import COLUMNS, SEGMENT
from hocbench.seeds import generator
from hocbench.synthetic import synthesize
from hocbench.synthetic.face import sample_identities
from hocbench.synthetic.scenes import render_clip
from tests.synthetic.conftest import PARAMETERS, summary_of

OUTER = "Manually_Annotated"


def unreadable(root):
    pictures = [path for path in root.rglob("*") if path.suffix in (".jpg", ".png")]
    return sorted(str(path) for path in pictures if cv2.imread(str(path)) is None)


def defects_of(root, what):
    return [defect for defect in summary_of(root)["defects"] if defect["what"] == what]


def affectnet_list(root, split):
    return pd.read_csv(root / OUTER / "Manually_Annotated_file_lists" / f"{split}.csv")


@pytest.mark.parametrize(("name", "below"), [("affectnet", f"{OUTER}/Manually_Annotated_Images"), ("afew_va", "")])
def test_exactly_the_listed_pictures_are_unreadable(rendered, name, below):
    listed = [str(rendered[name] / below / defect["file"]) for defect in defects_of(rendered[name], "unreadable image")]
    assert len(listed) == 1
    assert unreadable(rendered[name]) == listed


@pytest.mark.parametrize(("split", "count"), [("training", 40), ("validation", 12)])
def test_affectnet_lists_have_the_published_columns_and_the_listed_defects(rendered, split, count):
    root = rendered["affectnet"]
    table = affectnet_list(root, split)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == count
    uncertain = table[["valence", "arousal"]].eq(-2).all(axis=1)
    expected = {defect["what"]: defect["rows"] for defect in defects_of_list(root, split)}
    assert expected == {"labels of -2": uncertain.sum(), "landmarks missing": table["facial_landmarks"].isna().sum()}
    assert (table["expression"].isin([9, 10]) == uncertain).all()
    assert (
        table["subDirectory_filePath"]
        .map(lambda path: (root / OUTER / "Manually_Annotated_Images" / path).is_file())
        .all()
    )


def defects_of_list(root, split):
    return [defect for defect in summary_of(root)["defects"] if defect.get("list") == split]


def test_of_a_single_row_only_what_is_damaged_is_listed(tmp_path):
    synthesize("affectnet", tmp_path, PARAMETERS["affectnet"] | {"validation_images": 1})
    assert affectnet_list(tmp_path, "validation")["valence"].to_list() == [-2]
    listed = {defect["what"]: defect["rows"] for defect in defects_of_list(tmp_path, "validation")}
    assert listed == {"labels of -2": 1, "landmarks missing": 0}


def test_expressions_of_affectnet_fit_the_labels(rendered):
    table = affectnet_list(rendered["affectnet"], "training").query("valence != -2")
    assert set(table["expression"]) <= {0, 1, 2, 3, 6}
    assert (table.query("expression == 1")["valence"] > 0).all()
    assert (table.query("expression == 2")[["valence", "arousal"]] <= 0).all(axis=None)
    assert (np.hypot(*table.query("expression == 0")[["valence", "arousal"]].to_numpy().T) < 0.2).all()


def test_sewa_segments_are_named_and_filled_as_published(rendered):
    folders = sorted(path for path in rendered["sewa"].iterdir() if path.is_dir())
    assert len(folders) == 14
    for folder in folders:
        mood, _, session, subject, first, last = SEGMENT.match(folder.name).groups()
        assert int(session) == (int(subject) + 1) // 2
        assert int(last) - int(first) + 1 == 8
        assert f"Category = {mood}\n" in (folder / "metadata.ini").read_text()
        for target in ("Valence", "Arousal"):
            for kind in ("A", "V", "AV"):
                table = pd.read_csv(folder / f"{folder.name}_{target}_{kind}_Aligned.csv")
                assert list(table.columns) == ["frame_idx", target.lower()]
                assert table["frame_idx"].to_list() == list(range(33))  # 8 frames of 12 per second, 50 labels
                assert table[target.lower()].abs().max() <= 1


def test_sewa_videos_decode_to_all_their_frames(rendered):
    videos = sorted(rendered["sewa"].glob("*/*.avi"))
    assert len(videos) == 14
    for video in videos:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            assert (stream.average_rate, stream.frames) == (12, 8)
            shapes = [frame.to_ndarray(format="bgr24").shape for frame in container.decode(stream)]
        assert shapes == [(48, 64, 3)] * 8


def test_sewa_landmark_files_are_named_by_number_alone_from_1(rendered):
    for folder in rendered["sewa"].glob("*/*-Landmarks"):
        assert sorted(path.name for path in folder.iterdir()) == [f"{number:06d}.txt" for number in range(1, 9)]


def test_a_label_of_sewa_is_the_truth_at_its_time(rendered):
    """Of 12 frames a second; between two of them the truth goes straight, after the last one it stays."""
    for folder in rendered["sewa"].glob("*_P*"):
        rng = generator(4, dataset="sewa", subject=int(folder.name.split("_")[3][1:]))
        truth = render_clip(rng, sample_identities(rng, 1), 8, 48, 64, 12, True)
        for target in ("valence", "arousal"):
            labels = pd.read_csv(folder / f"{folder.name}_{target.capitalize()}_AV_Aligned.csv")[target].to_numpy()
            values = getattr(truth, target)
            # Half a second after the first frame, the sixth after it is shown.
            np.testing.assert_allclose(labels[[0, 25]], values[[0, 6]], atol=1e-6)
            # Label 2, at 40 ms, is 0.48 of the way to the frame at 83 ms.
            np.testing.assert_allclose(labels[2], 0.52 * values[0] + 0.48 * values[1], atol=1e-6)
            np.testing.assert_allclose(labels[30:], values[7], atol=1e-6)


def test_sewa_landmarks_fail_in_exactly_the_listed_frames(rendered):
    root = rendered["sewa"]
    failed = {}
    for path in sorted(root.glob("*/*-Landmarks/*.txt")):
        lines = [np.array(line.split(), float) for line in path.read_text().splitlines()]
        assert [len(line) for line in lines] == [3, 20, 98]
        if all((line == -1).all() for line in lines):
            failed.setdefault(path.parents[1].name, []).append(int(path.stem) - 1)
    assert failed
    assert failed == {defect["segment"]: defect["frames"] for defect in defects_of(root, "landmarks failed")}


def test_afew_va_clips_are_described_as_published(rendered):
    root = rendered["afew_va"]
    lost = {}
    for number in range(1, 6):
        clip = json.loads((root / f"{number:03d}" / f"{number:03d}.json").read_text())
        assert (clip["actor"], clip["video_id"]) == (f"synthetic actor {(number - 1) % 3:03d}", f"{number:03d}")
        pictures = sorted(path.stem for path in (root / f"{number:03d}").glob("*.png"))
        assert sorted(clip["frames"]) == pictures
        assert 4 <= len(pictures) <= 7
        for name, frame in clip["frames"].items():
            assert re.fullmatch(r"\d{5}", name)
            assert all(type(frame[target]) is int and abs(frame[target]) <= 10 for target in ("valence", "arousal"))
            if np.shape(frame["landmarks"]) != (68, 2):
                lost.setdefault(f"{number:03d}/{number:03d}.json", []).append(int(name))
    assert lost == {defect["file"]: defect["frames"] for defect in defects_of(root, "landmarks missing")}
    assert len(lost) == 1
