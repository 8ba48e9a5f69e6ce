"""Deterministic mode: what it switches, what it collects, and that it leaves no trace."""

import os
import warnings

import pytest
import torch

from hocbench.runs.diff import compare
from hocbench.training import fit
from hocbench.training.determinism import WORKSPACE, deterministic_mode
from tests.training.specs import told

TEXT = (
    "{} does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(True, "
    "warn_only=True)'. You can file an issue at https://github.com/pytorch/pytorch/issues to help us prioritize "
    "adding deterministic support for this operation. (Triggered internally at Context.cpp:186.)"
)


def state():
    return {
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "cudnn": torch.backends.cudnn.deterministic,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "matmul_tf32": torch.backends.cuda.matmul.allow_tf32,
        "precision": torch.get_float32_matmul_precision(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "workspace": os.environ.get(WORKSPACE[0]),
        "filters": [*warnings.filters],
        "show": warnings.showwarning,
    }


def put():
    """Call an operation that torch has in no deterministic form, not even on a CPU."""
    torch.zeros(4).put_(torch.tensor([0]), torch.tensor([1.0]))


def warn(*operations):
    for operation in operations:
        warnings.warn(TEXT.format(operation), UserWarning, stacklevel=1)


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """With the first call torch loads a package that adds a filter of warnings for good."""
    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())


@pytest.fixture
def careless():
    """Settings of a process that wants speed, other than torch's defaults."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    os.environ[WORKSPACE[0]] = ":0:0"
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.benchmark = before[1]


def check_on(inside, warn_only):
    assert (inside["algorithms"], inside["warn_only"], inside["cudnn"]) == (True, warn_only, True)
    assert not any(inside[key] for key in ("benchmark", "cudnn_tf32", "matmul_tf32", "fill"))
    assert (inside["precision"], inside["workspace"]) == ("highest", ":4096:8")


@pytest.mark.parametrize("warn_only", [False, True])
def test_everything_is_on_inside_and_as_before_behind(warn_only):
    os.environ.pop(WORKSPACE[0], None)
    before = state()
    with deterministic_mode(warn_only):
        check_on(state(), warn_only)
    assert state() == before


def test_a_careless_process_gets_its_settings_back(careless):
    before = state()
    assert before["matmul_tf32"] and before["benchmark"]
    with deterministic_mode():
        check_on(state(), torch.cuda.is_available())
    assert state() == before


def test_an_error_inside_leaves_no_trace():
    before = state()
    with pytest.raises(ZeroDivisionError), deterministic_mode():
        raise ZeroDivisionError
    assert state() == before


def test_blocks_can_be_nested():
    with deterministic_mode(warn_only=True) as outer:
        with deterministic_mode(warn_only=True) as inner:
            put()
        check_on(state(), True)
        warn("cumsum_cuda_kernel")
    assert inner == {"put_"}
    assert outer == {"cumsum_cuda_kernel"}


def test_the_operations_without_a_deterministic_form_are_named_once(caplog):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with deterministic_mode(warn_only=True) as operations:
            for _ in range(3):
                put()
                warn("max_pool3d_with_indices_backward_cuda", "histogram with uint8 input")
    assert operations == {"put_", "max_pool3d_with_indices_backward_cuda", "histogram with uint8 input"}
    assert shown == []
    assert len(caplog.records) == 3
    assert caplog.messages[0] == "put_ has no deterministic implementation on this device; the manifest lists it"


def test_a_second_run_of_a_process_collects_the_same():
    found = []
    for _ in range(2):
        with deterministic_mode(warn_only=True) as operations:
            put()
        found.append(operations)
    assert found == [{"put_"}, {"put_"}]


@pytest.mark.parametrize("action", ["ignore", "error"])
def test_filters_of_the_caller_do_not_hide_operations(action):
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with deterministic_mode(warn_only=True) as operations:
            put()
    assert operations == {"put_"}


def test_backward_passes_are_watched_too():
    x = torch.randn(2, 4, requires_grad=True)

    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.clone()

        @staticmethod
        def backward(context, gradient):
            put()
            return gradient

    with deterministic_mode(warn_only=True) as operations:
        Backward.apply(x).sum().backward()
    assert operations == {"put_"}


def test_other_warnings_pass_unchanged():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with deterministic_mode(warn_only=True) as operations:
            warnings.warn("about something else", UserWarning, stacklevel=1)
            warnings.warn(TEXT.format("add_"), DeprecationWarning, stacklevel=1)
            warnings.warn("add_ will go", FutureWarning, stacklevel=1)
    assert operations == set()
    assert [warning.category for warning in shown] == [UserWarning, DeprecationWarning, FutureWarning]
    assert str(shown[0].message) == "about something else"
    assert shown[0].filename == __file__


def test_on_a_cpu_such_an_operation_fails():
    with pytest.raises(RuntimeError, match="put_ does not have a deterministic"), deterministic_mode(warn_only=False):
        put()


def test_training_on_a_cpu_needs_none_of_them():
    network = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.BatchNorm3d(4), torch.nn.MaxPool3d(2))
    with deterministic_mode(warn_only=True) as operations:
        network(torch.randn(2, 3, 6, 8, 8)).mean().backward()
    assert operations == set()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_float32_means_float32_on_a_gpu():
    a = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    with deterministic_mode():
        product = (a.cuda() @ a.cuda()).cpu()
    assert (product.double() - a.double() @ a.double()).abs().max() < 1e-4


def test_manifests_of_real_runs_explain_themselves(laboratory, tmp_path):
    run = laboratory.plan("static", "affectnet")
    first = laboratory.fit(run)
    repeated = compare(first, laboratory.fit(run, tmp_path / "again"))
    assert set(repeated.outputs.values()) == {True}
    assert repeated.reasons == ()
    assert repeated.a.values["nondeterministic"] == []
    spec = told(run.spec, learning_rate=run.spec.training.steps.learning_rate / 2)
    fit(spec, laboratory.crops["affectnet"], None, tmp_path / "slower")
    slower = compare(first, tmp_path / "slower")
    assert slower.differ
    assert [group.name for group, _ in slower.reasons] == ["parameters"]
