"""Datasets by the names and the places of their adapters."""

import pytest

from hocbench.config.datasets import OwnEntry
from hocbench.experiment.catalog import make_catalog
from hocbench.experiment.records import BUILT_IN


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_a_built_in_adapter_named_by_its_place_makes_the_same_dataset(name):
    known = BUILT_IN[name]
    entry = OwnEntry.model_construct(adapter=known.adapter, title=None, control_of=None)
    assert make_catalog({name: entry}) == {name: known}
