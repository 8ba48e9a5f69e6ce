import pytest
import torch

from hocbench.nn import reestimate_batchnorm
from tests.nn.oracles import RANKS, SCHEMES, assert_same, gradients, images, layer_of


def recomputed(layer, x):
    """Return outputs, gradients, statistics and how many numbers autograd keeps, for the chain and for recompute."""
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    x, results = x.requires_grad_(), []
    for layer.implementation in ("factorized", "recompute"):
        layer.load_state_dict(state)
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t):
            y = layer(x)
        slopes = gradients(y, [x, *layer.parameters()], torch.ones_like(y))
        buffers = {name: value.clone() for name, value in layer.named_buffers()}
        results.append((y.detach(), slopes, buffers, sum(kept)))
    return results


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_recompute_gives_the_same_and_counts_statistics_once(order, scheme, active, training):
    layer = layer_of(
        4, 5, (3,) * order, factorization=scheme, rank=RANKS[scheme][order], bias=True, inner_activation=active
    )
    chain, again = recomputed(layer.train(training), images(3, 4, *[5] * order))
    assert_same(again[0], chain[0], 1e-12)
    for actual, expected in zip(again[1], chain[1], strict=True):
        assert_same(actual, expected, 1e-12)
    assert again[2].keys() == chain[2].keys()
    for name, value in chain[2].items():
        torch.testing.assert_close(again[2][name], value, rtol=1e-12, atol=1e-12)
    if active:
        assert again[2]["inner_norm.num_batches_tracked"] == int(training)
        assert layer.inner_norm.track_running_stats
    # The input alone is kept.
    assert again[3] <= 3 * 4 * 5**order < chain[3]


@pytest.mark.parametrize("momentum", [0.3, None])
def test_recompute_counts_statistics_once_per_step_over_many_steps(momentum):
    layers = [
        layer_of(4, 5, (3, 3), inner_activation=True, implementation=implementation)
        for implementation in ("factorized", "recompute")
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    for step in range(1, 4):
        x = images(2, 4, 5, 5)
        for layer in layers:
            layer.inner_norm.momentum = momentum
            layer(x).square().sum().backward()
            assert layer.inner_norm.num_batches_tracked == step
    for name, value in layers[0].named_buffers():
        torch.testing.assert_close(dict(layers[1].named_buffers())[name], value)


@pytest.mark.parametrize("active", [False, True])
def test_recompute_may_be_passed_backward_twice(active):
    layers = [
        layer_of(4, 5, (3, 3), inner_activation=active, implementation=implementation)
        for implementation in ("factorized", "recompute")
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    x, results = images(2, 4, 5, 5).requires_grad_(), []
    for layer in layers:
        y = layer(x)
        first = torch.autograd.grad(y.sum(), x, retain_graph=True)[0]
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        second = torch.autograd.grad(slope.square().sum(), layer.weights)[0]
        results.append((first, slope, second))
        assert not active or layer.inner_norm.num_batches_tracked == 1
    for actual, expected in zip(results[1], results[0], strict=True):
        assert_same(actual, expected, 1e-10)


def test_recompute_without_gradients_is_the_chain():
    layer, x = layer_of(4, 5, (3, 3), inner_activation=True, implementation="recompute"), images(2, 4, 5, 5)
    with torch.no_grad():
        y = layer(x)
    assert layer.inner_norm.num_batches_tracked == 1
    assert not y.requires_grad
    reestimate_batchnorm(layer, [x, x])
    assert layer.inner_norm.num_batches_tracked == 2
