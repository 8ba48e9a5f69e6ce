"""The laboratories of the committed reference, each in turn compared with the others."""

import shutil
from pathlib import Path

import pytest

from hocbench.verify import verify
from hocbench.verify.compare import DIFFERENT, UNUSUAL
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
    assert len({run.values["code"] for each in found for run in each.runs.values()}) == 1
    assert all(each.data == found[0].data != {} for each in found)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Each laboratory, compared with all others."""
    answers = {}
    for left_out in LABORATORIES:
        folder = tmp_path_factory.mktemp(left_out.name)
        first, *others = (path for path in LABORATORIES if path != left_out)
        copy(first, folder / "reference")
        for path in others:
            copy(path, folder / "reference" / MORE / path.name)
        copy(left_out, folder / "sent")
        answers[left_out.name] = verify(folder / "sent", folder / "reference")
    return answers


@pytest.mark.parametrize("name", [path.name for path in LABORATORIES])
def test_each_has_the_data_and_conclusions_of_the_others_and_scores_near_theirs(found, name):
    answer = found[name]
    assert not answer.faults and not answer.left_out
    assert len(answer.data) == sum(row.same is True for row in answer.data) >= 30
    assert answer.conclusions_agree
    # Single cells are off by chance, and hardly more of them than intervals of this kind leave outside.
    assert answer.count(UNUSUAL) < 0.005 * len(answer.cells)
    assert answer.count(DIFFERENT) <= 1


def test_at_most_one_of_them_is_called_different(found):
    # An undisturbed run has anything different in 5 % of verifications; two of so few would be too many (p < 0.03).
    assert sum(not answer.reproduced for answer in found.values()) <= 1 < len(found)
