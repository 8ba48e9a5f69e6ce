"""Run directories of networks that look trained, and a crop store."""

import json

import pandas as pd
import pytest
import torch

from hocbench.export import Options, export_run
from hocbench.files.write import write_text
from hocbench.nn import resnet18
from hocbench.nn.implementation import CANDIDATES
from hocbench.nn.layers import factorized_layers
from hocbench.training.networks import save_run
from tests.nn.oracles import aged
from tests.training.conftest import make_runs, restored_globals, write_store  # noqa: F401
from tests.training.specs import make_spec

FILES = ["export.json", "network.onnx", "network.pt2", "paths.json"]
LENGTH = 4
TOLERANCE = 1e-5


def trained(order, kind="cp", **options):
    """Make a float32 network in evaluation mode that looks trained."""
    torch.manual_seed(3)
    return aged(resnet18(order, kind, 4, stem="small", **options)).float()


def sparse(order, **options):
    network = trained(order, temporal_padding="replicate" if order == 3 else "zeros", **options)
    with torch.no_grad():
        for count, name in enumerate(factorized_layers(network)):
            network.get_submodule(name).weights[: count % 3] = 0
    return network


def alternating(network):
    return {name: CANDIDATES[place % 2] for place, name in enumerate(factorized_layers(network))}


def write(folder, network, label="synthetic"):
    """Write the run directory of a network."""
    spec = make_spec(network.config.order).model_dump(mode="json")
    tables = dict.fromkeys(("history", "predictions"), pd.DataFrame({"epoch": [0]}))
    save_run(folder, network, None, tables, {}, {"run": folder.name, "label": label, "spec": spec})
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "sewa"
    write_store(folder, [3, 10, 6, 9], unusable=(4,))
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory, store):
    """Export a sparse network for clips, its layers by both implementations in turn: folder, network and report."""
    folder = tmp_path_factory.mktemp("clips")
    network = sparse(3)
    run = write(folder / "clip-network", network)
    paths = folder / "paths.json"
    write_text(json.dumps(alternating(network)), paths)
    report = export_run(run, folder / "deep" / "out", Options(batch=2, paths=paths, crops=store))
    return folder / "deep" / "out", network, report


@pytest.fixture
def images_run(tmp_path):
    return write(tmp_path / "image-network", trained(2))


@pytest.fixture
def hocbench(hocbench, monkeypatch, tmp_path):
    """Run the command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return hocbench
