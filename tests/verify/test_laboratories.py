"""The laboratories of the committed reference, each in turn compared with the others."""

import shutil
from pathlib import Path

import pytest

from hocbench.verify import verify
from hocbench.verify.compare import UNUSUAL
from hocbench.verify.laboratory import MANIFESTS, MORE, read_laboratories

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
LABORATORIES = [REFERENCE, *sorted(path.parent for path in (REFERENCE / MORE).glob(f"*/{MANIFESTS}"))]
PARTS = ("evaluation", "claims", MANIFESTS)


def copy(laboratory, to):
    to.mkdir(parents=True)
    for name in PARTS:
        path = laboratory / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, to / name)


def test_they_are_several_of_one_code():
    found = read_laboratories(REFERENCE)
    assert len(found) == len(LABORATORIES) >= 5  # none has computed the same bytes as another one
    # Or of code that has computed the bytes of the reference as well.
    codes = {run.values["code"] for run in found[0].runs.values()}
    assert len(codes) == 1
    assert {run.values["code"] for each in found for run in each.runs.values()} <= codes | found[0].earlier_code
    assert all(each.data == found[0].data != {} for each in found)


# Of whole verifications at most 5 % may be false alarms. This one is: the valence CCC of the dense (2+1)-D network from
# scratch lies 3 % beyond its tolerance. Once that is fixed, the test says so.
FALSE_ALARM = pytest.mark.xfail(strict=True, reason="one mean CCC lies beyond its tolerance: a false alarm in five")
MARKS = {"avx2-native": FALSE_ALARM}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Each laboratory, compared with all others."""
    found = {}
    for left_out in LABORATORIES:
        folder = tmp_path_factory.mktemp(left_out.name)
        first, *others = (path for path in LABORATORIES if path != left_out)
        copy(first, folder / "reference")
        for path in others:
            copy(path, folder / "reference" / MORE / path.name)
        copy(left_out, folder / "sent")
        found[left_out.name] = verify(folder / "sent", folder / "reference")
    return found


@pytest.mark.parametrize("name", [path.name for path in LABORATORIES])
def test_each_has_the_data_and_conclusions_of_the_others(answers, name):
    answer = answers[name]
    assert not answer.faults and not answer.left_out and answer.conclusions_agree
    assert len(answer.data) == sum(row.same is True for row in answer.data) >= 30
    # Single cells are off by chance, and hardly more of them than intervals of this kind leave outside.
    assert answer.count(UNUSUAL) < 0.005 * len(answer.cells)


@pytest.mark.parametrize("name", [pytest.param(path.name, marks=MARKS.get(path.name, ())) for path in LABORATORIES])
def test_each_is_such_as_the_others_would_expect(answers, name):
    assert answers[name].reproduced
