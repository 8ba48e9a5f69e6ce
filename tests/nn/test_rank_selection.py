import pytest
import torch

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, compact, parameter_count, resnet18, transduct
from hocbench.nn.lasso import factorized_layers
from hocbench.nn.rank_selection import block_of, component_size, rank_table, removed_shares
from hocbench.training.networks import describe_layers


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
def test_removed_parameters_are_those_that_compaction_removes(order, inner_activation):
    network = sparse(order=order, inner_activation=inner_activation, factorize_shortcuts=True)
    rows = rank_table(network)
    assert [row["layer"] for row in rows] == list(factorized_layers(network))
    assert [row["zeros"] for row in rows] == [number % 4 for number in range(20)]
    assert all(row["rank"] == 5 and row["effective_rank"] == 5 - row["zeros"] for row in rows)
    for row in rows:
        layer = network.get_submodule(row["layer"])
        assert row["parameters"] == parameter_count(layer)
        assert row["removed"] == row["zeros"] * row["component_parameters"]
        assert row["removed"] == parameter_count(layer) - parameter_count(compact(layer))
    assert sum(row["removed"] for row in rows) == parameter_count(network) - parameter_count(compact(network)) > 0


def test_shares_have_the_three_denominators():
    network = sparse(order=2)
    layers = factorized_layers(network).values()
    removed = parameter_count(network) - parameter_count(compact(network))
    assert removed_shares(network) == pytest.approx(
        {
            "all": removed / parameter_count(network),
            "factorized": removed / sum(parameter_count(layer) for layer in layers),
            "components": sum(number % 4 for number in range(17)) / (17 * 5),
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("inner_activation", [False, True])
def test_a_compacted_network_tells_the_same_with_the_layers_of_its_parent(inner_activation):
    network = sparse(order=2, inner_activation=inner_activation)
    with torch.no_grad():
        network.stem.weights.zero_()  # compaction keeps one of these
    parent = describe_layers(network)
    assert rank_table(compact(network), parent) == rank_table(network)
    assert removed_shares(compact(network), parent) == removed_shares(network)
    alone = rank_table(compact(network))
    assert [row["zeros"] for row in alone] == [1] + [0] * 16


def test_a_transducted_network_has_the_ranks_of_its_parent_and_larger_components():
    network = sparse(order=2)
    parent = describe_layers(network)
    flat, clip = rank_table(network), rank_table(transduct(compact(network), kernel_size=3), parent)
    assert [row["zeros"] for row in clip] == [row["zeros"] for row in flat]
    assert {b["component_parameters"] - a["component_parameters"] for a, b in zip(flat, clip, strict=True)} == {3}


def test_a_bias_belongs_to_the_layer_and_is_not_removed():
    layer = FactorizedConv(4, 6, (3, 3), rank=5, bias=True)
    with torch.no_grad():
        layer.weights[:2] = 0
    (row,) = rank_table(layer)
    assert (row["layer"], row["parameters"], row["removed"]) == ("", 5 * 17 + 6, 2 * 17)
    assert removed_shares(layer) == pytest.approx({"all": 34 / 91, "factorized": 34 / 91, "components": 0.4})


@pytest.mark.parametrize("measure", [rank_table, removed_shares])
def test_layers_without_lambda_are_refused_as_by_the_lasso(measure):
    with pytest.raises(NetworkError, match=r"LASSO acts on the weights λ .* layer 'stem' is tucker-factorized"):
        measure(resnet18(kind="tucker", width=8, stem="small"))
    with pytest.raises(NetworkError, match=r"LASSO acts on the weights λ .* layer '\(itself\)' is tt-factorized"):
        measure(FactorizedConv(4, 4, (3, 3), factorization="tt"))
    with pytest.raises(NetworkError, match="this network has none"):
        measure(resnet18(kind="dense", width=8, stem="small"))


def test_the_layers_of_another_run_are_refused():
    network = sparse(order=2)
    parent = describe_layers(network)
    parent[1]["rank"] = 4
    with pytest.raises(NetworkError, match=r"layer 'layer1.0.conv1' has 5 components and had 4 .* started from"):
        rank_table(network, parent)
