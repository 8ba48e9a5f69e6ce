import json
import shutil
from functools import partial
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from hocbench import paths
from hocbench.datasets.splits import make_splits
from hocbench.errors import DamageError, RunError
from hocbench.faces.store import CropStore
from hocbench.files.checksums import file_hash
from hocbench.files.code import code_hash
from hocbench.nn import FactorizedConv, compact, transduct
from hocbench.training import fit, stages
from hocbench.training.data import training_batches
from hocbench.training.networks import load_network
from hocbench.training.predict import best_answer, main_score, predict, score
from hocbench.training.samples import select
from hocbench.training.starting_network import begin
from tests.training.conftest import LASSO, UNUSABLE, make_runs
from tests.training.specs import told

SAME_BYTES = ("weights.safetensors", "history.csv", "predictions.parquet", "network.json")
RUNS = {
    "static": {"method": "static", "dataset": "affectnet"},
    "static dense": {"method": "static_dense", "dataset": "affectnet"},
    "lasso": {"method": "lasso", "dataset": "affectnet", "lasso": LASSO},
    "static on clips": {"method": "static"},
    "frames": {"method": "frames"},
    "untrained": {"method": "untrained"},
    "temporal": {"method": "temporal"},
    "temporal lasso": {"method": "temporal", "lasso": LASSO},
    "joint": {"method": "joint"},
    "joint lasso": {"method": "joint", "lasso": LASSO},
    "inflated": {"method": "inflated"},
    "scratch": {"method": "scratch"},
    "scratch dense": {"method": "scratch_dense"},
    "scratch (2+1)-D": {"method": "scratch_2plus1d"},
}


def planned(laboratory, name):
    return laboratory.plan(**RUNS[name])


def fitted(laboratory, name):
    return laboratory.fit(planned(laboratory, name))


def read(path, name):
    return json.loads((path / name).read_text())


def parts_of(laboratory, run):
    store = CropStore(laboratory.crops[run.key.dataset])
    splits = make_splits(store.frames, run.spec.split.model_dump(mode="json"), run.spec.root_seed)
    return {part: select(store, splits, run.key.fold, part) for part in ("train", "validation", "test")}


def sparsity(path):
    return {layer["name"]: (layer["rank"], layer["zeros"]) for layer in read(path, "network.json")["layers"]}


@pytest.mark.parametrize("name", RUNS)
def test_every_stage_leaves_a_whole_run_directory(laboratory, name):
    run, path = planned(laboratory, name), fitted(laboratory, name)
    assert sorted(file.name for file in path.iterdir()) == sorted(paths.RUN_FILES)
    manifest = read(path, "manifest.json")
    assert manifest["files"] == {file: file_hash(path / file) for file in paths.RUN_FILES if file != "manifest.json"}
    crops = laboratory.crops[run.key.dataset]
    assert manifest["inputs"] == {
        **{name: file_hash(crops / name) for name in ("crops.json", "frames.parquet")},
        "parent_weights": file_hash(laboratory.path(run.parent) / "weights.safetensors") if run.parent else None,
        "parent": run.parent.id if run.parent else None,
    }
    assert (manifest["run"], manifest["spec"]) == (run.id, run.spec.model_dump(mode="json"))
    assert (manifest["label"], manifest["device"], manifest["threads"]) == ("synthetic", "cpu", 1)
    assert manifest["deterministic"] is True
    assert manifest["code"] == code_hash("hocbench.training.stages")
    lost = {part: len(samples.lost) for part, samples in parts_of(laboratory, run).items()}
    assert manifest["frames_without_crop"] == lost
    assert manifest["frames"] == {part: len(samples.rows) for part, samples in parts_of(laboratory, run).items()}
    assert str(path) not in json.dumps(manifest)
    network = load_network(path)[0]
    for parameter, value in network.named_parameters():
        value.requires_grad = run.spec.stage != "temporal" or parameter.endswith("factors.time")
    clip = (4,) if run.spec.order == 3 else ()
    x = torch.rand(run.spec.training.batch_size or 1, 3, *clip, 16, 16)
    assert manifest["paths"] == (taken_paths(network, x) if run.spec.training.epochs else {})


def taken_paths(network, x):
    """Watch which path each layer takes."""
    taken = {}
    for name, layer in network.named_modules():
        if isinstance(layer, FactorizedConv):
            layer._compute = partial(
                lambda name, compute, x, path: taken.update({name: path}) or compute(x, path), name, layer._compute
            )
    network(x)
    return taken


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("static", {"accumulation": 8, "batch_size": 64}),
        ("static", {"batch_size": 4096}),
        ("static", {"batch_size": 60, "accumulation": 20, "recompute": True}),
        ("temporal", {"batch_size": 4, "accumulation": 2, "epochs": 5, "stop_at_static": True}),
    ],
)
def test_the_manifest_records_the_steps_that_were_taken(laboratory, tmp_path, monkeypatch, name, changes):
    run, seen, networks = planned(laboratory, name), {}, []
    parent = laboratory.fit(run.parent) if run.parent else None
    compute, write = FactorizedConv._compute, stages.save_run

    def watched(layer, x, path):
        if layer.training and torch.is_grad_enabled():
            seen.setdefault(layer, set()).add((path, len(x)))
        return compute(layer, x, path)

    monkeypatch.setattr(FactorizedConv, "_compute", watched)
    monkeypatch.setattr(
        stages, "save_run", lambda out, network, *rest: networks.append(network) or write(out, network, *rest)
    )
    if name == "temporal":
        # Reached at once, so that the training ends before its time.
        monkeypatch.setattr("hocbench.training.loop.main_score", lambda scores: 1.0)
    spec = told(run.spec, **({"epochs": 1} | changes))
    fit(spec, laboratory.crops[run.key.dataset], parent, tmp_path / "out")
    manifest, cost = read(tmp_path / "out", "manifest.json"), read(tmp_path / "out", "cost.json")
    names = {layer: name for name, layer in networks[0].named_modules()}
    taken = {names[layer]: {path for path, _ in ways} for layer, ways in seen.items()}
    assert manifest["paths"] == {name: ", ".join(sorted(ways)) for name, ways in taken.items()}
    sizes = {size for ways in seen.values() for _, size in ways}
    assert manifest["batch"] is None if not sizes else {manifest["batch"]["part"]} == sizes
    assert bool(sizes) == (cost["epochs"] > 0)
    if sizes:
        assert manifest["batch"]["size"] == manifest["batch"]["part"] * changes.get("accumulation", 1)
        assert f"over {manifest['batch']['part']} samples of one process" in manifest["batch"]["batchnorm"]
    assert cost["epochs"] == pd.read_csv(tmp_path / "out/history.csv")["epoch"].max() == (name == "static")


@pytest.mark.parametrize("name", RUNS)
def test_every_stage_predicts_each_frame_to_choose_and_test_on_once(laboratory, name):
    run, path = planned(laboratory, name), fitted(laboratory, name)
    table = pd.read_parquet(path / "predictions.parquet")
    frames = pd.read_parquet(laboratory.crops[run.key.dataset] / "frames.parquet").set_index(["clip", "frame"])
    parts = parts_of(laboratory, run)
    expected = [
        (part, *parts[part].store.frames.loc[row, ["clip", "frame"]])
        for part in ("test", "validation")
        for row in [*parts[part].rows, *parts[part].lost]
    ]
    assert list(table[["part", "clip", "frame"]].itertuples(index=False, name=None)) == sorted(expected)
    truth = frames.loc[list(zip(table["clip"], table["frame"], strict=True))]
    for target in ("valence", "arousal"):
        np.testing.assert_allclose(table[f"truth_{target}"], truth[target], rtol=1e-6)
        assert np.isfinite(table[target]).all()
    assert table["subject"].tolist() == truth["subject"].tolist()
    # The stored network is the one that predicted.
    network = load_network(path)[0]
    again = predict(network, parts["test"], run.spec.order, 4, torch.device("cpu"))
    seen = table.query("part == 'test' and status != 'no_crop'")
    np.testing.assert_allclose(seen[["valence", "arousal"]], again, atol=1e-5)
    lost = table[table["status"] == "no_crop"]
    assert len(lost) == sum(len(parts[part].lost) for part in ("validation", "test"))
    assert (lost[["valence", "arousal"]].to_numpy() == best_answer(parts["train"])).all()


def test_unusable_frames_are_left_out_of_a_part_but_not_their_clip(laboratory):
    parts = parts_of(laboratory, planned(laboratory, "temporal"))
    rows = np.concatenate([samples.rows for samples in parts.values()])
    assert sorted(rows) == [row for row in range(120) if row not in UNUSABLE]
    assert sum(len(samples.clips) for samples in parts.values()) == 12


@pytest.mark.parametrize("name", RUNS)
def test_history_and_cost_tell_what_was_trained(laboratory, name):
    run, path = planned(laboratory, name), fitted(laboratory, name)
    history, cost = pd.read_csv(path / "history.csv"), read(path, "cost.json")
    assert history["epoch"].tolist() == list(range(run.spec.training.epochs + 1))
    level = (history["validation_ccc_valence"] + history["validation_ccc_arousal"]) / 2
    best = run.spec.training.epochs if run.spec.stage == "lasso" else int(level.argmax())
    assert history["kept"].tolist() == [int(epoch == best) for epoch in history["epoch"]]
    network = load_network(path)[0]
    assert cost["parameters"] == sum(value.numel() for value in network.parameters())
    assert network.config.order == run.spec.order
    assert cost["epochs"] == run.spec.training.epochs
    assert (cost["samples_per_s"] > 0) == (run.spec.training.epochs > 0)
    assert cost["multiply_adds"] > cost["parameters"]


@pytest.mark.parametrize("name", ["temporal", "temporal lasso", "untrained"])
def test_a_temporal_stage_changes_only_temporal_factors_and_running_statistics(laboratory, name):
    run, path = planned(laboratory, name), fitted(laboratory, name)
    start = transduct(
        compact(load_network(laboratory.path(run.parent))[0]), **run.spec.temporal.model_dump()
    ).state_dict()
    end = load_file(path / "weights.safetensors")
    assert end.keys() == start.keys()
    changed = {key for key, value in end.items() if not torch.equal(value, start[key])}
    time = {key for key in end if key.endswith("factors.time")}
    statistics = {key for key in end if key.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert len(time) == 17
    assert changed <= time | statistics
    assert changed & statistics
    history = pd.read_csv(path / "history.csv")
    kept = int(history.loc[history["kept"] == 1, "epoch"].item())
    assert name == "untrained" or kept > 0
    assert changed & time == (time if kept else set())


@pytest.mark.parametrize("name", ["temporal", "temporal lasso", "untrained"])
def test_a_temporal_stage_records_the_static_level_and_when_it_is_recovered(laboratory, name):
    run, path = planned(laboratory, name), fitted(laboratory, name)
    validation = parts_of(laboratory, run)["validation"]
    images = predict(load_network(laboratory.path(run.parent))[0], validation, 2, 1, torch.device("cpu"))
    history = pd.read_csv(path / "history.csv")
    np.testing.assert_allclose(history["static_level"], main_score(score(images, validation)), atol=1e-6)
    level = (history["validation_ccc_valence"] + history["validation_ccc_arousal"]) / 2
    reached = history["epoch"][level >= history["static_level"]].tolist()
    assert read(path, "manifest.json")["recovered_epoch"] == (reached[0] if reached else None)


def test_joint_training_starts_where_the_temporal_stage_ended(laboratory):
    temporal, joint = fitted(laboratory, "temporal"), fitted(laboratory, "joint")
    kept = pd.read_parquet(temporal / "predictions.parquet").query("part == 'validation'")
    first = pd.read_csv(joint / "history.csv").iloc[0]
    error = np.sqrt(((kept["valence"] - kept["truth_valence"]) ** 2).mean())
    assert first["validation_rmse_valence"] == pytest.approx(error, rel=1e-5)


def test_zeros_of_the_lasso_stage_stay_removed(laboratory):
    lasso = sparsity(fitted(laboratory, "lasso"))
    assert any(0 < zeros < rank for rank, zeros in lasso.values())
    for name in ("temporal lasso", "joint lasso"):
        path = fitted(laboratory, name)
        assert sparsity(path) == lasso
        weights = load_file(path / "weights.safetensors")
        assert {key: len(weights[f"{key}.weights"]) for key in lasso} == {key: r - z for key, (r, z) in lasso.items()}
    plain = sparsity(fitted(laboratory, "joint"))
    assert {zeros for _, zeros in plain.values()} == {0}
    assert read(path, "cost.json")["parameters"] < read(fitted(laboratory, "joint"), "cost.json")["parameters"]


@pytest.mark.parametrize("method", ["proximal", "subgradient"])
def test_batchnorm_knows_the_network_that_a_threshold_left(laboratory, tmp_path, method):
    changes = {"training": {"stages": {"lasso": {"method": method, "threshold": 0.99, "learning_rate": 0.004}}}}
    (run,) = [run for run in make_runs(tmp_path, changes) if run.spec.stage == "lasso"]
    path = tmp_path / "run"
    fit(run.spec, laboratory.crops["affectnet"], laboratory("static", "affectnet"), path)
    assert sum(zeros for _, zeros in sparsity(path).values()) > 0
    network, parts = load_network(path)[0], parts_of(laboratory, run)
    inputs = {}
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(
                lambda _, x, name=name: inputs.setdefault(name, []).append(x[0].detach().double())
            )
    stored = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    batches = training_batches(parts["train"], run.spec, -1, learn=False)
    for images, _ in islice(batches, run.spec.training.reestimation_batches):
        network(images)
    for name, seen in inputs.items():
        mean = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
        variance = torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0)
        torch.testing.assert_close(stored[f"{name}.running_mean"].double(), mean, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(stored[f"{name}.running_var"].double(), variance, rtol=1e-3, atol=1e-6)
    last = pd.read_csv(path / "history.csv").iloc[-1]
    assert last["kept"] == 1
    scores = score(predict(load_network(path)[0], parts["validation"], 2, 4, torch.device("cpu")), parts["validation"])
    assert {name: last[name] for name in scores} == pytest.approx(scores, abs=1e-6)


def test_a_layer_without_any_component_left_is_named(laboratory, tmp_path, caplog):
    stages = {"lasso": {"epochs": 1, "learning_rate": 0.05, "rate_factor": 1e4}}
    (run,) = [run for run in make_runs(tmp_path, {"training": {"stages": stages}}) if run.spec.stage == "lasso"]
    fit(run.spec, laboratory.crops["affectnet"], laboratory("static", "affectnet"), tmp_path / "run")
    empty = [name for name, (rank, zeros) in sparsity(tmp_path / "run").items() if zeros == rank]
    assert empty
    (message,) = [record.getMessage() for record in caplog.records if "left no component" in record.getMessage()]
    assert f"LASSO weight 1 left no component in {', '.join(empty)}: " in message


def test_an_inflated_network_starts_from_the_dense_one_averaged_over_time(laboratory, tmp_path):
    plan = make_runs(tmp_path, {"training": {"stages": {"inflated": {"epochs": 0}}}})
    (run,) = [run for run in plan if run.key.method == "inflated" and run.key.dataset == "sewa"]
    parent = fitted(laboratory, "static dense")
    assert run.parent.id == parent.name
    fit(run.spec, laboratory.crops["sewa"], parent, tmp_path / "inflated")
    images, clips = load_file(parent / "weights.safetensors"), load_file(tmp_path / "inflated/weights.safetensors")
    torch.testing.assert_close(clips["stem.weight"].sum(2), images["stem.weight"])
    assert torch.equal(clips["head.weight"], images["head.weight"])


@pytest.mark.parametrize("name", ["static", "lasso", "frames", "temporal lasso", "joint", "inflated", "scratch"])
def test_a_second_run_writes_the_same_bytes(laboratory, name, tmp_path):
    first = fitted(laboratory, name)
    torch.manual_seed(99)  # what the process drew before must not matter
    again = laboratory.fit(planned(laboratory, name), tmp_path / "again")
    for file in SAME_BYTES:
        assert (again / file).read_bytes() == (first / file).read_bytes(), file


def test_first_weights_differ_by_dataset_fold_and_seed_and_are_shared_by_methods(laboratory):
    spec = planned(laboratory, "scratch").spec

    def first(**changes):
        key = spec.key.model_copy(update=changes)
        return begin(spec.model_copy(update={"key": key}), None, None, None)[0].head.weight

    reference = first()
    assert torch.equal(first(), reference)
    assert torch.equal(first(ablation="epochs-x4", method="scratch_dense", rank=2.0, lasso=0.5), reference)
    for change in ({"dataset": "afew_va"}, {"fold": 1}, {"seed": 1}):
        assert not torch.equal(first(**change), reference), change


@pytest.mark.parametrize("name", ["lasso", "frames", "temporal", "untrained", "joint", "inflated", "static on clips"])
def test_a_stage_that_starts_from_another_run_is_refused_without_it(laboratory, name, tmp_path):
    run = planned(laboratory, name)
    with pytest.raises(RunError, match=rf"run {run.id}: the {run.spec.stage} stage needs a network to start from"):
        fit(run.spec, laboratory.crops[run.key.dataset], None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stage_that_starts_afresh_is_refused_with_a_parent(laboratory, tmp_path):
    run, parent = planned(laboratory, "scratch"), fitted(laboratory, "static")
    with pytest.raises(RunError, match=rf"run {run.id} starts from no other run; leave out --parent"):
        fit(run.spec, laboratory.crops["sewa"], parent, tmp_path / "out")


def test_another_parent_than_planned_is_refused_by_name(laboratory, tmp_path):
    run, parent = planned(laboratory, "temporal"), fitted(laboratory, "static dense")
    message = rf"run {run.id} starts from {run.parent.id}, not from {parent.name}; give the right --parent"
    with pytest.raises(RunError, match=message):
        fit(run.spec, laboratory.crops["sewa"], parent, tmp_path / "out")


def test_an_unfinished_parent_is_refused(laboratory, copied_run, tmp_path):
    (copied_run / "manifest.json").unlink()
    with pytest.raises(RunError, match=rf"{copied_run} is not a finished run"):
        fit(planned(laboratory, "temporal").spec, laboratory.crops["sewa"], copied_run, tmp_path / "out")


def test_a_parent_with_damaged_weights_is_refused(laboratory, copied_run, tmp_path):
    with (copied_run / "weights.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x7f")
    with pytest.raises(DamageError, match=rf"{copied_run}/weights\.safetensors is damaged .* delete it"):
        fit(planned(laboratory, "temporal").spec, laboratory.crops["sewa"], copied_run, tmp_path / "out")


def test_an_absent_parent_is_refused(laboratory, tmp_path):
    run = planned(laboratory, "frames")
    with pytest.raises(RunError, match="is not a finished run"):
        fit(run.spec, laboratory.crops["sewa"], tmp_path / run.parent.id, tmp_path / "out")


def test_a_failing_rerun_leaves_the_finished_run_alone(laboratory, copied_run, tmp_path):
    run = planned(laboratory, "static")
    spec = told(run.spec, learning_rate=1e38)
    before = shutil.copytree(copied_run, tmp_path / "before")
    with pytest.raises(RunError, match="lower learning_rate"):
        fit(spec, laboratory.crops["affectnet"], None, copied_run)
    assert all((copied_run / name).read_bytes() == (before / name).read_bytes() for name in paths.RUN_FILES)


@pytest.mark.parametrize("method", ["proximal", "subgradient"])
def test_networks_with_inner_activations_go_along_a_warm_path_of_either_penalty_to_video(laboratory, tmp_path, method):
    short = {name: {"epochs": 1} for name in ("static", "lasso", "temporal")}
    short["lasso"] |= {"method": method, "threshold": 0.99, "warm_start": True, "learning_rate": 0.004}
    changes = {
        "network": {"inner_activation": True},
        "sweep": {"lasso": [0.5, 1]},
        "training": {"stages": short},
    }
    plan = make_runs(tmp_path, changes)
    (run,) = [run for run in plan if (run.spec.stage, run.key.lasso) == ("temporal", 1)]
    line = [run]
    while line[0].parent:
        line.insert(0, line[0].parent)
    assert [(run.spec.stage, run.key.lasso) for run in line] == [
        ("static", 0),
        ("lasso", 0.5),
        ("lasso", 1),
        ("temporal", 1),
    ]
    parent = None
    for run in line:
        fit(run.spec, laboratory.crops[run.key.dataset], parent, tmp_path / run.id)
        parent = tmp_path / run.id
    first, second = (tmp_path / run.id for run in line[1:3])
    zeros = [sum(zeros for _, zeros in sparsity(path).values()) for path in (first, second)]
    assert min(zeros) > 0
    network = load_network(parent)[0]
    assert network.config.inner_activation
    assert sparsity(parent) == sparsity(second)
    assert set(read(parent, "manifest.json")["paths"].values()) == {"factorized"}
