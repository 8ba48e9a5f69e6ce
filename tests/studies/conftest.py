import pytest

from studies.speed.measurements import TIME, Measurement
from studies.speed.scales import SCALES
from studies.speed.steps import Bench
from studies.speed.timing import Setting
from tests.torch_state import fixed_seed, one_thread  # noqa: F401

ONE = Setting(1, "cpu")


@pytest.fixture
def bench():
    return Bench(SCALES["tiny"], ONE, 2)


def row(method, values, shape="2×4×8×8", setting=ONE, group="layers 2-D", case="224 px", quantity=TIME):
    """Make up a measurement."""
    return Measurement(setting, group, case, shape, method, quantity, tuple(values))
