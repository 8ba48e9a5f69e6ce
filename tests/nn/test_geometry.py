import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from hocbench.errors import NetworkError
from hocbench.nn.geometry import Geometry, make_geometry, pad_replicated
from tests.nn.oracles import CONVOLUTIONS, assert_same, images


def test_one_number_stands_for_all_dimensions():
    geometry = make_geometry((3, 1, 5), stride=2, padding=1, dilation=3, padding_mode="replicate")
    assert geometry == Geometry((3, 1, 5), (2, 2, 2), (1, 1, 1), (3, 3, 3), ("replicate",) * 3)
    assert geometry.order == 3


def test_each_dimension_may_have_its_own_numbers():
    options = {"stride": (1, 2), "padding": [0, 4], "dilation": (2, 1), "padding_mode": ("zeros", "replicate")}
    assert make_geometry((2, 3), **options) == Geometry((2, 3), (1, 2), (0, 4), (2, 1), ("zeros", "replicate"))


def test_same_is_dilation_times_half_the_kernel():
    assert make_geometry((1, 3, 5), dilation=(1, 2, 3)).padding == (0, 2, 6)
    assert make_geometry((7,)).padding == (3,)


def test_numbers_of_numpy_become_plain_ones():
    geometry = make_geometry((np.int64(3), np.int32(5)), stride=np.int64(2), padding=(np.int64(1), 2))
    for values in (geometry.kernel_size, geometry.stride, geometry.padding, make_geometry((np.int64(3),)).padding):
        assert {type(value) for value in values} == {int}


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_positions_out_are_those_of_torch(order):
    checked = 0
    for kernel, stride, padding, dilation, size in itertools.product((1, 2, 5), (1, 3), (0, 2), (1, 2), (1, 4, 9)):
        geometry = make_geometry((kernel,) * order, stride, padding, dilation)
        x, weight = torch.zeros(1, 1, *[size] * order), torch.zeros(1, 1, *[kernel] * order)
        if size + 2 * padding < dilation * (kernel - 1) + 1:
            with pytest.raises(NetworkError, match=f"does not fit into dimension 0 with {size} positions"):
                geometry.output_size(x.shape[2:])
            with pytest.raises(RuntimeError, match="can't be greater than actual input size"):
                CONVOLUTIONS[order](x, weight, stride=stride, padding=padding, dilation=dilation)
            continue
        y = CONVOLUTIONS[order](x, weight, stride=stride, padding=padding, dilation=dilation)
        assert geometry.output_size(x.shape[2:]) == tuple(y.shape[2:])
        checked += 1
    assert checked > 40


def test_same_padding_gives_the_input_size_over_the_stride_rounded_up():
    for kernel, stride, dilation, size in itertools.product((1, 3, 5), (1, 2, 3), (1, 2), range(1, 12)):
        assert make_geometry((kernel,), stride, "same", dilation).output_size((size,)) == (-(-size // stride),)


def test_an_empty_dimension_is_refused_even_where_padding_would_fill_it():
    with pytest.raises(NetworkError, match="dimension 1 with 0 positions and padding 2"):
        make_geometry((3, 3), padding=2).output_size((4, 0))


def test_one_dimension_alone_leaves_the_others_untouched():
    geometry = make_geometry((3, 2, 5), (1, 2, 3), (1, 0, 4), (2, 1, 3), ("replicate", "zeros", "replicate"))
    assert geometry.only(2) == Geometry((1, 1, 5), (1, 1, 3), (0, 0, 4), (1, 1, 3), ("zeros", "zeros", "replicate"))
    size = (6, 7, 8)
    for dimension in range(3):
        size = geometry.only(dimension).output_size(size)
    assert size == geometry.output_size((6, 7, 8))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_new_dimension_keeps_its_length(position):
    geometry = make_geometry((3, 2), 2, (1, 0), 2, "zeros").insert(position, 5, "replicate")
    size = [6, 7]
    size.insert(position, 4)
    expected = [2, 3]
    expected.insert(position, 4)
    assert geometry.output_size(size) == tuple(expected)
    assert (geometry.kernel_size[position], geometry.padding_mode[position]) == (5, "replicate")
    assert (geometry.stride[position], geometry.dilation[position]) == (1, 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_edges_are_repeated_where_that_is_asked_for_and_zeros_are_left_to_the_convolution(dtype):
    x = images(2, 3, 4, 5, 6).to(dtype)
    padded, left = pad_replicated(x, (1, 2, 7), ("replicate", "zeros", "replicate"))
    rows = torch.tensor([0, *range(4), 3])
    columns = torch.tensor([0] * 7 + list(range(6)) + [5] * 7)
    assert torch.equal(padded, x[:, :, rows][..., columns])
    assert left == (0, 2, 0)
    untouched, left = pad_replicated(x, (1, 2, 3), ("zeros",) * 3)
    assert untouched is x
    assert left == (1, 2, 3)


def test_an_empty_batch_is_padded_to_the_same_shape():
    padded, left = pad_replicated(torch.zeros(0, 3, 5), (2,), ("replicate",))
    assert padded.shape == (0, 3, 9)
    assert left == (0,)


def test_the_gradient_of_repeated_edges_is_summed():
    x = images(1, 1, 3).requires_grad_()
    padded, _ = pad_replicated(x, (2,), ("replicate",))
    assert_same(torch.autograd.grad(padded.sum(), x)[0], torch.tensor([[[3.0, 1, 3]]], dtype=torch.float64))
    assert torch.equal(padded, functional.pad(x, (2, 2), mode="replicate"))


@pytest.mark.parametrize("kernel", [(), (3, 3, 3, 3), (0, 3), (-1, 3), (3.0,), (True, 3), 3, "33", None], ids=repr)
def test_a_kernel_size_must_be_one_to_three_positive_numbers(kernel):
    with pytest.raises(NetworkError, match=r"kernel size .* give one to three positive numbers, for example \(3, 3\)"):
        make_geometry(kernel)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, r"stride 0 of a convolution of order 2: give a number of at least 1, or 2 of them"),
        ({"stride": (1, 2, 3)}, r"stride \(1, 2, 3\) of a convolution of order 2"),
        ({"stride": 1.5}, r"stride 1.5"),
        ({"stride": None}, r"stride None"),
        ({"dilation": (1, 0)}, r"dilation \(1, 0\) of a convolution of order 2: give a number of at least 1"),
        ({"dilation": True}, r"dilation True"),
        ({"padding": -1}, r"padding -1 of a convolution of order 2: give a number of at least 0"),
        ({"padding": (1,)}, r"padding \(1,\) of a convolution of order 2"),
        ({"padding": "valid"}, r"padding 'valid' of a convolution: give 'same', a number or one number per dimension"),
        ({"padding_mode": "reflect"}, r"padding_mode 'reflect' of a convolution: choose from zeros, replicate"),
        ({"padding_mode": ("zeros",)}, r"padding_mode \('zeros',\)"),
        ({"padding_mode": ("zeros", "circular")}, r"padding_mode \('zeros', 'circular'\)"),
        ({"padding_mode": None}, r"padding_mode None"),
    ],
    ids=str,
)
def test_numbers_that_do_not_fit_are_refused(options, message):
    with pytest.raises(NetworkError, match=message):
        make_geometry((3, 3), **options)


def test_an_even_kernel_wants_its_padding_in_numbers():
    with pytest.raises(NetworkError, match=r"kernel size \(3, 4\): padding 'same' wants odd numbers; give the padding"):
        make_geometry((3, 4))
    assert make_geometry((3, 4), padding=1).padding == (1, 1)
