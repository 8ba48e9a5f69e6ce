"""Networks as files of a run: what is written, what comes back, and what is refused."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from hocbench import paths
from hocbench.errors import DamageError, HocbenchError, RunError
from hocbench.evaluation import run_tables
from hocbench.files.checksums import file_hash, sealed
from hocbench.nn import compact, parameter_count, resnet18, transduct
from hocbench.nn.layers import block_of, component_size, cp_layers, describe_layers, factorized_layers
from hocbench.reporting.ranks import rank_report
from hocbench.runs.finished import read_runs
from hocbench.training.networks import load_network, save_run
from tests.training.conftest import LASSO

TABLE = pd.DataFrame({"epoch": [0, 1], "train_loss": [float("nan"), 0.123456789012]})


def write(out, network):
    tables = {"history": TABLE, "predictions": TABLE}
    save_run(out, network, None, tables, {"parameters": 1}, {"run": "some", "label": "synthetic"})
    return out


def sparse_network():
    torch.manual_seed(0)
    network = resnet18(order=2, width=8, rank=5, stem="small")
    with torch.no_grad():
        for count, layer in enumerate(factorized_layers(network).values()):
            layer.weights[: count % 4] = 0
        network.stem_norm.running_mean.fill_(0.25)
    return network


@pytest.mark.parametrize("form", ["plain", "compact", "transducted", "dense"])
def test_a_network_comes_back_as_it_was_written(tmp_path, form):
    network = resnet18(order=2, kind="dense", width=8, stem="small") if form == "dense" else sparse_network()
    if form in ("compact", "transducted"):
        network = compact(network)
    if form == "transducted":
        network = transduct(network, kernel_size=5, padding="replicate")
    loaded, layers = load_network(write(tmp_path / "run", network))
    assert loaded.config == network.config
    assert layers == describe_layers(network)
    state = network.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize(("kind", "ranks"), [("tucker", [4, 3, 3, 3]), ("tt", [3, 4, 4])])
def test_layers_without_lambda_list_their_ranks_and_no_zeros(tmp_path, kind, ranks):
    network = resnet18(order=2, kind=kind, width=8, rank=4, stem="small")
    loaded, layers = load_network(write(tmp_path / "run", network))
    assert layers == describe_layers(loaded)
    assert {(layer["kind"], layer["zeros"]) for layer in layers} == {(kind, 0)}
    assert layers[0]["rank"] == ranks


def layer_counts(network):
    """Count by layer: block, components, those with λ ≠ 0, parameters, and those of the other components."""
    rows = []
    for name, layer in cp_layers(network).items():
        left, size = int(layer.weights.count_nonzero()), component_size(layer)
        row = {"block": block_of(name), "rank": layer.rank, "effective_rank": left}
        rows.append(row | {"parameters": parameter_count(layer), "removed": (layer.rank - left) * size})
    return pd.DataFrame(rows)


def test_the_evaluation_and_the_report_count_what_the_network_itself_counts(laboratory):
    run = laboratory("lasso", "affectnet", lasso=LASSO)
    network, _ = load_network(run)
    sparsity, counts = run_tables.sparsity(read_runs([run])), layer_counts(network)
    for block, rows in counts.groupby("block"):
        (row,) = sparsity[sparsity["block"] == block].itertuples()
        assert row.layer_ranks == "+".join(map(str, rows["rank"]))
        assert row.layer_effective_ranks == "+".join(map(str, rows["effective_rank"]))
        assert (row.parameters, row.removed) == (rows["parameters"].sum(), rows["removed"].sum())
        assert row.network_parameters == parameter_count(network)
    (whole,) = rank_report(sparsity).query("block == 'all'").itertuples()
    assert 0 < whole.zero_share < 1
    sums = counts[["rank", "effective_rank", "parameters", "removed"]].sum()
    assert whole.removed_of_all == pytest.approx(sums["removed"] / parameter_count(network), rel=1e-12)
    assert whole.removed_of_factorized == pytest.approx(sums["removed"] / sums["parameters"], rel=1e-12)
    assert whole.zero_share == pytest.approx(1 - sums["effective_rank"] / sums["rank"], rel=1e-12)


def test_a_half_written_run_is_refused(copied_run):
    (copied_run / "manifest.json").unlink()
    with pytest.raises(RunError, match=rf"{copied_run} is not a finished run \(no manifest\.json\); start"):
        load_network(copied_run)


@pytest.mark.parametrize("name", ["weights.safetensors", "network.json"])
def test_a_damaged_file_is_refused_by_path(copied_run, name):
    content = bytearray((copied_run / name).read_bytes())
    content[-2] ^= 1
    (copied_run / name).write_bytes(content)
    with pytest.raises(DamageError, match=rf"{copied_run}/{name} is damaged .*; delete it and start again"):
        load_network(copied_run)


def test_layers_changed_by_hand_are_refused(copied_run):
    description = json.loads((copied_run / "network.json").read_text())
    description["layers"][0]["rank"] += 1
    (copied_run / "network.json").write_text(json.dumps(description))
    with pytest.raises(DamageError, match=r"network\.json is damaged"):
        load_network(copied_run)


@pytest.mark.parametrize("name", ["weights.safetensors", "network.json"])
def test_an_absent_file_is_refused(copied_run, name):
    (copied_run / name).unlink()
    with pytest.raises(DamageError, match=rf"{copied_run}/{name} is not there; start again what writes it"):
        load_network(copied_run)


@pytest.mark.parametrize(("name", "content"), [("manifest.json", "{"), ("manifest.json", "{}"), ("network.json", "[")])
def test_unreadable_json_is_refused(copied_run, name, content):
    (copied_run / name).write_text(content)
    with pytest.raises(HocbenchError, match=rf"{copied_run}/{name} is (damaged|not the manifest of a run)"):
        load_network(copied_run)


def test_weights_of_another_network_are_refused(copied_run, tmp_path):
    other = write(tmp_path / "other", resnet18(order=2, width=8, rank=2, stem="small"))
    weights = (other / "weights.safetensors").read_bytes()
    (copied_run / "weights.safetensors").write_bytes(weights)
    manifest = json.loads((copied_run / "manifest.json").read_text())
    manifest["files"]["weights.safetensors"] = file_hash(copied_run / "weights.safetensors")
    (copied_run / "manifest.json").write_text(sealed(manifest))
    with pytest.raises(
        RunError, match=r"cannot be loaded \(weights do not fit: .* is .* in the network; .*\); delete"
    ) as caught:
        load_network(copied_run)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", [name for name in paths.RUN_FILES if name != "manifest.json"])
def test_a_run_whose_rewriting_fails_is_no_finished_run(copied_run, name):
    (copied_run / name).unlink()
    (copied_run / name).mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError):
        write(copied_run, sparse_network())
    assert not (copied_run / "manifest.json").exists()
    with pytest.raises(RunError, match="not a finished run"):
        load_network(copied_run)
    (copied_run / name).rmdir()
    write(copied_run, sparse_network())
    assert load_network(copied_run)[0].config.rank == 5
    assert len(load_file(copied_run / "weights.safetensors")["stem.weights"]) == 5


def test_rewriting_replaces_every_file(copied_run):
    write(copied_run, sparse_network())
    assert sorted(path.name for path in copied_run.iterdir()) == sorted(paths.RUN_FILES)
    assert (copied_run / "history.csv").read_text().startswith("epoch,train_loss\n")
