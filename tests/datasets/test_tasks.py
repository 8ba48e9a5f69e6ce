"""Labels of other tasks than valence and arousal: their columns, and what does not belong to a task."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.check import check_dataset, describe_inventory
from hocbench.datasets.columns import FRAME_COLUMNS, frame_columns, label_columns, labelled
from hocbench.datasets.index import read_index, write_index
from hocbench.datasets.prepared import load_index
from hocbench.datasets.splits import INDEX_COLUMNS, write_splits
from hocbench.errors import DatasetError
from hocbench.experiment.tasks import VALENCE_AROUSAL, affect, classification

ADAPTER = """
import numpy as np
import pandas as pd

from hocbench.experiment.tasks import affect, classification


class Own:
    name, layout, role = "own", "labels.csv", "clips"
    task = {task}

    def read(self, root, exclude=()):
        table = pd.read_csv(root / "labels.csv", dtype={{"clip": str}})
        none = pd.Series([np.empty(0, np.float32)] * len(table))
        return table.assign(subject=table["clip"], source="labels.csv", landmarks=none, status="ok"), {{}}
"""
MOODS = "classification('calm', 'excited')"


@pytest.fixture
def index_of(tmp_path):
    """Index frames of clips, given as rows of a CSV file, with an adapter of a task."""

    def index(task, header, *rows):
        (tmp_path / "own.py").write_text(ADAPTER.format(task=task))
        (tmp_path / "labels.csv").write_text("\n".join([f"clip,frame,{header}", *rows]))
        return read_index(f"{tmp_path}/own.py:Own", tmp_path)

    return index


def test_columns_are_the_fixed_ones_and_the_labels_in_the_order_of_the_task():
    columns = list(frame_columns(VALENCE_AROUSAL))
    assert columns == [*list(FRAME_COLUMNS)[:-2], "valence", "arousal", "split", "status"]
    for task in (VALENCE_AROUSAL, affect(joy=(0, 10)), classification("calm", "excited")):
        assert label_columns([*frame_columns(task), "face", "usable", "end_byte"]) == list(task.targets)
    assert frame_columns(classification("calm", "excited"))["class"] == "str"


def test_a_target_that_has_the_name_of_another_column_is_refused():
    with pytest.raises(DatasetError, match=r"target status, part of a task: an index has that column itself; rename"):
        frame_columns(affect(status=(0, 1), joy=(0, 1), part=(0, 1)))


def test_frames_are_labelled_if_no_label_is_missing():
    one = pd.DataFrame({"clip": "", "joy": [1.0, np.nan, 2.0], "fear": [0.0, 1.0, np.nan]})
    assert labelled(one).tolist() == [True, False, False]
    assert labelled(pd.DataFrame({"clip": "a", "class": ["calm", ""]})).tolist() == [True, False]


def test_an_index_of_classes_has_their_names_or_nothing(index_of):
    index = index_of(MOODS, "class", "b,0,excited", "a,1,", "a,0,calm")
    assert index.frames["class"].tolist() == ["calm", "", "excited"]
    assert str(index.frames["class"].dtype) == "str"
    assert index.task == classification("calm", "excited")
    with pytest.raises(DatasetError) as error:
        index_of(MOODS, "class", "a,0,calm", "b,7,angry")
    assert str(error.value) == (
        "own: frame 7 of clip 'b' has the class 'angry', and the task of its adapter knows calm, excited; correct one "
        "of them"
    )
    with pytest.raises(DatasetError) as error:
        index_of(MOODS, "class", "a,0,calm", "b,0,calm", "b,1,excited")
    assert str(error.value) == (
        "own: clip 'b' has frames of calm and excited; a clip is of one class, so make clips of it"
    )


def test_targets_lie_in_the_ranges_of_their_task(index_of):
    task = "affect(joy=(0, 10), fear=(-5, 5))"
    frames = index_of(task, "joy,fear", "a,0,10,-5", "a,1,,0").frames
    assert frames["joy"].tolist()[0] == 10
    assert np.isnan(frames["joy"][1])
    # Labels that are never negative are as they should be on such a scale.
    assert len(index_of(task, "joy,fear", *(f"{clip},0,3,2" for clip in range(60))).frames) == 60
    for row, what in (("a,0,-1,0", "joy -1"), ("a,0,11,0", "joy 11")):
        with pytest.raises(DatasetError) as error:
            index_of(task, "joy,fear", row)
        assert str(error.value) == (
            f"own: {what} of frame 0 of clip 'a' is outside [0, 10]; check the scale of the annotation files"
        )
    with pytest.raises(DatasetError, match=r"fear -5\.5 of frame 0 of clip 'a' is outside \[-5, 5\]"):
        index_of(task, "joy,fear", "a,0,0,-5.5")


def test_the_inventory_counts_the_frames_of_each_class(index_of, tmp_path):
    index = index_of(MOODS, "class", "a,0,calm", "a,1,calm", "a,2,", "b,0,excited")
    inventory = check_dataset("own", tmp_path, index, quick=True)
    assert inventory["labels"] == {"class": {"calm": 2, "excited": 1}}
    assert inventory["splits"]["all"]["labelled"] == 3
    assert "\nclass\n  calm: 2\n  excited: 1\n" in describe_inventory(inventory)


def test_the_inventory_counts_targets_over_their_ranges(index_of, tmp_path):
    index = index_of("affect(joy=(0, 10))", "joy", "a,0,0.5", "a,1,9.5", "a,2,9.7")
    histogram = check_dataset("own", tmp_path, index, quick=True)["labels"]["joy"]
    assert histogram["edges"] == list(range(11))
    assert histogram["counts"] == [1, *[0] * 8, 2]


def test_splits_hash_the_names_of_classes(index_of, tmp_path):
    write_index(index_of(MOODS, "class", "a,0,calm", "a,1,calm", "b,0,excited", "c,5,"), tmp_path / "out")
    index, _ = load_index(tmp_path / "out", INDEX_COLUMNS)
    assert list(index) == [*INDEX_COLUMNS, "class"]
    clips = index[["clip", "subject", "session"]].drop_duplicates("clip")
    write_splits(index, clips.assign(fold=0, part=["train", "validation", "test"]), {}, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "splits.csv")
    texts = ["0,calm\n1,calm\n", "0,excited\n", "5,\n"]
    assert table["sha256"].tolist() == [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
