import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.adapters import ADAPTERS, adapter_module, load_adapter
from hocbench.datasets.conformance import check_adapter
from hocbench.datasets.index import read_index
from hocbench.errors import DatasetError, ParameterError
from hocbench.experiment.records import BUILT_IN
from hocbench.experiment.tasks import affect, classification


class Small:
    """An adapter of one picture and two frames that keeps the contract."""

    name, role = "small", "clips"
    layout = "one.png"

    def read(self, root, exclude=()):
        if not (root / "one.png").is_file():
            raise DatasetError(f"small: {root / 'one.png'} is missing")
        return pd.DataFrame(self.rows()), {"pictures": 1}

    def rows(self):
        row = {"subject": "a", "clip": "c", "source": "one.png", "valence": 0.5, "arousal": 0.0}
        points = np.zeros(136, np.float32)
        lost = {"frame": 1, "landmarks": points[:0], "status": "label_missing", "valence": np.nan}
        return [row | {"frame": 0, "landmarks": points, "status": "ok"}, row | lost]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "one.png").write_bytes(b"x")
    return tmp_path


def faults(adapter, root):
    return {verdict.clause: verdict.fault for verdict in check_adapter(adapter, root) if verdict.fault}


@pytest.mark.parametrize("name", ADAPTERS)
def test_our_adapters_keep_the_contract(rendered, name):
    verdicts = check_adapter(load_adapter(name), rendered[name])
    assert len(verdicts) == 14
    assert [verdict for verdict in verdicts if verdict.fault] == []


def test_a_user_s_adapter_that_keeps_the_contract_passes(root):
    assert faults(Small(), root) == {}


def variant(**changes):
    """Change the first row."""

    class Changed(Small):
        def rows(self):
            first, second = super().rows()
            return [first | changes, second]

    return Changed()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"frame": 1}, "frame 1 of clip 'c' comes twice"),
        ({"subject": "b"}, "clip 'c' has 2 subjects"),
        ({"valence": 3.0}, "valence 3.0 of clip 'c'"),
        ({"arousal": float("inf")}, "arousal inf of clip 'c'"),
        ({"status": "fine"}, "status 'fine' is none of ok, uncertain_label"),
        ({"valence": np.nan}, "clip 'c' has a frame without label and status 'ok'"),
        ({"landmarks": np.zeros(136)}, "clip 'c': landmarks are no flat float32 array"),
        ({"landmarks": np.zeros(10, np.float32)}, "clip 'c': 10 numbers; 136, 98 or 0 finite ones are expected"),
        ({"landmarks": None}, "clip 'c': landmarks are no flat float32 array"),
        ({"source": "two.png"}, "'two.png' does not exist, but its status is 'ok'"),
        ({"source": "../two.png"}, "'../two.png' leads out of"),
        ({"colour": "red"}, "column colour is unknown"),
        ({"frame": "first"}, "column frame is not int64"),
    ],
)
def test_each_broken_clause_is_named(root, changes, fault):
    assert any(found.startswith(fault) for found in faults(variant(**changes), root).values())


def test_a_missing_column_is_named(root):
    class Without(Small):
        def rows(self):
            return [{key: value for key, value in row.items() if key != "status"} for row in super().rows()]

    assert "column status is missing" in faults(Without(), root).values()


def test_reading_differently_each_time_is_a_fault(root):
    class Fickle(Small):
        calls = 0

        def rows(self):
            self.calls += 1
            first, second = super().rows()
            return [first | {"valence": self.calls / 100}, second]

    assert list(faults(Fickle(), root)) == ["reading again gives the same frames"]


def test_a_traceback_on_an_empty_folder_is_a_fault(root):
    class Careless(Small):
        def read(self, root, exclude=()):
            (root / "one.png").read_bytes()
            return super().read(root)

    (fault,) = faults(Careless(), root).values()
    assert fault.startswith("FileNotFoundError: ")


def test_notes_that_json_cannot_hold_are_a_fault(root):
    class Noted(Small):
        def read(self, root, exclude=()):
            return super().read(root)[0], {"where": root}

    assert list(faults(Noted(), root)) == ["notes are plain values"]


def test_an_adapter_that_cannot_read_the_folder_is_told_why(tmp_path):
    assert "DatasetError: small: " in faults(Small(), tmp_path)[f"{tmp_path} is read"]


@pytest.mark.parametrize("place", [__name__, __file__])
def test_an_adapter_is_found_by_name_module_or_file_and_reads_its_dataset(root, place):
    assert load_adapter("sewa").name == "sewa"
    assert adapter_module("sewa") == "hocbench.datasets.sewa"
    assert (load_adapter(f"{place}:Small").name, adapter_module(f"{place}:Small")) == ("small", __file__)
    index = read_index(f"{place}:Small", root)
    assert index.frames["dataset"].tolist() == ["small", "small"]
    assert (index.label, index.notes) == ("real", {"pictures": 1})


@pytest.mark.parametrize("module", ["hocbench.datasets.index", "hocbench.faces.store", "hocbench.datasets.splits"])
def test_no_adapter_is_imported_that_nobody_asked_for(module):
    code = f"import sys, {module}; print(*[name for name in sys.modules if name.startswith('hocbench.datasets.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {place.partition(":")[0] for place in ADAPTERS.values()}.isdisjoint(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sewer", "adapter: there is no 'sewer'; did you mean sewa? Your own is FILE.py:CLASS or MODULE:CLASS"),
        ("absent_module:X", "adapter: absent_module cannot be imported (ModuleNotFoundError: No module named "),
        ("json:JSONEncode", "adapter: json has no class JSONEncode; did you mean JSONEncoder?"),
        ("absent.py:X", "adapter: there is no file absent.py; give its path from the folder of the workflow"),
    ],
)
def test_an_unknown_adapter_is_refused(name, text):
    with pytest.raises(ParameterError) as error:
        load_adapter(name)
    assert str(error.value).startswith(text)


class Classified(Small):
    """Two clips of a class each."""

    task = classification("calm", "angry")

    def rows(self):
        rows = [
            {key: value for key, value in row.items() if key not in ("valence", "arousal")} for row in super().rows()
        ]
        labels = zip([*rows, rows[0]], "ccd", ["calm", "", "angry"], strict=True)
        return [row | {"clip": clip, "class": name} for row, clip, name in labels]

    def read(self, root, exclude=()):
        frames, notes = super().read(root)
        return frames[~frames["clip"].isin(exclude)], notes


def test_a_classification_and_targets_on_other_scales_are_held_against_their_task(root):
    assert faults(Classified(), root) == {}
    wrong = Classified()
    wrong.task = classification("calm", "furious")
    assert list(faults(wrong, root).values()) == ["class 'angry' of clip 'd'"]
    wrong = Small()
    wrong.task = affect(valence=(0, 0.25), arousal=(-1, 1))
    assert list(faults(wrong, root).values()) == ["valence 0.5 of clip 'c'"]


def test_what_an_adapter_says_of_itself_is_held_against_the_words_of_hocbench(root):
    wrong = Small()
    wrong.role = "videos"
    assert list(faults(wrong, root).values()) == ["role is 'videos'"]
    wrong = Small()
    wrong.task = ("calm", "angry")
    assert list(faults(wrong, root).values()) == ["task is ('calm', 'angry')"]


def test_an_adapter_that_reads_what_is_to_be_left_out_is_told_so(root):
    class Deaf(Classified):
        def read(self, root, exclude=()):
            return super().read(root)

    assert list(faults(Deaf(), root).values()) == ["clip 'c' is still there"]


def test_our_adapters_have_the_role_that_experiments_know():
    assert {name: load_adapter(name).role for name in ADAPTERS} == {name: BUILT_IN[name].role for name in ADAPTERS}
