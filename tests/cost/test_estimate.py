"""Steps are measured for real here; how long they take is no matter of these tests."""

import json

import pytest
import torch

from hocbench import paths
from hocbench.cli.cost import estimate_notes, estimate_table
from hocbench.cost.estimate import estimate, measure_evaluation, measure_start, measure_step
from hocbench.cost.hours import Measured, Seconds, as_built, distinct_evaluations, distinct_steps, extrapolate
from hocbench.cost.sizes import part_sizes
from hocbench.experiment.tasks import classification
from tests.training.conftest import LASSO, Laboratory, make_runs
from tests.training.specs import told

SMALL = {
    "datasets": {name: {"crop": {"size": 16}} for name in ("affectnet", "sewa", "afew_va")},
    "network": {"width": 4},
    "training": {"stages": {"static": {"batch_size": 4}, "temporal": {"batch_size": 2}}},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("plan"), SMALL)


def pick(runs, method, dataset, **key):
    wanted = {"method": method, "dataset": dataset, "lasso": 0.0} | key
    return next(run for run in runs if all(getattr(run.key, name) == value for name, value in wanted.items()))


@pytest.mark.parametrize(
    ("method", "dataset", "key"),
    [
        ("static", "affectnet", {}),
        ("lasso", "affectnet", {"lasso": LASSO}),
        ("temporal", "sewa", {}),
        ("inflated", "sewa", {}),
        ("scratch_2plus1d", "sewa", {}),
    ],
)
def test_every_kind_of_step_and_prediction_can_be_measured(runs, method, dataset, key):
    spec, threads = as_built(pick(runs, method, dataset, **key)), torch.get_num_threads()
    before = spec.text()
    for found in (measure_step(spec), measure_evaluation(spec)):
        assert found.cpu > 0
        assert found.wall > 0
    assert spec.text() == before
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_steps_and_predictions_of_classes_can_be_measured(runs):
    spec = told(as_built(pick(runs, "temporal", "sewa")), loss_weights=None)
    spec = spec.model_copy(update={"task": classification("calm", "moved", "excited")})
    assert measure_step(spec).wall > 0
    assert measure_evaluation(spec).wall > 0


def test_the_start_of_a_run_is_measured_in_another_process(monkeypatch):
    monkeypatch.setenv("HOCBENCH_TRACKING", "off")
    found = measure_start()
    assert found.cpu > 0
    assert found.wall > 0


@pytest.fixture
def priced(runs, monkeypatch, tmp_path):
    """An estimate in which every step costs 36 CPU seconds and nothing else costs anything."""
    monkeypatch.chdir(tmp_path)
    for name in ("measure_step", "measure_evaluation"):
        seconds = Seconds(36.0 if name == "measure_step" else 0.0, 0.0)
        monkeypatch.setattr(f"hocbench.cost.estimate.{name}", lambda spec, seconds=seconds: seconds)
    monkeypatch.setattr("hocbench.cost.estimate.measure_start", lambda: Seconds(0.0, 0.0))
    return estimate(runs)


def test_the_table_has_a_row_per_method_and_a_total(runs, priced):
    table = estimate_table(priced)
    cells = list(zip(*(column.cells for column in table.columns), strict=True))
    assert cells[-1][:5] == ("all", "", "", "", str(len(runs)))
    assert len(cells) == 1 + len({(r.key.dataset, r.method, r.key.rank, r.key.lasso) for r in runs})
    assert sum(int(row[4]) for row in cells[:-1]) == len(runs)
    for dataset, method, _, _, count, steps, one, together in cells[:-1]:
        if "static" in method and dataset != "affectnet":
            assert (steps, one) == ("0", "0")
        if method == "CP 2-D, static" and dataset == "affectnet":
            # 160 images, a quarter for validation, batches of 4, 5 epochs.
            assert (count, steps, one, together) == ("1", "150", "1.5", "1.5")


def test_the_notes_say_what_the_estimate_rests_on(runs, priced):
    text = "\n".join(estimate_notes(priced))
    kinds = f"{len(distinct_steps(runs))} kinds of training steps and {len(distinct_evaluations(runs))} of predictions"
    assert text.startswith(f"An estimate from {kinds} measured on this machine just now: ")
    assert "job(s) at once on this machine" in text
    assert "sewa: sizes from SYNTHETIC sizes of the parameters" in text


@pytest.mark.system
def test_an_estimate_is_within_a_factor_of_two_of_the_real_runs(tmp_path, monkeypatch):
    stages = {"static": {"epochs": 60}, "temporal": {"epochs": 30}, "joint": {"epochs": 30}, "lasso": {"epochs": 30}}
    laboratory = Laboratory(tmp_path)
    laboratory.runs = make_runs(tmp_path, {"training": {"stages": stages}})
    for dataset, crops in laboratory.crops.items():
        prepared = tmp_path / paths.prepared("tiny", dataset)
        prepared.parent.mkdir(parents=True, exist_ok=True)
        prepared.symlink_to(crops)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOCBENCH_TRACKING", "off")
    chosen = [
        laboratory.plan("static", "affectnet"),
        laboratory.plan("lasso", "affectnet", lasso=LASSO),
        laboratory.plan("temporal"),
        laboratory.plan("joint"),
    ]
    steps = {name: measure_step(spec) for name, spec in distinct_steps(chosen).items()}
    items = {name: measure_evaluation(spec) for name, spec in distinct_evaluations(chosen).items()}
    sizes = {run.id: part_sizes(run.spec) for run in chosen}
    for cost in extrapolate(chosen, sizes, Measured(steps, items, Seconds(0.0, 0.0))):
        real = json.loads((laboratory.fit(cost.run) / "cost.json").read_text())
        assert real["samples"] == cost.steps * cost.run.spec.training.batch_size
        assert 0.5 < cost.cpu_s / real["training_cpu_s"] < 2, (cost.run.id, cost.cpu_s, real["training_cpu_s"])
