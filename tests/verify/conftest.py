"""A recorded reference and its repetition, and the command that compares them."""

import pandas as pd
import pytest

from hocbench.verify import record
from tests.verify.reproductions import Reproduction, laboratory


@pytest.fixture
def pair(tmp_path):
    """A recorded reference, and the same reproduction once more."""
    record(Reproduction(tmp_path / "first").folder, tmp_path / "reference", "reference")
    return tmp_path / "reference", Reproduction(tmp_path / "here")


@pytest.fixture
def laboratories(pair):
    """A reference of four laboratories."""
    reference, here = pair
    for number in (1, 2, 3):
        made = laboratory(here.folder.parent / f"machine{number}", number)
        record(made.folder, reference / "laboratories" / f"lab{number}", f"lab{number}")
    return reference


@pytest.fixture
def verify(hocbench, tmp_path):
    """Run the command; return its exit code, what it printed, joined into one line, and the table of cells."""

    def run(here, reference=tmp_path / "reference"):
        code, out, err = hocbench("verify", here, "--reference", reference, "--out", tmp_path / "out")
        file = tmp_path / "out" / "verify.csv"
        cells = pd.read_csv(file, dtype=str, keep_default_na=False) if file.is_file() else None
        return code, " ".join((out + err).split()), cells

    return run
