import pytest
import torch

from hocbench.bench.measurements import TIME, Measurement
from hocbench.bench.scales import SCALES
from hocbench.bench.steps import Bench
from hocbench.bench.timing import Setting

ONE = Setting(1, "cpu")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(20)


@pytest.fixture
def bench():
    return Bench(SCALES["tiny"], ONE, 2)


def row(method, values, shape="2×4×8×8", setting=ONE, group="layers 2-D", case="224 px", quantity=TIME):
    """Make up a measurement."""
    return Measurement(setting, group, case, shape, method, quantity, tuple(values))
