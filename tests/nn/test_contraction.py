import pytest
import tensorly
import tltorch  # noqa: F401  (gives tensorly its torch backend)
import torch

from hocbench.nn.contraction import (
    clips_to_frames,
    cp_kernel,
    depthwise_temporal,
    frames_to_clips,
    prefers_reconstruction,
    unit_columns,
)
from tests.nn.oracles import assert_same, images


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


# The dense kernel has 8 · 8 · 9 = 576 entries, a component 8 + 8 + 9 + 1 = 26.
COUNTS = {"rank": 12, "in_channels": 8, "out_channels": 8, "spatial_taps": 9, "temporal_taps": 1}


def test_at_few_positions_per_component_the_kernel_is_not_rebuilt():
    assert not prefers_reconstruction(positions=48, **COUNTS)
    assert prefers_reconstruction(positions=49, **COUNTS)


def test_a_kernel_twice_as_large_as_its_components_is_not_rebuilt():
    assert prefers_reconstruction(positions=10_000, **COUNTS | {"rank": 12})
    assert not prefers_reconstruction(positions=10_000, **COUNTS | {"rank": 11})
    assert prefers_reconstruction(positions=10_000, **COUNTS | {"rank": 31, "temporal_taps": 3})
    assert not prefers_reconstruction(positions=10_000, **COUNTS | {"rank": 30, "temporal_taps": 3})


def test_clips_in_channels_last_memory_become_frames_and_clips_again_without_a_copy():
    clip = images(2, 4, 3, 5, 6).contiguous(memory_format=torch.channels_last_3d)
    frames = clips_to_frames(clip)
    assert frames.shape == (6, 4, 5, 6)
    assert frames.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(frames[4], clip[1, :, 1])
    back = frames_to_clips(frames, 3)
    assert torch.equal(back, clip)
    assert back.data_ptr() == frames.data_ptr() == clip.data_ptr()


def test_clips_in_any_memory_become_the_same_frames():
    clip = images(2, 4, 3, 5, 6)
    assert torch.equal(clips_to_frames(clip)[5], clip[1, :, 2])


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
@pytest.mark.parametrize("taps", [1, 3, 5])
def test_the_temporal_factor_slides_over_each_clip_by_itself(mode, taps):
    clip, factor = images(2, 3, 4, 2, 5), images(taps, 3)
    expected = torch.zeros_like(clip)
    for frame in range(4):
        for tap in range(taps):
            source = frame + tap - taps // 2
            if mode == "replicate":
                source = min(max(source, 0), 3)
            if 0 <= source < 4:
                expected[:, :, frame] += factor[tap][:, None, None] * clip[:, :, source]
    actual = frames_to_clips(depthwise_temporal(clips_to_frames(clip), factor, 4, mode), 4)
    assert_same(actual, expected, 1e-14)


def test_unit_columns_have_length_one_and_follow_their_generator():
    drawn = unit_columns(5, 50, torch.Generator().manual_seed(1))
    torch.testing.assert_close(drawn.norm(dim=0), torch.ones(50))
    assert torch.equal(drawn, unit_columns(5, 50, torch.Generator().manual_seed(1)))
    assert drawn.mean(1).abs().max() < 0.2
