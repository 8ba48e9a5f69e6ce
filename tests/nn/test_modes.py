"""What torch can do with a network beyond calling it works on our layers wherever it does on torch's own."""

import copy
import io
from functools import partial

import onnxruntime
import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from torch.export import Dim
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, stack_module_state, vmap
from torch.nn.utils import parametrizations, prune

from hocbench.nn import FactorizedConv, resnet18
from tests.nn.oracles import assert_same

SIZES = {1: (7,), 2: (6, 5), 3: (4, 6, 5)}


def layer(order, scheme, implementation, **options):
    return FactorizedConv(
        2, 4, (3,) * order, factorization=scheme, rank=3, implementation=implementation, bias=True, **options
    )


class Own(nn.Module):
    """A user's network around one layer."""

    def __init__(self, scheme):
        super().__init__()
        self.layer = layer(3, scheme, "recompute", padding_mode="replicate", inner_activation=True)
        self.first, self.norm, self.head = nn.Conv3d(2, 2, 1), nn.BatchNorm3d(4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.layer(self.first(x)))).mean((-3, -2, -1)))


# Every kernel meets every order, every implementation every kernel or a graph of its own.
NETWORKS = {
    "torch": (2, lambda: nn.Conv2d(2, 4, 3, padding=1)),
    "own": (3, partial(Own, "cp")),
    **{
        f"{order} {scheme} {implementation}": (order, partial(layer, order, scheme, implementation))
        for order, scheme, implementation in [
            (1, "tucker", "recompute"),
            (2, "cp", "rule"),
            (2, "cp", "measured"),
            (2, "tucker", "recompute"),
            (2, "tt", "reconstructed"),
            (3, "cp", "recompute"),
            (3, "cp", "reconstructed"),
            (3, "tucker", "factorized"),
            (3, "tt", "rule"),
        ]
    },
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param][1]().eval()


@pytest.fixture
def x(network, request):
    return torch.randn(2, 2, *SIZES[NETWORKS[request.node.callspec.params["network"]][0]])


def same(actual, expected):
    assert_same(actual, expected, 1e-4)


def larger(x):
    """Draw an input of more samples and other sizes."""
    return torch.randn(x.shape[0] + 3, 2, *(n + 2 for n in x.shape[2:]))


def open_sizes(x):
    """Leave the number of samples and all sizes open."""
    return ({0: Dim("samples", min=1)} | {d: Dim(f"size{d}", min=3) for d in range(2, x.ndim)},)


def values(network):
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def slopes(network, x, function=None):
    """Return the output and its gradients for x and each parameter, by plain autograd."""
    x = x.clone().requires_grad_()
    y = network(x) if function is None else function(x)
    return [y, *torch.autograd.grad(y.square().sum(), [x, *network.parameters()])]


def test_exported_programs_hold_for_all_sizes(network, x):
    program = torch.export.export(network, (x,), dynamic_shapes=open_sizes(x)).module()
    for inputs in (x, x[:1], larger(x)):
        same(program(inputs), network(inputs))


@pytest.mark.parametrize("name", ["1 tucker recompute", "2 cp measured", "3 tt rule"])
def test_exported_strictly(name):
    order, make = NETWORKS[name]
    network, x = make().eval(), torch.randn(2, 2, *SIZES[order])
    program = torch.export.export(network, (x,), strict=True, dynamic_shapes=open_sizes(x)).module()
    inputs = larger(x)
    same(program(inputs), network(inputs))


@pytest.mark.parametrize("order", [2, 3])
def test_one_implementation_is_exported_for_inputs_that_would_take_different_ones(order):
    layer = FactorizedConv(8, 8, (3,) * order, rank=16).eval()
    few, many = torch.randn(1, 8, *[3] * order), torch.randn(300, 8, *[3] * order)
    assert {layer.chosen_implementation(few), layer.chosen_implementation(many)} == {"factorized", "reconstructed"}
    program = torch.export.export(layer, (few.repeat(2, *[1] * (order + 1)),), dynamic_shapes=open_sizes(few)).module()
    for inputs in (few, many):
        same(program(inputs), layer(inputs))


@pytest.mark.parametrize("name", ["own"])
def test_onnx_graphs_hold_for_all_sizes(name, tmp_path):
    order, make = NETWORKS[name]
    network, x = make().eval(), torch.randn(2, 2, *SIZES[order])
    torch.onnx.export(
        network, (x,), tmp_path / "x.onnx", dynamo=True, verbose=False, dynamic_shapes=open_sizes(x), input_names=["x"]
    )
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx")
    for inputs in (x, larger(x)):
        same(torch.from_numpy(session.run(None, {"x": inputs.numpy()})[0]), network(inputs))


def test_compiled_whole(network, x):
    # Inductor makes code of the same graph, for seconds each.
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    for actual, expected in zip(slopes(network, x, compiled), slopes(network, x), strict=True):
        same(actual, expected)
    with torch.no_grad():
        same(compiled(x[:1]), network(x[:1]))


def test_traced(network, x):
    traced = torch.jit.trace(network, x)
    for inputs in (x, larger(x)):
        same(traced(inputs), network(inputs))


def test_mapped_over_inputs(network, x):
    many = torch.stack([x, 2 * x, -x])
    same(vmap(network)(many), torch.stack([network(each) for each in many]))
    if not isinstance(network, Own):
        same(vmap(network)(x), network(x))


def test_an_ensemble_as_one(network, x):
    ensemble = [copy.deepcopy(network) for _ in range(3)]
    for factor, member in enumerate(ensemble, start=1):
        for parameter in member.parameters():
            parameter.data.mul_(factor)
    parameters, buffers = stack_module_state(ensemble)
    base = copy.deepcopy(network).to("meta")
    y = vmap(lambda p, b: functional_call(base, (p, b), (x,)))(parameters, buffers)
    same(y, torch.stack([member(x) for member in ensemble]))


def test_gradients_of_each_sample(network, x):
    def loss(parameters, sample):
        return functional_call(network, parameters, (sample.unsqueeze(0),)).square().sum()

    each = vmap(grad(loss), (None, 0))(values(network), x)
    for actual, expected in zip(each.values(), slopes(network, x)[2:], strict=True):
        same(actual.sum(0), expected)


def test_derivatives_forward_and_backward(network, x):
    x = x[:1]
    jacobian = torch.autograd.functional.jacobian(network, x)
    same(jacrev(network)(x), jacobian)
    same(jacfwd(network)(x), jacobian)
    direction = torch.randn_like(x)
    y, slope = jvp(network, (x,), (direction,))
    same(y, network(x))
    same(slope, torch.tensordot(jacobian, direction, x.ndim))


def test_saved_copied_and_called_with_other_weights(network, x):
    y = network(x)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    for state in (torch.load(file, weights_only=True), load(save(network.state_dict()))):
        other = copy.deepcopy(network)
        for parameter in other.parameters():
            parameter.data.zero_()
        assert not torch.equal(other(x), y)
        other.load_state_dict(state)
        same(other(x), y)
        same(
            functional_call(network, {name: torch.zeros_like(v) for name, v in state.items()}, (x,)),
            torch.zeros_like(y),
        )


def test_in_half_precision(network, x):
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x)
    assert y.dtype == torch.bfloat16
    assert_same(y.float(), network(x), 0.1)


class Doubled(nn.Module):
    def forward(self, tensor):
        return 2 * tensor


@pytest.mark.parametrize("implementation", ["rule", "measured", "reconstructed", "recompute"])
@pytest.mark.parametrize("scheme", ["cp", "tucker", "tt"])
def test_parametrized_and_pruned_factors(scheme, implementation):
    network = FactorizedConv(3, 4, (3, 3), factorization=scheme, implementation=implementation)
    x = torch.randn(2, 3, 5, 5)
    twice, whole = 2 * network(x), network.dense_kernel()
    nn.utils.parametrize.register_parametrization(network.factors, "input", Doubled())
    same(network(x), twice)
    network(x).sum().backward()
    assert network.factors.parametrizations.input.original.grad.any()
    parametrizations.weight_norm(network.factors, "output")
    same(network(x), twice)
    prune.l1_unstructured(network.factors, "height", 2)
    y = network(x)
    same(y, nn.functional.conv2d(x, network.dense_kernel(), padding=1))
    assert not torch.allclose(network.dense_kernel(), 2 * whole)
    y.sum().backward()


def test_a_whole_resnet_that_recomputes():
    network, x = resnet18(2, "cp", 1, 0.5, stem="small").eval(), torch.randn(2, 3, 8, 8)
    network.recompute = True
    same(torch.export.export(network, (x,), dynamic_shapes=({0: Dim("n")},)).module()(x[:1]), network(x[:1]))
    many = torch.stack([x, -x])
    same(vmap(network)(many), torch.stack([network(each) for each in many]))
    each = grad(lambda parameters: functional_call(network, parameters, (x,)).square().sum())(values(network))
    for actual, expected in zip(each.values(), slopes(network, x)[2:], strict=True):
        assert_same(actual, expected, 1e-3)
