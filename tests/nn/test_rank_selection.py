import pytest
import torch

from hocbench.nn import FactorizedConv, compact, parameter_count, resnet18, transduct
from hocbench.nn.lasso import factorized_layers
from hocbench.nn.rank_selection import block_of, component_size
from hocbench.runs.directory import describe_layers


def sparse(**options):
    """A small network in which layer number n has lost n % 4 of its 5 components."""
    network = resnet18(width=8, rank=5, stem="small", **options)
    with torch.no_grad():
        for number, layer in enumerate(factorized_layers(network).values()):
            layer.weights[: number % 4] = 0
    return network


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("stem", "stem"),
        ("layer1.0.conv1", "layer1.0"),
        ("layer4.1.conv2", "layer4.1"),
        ("layer2.0.shortcut.1", "layer2.0"),
        ("trunk.3", "trunk"),
        ("", ""),
    ],
)
def test_a_layer_belongs_to_its_residual_block(name, block):
    assert block_of(name) == block


@pytest.mark.parametrize("inner_activation", [False, True])
@pytest.mark.parametrize("kernel_size", [(3,), (3, 5), (3, 5, 7)], ids=str)
def test_a_component_is_what_one_more_rank_adds(kernel_size, inner_activation):
    options = {"inner_activation": inner_activation, "bias": True}
    small, large = (FactorizedConv(4, 6, kernel_size, rank=rank, **options) for rank in (3, 4))
    assert component_size(small) == component_size(large) == parameter_count(large) - parameter_count(small)


@pytest.mark.parametrize("inner_activation", [False, True])
@pytest.mark.parametrize("order", [2, 3])
def test_zeros_are_the_components_that_compaction_removes(order, inner_activation):
    network = sparse(order=order, inner_activation=inner_activation, factorize_shortcuts=True)
    described = describe_layers(network)
    assert [layer["name"] for layer in described] == list(factorized_layers(network))
    assert [layer["zeros"] for layer in described] == [number % 4 for number in range(20)]
    for layer in described:
        whole = network.get_submodule(layer["name"])
        removed = parameter_count(whole) - parameter_count(compact(whole))
        assert removed == layer["zeros"] * component_size(whole)


def test_time_adds_its_kernel_to_a_component():
    network = sparse(order=2)
    flat, clip = (
        map(component_size, factorized_layers(net).values()) for net in (network, transduct(network, kernel_size=5))
    )
    assert {after - before for before, after in zip(flat, clip, strict=True)} == {5}
