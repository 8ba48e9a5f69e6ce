"""Whoever imports or calls hocbench finds all other libraries as they were."""

import subprocess
import sys

import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from hocbench.cost.profile import profile_run
from hocbench.nn import FactorizedConv, compact, factorize, multiply_adds, resnet18, transduct
from hocbench.nn.lasso import normalize_factors
from hocbench.reporting.montage import draw_montage
from hocbench.reporting.style import save, style
from hocbench.training import Saving, fit
from hocbench.training.networks import load_network
from studies.coverage.report import coverage_figure
from tests.conftest import ROOT
from tests.global_state import changes, snapshot
from tests.training.specs import told


def short(run):
    return told(run.spec, epochs=1)


def train(laboratory, folder, saving=None):
    run = laboratory.plan("lasso", "affectnet", lasso=1.0)
    spec = short(run).model_copy(update={"threads": 2})
    fit(spec, laboratory.crops["affectnet"], laboratory.fit(run.parent), folder / "run", 0, saving)


def go_on(laboratory, folder):
    """Stop at a checkpoint and go on from it, which sets generators."""
    saving = Saving(folder / "checkpoints", 0.0, keep=True)
    train(laboratory, folder, saving)
    train(laboratory, folder, saving)


def draw(laboratory, folder):
    rows = [(1, "ccc", "interval", "ccc", size, "t", 0.95) for size in (10, 40)]
    table = pd.DataFrame(rows, columns=["seeds", "metric", "quantity", "m", "clusters", "method", "share"])
    with style():
        save(coverage_figure(table), folder / "coverage")


CONV, NETWORK = nn.Conv2d(4, 6, 3), resnet18(2, "cp", 4, stem="small")
DENSE = resnet18(2, "dense", 4, stem="small")
CALLS = {
    "decompose to CP": lambda laboratory, folder: FactorizedConv.from_dense(CONV, 0.5),
    "decompose to Tucker": lambda laboratory, folder: FactorizedConv.from_dense(CONV, "same", factorization="tucker"),
    "decompose to TT": lambda laboratory, folder: FactorizedConv.from_dense(CONV, "same", factorization="tt"),
    "factorize": lambda laboratory, folder: factorize(DENSE, 2, iterations=3),
    "compact": lambda laboratory, folder: compact(NETWORK),
    "transduct": lambda laboratory, folder: transduct(NETWORK),
    "inflate": lambda laboratory, folder: transduct(DENSE, kernel_size=3, init="average"),
    "normalize": lambda laboratory, folder: normalize_factors(NETWORK),
    "count": lambda laboratory, folder: multiply_adds(NETWORK, (1, 3, 32, 32)),
    "train": train,
    "go on": go_on,
    "profile": lambda laboratory, folder: profile_run(
        laboratory("static", "affectnet"), laboratory.crops["affectnet"], steps=1
    ),
    "figure": draw,
    "load": lambda laboratory, folder: load_network(laboratory("static", "affectnet")),
    "montage": lambda laboratory, folder: draw_montage(laboratory.crops["affectnet"], folder / "montage"),
}


def test_no_import_changes_what_libraries_share():
    done = subprocess.run(
        [sys.executable, "-m", "tests.global_state"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", CALLS)
def test_no_call_changes_what_libraries_share(laboratory, tmp_path, name):
    laboratory("static", "affectnet")
    torch.set_num_threads(1)
    before = snapshot()
    CALLS[name](laboratory, tmp_path)
    assert changes(before, snapshot()) == []


def test_a_training_neither_takes_nor_leaves_an_accelerator(laboratory, tmp_path):
    AcceleratorState._reset_state(reset_partial_state=True)
    theirs = Accelerator(cpu=True, mixed_precision="bf16")
    run = laboratory.plan("static", "affectnet")
    fit(short(run), laboratory.crops["affectnet"], None, tmp_path / "first")
    assert theirs.mixed_precision == AcceleratorState().mixed_precision == "bf16"
    AcceleratorState._reset_state(reset_partial_state=True)
    fit(short(run), laboratory.crops["affectnet"], None, tmp_path / "second")
    assert AcceleratorState._shared_state == {}
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]
