from pathlib import Path

import pytest
import yaml

from hocbench.config.load import load_params
from hocbench.cost.hours import (
    Measured,
    Seconds,
    as_built,
    distinct_evaluations,
    distinct_steps,
    evaluation_kind,
    extrapolate,
    predicted_items,
    step_kind,
)
from hocbench.cost.sizes import Sizes, whole
from hocbench.experiment.plan import make_plan
from hocbench.windows import batches, training_items

ROOT = Path(__file__).parents[2]
STILL = Sizes({"train": {whole(1): 640}, "validation": {whole(1): 100}, "test": {whole(1): 200}}, "here")
CLIPS = Sizes({"train": {whole(32): 16}, "validation": {whole(32): 2}, "test": {whole(32): 4}}, "there")


@pytest.fixture(scope="module")
def runs():
    return make_plan(load_params([ROOT / "params.yaml"]))


def pick(runs, method, **key):
    wanted = {"method": method, "lasso": 0.0, "fold": 0, "seed": 0, "ablation": ""} | key
    return next(run for run in runs if all(getattr(run.key, name) == value for name, value in wanted.items()))


def measured(*runs, step=0.0, item=0.0, start=0.0):
    steps = {name: Seconds(step, step / 2) for name in distinct_steps(runs)}
    items = {name: Seconds(item, item / 2) for name in distinct_evaluations(runs)}
    return Measured(steps, items, Seconds(start, start / 2))


def step_of(run):
    return step_kind(as_built(run))


def evaluation_of(run):
    return evaluation_kind(as_built(run))


def test_a_run_is_measured_with_the_layers_of_what_it_starts_from(runs):
    static = pick(runs, "static", dataset="affectnet")
    temporal, joint = (pick(runs, method, dataset="sewa") for method in ("temporal", "joint"))
    assert as_built(static) == static.spec
    assert temporal.spec.network is joint.spec.network is joint.spec.temporal is None
    for run in (temporal, joint):
        spec = as_built(run)
        assert (spec.network, spec.temporal, spec.parent) == (static.spec.network, temporal.spec.temporal, None)
        assert (spec.key, spec.training) == (run.spec.key, run.spec.training)
    assert as_built(pick(runs, "frames", dataset="sewa")).temporal is None


def test_seeds_and_folds_share_a_measurement_and_batches_do_not(runs):
    kinds = distinct_steps(runs)
    assert len(kinds) < len({run.spec.stage for run in runs}) * 3 < len(runs)
    static, frames = pick(runs, "static", dataset="affectnet"), pick(runs, "frames", dataset="sewa")
    assert step_of(static) == step_of(pick(runs, "static", dataset="affectnet", seed=1))
    assert step_of(static) != step_of(frames)  # 64 and 128 images
    assert evaluation_of(static) == evaluation_of(frames)
    assert distinct_steps([pick(runs, "static", dataset="sewa")]) == {}  # 0 epochs


@pytest.mark.parametrize(("stage", "other"), [("temporal", "joint"), ("static", "lasso")])
def test_trained_parameters_and_the_penalty_make_a_kind_but_not_its_weight(runs, stage, other):
    dataset = "affectnet" if stage == "static" else "sewa"
    lasso = {"lasso": 0.02} if other == "lasso" else {}
    first, second = pick(runs, stage, dataset=dataset), pick(runs, other, dataset=dataset, **lasso)
    assert step_of(first) != step_of(second)
    assert evaluation_of(first) == evaluation_of(second)
    if lasso:
        assert step_of(second) == step_of(pick(runs, other, dataset=dataset, lasso=0.05))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"training": {"precision": "bfloat16"}}, False),
        ({"training": {"accumulation": 2}}, False),
        ({"training": {"recompute": True}}, False),
        ({"network": {"width": 8}}, False),
        ({"threads": 2}, False),
        ({"training": {"weight_decay": 0.5}}, True),
        ({"seed": 5}, True),
    ],
)
def test_a_kind_is_made_of_what_changes_the_cost(tmp_path, runs, changes, same):
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(changes))
    others = make_plan(load_params([ROOT / "params.yaml", tmp_path / "overlay.yaml"]))
    kinds = [step_of(pick(plan, "static", dataset="affectnet")) for plan in (runs, others)]
    assert (kinds[0] == kinds[1]) is same


def test_a_run_costs_its_steps_and_predictions_and_its_start(runs):
    run = pick(runs, "static", dataset="affectnet")
    assert (run.spec.training.epochs, run.spec.training.batch_size) == (7, 64)
    (steps,) = extrapolate([run], {run.id: STILL}, measured(run, step=2.0))
    assert (steps.steps, steps.cpu_s, steps.wall_s) == (70, 140.0, 70.0)
    (items,) = extrapolate([run], {run.id: STILL}, measured(run, item=1.0))
    assert items.cpu_s == 8 * 100 + 100 + 200 == predicted_items(run, STILL)
    (start,) = extrapolate([run], {run.id: STILL}, measured(run, start=5.0))
    assert (start.cpu_s, start.wall_s) == (5.0, 2.5)


def test_a_temporal_stage_also_scores_images_and_estimates_batchnorm_twice(runs):
    run = pick(runs, "temporal", dataset="sewa")
    training = run.spec.training
    assert (training.epochs, training.batch_size, training.clip_length, training.frame_step) == (3, 8, 16, 1)
    # 32 frames: 2 windows to learn from and 3 overlapping ones; 16 clips are 4 batches of 8 windows.
    assert batches(training_items(CLIPS.parts["train"], 16), 8) == 4
    windows = (3 + 2) * 2 * 3 + 4 * 3 + 2 * 4 * 8
    assert predicted_items(run, CLIPS) == windows
    (cost,) = extrapolate([run], {run.id: CLIPS}, measured(run, item=1.0))
    assert cost.cpu_s == windows + 2 * 32
    assert len(distinct_evaluations([run])) == 2


def test_an_untrained_run_costs_predictions_alone(runs):
    run = pick(runs, "static", dataset="sewa")
    (cost,) = extrapolate([run], {run.id: CLIPS}, measured(run, step=1.0, item=1.0))
    assert (cost.steps, cost.cpu_s) == (0, 2 * 64 + 128)


def test_processes_share_predictions_and_the_sum_is_over_all(tmp_path):
    (tmp_path / "overlay.yaml").write_text("processes: 2\n")
    run = pick(make_plan(load_params([ROOT / "params.yaml", tmp_path / "overlay.yaml"])), "static", dataset="affectnet")
    (cost,) = extrapolate([run], {run.id: STILL}, measured(run, step=2.0, item=1.0, start=5.0))
    assert cost.cpu_s == 2 * (70 * 2.0 + 1100 / 2 + 5.0)
    assert cost.wall_s == 70 * 1.0 + 1100 / 4 + 2.5
