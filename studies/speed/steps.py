"""Training and inference steps that can be timed, checked against each other first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hocbench.errors import BenchmarkError
from hocbench.nn.implementation import elapsed
from hocbench.seeds import derive_seed
from studies.speed.measurements import TIME, Measurement, by_shape
from studies.speed.scales import SEED, Scale
from studies.speed.timing import Setting, interleave

CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
# Share of the norm by which two ways to compute the same may differ in float32. Rounding gives 1e-6 in a layer; in a
# deep network it flips a ReLU now and then, which changes gradients by 1e-3. A fault changes half of the numbers.
TOLERANCE = 1e-2


class Step:
    """A forward pass, and a backward pass from a fixed random gradient, which is that of a linear scalar loss.

    Parameters
    ----------
    name : str
        The method.
    module : module
        In the mode that it is to be timed in.
    x : Tensor
        The input, in the memory layout that it is to be timed in.
    setting : Setting
        Device and dtype.
    wanted : mapping of str to Tensor
        What gradients are computed of; none for inference. Tensors of one name in two steps have the same gradient.
    same : bool
        Whether it computes what the first of the steps compared does.
    note : str
        For the reader.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        x: Tensor,
        setting: Setting,
        wanted: Mapping[str, Tensor] | None = None,
        *,
        same: bool = True,
        note: str = "",
    ) -> None:
        self.name, self.module, self.x, self.setting = name, module, x, setting
        self.wanted, self.same, self.note = dict(wanted or {}), same, note
        self._slope: Tensor | None = None

    def forward(self) -> Tensor:
        """Return the output."""
        with self.setting.autocast(), torch.set_grad_enabled(bool(self.wanted)):
            return self.module(self.x)

    def slopes(self, y: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of what is wanted."""
        if not self.wanted:
            return ()
        if self._slope is None or self._slope.dtype != y.dtype:
            random = drawn(y.shape, y.device, use="slope")
            self._slope = torch.empty_like(y).copy_(random)
        return torch.autograd.grad(y, list(self.wanted.values()), self._slope)

    def run(self) -> None:
        """Compute one step."""
        self.slopes(self.forward())


def drawn(shape: Sequence[int], device: torch.device | str, **axes: str | int) -> Tensor:
    """Draw normal numbers; the same for the same axes."""
    generator = torch.Generator().manual_seed(derive_seed(SEED, **axes))
    return torch.randn(*shape, generator=generator).to(device)


@contextmanager
def seeded(**axes: str | int) -> Iterator[None]:
    """Initialise modules inside from a derived seed, and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(SEED, **axes))
        yield


def leaf(x: Tensor, layout: torch.memory_format) -> Tensor:
    """Copy an input into a memory layout, so that its gradient can be asked for."""
    return x.detach().clone(memory_format=layout).requires_grad_()


def quicker_layout(make: Callable[[torch.memory_format], Step], order: int) -> tuple[Step, torch.memory_format]:
    """Make a step in the memory layout in which it runs faster, by one run of each after one to warm up."""
    layouts = (torch.contiguous_format, CHANNELS_LAST[order])
    steps = [make(layout) for layout in layouts]
    for step in steps:
        step.run()
    times = [elapsed(step.run, step.x.device) for step in steps]
    best = times.index(min(times))
    return steps[best], layouts[best]


@dataclass(frozen=True)
class Bench:
    """What all groups of measurements need to know: sizes, threads, device and dtype, and runs of each step."""

    scale: Scale
    setting: Setting
    rounds: int

    def compare(self, group: str, case: str, steps: Sequence[Step]) -> list[Measurement]:
        """Check that steps agree, then time them in turn; the first is ours.

        Raises
        ------
        BenchmarkError
            If one computes something else; see `check_agreement`.
        """
        shape = by_shape(steps[0].x.shape)
        check_agreement(steps, f"{group}, {case}, {shape}")
        if self.setting.dtype != "float32":
            for step in steps:
                step.run()
        times = interleave({step.name: step.run for step in steps}, steps[0].x.device, self.rounds)
        return [
            Measurement(self.setting, group, case, shape, step.name, TIME, times[step.name], step.note)
            for step in steps
        ]


def check_agreement(steps: Sequence[Step], place: str) -> None:
    """Run each step once, in float32, and refuse to go on unless outputs and gradients of one name are the same.

    BatchNorm uses its running statistics meanwhile: those of a batch would magnify rounding errors a thousand times.
    Steps that are not the ``same`` must have outputs of the same shape.

    Raises
    ------
    BenchmarkError
        Naming the step that differs from the first one.
    """
    expected: dict[str, Tensor] = {}
    output = torch.empty(0)
    for step in steps:
        y, slopes = _exact_results(step)
        if step is steps[0]:
            output, expected = y, slopes
        if y.shape != output.shape:
            raise BenchmarkError(
                f"{place}: {step.name} gives {by_shape(y.shape)}, {steps[0].name} gives {by_shape(output.shape)}; "
                "nothing was timed"
            )
        if not step.same:
            continue
        shared = [name for name in slopes if name in expected]
        differences = {"output": relative_difference([y], [output])}
        if shared:
            pairs = [slopes[name] for name in shared], [expected[name] for name in shared]
            differences["gradients"] = relative_difference(*pairs)
        for what, difference in differences.items():
            if not difference <= TOLERANCE:  # NaN too
                raise BenchmarkError(
                    f"{place}: {step.name} and {steps[0].name} do not compute the same: {what} differ by "
                    f"{difference:.1e} of their norm (allowed: {TOLERANCE:g}); nothing was timed. Find the fault "
                    "in one of the two before you compare their speed"
                )


def _exact_results(step: Step) -> tuple[Tensor, dict[str, Tensor]]:
    """Return output and gradients with BatchNorm in evaluation mode, without TF32, whatever the setting."""
    modes = [(module, module.training) for module in step.module.modules()]
    short = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    step.module.eval()
    try:
        with torch.set_grad_enabled(bool(step.wanted)):
            y = step.module(step.x)
        return y.detach(), dict(zip(step.wanted, step.slopes(y), strict=True))
    finally:
        torch.backends.cudnn.allow_tf32 = short
        for module, mode in modes:
            module.training = mode


def relative_difference(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return ``‖a - e‖ / ‖e‖`` over several tensors; 0 for equal ones."""
    apart = sum((a.double() - e.double()).square().sum().item() for a, e in zip(actual, expected, strict=True))
    size = sum(e.double().square().sum().item() for e in expected)
    return 0.0 if apart == 0 else (apart / size) ** 0.5 if size else float("inf")
