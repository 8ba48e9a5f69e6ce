"""Jobs that only table, plot or list load no torch; those that only list load no pandas either."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluation.conftest import description_of, evaluate_written, write_plan
from tests.reporting.conftest import ReportWriter
from tests.training.conftest import write_store

ROOT = Path(__file__).parents[1]
# Runs the command as the program does, and says last which packages it has loaded.
PROGRAM = """
import sys
from hocbench.cli.main import main
sys.argv[0] = "hocbench"
try:
    main()
except SystemExit as ended:
    loaded = [name for name in ("torch", "mlflow", "pandas") if name in sys.modules]
    sys.stderr.write("\\n" + " ".join(["loaded", str(ended.code or 0), *loaded]))
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("startup")
    writer = ReportWriter(folder / "runs")
    write_plan(writer, seeds=(0,), afew=False)
    evaluate_written(writer.paths, folder / "evaluation", replicates=60)
    write_store(folder / "crops", [4] * 6)
    return folder


def loaded(folder, *arguments):
    """Run a command; return what it has loaded."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    words = done.stderr.rsplit("\n", 1)[-1].split()
    assert words[:2] == ["loaded", "0"], done.stderr
    return set(words[2:])


def test_scoring_loads_no_torch(workplace):
    runs = sorted((workplace / "runs").glob("*/*"))
    options = ("--replicates", 100, "--seed", 1, "--windows", "[1, 5]", "--experiment", description_of(runs).text())
    assert loaded(workplace, "evaluate", workplace / "again", *runs, *options) == {"pandas"}


def test_tables_load_no_torch(workplace):
    assert loaded(workplace, "tables", workplace / "evaluation", workplace / "tables") == {"pandas"}


def test_figures_load_no_torch(workplace):
    assert loaded(workplace, "figures", workplace / "evaluation", workplace / "figures", "sparsity") == {"pandas"}


def test_reports_load_no_torch(workplace):
    places = ("--prepared", workplace / "crops", "--logs", workplace / "logs")
    assert loaded(workplace, "report", workplace, workplace / "report.html", *places) == {"pandas"}


def test_montages_load_no_torch(workplace):
    assert loaded(workplace, "data", "montage", workplace / "crops") == {"pandas"}


@pytest.mark.parametrize("arguments", [("plan", "--params", ROOT / "params.yaml"), ("params",)])
def test_lists_load_nothing(workplace, arguments):
    assert loaded(workplace, *arguments) == set()


def test_the_start_of_a_workflow_loads_mlflow_and_no_torch(workplace):
    assert loaded(workplace, "mlflow", "start", "written") == {"mlflow", "pandas"}


def test_scores_and_reports_name_torch_nowhere():
    for package in ("evaluation", "reporting"):
        for path in (ROOT / "hocbench" / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "import torch" not in text, path
            assert "from torch" not in text, path
            assert "hocbench.nn" not in text, path
