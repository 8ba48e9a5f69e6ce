import pytest
import tensorly
import tltorch  # noqa: F401  (gives tensorly its torch backend)
import torch

from hocbench.nn.contraction import (
    convolve_dense,
    convolve_lead,
    convolve_planes,
    cp_kernel,
    from_planes,
    pointwise,
    to_planes,
    unit_columns,
)
from hocbench.nn.geometry import make_geometry
from tests.nn.oracles import CHANNELS_LAST, assert_same, convolve, images

CLIP = (2, 3, 4, 5, 6)
OPTIONS = {"stride": (2, 1, 3), "padding": (1, 0, 2), "dilation": (1, 2, 1)}


@pytest.mark.parametrize("sizes", [(5, 4), (5, 4, 3), (5, 4, 3, 1), (2, 3, 5, 1, 4)])
@pytest.mark.parametrize("rank", [1, 6])
def test_cp_kernel_is_the_sum_over_components(sizes, rank):
    weights, factors = images(rank), [images(size, rank) for size in sizes]
    axes = "abcde"[: len(sizes)]
    equation = f"r,{','.join(f'{axis}r' for axis in axes)}->{axes}"
    assert_same(cp_kernel(weights, factors), torch.einsum(equation, weights, *factors), 1e-14)


def test_cp_kernel_is_tensorlys():
    weights, factors = images(6), [images(size, 6) for size in (5, 4, 3, 1, 7)]
    assert_same(cp_kernel(weights, factors), tensorly.cp_to_tensor((weights, factors)), 1e-14)


@pytest.mark.parametrize("order", [2, 3])
def test_channels_last_memory_becomes_planes_and_back_without_a_copy(order):
    x = images(*CLIP[: order + 2]).contiguous(memory_format=CHANNELS_LAST[order])
    planes = to_planes(x)
    assert (planes.batch, planes.lead) == (2, 4 if order == 3 else 1)
    assert planes.values.is_contiguous(memory_format=torch.channels_last)
    back = from_planes(planes, order)
    assert torch.equal(back, x)
    assert back.data_ptr() == planes.values.data_ptr() == x.data_ptr()
    assert back.is_contiguous(memory_format=CHANNELS_LAST[order])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_planes_are_the_frames_of_each_clip_in_turn_whatever_the_memory(order):
    x = images(*CLIP[: order + 2])
    for memory in (x, x.repeat_interleave(2, dim=-1)[..., ::2], x.transpose(0, 1).contiguous().transpose(0, 1)):
        planes = to_planes(memory)
        last = {1: x[1, :, None], 2: x[1], 3: x[1, :, 3]}[order]
        assert torch.equal(planes.values[-1], last)
        assert torch.equal(from_planes(planes, order), x)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_pointwise_step_is_a_matrix_product_at_each_position(order):
    x, matrix, bias = images(*CLIP[: order + 2]), images(7, 3), images(7)
    expected = torch.einsum("oi,bi...->bo...", matrix, x)
    assert_same(from_planes(pointwise(to_planes(x), matrix), order), expected, 1e-14)
    shifted = expected + bias.reshape(7, *[1] * order)
    assert_same(from_planes(pointwise(to_planes(x), matrix, bias), order), shifted, 1e-14)


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
@pytest.mark.parametrize("taps", [1, 3, 5])
def test_a_depthwise_leading_step_slides_over_each_clip_by_itself(mode, taps):
    clip, factor = images(2, 3, 4, 2, 5), images(taps, 3)
    expected = torch.zeros_like(clip)
    for frame in range(4):
        for tap in range(taps):
            source = frame + tap - taps // 2
            if mode == "replicate":
                source = min(max(source, 0), 3)
            if 0 <= source < 4:
                expected[:, :, frame] += factor[tap][:, None, None] * clip[:, :, source]
    geometry = make_geometry((taps, 1, 1), padding_mode=mode)
    planes = convolve_lead(to_planes(clip), factor.t().unsqueeze(1), geometry, groups=3)
    assert_same(from_planes(planes, 3), expected, 1e-14)


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
def test_leading_step_and_planes_step_are_the_two_halves_of_a_dense_convolution(mode):
    clip, lead, plane = images(*CLIP), images(7, 3, 3), images(4, 7, 3, 2)
    geometry = make_geometry((3, 3, 2), padding_mode=mode, **OPTIONS)
    kernel = torch.einsum("mik,omhw->oikhw", lead, plane)
    expected = convolve(clip, kernel, padding_mode=mode, **OPTIONS)
    planes = convolve_planes(convolve_lead(to_planes(clip), lead, geometry), plane, geometry)
    assert_same(from_planes(planes, 3), expected, 1e-13)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_dense_step_lays_each_dimension_down_by_its_own_mode(order):
    x, kernel, bias = images(*CLIP[: order + 2]), images(4, 3, *(3, 2, 2)[:order]), images(4)
    options = {name: values[:order] for name, values in OPTIONS.items()}
    modes = ("replicate", "zeros", "replicate")[:order]
    geometry = make_geometry(kernel.shape[2:], padding_mode=modes, **options)
    expected = convolve(x, kernel, padding_mode=modes, bias=bias, **options)
    assert_same(convolve_dense(x, kernel, geometry, bias), expected, 1e-13)


def test_unit_columns_have_length_one_and_follow_their_generator():
    drawn = unit_columns(5, 50, torch.Generator().manual_seed(1))
    torch.testing.assert_close(drawn.norm(dim=0), torch.ones(50))
    assert torch.equal(drawn, unit_columns(5, 50, torch.Generator().manual_seed(1)))
    assert drawn.mean(1).abs().max() < 0.2
