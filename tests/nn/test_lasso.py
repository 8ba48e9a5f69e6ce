import math

import pytest
import torch

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, reestimate_batchnorm, resnet18
from hocbench.nn.lasso import ProximalStep, SubgradientPenalty, normalize_factors
from hocbench.nn.layers import factorized_layers
from tests.nn.oracles import aged, assert_same, images


@pytest.fixture
def network():
    return uneven(resnet18(2, "cp", 4, stem="small"))


def uneven(made):
    """Give each factor column a length of its own."""
    made = aged(made)
    with torch.no_grad():
        for layer in factorized_layers(made).values():
            for factor in layer.factors.values():
                factor.mul_(torch.rand(layer.rank) + 0.5)
    return made


def stepped(start, gradient, rate=0.1, penalty=0.0, limit=10.0, factor=1.0):
    """Take one step with a lone layer and return its λ."""
    layer = FactorizedConv(2, 2, (3, 3), rank=len(start)).double()
    layer.weights.data = torch.tensor(start, dtype=torch.float64)
    layer.weights.grad = torch.tensor(gradient, dtype=torch.float64)
    ProximalStep(layer, penalty, limit, factor).step(rate)
    assert layer.weights.grad is None
    return layer.weights.tolist()


def at_unit_mean_square(values):
    return [value / math.sqrt(sum(v * v for v in values) / len(values)) for value in values]


def test_normalized_columns_have_length_one_and_lambda_mean_square_one(network):
    normalize_factors(network)
    for layer in factorized_layers(network).values():
        assert_same(layer.weights.square().mean(), torch.tensor(1.0, dtype=torch.float64))
        for factor in layer.factors.values():
            assert_same(factor.norm(dim=0), torch.ones(layer.rank, dtype=torch.float64))


def test_normalizing_multiplies_each_kernel_by_one_constant(network):
    layers = factorized_layers(network)
    before = {name: layer.dense_kernel().detach() for name, layer in layers.items()}
    sizes = {name: layer.weights.detach().clone() for name, layer in layers.items()}
    for name, layer in layers.items():
        for factor in layer.factors.values():
            sizes[name] *= factor.detach().norm(dim=0)
    normalize_factors(network)
    for name, layer in layers.items():
        assert_same(layer.dense_kernel() * sizes[name].square().mean().sqrt(), before[name])


def test_normalizing_keeps_the_function_of_the_network_once_batchnorm_is_re_estimated(network):
    for module in network.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-30
    batches = images(2, 3, 3, 20, 20)
    reestimate_batchnorm(network, batches)
    before = network(batches[0])
    normalize_factors(network)
    assert (network(batches[0]) - before).abs().max() > 1e-3
    reestimate_batchnorm(network, batches)
    assert_same(network(batches[0]), before, 1e-9)


@pytest.mark.parametrize("order", [2, 3])
def test_with_an_inner_activation_what_comes_before_it_is_left_alone(order):
    network = uneven(resnet18(order, "cp", 4, stem="small", inner_activation=True))
    before = {name: layer.factors["input"].detach().clone() for name, layer in factorized_layers(network).items()}
    sizes = {
        name: layer.weights * math.prod(factor.norm(dim=0) for mode, factor in layer.factors.items() if mode != "input")
        for name, layer in factorized_layers(network).items()
    }
    normalize_factors(network)
    for name, layer in factorized_layers(network).items():
        assert torch.equal(layer.factors["input"], before[name])
        assert_same(layer.weights, (sizes[name] / sizes[name].square().mean().sqrt()).detach(), 1e-13)
        for mode, factor in layer.factors.items():
            if mode != "input":
                assert_same(factor.norm(dim=0), torch.ones(layer.rank, dtype=torch.float64))


@pytest.mark.parametrize("order", [2, 3])
def test_with_an_inner_activation_the_function_is_kept_once_batchnorm_is_re_estimated(order):
    network = uneven(resnet18(order, "cp", 4, stem="small", inner_activation=True))
    for module in network.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-30
    batches = images(2, 3, 3, *[2] * (order - 2), 20, 20)
    reestimate_batchnorm(network, batches)
    before = network(batches[0])
    normalize_factors(network)
    assert (network(batches[0]) - before).abs().max() > 1e-3
    reestimate_batchnorm(network, batches)
    assert_same(network(batches[0]), before, 1e-9)


def test_normalizing_twice_changes_nothing_more(network):
    normalize_factors(network)
    once = {name: value.clone() for name, value in network.state_dict().items()}
    normalize_factors(network)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, once[name], rtol=1e-14, atol=1e-14)


def test_a_component_with_an_empty_column_gets_lambda_zero(network):
    network.stem.factors["input"].data[:, 1] = 0
    normalize_factors(network)
    assert int(network.stem.weights.eq(0).sum()) == 1
    assert all(parameter.isfinite().all() for parameter in network.parameters())


def test_a_step_is_a_soft_threshold_of_a_gradient_step():
    start, gradient, rate, penalty = [1.2, -0.9, 0.8, -0.3], [0.5, 0.4, -3.0, -1.0], 0.1, 0.5
    moved = [weight - rate * slope for weight, slope in zip(start, gradient, strict=True)]
    shrunk = [math.copysign(max(abs(weight) - rate * penalty, 0), weight) for weight in moved]
    assert stepped(start, gradient, rate, penalty) == pytest.approx(at_unit_mean_square(shrunk), abs=1e-14)


def test_without_penalty_a_step_is_a_gradient_step_at_unit_mean_square():
    expected = at_unit_mean_square([1.2 - 0.1 * 2, -0.9 - 0.1 * -1, 0.02 - 0.1 * 0.1])
    assert stepped([1.2, -0.9, 0.02], [2.0, -1.0, 0.1]) == pytest.approx(expected, abs=1e-14)


def test_gradients_are_clamped_on_both_sides():
    start = [1.0, -0.5, 0.5]
    steep, clamped = [1e6, -1e6, 0.1], [2.0, -2.0, 0.1]
    assert stepped(start, steep, penalty=0.5, limit=2.0) == stepped(start, clamped, penalty=0.5, limit=2.0)
    assert stepped(start, steep, limit=2.0) != pytest.approx(stepped(start, steep, limit=3.0))


@pytest.mark.parametrize(("rate", "factor"), [(0.01, 1.0), (0.004, 250.0), (30.0, 1.0)])
def test_up_to_the_limit_a_gradient_can_hold_a_component_and_bring_one_back(rate, factor):
    held, lost, other = stepped([0.8, 0.0, 1.5], [-0.3, -0.3, 0.0], rate, penalty=0.29, limit=0.3, factor=factor)
    grown, _, shrunk = 0.8 + 0.01 * rate * factor, 0, max(1.5 - 0.29 * rate * factor, 0)
    assert [held, lost, other] == pytest.approx(at_unit_mean_square([grown, 0.01 * rate * factor, shrunk]), rel=1e-9)
    assert stepped([0.8, 1.2], [-0.3, -0.3], rate, penalty=0.3, limit=0.3, factor=factor) == pytest.approx(
        at_unit_mean_square([0.8, 1.2])
    )


@pytest.mark.parametrize(("penalty", "limit"), [(0.31, 0.3), (1.0, 0.1), (5, 1)])
def test_a_penalty_that_no_gradient_can_resist_is_refused_with_its_numbers(network, penalty, limit):
    text = rf"LASSO weight {penalty:g} with gradients of λ clamped to {limit:g}: .* give at most {limit:g}, or a higher"
    with pytest.raises(NetworkError, match=text):
        ProximalStep(network, penalty, limit)


def test_a_threshold_below_one_always_leaves_a_component_and_higher_ones_are_refused(network):
    for layer in factorized_layers(network).values():
        layer.weights.data.fill_(0.7)
    SubgradientPenalty(network, 1e3, 0.999).finish()
    assert all(layer.weights.all() for layer in factorized_layers(network).values())
    for threshold in (1, 2.5, -0.1):
        with pytest.raises(NetworkError, match=rf"threshold {threshold:g} in root mean squares .* give less than 1"):
            SubgradientPenalty(network, 0.1, threshold)


def test_small_lambdas_become_exactly_zero_from_either_side():
    first, above, below, last = stepped([1.5, 0.04, -0.04, -1.0], [0.0] * 4, rate=0.1, penalty=0.5)
    assert above == below == 0
    assert first > 0 > last


def test_lambda_has_a_learning_rate_of_its_own():
    start, gradient = [1.2, -0.9, 0.8, -0.3], [0.5, 0.4, -3.0, -1.0]
    assert stepped(start, gradient, 0.02, 0.5, factor=5.0) == pytest.approx(stepped(start, gradient, 0.1, 0.5))


def test_the_subgradient_is_that_of_an_l1_term_in_the_loss():
    layer, x = FactorizedConv(3, 4, (3, 3), rank=5).double(), torch.randn(2, 3, 5, 5).double()
    with torch.no_grad():
        layer.weights.copy_(torch.tensor([1.5, -0.8, 0.3, -0.01, 1e-9]))
    layer(x).square().mean().backward()
    SubgradientPenalty(layer, 0.3, 0.05).step(7.0)
    found = layer.weights.grad.clone()
    layer.zero_grad()
    (layer(x).square().mean() + 0.3 * layer.weights.abs().sum()).backward()
    assert_same(found, layer.weights.grad)
    layer.weights.data.zero_()
    layer.weights.grad = torch.zeros(5, dtype=torch.float64)
    SubgradientPenalty(layer, 0.3, 0.05).step(7.0)
    assert not layer.weights.grad.any()


def test_the_threshold_is_in_units_of_the_root_mean_square_of_a_layer():
    layer = FactorizedConv(3, 4, (3, 3), rank=4).double()
    for scale in (1.0, 1e-6):
        layer.weights.data = scale * torch.tensor([2.0, -1.0, 0.11, -0.1], dtype=torch.float64)  # rms 1.12
        before = layer.weights.detach().clone()
        penalty = SubgradientPenalty(layer, 0.3, 0.095)
        penalty.step(0.1)
        assert torch.equal(layer.weights, before)
        penalty.finish()
        assert layer.weights.tolist() == [*before[:3].tolist(), 0.0]


def test_a_zero_stays_until_its_gradient_exceeds_the_penalty():
    assert stepped([1.0, 0.0, 0.0], [0.0, 0.49, -0.49], penalty=0.5)[1:] == [0, 0]
    left, right = stepped([1.0, 0.0, 0.0], [0.0, 0.6, -0.6], penalty=0.5)[1:]
    assert left < 0 < right
    assert left == -right


def test_steps_on_a_loss_remove_the_components_that_it_does_not_need():
    layer = FactorizedConv(2, 2, (3, 3), rank=6).double()
    goal = torch.tensor([1.7, -1.2, 1.1, 0.05, -0.05, 0.02], dtype=torch.float64)
    layer.weights.data = torch.tensor(at_unit_mean_square([1.0, -1, 1, 1, -1, 1]), dtype=torch.float64)
    proximal = ProximalStep(layer, 0.2, 10.0)
    for _ in range(200):
        (layer.weights - goal).square().sum().div(2).backward()
        proximal.step(0.1)
    assert (layer.weights == 0).tolist() == [False, False, False, True, True, True]
    assert layer.weights.sign()[:3].tolist() == [1, -1, 1]
    assert layer.weights.square().mean().item() == pytest.approx(1)


def test_a_layer_whose_lambdas_all_vanish_holds_zeros_and_no_nans():
    assert stepped([0.01, -0.01], [0.0, 0.0], rate=1.0, penalty=1.0) == [0, 0]
    assert stepped([0.0, 0.0], [0.0, 0.0]) == [0, 0]
    layer = FactorizedConv(2, 2, (3, 3), rank=3).double()
    layer.weights.data.zero_()
    normalize_factors(layer)
    assert layer.weights.tolist() == [0, 0, 0]


def test_layers_without_a_gradient_are_left_alone(network):
    normalize_factors(network)
    frozen = network.layer1[0].conv1.weights
    frozen.requires_grad = False
    before = {name: layer.weights.detach().clone() for name, layer in factorized_layers(network).items()}
    network(images(2, 3, 20, 20)).square().sum().backward()
    ProximalStep(network, 0.1, 1.0).step(0.01)
    changed = {n for n, layer in factorized_layers(network).items() if not torch.equal(layer.weights, before[n])}
    assert changed == before.keys() - {"layer1.0.conv1"}


def test_only_lambdas_move(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(images(2, 3, 20, 20)).square().sum().backward()
    ProximalStep(network, 0.1, 1.0).step(0.01)
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.endswith(".weights")}


def test_a_dense_network_is_refused():
    dense = resnet18(2, "dense", 4)
    for use in (normalize_factors, lambda network: ProximalStep(network, 0.1, 1.0)):
        with pytest.raises(NetworkError, match=r"LASSO acts on the weights of CP-factorized layers.* has none"):
            use(dense)


@pytest.mark.parametrize("kind", ["tucker", "tt"])
def test_a_network_without_lambda_is_refused_naming_a_layer(kind):
    network = resnet18(2, kind, 4, stem="small")
    text = rf"LASSO acts on the weights λ of CP-factorized layers; layer 'stem' is {kind}-factorized and has none"
    for use in (normalize_factors, lambda network: ProximalStep(network, 0.1, 1.0)):
        with pytest.raises(NetworkError, match=text):
            use(network)
    mixed = torch.nn.Sequential(FactorizedConv(4, 4, (3, 3)), FactorizedConv(4, 4, (3, 3), factorization=kind))
    with pytest.raises(NetworkError, match="layer '1' is"):
        normalize_factors(mixed)


def test_lambda_is_connected_to_the_outputs():
    # In tensorly-torch zero LASSO weights leave the output as it is and get no gradient.
    for order in (1, 2, 3):
        layer, x = FactorizedConv(4, 5, (3,) * order, rank=6), torch.randn(2, 4, *[5] * order)
        layer(x).sum().backward()
        assert layer.weights.grad.all()
        layer.weights.data.zero_()
        assert not layer(x).any()
