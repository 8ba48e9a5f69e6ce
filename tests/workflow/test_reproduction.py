"""The whole DAG on the tiny profile: every layer runs, nothing runs twice, an interruption costs one start."""

import pytest

from hocbench import paths
from tests.conftest import run_snakemake

pytestmark = pytest.mark.workflow
RESULTS = "results/tiny"


def test_all_promised_files_are_there(tiny_reproduction):
    results = tiny_reproduction / RESULTS
    for name in paths.TABLES:
        for kind in ("md", "html", "csv"):
            assert (results / "tables" / f"{name}.{kind}").stat().st_size > 0
    for name in paths.FIGURES:
        assert (results / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (results / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "SYNTHETIC" in (results / "tables" / "sewa.md").read_text()
    assert "<html" in (results / "report.html").read_text()[:2000].lower()


def test_second_start_has_nothing_to_do(tiny_reproduction):
    done = run_snakemake(tiny_reproduction)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr
