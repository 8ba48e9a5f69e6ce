"""speed.md: the bars first, then the ratios of every group."""

import os
from collections.abc import Sequence
from importlib.metadata import version

import torch

from hocbench.reporting.pages import Block, Bullets, Heading, Page, Table
from hocbench.runs.environment import environment
from studies.speed.bars import CLEARED, MISSED, Outcome, bar_text
from studies.speed.layers import MEASURED, OWN, RULE
from studies.speed.measurements import DIFFERENCE, KEPT, LIMIT, TIME, Measurement, ratio_to_ours
from studies.speed.scales import Scale
from studies.speed.timing import HOPELESS, Setting, ratios, spread, spread_text

# Fewer give no median to rely on.
ENOUGH_ROUNDS = 5
TITLES = {
    "layers 2-D": "2-D layers, forward and backward",
    "layers 3-D": "3-D layers, forward and backward",
    "networks": "ResNet-18, training step",
    "temporal step": "ResNet-18, step of the temporal stage",
    "compaction": "ResNet-18 with SYNTHETIC zeros, compacted",
    "inference": "ResNet-18, exported for inference",
    "memory": "Memory kept for the backward pass, and time",
}


def describe_speed(
    scale: Scale,
    rounds: int,
    settings: Sequence[Setting],
    measurements: Sequence[Measurement],
    outcomes: Sequence[Outcome],
) -> Page:
    """Write the readable report on all measurements in their order, and every bar in every setting."""
    blocks = [_facts(scale, rounds, settings), Heading("Bars"), *_bars(scale, rounds, outcomes)]
    for group, title in TITLES.items():
        rows = [m for m in measurements if m.group == group]
        if rows:
            blocks += [Heading(title), *_group(rows, settings)]
        if group.startswith("layers"):
            blocks += _rule(rows, settings)
    return Page("Speed", blocks)


def _facts(scale: Scale, rounds: int, settings: Sequence[Setting]) -> Bullets:
    machine = environment()
    gpu = any(setting.device == "cuda" for setting in settings)
    processor = torch.cuda.get_device_name() if gpu else machine["processor"]
    clock = "time between CUDA events" if gpu else "CPU time, all threads together"
    lines = [
        f"processor: {processor}, {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} CPU cores",
        f"torch {machine['packages']['torch']}, tensorly-torch {version('tensorly-torch')}, Python {machine['python']}",
        f"settings: {'; '.join(map(str, settings))}",
        f"scale {scale.name}: width {scale.width}, batches of {scale.images} images or {scale.clips} clips, "
        f"{scale.frames} frames per clip in layers and {scale.network_frames} in networks",
        f"{clock}; all methods of a table in one process, in turn; rounds: {rounds}, after one to warm up (one for "
        f"what is {HOPELESS} times slower than ours); outputs and gradients were compared before",
        "on Linux the process keeps freed memory, as training does, so that no method pays for page faults",
        "inputs of layers: ours channels-last, as our networks hand them on; those of tensorly-torch's chains "
        "contiguous, because they copy any other layout; those of dense convolutions in the layout that was faster",
        "an inflated network has the layers of a dense 3-D one, so they are measured once; a (2+1)-D layer is its "
        "two convolutions alone, while its network has BatchNorm and ReLU between them",
        "ratios are a rival's time by ours, round by round: median (quartiles); above 1, ours is faster. Seconds are "
        "in speed.csv; they hold for this machine only",
    ]
    return Bullets(lines)


def _bars(scale: Scale, rounds: int, outcomes: Sequence[Outcome]) -> list[Block]:
    if scale.name != "paper":
        return [f"The bars hold for scale paper only; at scale {scale.name} none is judged."]
    judged = [o for o in outcomes if o.value]
    missed = [o for o in judged if o.status == MISSED]
    absent = len(outcomes) - len(judged)
    cleared = sum(o.status == CLEARED for o in outcomes)
    blocks: list[Block] = [f"{cleared} of {len(outcomes)} cleared, {len(missed)} missed, {absent} not measured."]
    if rounds < ENOUGH_ROUNDS:
        blocks.append(f"**Rounds: {rounds}. Below {ENOUGH_ROUNDS} this is a trial, not a measurement.**")
    if missed:
        texts = [f"**missed**: {o.bar.what} ({o.setting}): {_value(o)}, {_wanted(o)}" for o in missed]
        blocks.append(Bullets(texts))
    rows = [[o.bar.what, str(o.setting), _wanted(o), _value(o), o.status, o.detail] for o in outcomes]
    blocks.append(Table(["bar", "setting", "wanted", "measured", "", "against / at"], rows))
    return blocks


def _wanted(outcome: Outcome) -> str:
    return bar_text(outcome.bar.direction, outcome.bar.bar)


def _value(outcome: Outcome) -> str:
    if outcome.value is None:
        return "—"
    if outcome.bar.quantity == DIFFERENCE:
        return f"{outcome.value.median:.1e}"
    return spread_text(outcome.value, 3)


def _group(measurements: Sequence[Measurement], settings: Sequence[Setting]) -> list[Block]:
    """Write one table per quantity: a row per case, shape and method, a column per setting."""
    relative = ratio_to_ours(measurements)
    blocks: list[Block] = []
    for quantity, title in ((TIME, "time by ours"), (KEPT, "bytes by ours"), (LIMIT, "limit of dense by ours")):
        texts: dict[tuple[str, str, str], dict[Setting, str]] = {}
        for m in measurements:
            if m.quantity == quantity and m.method != RULE:
                text = spread_text(spread(relative.get(m, m.values)))
                note = f", {m.note}" if m.note and m in relative else ""
                texts.setdefault((m.case, m.shape, m.method), {})[m.setting] = text + note
        rows = [[*key, *(cells.get(setting, "—") for setting in settings)] for key, cells in texts.items()]
        if rows:
            blocks.append(Table(["case", "input", f"method: {title}", *map(str, settings)], rows))
    return blocks


def _rule(measurements: Sequence[Measurement], settings: Sequence[Setting]) -> list[Block]:
    """Compare the implementation of the rule, and the measured one, with the best of each layer."""
    rows = []
    for setting in settings:
        cases = dict.fromkeys((m.case, m.shape) for m in measurements if m.setting == setting)
        for case, shape in cases:
            here = {m.method: m for m in measurements if (m.setting, m.case, m.shape) == (setting, case, shape)}
            best = min((here[name] for name in OWN.values() if name in here), key=lambda m: spread(m.values).median)
            chosen = [here[name] for name in (MEASURED, RULE)]
            cells = [f"{spread_text(spread(ratios(m.values, best.values)))}, {m.note}" for m in chosen]
            rows.append([case, shape, str(setting), *cells])
    header = ["case", "input", "setting", "measured path: time by the best path's", "rule: time by the best path's"]
    return [Table(header, rows)] if rows else []
