"""What the map and the guide for contributors name exists, and their examples run."""

import ast
import re
from functools import cache

import numpy as np
import pytest
import yaml

from hocbench.config.load import parse_params
from hocbench.experiment.plan import make_plan
from hocbench.files.checksums import read_sealed
from hocbench.reporting.figures import FIGURES, draw_figures
from tests.reporting.conftest import Written
from tests.test_architecture import ROOMS, ROOT, modules
from tests.workflow.leaves import merged

PAGES = ("docs/architecture.md", "docs/your-own.md", "CONTRIBUTING.md")
CODE = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"hocbench(?:\.\w+)+")
PLACE = re.compile(r"[\w.*-]+(?:/[\w.*-]*)+|[\w-]+\.(?:py|md|yaml|toml|txt|smk)")


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def quoted(page):
    """Return what a page quotes in its lines, without blocks of code."""
    return CODE.findall(re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL))


@cache
def names_of(module):
    """Name what a module defines or imports."""
    names = set()
    for node in ast.parse(modules()[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        else:
            names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names


def exists(name):
    module, _, attribute = name.rpartition(".")
    return name in modules() or (module in modules() and attribute in names_of(module))


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_ours_exists(page):
    named = {name for text in quoted(page) for name in NAME.findall(text)}
    assert {name for name in named if not exists(name)} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page):
    # Words in capitals, as in results/PROFILE, stand for something.
    named = {text for text in quoted(page) if PLACE.fullmatch(text) and not re.search(r"[A-Z]{3}", text.split("/")[0])}
    concrete = {text for text in named if not re.search(r"/[A-Z]{2,}", text)}
    assert concrete
    assert {text for text in concrete if not any(ROOT.glob(text.rstrip("/")))} == set()


def test_names_and_paths_that_do_not_exist_are_seen():
    assert exists("hocbench.experiment.plan.make_plan")
    assert exists("hocbench.training.fit")
    assert not exists("hocbench.experiment.plan.make_plans")
    assert not exists("hocbench.experiments.plan")
    assert PLACE.fullmatch("tests/test_nothing.py")
    assert PLACE.fullmatch("params.yaml")
    assert not PLACE.fullmatch("hocbench.errors.HocbenchError")


def test_the_map_lists_the_rooms_in_their_order():
    table = text_of("docs/architecture.md").split("## Rooms")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| (\w+) \|", table, re.MULTILINE))[1:] == ROOMS


def blocks(language, section):
    text = text_of("docs/architecture.md").split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def example(section):
    """Run the Python example of a section; return its names."""
    (text,) = blocks("python", section)
    names = {}
    exec(text, names)
    return names


@pytest.mark.parametrize(
    ("section", "dataset", "method"), [("a dataset", "clips", "joint"), ("a method", "sewa", "tsm")]
)
def test_what_a_page_adds_to_the_parameters_is_planned(monkeypatch, section, dataset, method):
    monkeypatch.chdir(ROOT)
    (overlay,) = blocks("yaml", f"To add {section}")
    plan = make_plan(parse_params(merged(yaml.safe_load(overlay) | {"ablations": []})))
    assert (dataset, method) in {(run.key.dataset, run.key.method) for run in plan}


def test_the_tasks_of_the_page(capsys):
    example("To add a task")
    assert capsys.readouterr().out == "1 ('truth_pain',) ('logit_0', 'logit_1') clip\n"


def test_the_metric_of_the_page_is_what_it_says():
    metric = example("To add a metric")["MAE"]
    draw = np.random.default_rng(3)
    truth, output = draw.normal(size=50), draw.normal(size=50)
    means = {name: values.mean() for name, values in metric.sums(truth, output, 0.0).items()}
    assert metric.value(means) == pytest.approx(metric.function(truth, output))
    by_hand = sum(abs(a - b) for a, b in zip(truth, output, strict=True)) / 50
    assert metric.function(truth, output) == pytest.approx(by_hand)


def test_the_figure_of_the_page_is_drawn(tmp_path, monkeypatch):
    evaluation = Written(tmp_path)("scanty", label="real", plan=lambda write: write("affectnet"))
    monkeypatch.setitem(FIGURES, "hours", example("To add a figure")["draw"])
    draw_figures(evaluation, tmp_path, ["hours"])
    assert read_sealed(tmp_path / "hours.json")["title"] == "Hours of training"
    assert (tmp_path / "hours.png").stat().st_size > 1000


def test_every_page_is_there():
    pages = re.findall(r"^## To add an? (\w+)$", text_of("docs/architecture.md"), re.MULTILINE)
    assert pages == ["dataset", "task", "method", "metric", "figure", "stage", "parameter"]
