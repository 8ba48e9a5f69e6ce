import pytest
import torch
from torch import nn

from hocbench.nn import FactorizedConv
from studies.speed.memory import kept_bytes, measure_memory
from studies.speed.steps import CHANNELS_LAST, Step, leaf
from tests.studies.conftest import ONE

FLOAT = 4  # bytes


def step(module, x, layout=torch.contiguous_format):
    x = leaf(x, layout)
    own = Step("own", module, x, ONE, {"x": x, **dict(module.named_parameters())})
    own.run()
    return own


def test_a_dense_convolution_keeps_its_input():
    x = torch.randn(2, 3, 6, 8)
    assert kept_bytes(step(nn.Conv2d(3, 5, 3, padding=1), x)) == FLOAT * x.numel()


def test_a_chain_of_modules_keeps_the_outputs_between_them():
    x = torch.randn(2, 3, 6, 8)
    network = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Conv2d(5, 7, 1), nn.Conv2d(7, 3, 1))
    assert kept_bytes(step(network, x)) == FLOAT * 2 * 6 * 8 * (3 + 5 + 7)


def test_temporary_memory_does_not_count():
    class Temporary(nn.Module):
        def forward(self, x):
            return x + (torch.ones(1000) * 2).sum().detach()

    x = torch.randn(2, 3)
    # Nothing is kept, and the input counts once.
    assert kept_bytes(step(Temporary(), x)) == FLOAT * x.numel()


@pytest.mark.parametrize("implementation", ["factorized", "recompute"])
def test_a_factorized_layer_keeps_what_its_implementation_says(implementation):
    layer = FactorizedConv(8, 8, (3, 3, 3), rank=12, implementation=implementation)
    x = torch.randn(2, 8, 5, 6, 6)
    positions = 2 * 5 * 6 * 6
    # Behind the first projection, the planes and the lead; the two depthwise kernels and their parts are small.
    chain = FLOAT * positions * 3 * 12 if implementation == "factorized" else 0
    small = 12 * (9 + 9 + 3 + 3) * FLOAT if implementation == "factorized" else 0
    kept = kept_bytes(step(layer, x, CHANNELS_LAST[3]))
    assert FLOAT * x.numel() + chain <= kept <= FLOAT * x.numel() + chain + small


def test_our_recompute_comes_first_and_keeps_the_least(bench):
    rows = measure_memory(bench)
    kept = {m.method: m.values[0] for m in rows if m.quantity == "kept_bytes"}
    assert next(iter(kept)) == "hocbench recompute"
    assert min(kept.values()) == kept["hocbench recompute"]
    assert kept["hocbench factorized"] < kept["tltorch factorized"]
    timed = [m.method for m in rows if m.quantity == "time_s"]
    assert timed == list(kept)
