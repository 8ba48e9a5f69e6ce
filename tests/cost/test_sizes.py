import itertools
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from hocbench import paths
from hocbench.cost.sizes import SEWA_CLIP_FRAMES, part_sizes, whole
from hocbench.errors import ParameterError
from hocbench.training.data import Samples, overlapping_windows, steps_per_epoch, training_windows
from hocbench.windows import evaluation_items, training_items

OPTIONS = {"clip_length": 4, "frame_step": 1, "batch_size": 3}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def spec(dataset="sewa", split=None, fold=0, synthetic=None):
    split = split or {"kind": "sessions", "ratio": [7, 1, 2], "seed": 0}
    data = {"crop": {"size": 16}} | ({"synthetic": synthetic} if synthetic else {})
    axes = {"dataset": dataset, "fold": fold}
    return {"profile": "p", "axes": axes, "split": split, "data": data, "root_seed": 1}


def clips_of(lengths):
    edges = np.cumsum([0, *lengths])
    return [np.arange(a, b) for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize(
    "stretches",
    [
        [whole(10)],
        [whole(1), whole(3), whole(4), whole(5)],
        [whole(16), whole(16), whole(7), whole(2)],
        [((0, 5), (6, 1), (9, 8)), ((0, 1), (2, 1), (4, 1)), whole(7)],
    ],
)
def test_windows_are_counted_as_training_and_prediction_cut_them(stretches, step):
    numbers = [np.concatenate([np.arange(a, a + n) for a, n in each]) for each in stretches]
    rows = clips_of([len(each) for each in numbers])
    options = OPTIONS | {"frame_step": step}
    samples = Samples(None, np.concatenate(rows), rows, numbers=numbers)
    drawn = training_windows(samples, 4, np.random.default_rng(0), step)
    assert training_items(Counter(stretches), 3, options) == len(drawn)
    assert max(1, len(drawn) // 3) == steps_per_epoch(samples, 3, options)
    assert evaluation_items(Counter(stretches), 3, options) == sum(
        len(overlapping_windows(each, 4, step, frames)) for each, frames in samples.numbered()
    )


def test_images_are_counted_one_by_one():
    clips = {whole(1): 5, ((0, 3), (8, 4)): 2}
    assert training_items(clips, 2, OPTIONS) == evaluation_items(clips, 2, OPTIONS) == 19


def test_synthetic_sizes_are_shared_out_as_the_protocol_does():
    found = part_sizes(spec(synthetic={"subjects": 200, "frames": 32}))
    assert found.parts == {"train": {whole(32): 140}, "validation": {whole(32): 20}, "test": {whole(32): 40}}
    assert found.source == "SYNTHETIC sizes of the parameters"
    official = {"kind": "official", "validation_share": 0.1}
    images = {"images": 6000, "validation_images": 1000}
    still = part_sizes(spec("affectnet", split=official, synthetic=images))
    assert still.parts == {"train": {whole(1): 5400}, "validation": {whole(1): 600}, "test": {whole(1): 1000}}
    folds = {"kind": "subjects", "folds": 2, "validation_share": 0.2}
    films = part_sizes(spec("afew_va", split=folds, synthetic={"frames_min": 16, "frames_max": 48, "clips": 60}))
    assert films.parts == {"train": {whole(32): 24}, "validation": {whole(32): 6}, "test": {whole(32): 30}}


def test_real_data_without_a_copy_have_the_published_sizes():
    official = {"kind": "official", "validation_share": 0.1}
    still = part_sizes(spec("affectnet", split=official))
    assert still.parts["train"][whole(1)] == pytest.approx(0.9 * 320_739)
    assert still.parts["test"] == {whole(1): 4500}
    assert still.source == "published counts"
    folds = {"kind": "subjects", "folds": 5, "validation_share": 0.2}
    films = part_sizes(spec("afew_va", split=folds))
    assert films.parts["test"] == {whole(50): 120}
    chats = part_sizes(spec())
    assert sum(chats.parts[part][whole(SEWA_CLIP_FRAMES)] for part in chats.parts) == pytest.approx(538)
    assert f"{SEWA_CLIP_FRAMES} frames each assumed" in chats.source


def test_prepared_data_are_counted_frame_by_frame_without_lost_ones():
    folder = paths.prepared("p", "sewa")
    folder.mkdir(parents=True)
    clip = np.repeat(np.arange(10), 6)
    frames = pd.DataFrame({"clip": [f"C{n}" for n in clip], "subject": [f"S{n}" for n in clip]})
    frames = frames.assign(session=[f"P{n // 2}" for n in clip], split="", usable=True)
    frames["frame"] = np.tile(np.arange(6), 10)
    frames.loc[[0, 14], "usable"] = False  # the first frame of one clip, and the third of another
    frames.to_parquet(folder / "frames.parquet")
    (folder / "crops.json").write_text(json.dumps({"label": "synthetic"}))
    found = part_sizes(spec(split={"kind": "sessions", "ratio": [3, 1, 1]}))
    total = sum((Counter(part) for part in found.parts.values()), Counter())
    assert total == {whole(6): 8, whole(5): 1, ((0, 2), (3, 3)): 1}
    assert sum(found.parts["train"].values()) == 6
    assert found.source == f"{folder} (synthetic)"


def test_a_split_list_needs_prepared_data():
    with pytest.raises(ParameterError, match=r"datasets.sewa.split is a list and data/prepared/p/sewa is not there"):
        part_sizes(spec(split={"kind": "file", "path": "mine.csv"}))
