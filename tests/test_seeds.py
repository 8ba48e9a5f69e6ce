import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hocbench.seeds import derive_seed, generator

quick = settings(max_examples=60, deadline=None, derandomize=True)
roots = st.integers(0, 2**63)
axes = st.dictionaries(
    st.sampled_from(["use", "epoch", "seed", "fold"]),
    st.one_of(st.integers(), st.text(), st.floats(allow_nan=False)),
)


@quick
@given(root=roots, named=axes)
def test_a_seed_is_a_number_that_numpy_and_torch_take(root, named):
    assert 0 <= derive_seed(root, **named) < 2**63


@quick
@given(root=roots, named=axes)
def test_the_order_of_the_axes_does_not_matter(root, named):
    backwards = dict(reversed(named.items()))
    assert derive_seed(root, **named) == derive_seed(root, **backwards)


@quick
@given(root=roots, one=axes, other=axes)
def test_other_axes_give_other_seeds(root, one, other):
    # 1 and 1.0 are equal for Python, and -0.0 and 0.0 too, but they are written differently.
    same = {name: repr(value) for name, value in one.items()} == {name: repr(value) for name, value in other.items()}
    assert (derive_seed(root, **one) == derive_seed(root, **other)) == same


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"epoch": 1}, {"epoch": "1"}),
        ({"epoch": 11, "fold": 1}, {"epoch": 1, "fold": 11}),
        ({"a": "b", "c": "d"}, {"a": 'b"], ["c', "c": "d"}),
        ({"use": "split"}, {"seed": "split"}),
        ({}, {"use": ""}),
    ],
)
def test_axes_cannot_be_mistaken_for_each_other(left, right):
    assert derive_seed(7, **left) != derive_seed(7, **right)


def test_other_roots_give_other_seeds():
    assert len({derive_seed(root, use="split") for root in range(100)}) == 100


def test_seeds_stay_the_same_from_version_to_version():
    assert derive_seed(20200614, use="split", seed=0) == 4511177232282185065
    assert derive_seed(0) == 7104271284730972715


def test_generators_of_equal_axes_draw_equal_numbers():
    first, second, other = (generator(3, use="batches", epoch=epoch).random(5) for epoch in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
