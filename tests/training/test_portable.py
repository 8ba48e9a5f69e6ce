"""Portable arithmetic: what `hocbench fit` does to weights and manifests, and that no step asks for roots and the like.

MKL approximates these functions, and otherwise on one type of CPU than on another, whatever it is told.
"""

import json
import os
import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hocbench.arithmetic import PORTABLE, has_instructions
from hocbench.files.checksums import file_hash
from tests.training.test_stages import planned

# ATen hands these to MKL's vector mathematics, or may in another build; `pow` may end in `sqrt`.
VECTOR_MATHEMATICS = {
    *("sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "pow", "std", "std_mean"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "erf", "erfc", "erfinv", "lgamma"),
}
STEPS = ("hocbench.training.loop", "hocbench.training.predict")
KINDS = ("static", "static dense", "lasso", "joint lasso", "scratch dense")
BYTES = ("weights.safetensors", "history.csv", "predictions.parquet", "network.json")


def approximated(operation, arguments):
    """Whether an operation of ATen is one of those, whatever its form."""
    name = operation.overloadpacket.__name__.removeprefix("_foreach_").removesuffix("_")
    if name == "pow":
        return not (isinstance(arguments[1], int | float) and float(arguments[1]).is_integer())
    return name in VECTOR_MATHEMATICS


class Watch(TorchDispatchMode):
    """Notes the operations of steps and predictions, those that are approximated apart."""

    def __init__(self):
        super().__init__()
        self.seen, self.approximated = set(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if self._in_a_step():
            self.seen.add(func.overloadpacket.__name__)
            if approximated(func, args):
                self.approximated.add(str(func))
        return func(*args, **(kwargs or {}))

    @staticmethod
    def _in_a_step():
        # Of a CPU the backward pass runs in the same thread.
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_globals.get("__name__") in STEPS:
                return True
            frame = frame.f_back
        return False


def test_the_watch_sees_roots_in_every_form():
    x, aten = torch.rand(8), torch.ops.aten
    for operation in (aten.sqrt.default, aten.sqrt_.default, aten._foreach_sqrt.default):
        assert approximated(operation, (x,))
    assert approximated(aten.pow.Tensor_Scalar, (x, 0.5))
    assert not approximated(aten.pow.Tensor_Scalar, (x, 2.0))
    assert not approximated(aten.rsqrt.default, (x,))


def test_the_watch_tells_steps_from_beginnings():
    with Watch() as watch:
        torch.rand(4).sqrt()
    assert watch.seen == set()
    with Watch() as watch:
        exec("torch.ones(4, requires_grad=True).sqrt().sum().backward()", {"torch": torch, "__name__": STEPS[0]})
    assert watch.approximated == {"aten.sqrt.default"}
    assert "div" in watch.seen  # of the backward pass


@pytest.mark.parametrize("name", KINDS)
def test_no_step_and_no_prediction_takes_an_approximated_function(laboratory, tmp_path, name):
    run = planned(laboratory, name)
    if run.parent:
        laboratory.fit(run.parent)
    with Watch() as watch:
        laboratory.fit(run, tmp_path / "run")
    assert watch.seen >= {"convolution_backward", "native_batch_norm_backward", "_fused_adamw_", "rsqrt"}
    assert watch.approximated == set()


def fit(laboratory, out, determinism, **variables):
    """Call the command as the workflow does, with these variables alone; return its manifest and its files."""
    run = planned(laboratory, "static dense")
    spec = run.spec.model_copy(update={"determinism": determinism})
    environment = {name: value for name, value in os.environ.items() if name not in PORTABLE}
    environment |= {"HOCBENCH_TRACKING": "off"} | variables
    command = [sys.executable, "-m", "hocbench", "fit", str(out), "--spec", spec.text()]
    command += ["--crops", str(laboratory.crops["affectnet"])]
    done = subprocess.run(command, cwd=out.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((out / "manifest.json").read_text())
    return manifest["environment"], {name: file_hash(out / name) for name in BYTES}


@pytest.fixture(scope="module")
def portable(laboratory, tmp_path_factory):
    return fit(laboratory, tmp_path_factory.mktemp("portable") / "run", "portable")


@pytest.mark.skipif(not has_instructions(), reason="without AVX2 nothing is asked for")
def test_portable_is_what_the_variables_say_and_no_more(laboratory, tmp_path, portable):
    environment, files = portable
    assert environment["instructions"].items() >= PORTABLE.items()
    assert environment["torch"]["cpu_capability"] == "AVX2"
    assert fit(laboratory, tmp_path / "run", "native", **PORTABLE) == (environment, files)


def test_native_is_recorded_and_rounds_as_the_cpu_does(laboratory, tmp_path, portable):
    environment, files = fit(laboratory, tmp_path / "run", "native")
    assert not PORTABLE.keys() & environment["instructions"].keys()
    if environment["torch"]["cpu_capability"] != "AVX512":
        pytest.skip("without AVX-512 native arithmetic may round as portable arithmetic does")
    assert files["weights.safetensors"] != portable[1]["weights.safetensors"]
    assert files["predictions.parquet"] != portable[1]["predictions.parquet"]
