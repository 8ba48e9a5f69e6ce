"""Memory that a layer keeps for its backward pass, and the time that keeping less costs."""

import os

import torch
from torch.profiler import ProfilerActivity, profile

from studies.speed.layers import OWN, layer_steps, make_layer
from studies.speed.measurements import KEPT, Measurement, by_shape
from studies.speed.steps import Bench, Step, drawn

GROUP, CASE = "memory", "first stage"


def measure_memory(bench: Bench) -> list[Measurement]:
    """Count the bytes that each way to compute a first-stage 3-D layer keeps, our "recompute" first, then time them.

    Raises
    ------
    BenchmarkError
        If a rival computes something else.
    """
    channels, side = bench.scale.layers(bench.scale.clip_pixels[0])[0]
    shape = (bench.scale.clips, channels, bench.scale.network_frames, side, side)
    x = drawn(shape, bench.setting.device, use="memory")
    steps = layer_steps(bench, make_layer(3, channels), x, ("recompute", *list(OWN)[:2]))
    timed = bench.compare(GROUP, CASE, steps)
    bytes_kept = [
        Measurement(bench.setting, GROUP, CASE, by_shape(shape), step.name, KEPT, (float(kept_bytes(step)),), step.note)
        for step in steps
    ]
    return [*bytes_kept, *timed]


def kept_bytes(step: Step) -> int:
    """Count the bytes alive between forward and backward pass beyond parameters and output; the input counts once.

    The step has run before, so that what torch keeps once and for all is there already.
    """
    alive, y = _forward_on_gpu(step) if step.x.is_cuda else _forward_on_cpu(step)
    return alive - y.untyped_storage().nbytes() + step.x.untyped_storage().nbytes()


def _forward_on_cpu(step: Step) -> tuple[int, torch.Tensor]:
    # The profiler reports its own starts and stops otherwise; it reads this when it is first used.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        y = step.forward()
    # Allocated minus freed, each event without those inside it.
    return sum(event.self_cpu_memory_usage for event in profiler.events() or []), y


def _forward_on_gpu(step: Step) -> tuple[int, torch.Tensor]:
    before = torch.cuda.memory_allocated()
    y = step.forward()
    return torch.cuda.memory_allocated() - before, y
