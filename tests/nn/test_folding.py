import copy

import pytest
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, compact, resnet18, transduct
from hocbench.nn.folding import check_implementations, choose_implementations, fold
from hocbench.nn.implementation import CANDIDATES
from hocbench.nn.layers import factorized_layers
from tests.nn.oracles import SCHEMES, aged, assert_same, images

TOLERANCE = 1e-10
SIZES = {2: (2, 3, 33, 29), 3: (2, 3, 4, 33, 29)}
PADDINGS = [(2, "zeros"), (3, "zeros"), (3, "replicate")]
DENSE = [("dense", 2), ("dense", 3), ("inflated", 3), ("2plus1d", 3)]


def network_of(order=2, kind="cp", width=4, **options):
    return aged(resnet18(order, kind, width, **options))


def everywhere(network, implementation):
    return dict.fromkeys(factorized_layers(network), implementation)


def alternating(network):
    return {name: CANDIDATES[place % 2] for place, name in enumerate(factorized_layers(network))}


def assert_folds(network, implementations=None, x=None):
    x = images(*SIZES[network.config.order]) if x is None else x
    expected = network(x)
    assert expected.std() > 0.01  # it depends on the input
    assert_same(fold(network, implementations)(x), expected, TOLERANCE)


@pytest.mark.parametrize("implementation", CANDIDATES)
@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize(("order", "padding"), PADDINGS)
@pytest.mark.parametrize("kind", SCHEMES)
def test_a_folded_network_computes_the_same(kind, order, padding, stem, implementation):
    network = network_of(order, kind, stem=stem, temporal_padding=padding)
    assert_folds(network, everywhere(network, implementation))


@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize(("order", "padding"), PADDINGS)
@pytest.mark.parametrize("kind", SCHEMES)
def test_inner_activations_are_folded_before_the_padding(kind, order, padding, stem):
    assert_folds(network_of(order, kind, stem=stem, temporal_padding=padding, inner_activation=True))


@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize(("kind", "order"), DENSE)
def test_dense_networks_fold_too(kind, order, stem):
    assert_folds(network_of(order, kind, stem=stem))


@pytest.mark.parametrize("kind", SCHEMES)
@pytest.mark.parametrize("order", [2, 3])
def test_every_layer_has_an_implementation_of_its_own(kind, order):
    network = network_of(order, kind)
    assert_folds(network, alternating(network))


@pytest.mark.parametrize("implementation", CANDIDATES)
@pytest.mark.parametrize("order", [2, 3])
def test_factorized_shortcuts_and_a_dense_stem_fold(order, implementation):
    network = network_of(order, factorize_shortcuts=True, factorize_stem=False)
    assert len(factorized_layers(network)) == 16 + 3
    assert_folds(network, everywhere(network, implementation))


@pytest.mark.parametrize(("kind", "rank"), [("tucker", (3, 2, 2, 3, 2)), ("tt", (2, 3, 4, 2)), ("cp", 1)])
@pytest.mark.parametrize("kernel", [1, 5])
def test_any_rank_along_time_folds(kind, rank, kernel):
    network = network_of(3, kind, rank=rank, temporal_kernel=kernel, temporal_padding="replicate")
    assert_folds(network)


def test_a_bias_before_the_batchnorm_is_folded():
    network = network_of(3)
    for layer in (network.stem, network.layer2[0].conv2):
        layer.bias = nn.Parameter(images(layer.out_channels))
    for implementation in CANDIDATES:
        assert_folds(network, everywhere(network, implementation))


@pytest.mark.parametrize("inner_activation", [False, True])
def test_a_compacted_transducted_network_folds(inner_activation):
    network = network_of(2, stem="small", inner_activation=inner_activation)
    with torch.no_grad():
        for count, name in enumerate(factorized_layers(network)):
            network.get_submodule(name).weights[: count % 5] = 0
    clips = aged(transduct(network, init="average", padding="replicate"))
    with torch.no_grad():
        for name in factorized_layers(clips):
            clips.get_submodule(name).factors["time"].normal_()
    small = compact(clips)
    x = images(*SIZES[3])
    assert_same(fold(small)(x), clips(x), TOLERANCE)
    assert_same(fold(clips)(x), clips(x), TOLERANCE)
    assert sum(b.numel() for b in fold(small).buffers()) < sum(b.numel() for b in fold(clips).buffers())


@pytest.mark.parametrize("order", [2, 3])
def test_any_number_of_samples_and_frames_is_taken(order):
    network = network_of(order)
    folded = fold(network, alternating(network))
    for batch, length in ((1, 1), (1, 2), (5, 3)):
        x = images(batch, 3, *([length] if order == 3 else []), 20, 27)
        assert_same(folded(x), network(x), TOLERANCE)


@pytest.mark.parametrize("order", [2, 3])
def test_the_memory_of_the_input_does_not_matter(order):
    network = network_of(order)
    x = images(*SIZES[order]).repeat_interleave(2, dim=-1)[..., ::2]
    last = x.contiguous(memory_format=torch.channels_last if order == 2 else torch.channels_last_3d)
    assert_folds(network, x=x)
    assert_folds(network, x=last)


@pytest.mark.parametrize("training", [False, True])
def test_the_network_stays_untouched_and_shares_no_memory(training):
    network = network_of(3, "cp", inner_activation=True).train(training)
    before = copy.deepcopy(network.state_dict())
    folded = fold(network)
    x = images(*SIZES[3])
    with torch.no_grad():
        y = folded(x).clone()
        for buffer in folded.buffers():
            buffer.fill_(1.0)
    assert network.training is training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert_same(y, network.eval()(x).detach(), TOLERANCE)


def test_a_folded_network_holds_buffers_only_and_no_batchnorm():
    folded = fold(network_of(3, inner_activation=True))
    assert list(folded.parameters()) == []
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm | FactorizedConv) for module in folded.modules())
    assert not any(buffer.requires_grad for buffer in folded.buffers())
    assert not folded.training


@pytest.mark.parametrize(
    ("kind", "rank", "kernels"),
    [
        ("cp", 7, [(7, 1, 3, 3), (7, 1, 3)]),
        ("tucker", (5, 3, 1, 2, 2), [(5, 3, 3, 3), (5, 1, 3)]),
        ("tucker", (5, 3, 2, 2, 2), [(5, 3, 3, 3, 3)]),
        ("tt", (3, 2, 4, 5), [(2, 3, 3), (4, 2, 3, 1), (5, 4, 1, 3)]),
    ],
)
def test_a_folded_clip_layer_is_two_projections_and_small_kernels_between_them(kind, rank, kernels):
    network = network_of(3, kind, rank=rank)
    shapes = {name: tuple(buffer.shape) for name, buffer in fold(network).layer2[0].conv1.named_buffers()}
    assert [shapes.pop(f"kernel{number}") for number in range(len(kernels))] == kernels
    assert shapes == {"first": (kernels[0][1] if kind != "cp" else 7, 4), "last": (8, kernels[-1][0]), "bias": (8,)}


def test_a_float32_network_folds_into_a_float32_one():
    network = network_of(3).float()
    x = images(*SIZES[3]).float()
    assert_same(fold(network)(x), network(x), 1e-5)


def test_implementations_are_chosen_for_each_factorized_layer_that_has_a_choice():
    network = network_of(3, stem="small")
    network.stem.inner_norm = nn.BatchNorm2d(network.stem.rank).double().eval()
    before = copy.deepcopy(network.state_dict())
    state = torch.get_rng_state()
    chosen = choose_implementations(network, (1, 3, 2, 16, 16))
    assert torch.equal(state, torch.get_rng_state())
    assert list(chosen) == list(factorized_layers(network))
    assert set(chosen.values()) <= set(CANDIDATES)
    assert chosen["stem"] == "factorized"
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert_folds(network, chosen)


def test_a_dense_network_has_no_implementations_to_choose():
    assert choose_implementations(network_of(2, "dense"), (1, 3, 16, 16)) == {}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"layer1.0.conv9": "factorized"},
            "implementations: layer 'layer1.0.conv9' is not a factorized layer of this network",
        ),
        ({"layer1.0.conv1": None}, "implementations: the factorized layer 'layer1.0.conv1' has none"),
        (
            {"stem": "rule"},
            "implementations: layer 'stem' has implementation 'rule', which is not one of factorized, r",
        ),
        (
            {"stem": ["factorized"]},
            "implementations: layer 'stem' has implementation ['factorized'], which is not one of",
        ),
    ],
)
def test_implementations_of_another_network_are_refused(change, text):
    network = network_of(2)
    wrong = {k: v for k, v in (everywhere(network, "factorized") | change).items() if v is not None}
    for refuse in (check_implementations, fold):
        with pytest.raises(NetworkError) as caught:
            refuse(network, wrong)
        assert str(caught.value).startswith(text)


def test_a_layer_with_an_inner_activation_is_not_reconstructed():
    network = network_of(2, inner_activation=True)
    with pytest.raises(
        NetworkError, match="implementations: layer 'stem' has an inner activation and cannot be 'reconstructed'"
    ):
        fold(network, everywhere(network, "reconstructed"))


def test_layers_of_tensorly_torch_are_refused():
    with pytest.raises(NetworkError, match="fold: a network of kind 'tltorch' has layers of another library"):
        fold(resnet18(2, "tltorch", 4))


@pytest.mark.parametrize(("order", "shape"), [(2, (2, 3, 4, 16, 16)), (3, (2, 3, 16, 16)), (2, (2, 1, 16, 16))])
def test_input_of_another_order_is_refused(order, shape):
    wanted = {2: r"\(N, 3, H, W\)", 3: r"\(N, 3, T, H, W\)"}[order]
    with pytest.raises(NetworkError, match=f"a folded network of order {order} wants {wanted}, got "):
        fold(network_of(order))(images(*shape))
