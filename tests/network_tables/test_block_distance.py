import pytest
import torch

from hocbench.errors import NetworkError
from hocbench.network_tables.block_distance import block_distance
from hocbench.nn.special_cases import BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_distances_are_zero_where_the_special_case_holds_and_large_elsewhere(block):
    exact = [block_distance(block, "none", False, [1, 2]), block_distance(block, "first", True, [1, 2])]
    assert all(difference < 1e-13 for distance in exact for difference in distance.differences)
    linear, with_psi = (block_distance(block, "both", psi, [1, 2, 3]) for psi in (False, True))
    assert min(linear.differences) > max(with_psi.differences) > min(with_psi.differences) > 0.3
    assert max(linear.differences) < 2**0.5
    assert len(set(linear.differences)) == 3


@pytest.mark.parametrize(("block", "rank"), [("bottleneck", (64, 64, 3, 3)), ("inverted residual", 3 * 144)])
def test_distances_depend_on_their_seeds_alone(block, rank):
    first = block_distance(block, "both", True, [5, 6])
    state = torch.get_rng_state()
    torch.manual_seed(99)
    assert block_distance(block, "both", True, [5, 6]) == first
    assert block_distance(block, "both", True, [6]).differences == first.differences[1:]
    assert first.rank == rank
    torch.set_rng_state(state)
    block_distance(block, "both", True, [5])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("block", "kept"), [("basic", "both"), ("bottleneck", "second")])
def test_an_unknown_block_or_activation_is_refused_with_the_known_ones(block, kept):
    with pytest.raises(
        NetworkError, match=rf"'{block}' \(bottleneck or inverted residual\) .* '{kept}' \(none, first, both\)"
    ):
        block_distance(block, kept, False, [0])
