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
    assert len(found) == len(LABORATORIES) >= 4  # none has computed the same bytes as another one
    assert len({run.values["code"] for each in found for run in each.runs.values()}) == 1
    assert all(each.data == found[0].data != {} for each in found)


@pytest.mark.parametrize("left_out", LABORATORIES, ids=lambda path: path.name)
def test_each_is_such_as_the_others_would_expect(left_out, tmp_path):
    first, *others = (path for path in LABORATORIES if path != left_out)
    copy(first, tmp_path / "reference")
    for path in others:
        copy(path, tmp_path / "reference" / MORE / path.name)
    copy(left_out, tmp_path / "sent")
    found = verify(tmp_path / "sent", tmp_path / "reference")
    assert found.reproduced and not found.faults and not found.left_out
    assert len(found.data) == sum(row.same is True for row in found.data) >= 30
    # Single cells are off by chance, and hardly more of them than intervals of this kind leave outside.
    assert found.count(UNUSUAL) < 0.005 * len(found.cells)
