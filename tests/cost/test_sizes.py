import itertools
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from hocbench import paths
from hocbench.config.datasets import GivenList, OfficialSplit, SessionSplit, SubjectSplit
from hocbench.cost.sizes import SEWA_CLIP_FRAMES, part_sizes, whole
from hocbench.errors import ParameterError
from hocbench.experiment.spec import DataSpec, RunKey
from hocbench.training.data import overlapping_windows, steps_per_epoch, training_windows
from hocbench.training.samples import Samples
from hocbench.windows import batches, evaluation_items, training_items
from tests.training.specs import make_spec

SESSIONS = SessionSplit(kind="sessions", ratio=(7, 1, 2))
OFFICIAL = OfficialSplit(kind="official", validation_share=0.1)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def sizes_of(dataset="sewa", split=SESSIONS, synthetic=None):
    spec = make_spec().model_copy(update={"profile": "p", "key": RunKey(dataset=dataset, method="joint")})
    data = DataSpec(crop=spec.data.crop, synthetic=synthetic)
    return part_sizes(spec.model_copy(update={"split": split, "data": data}))


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
    training = make_spec(order=3, frame_step=step, batch_size=3).training
    clips = Counter(stretches)
    samples = Samples(None, np.concatenate(rows), rows, numbers=numbers)
    drawn = training_windows(samples, 4, np.random.default_rng(0), step)
    assert training_items(clips, 4, step) == len(drawn)
    assert batches(len(drawn), 3) == max(1, len(drawn) // 3) == steps_per_epoch(samples, training)
    assert evaluation_items(clips, 4, step) == sum(
        len(overlapping_windows(each, 4, step, frames)) for each, frames in samples.numbered()
    )


def test_images_are_counted_one_by_one():
    clips = {whole(1): 5, ((0, 3), (8, 4)): 2}
    assert training_items(clips, None) == evaluation_items(clips, None) == 19


def test_fewer_training_clips_are_a_part_of_average_ones():
    clips = {whole(8): 3, whole(16): 1}
    assert [training_items(clips, 4, limit=limit) for limit in (None, 1, 2, 9)] == [10, 2.5, 5, 10]


def test_synthetic_sizes_are_shared_out_as_the_protocol_does():
    found = sizes_of(synthetic={"subjects": 200, "frames": 32})
    assert found.parts == {"train": {whole(32): 140}, "validation": {whole(32): 20}, "test": {whole(32): 40}}
    assert found.source == "SYNTHETIC sizes of the parameters"
    images = {"images": 6000, "validation_images": 1000}
    still = sizes_of("affectnet", split=OFFICIAL, synthetic=images)
    assert still.parts == {"train": {whole(1): 5400}, "validation": {whole(1): 600}, "test": {whole(1): 1000}}
    folds = SubjectSplit(kind="subjects", folds=2, validation_share=0.2)
    films = sizes_of("afew_va", split=folds, synthetic={"frames_min": 16, "frames_max": 48, "clips": 60})
    assert films.parts == {"train": {whole(32): 24}, "validation": {whole(32): 6}, "test": {whole(32): 30}}


def test_real_data_without_a_copy_have_the_published_sizes():
    still = sizes_of("affectnet", split=OFFICIAL)
    assert still.parts["train"][whole(1)] == pytest.approx(0.9 * 320_739)
    assert still.parts["test"] == {whole(1): 4500}
    assert still.source == "published counts"
    folds = SubjectSplit(kind="subjects", folds=5, validation_share=0.2)
    films = sizes_of("afew_va", split=folds)
    assert films.parts["test"] == {whole(50): 120}
    chats = sizes_of()
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
    found = sizes_of(split=SessionSplit(kind="sessions", ratio=(3, 1, 1)))
    total = sum((Counter(part) for part in found.parts.values()), Counter())
    assert total == {whole(6): 8, whole(5): 1, ((0, 2), (3, 3)): 1}
    assert sum(found.parts["train"].values()) == 6
    assert found.source == f"{folder} (synthetic)"


def test_a_split_list_needs_prepared_data():
    with pytest.raises(ParameterError, match=r"datasets.sewa.split is a list and data/prepared/p/sewa is not there"):
        sizes_of(split=GivenList(kind="file", path="mine.csv"))


def test_nobody_knows_the_sizes_of_own_data_before_they_are_there():
    with pytest.raises(ParameterError, match=r"nobody knows how many clips datasets.mine has before data/prepared/p/"):
        sizes_of("mine")
