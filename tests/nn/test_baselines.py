import pytest
import torch
from torch import nn

from hocbench.nn import FactorizedConv, resnet18
from hocbench.nn.baselines import FlatConv3d, TltorchConv
from hocbench.nn.tltorch_exchange import IMPLEMENTATIONS
from tests.nn.oracles import assert_same, images


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        ((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        ((1, 7, 5), (1, 1, 2), (0, 3, 0)),
        ((3, 1, 1), 1, (1, 0, 0)),
        ((5, 1, 1), 1, 0),
    ],
    ids=str,
)
def test_a_flat_convolution_is_the_3d_one_with_the_same_weights(kernel, stride, padding, batch):
    flat = FlatConv3d(4, 5, kernel, stride=stride, padding=padding, bias=False).double()
    plain = nn.Conv3d(4, 5, kernel, stride=stride, padding=padding, bias=False).double()
    plain.load_state_dict(flat.state_dict())
    x = torch.randn(batch, 4, 6, 9, 8).double()
    found, expected = [], []
    for conv, results in ((flat, found), (plain, expected)):
        inputs = x.clone().requires_grad_()
        y = conv(inputs)
        y.square().sum().backward()
        results += [y, inputs.grad, conv.weight.grad]
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("order", [2, 3])
def test_the_baseline_network_is_the_cp_network_computed_by_tensorly_torch(order, implementation):
    torch.manual_seed(5)
    baseline = resnet18(order, "tltorch", 4, stem="small").double()
    torch.manual_seed(5)
    ours = resnet18(order, "cp", 4, stem="small").double()
    layers = {name: layer for name, layer in baseline.named_modules() if isinstance(layer, TltorchConv)}
    assert len(layers) == 17
    assert isinstance(baseline.layer1[0].conv1, TltorchConv)
    for name, layer in layers.items():
        other = FactorizedConv.from_tltorch(layer.conv).to_tltorch(implementation)
        assert other.implementation == implementation
        baseline.set_submodule(name, TltorchConv(other))
    x = images(2, 3, *[3] * (order - 2), 20, 20)
    assert_same(baseline(x), ours(x))
