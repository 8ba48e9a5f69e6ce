"""The bars that the suite has to clear, and whether it does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from studies.speed.measurements import DIFFERENCE, Measurement
from studies.speed.timing import Setting, Spread, ratios, spread

BARS = Path(__file__).with_name("bars.csv")
CLEARED, MISSED, ABSENT = "cleared", "missed", "not measured"
AT_LEAST, AT_MOST = "at least", "at most"

# Rounds of one method by shape.
Series = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Bar:
    """A ratio, or a difference, that must be reached.

    Attributes
    ----------
    id, what : str
        A name, and what it is in words.
    group, case : str
        Of the measurements that it is about.
    ours : str
        Our method.
    rival : tuple of str
        Methods of which the best counts; none if a difference must be small.
    pick : {"single", "each"}
        The best over all shapes together, or at each shape.
    over : {"sum", "worst"}
        Whether quantities are summed over the shapes, or the worst shape counts.
    quantity : str
        See `studies.speed.measurements`.
    direction : {"at least", "at most"}
        "at least": rival / ours must reach the bar; "at most": ours / rival, or the difference, must not exceed it.
    bar : float
        The number.
    """

    id: str
    what: str
    group: str
    case: str
    ours: str
    rival: tuple[str, ...]
    pick: str
    over: str
    quantity: str
    direction: str
    bar: float


@dataclass(frozen=True)
class Outcome:
    """What a bar came to in one setting.

    Attributes
    ----------
    bar, setting : Bar, Setting
        Which.
    status : {"cleared", "missed", "not measured"}
        By the median.
    value : Spread or None
        Median and quartiles of the ratio or difference.
    detail : str
        The rival that was best, the shape that was worst.
    """

    bar: Bar
    setting: Setting
    status: str
    value: Spread | None = None
    detail: str = ""


def read_bars() -> list[Bar]:
    """Read the bars that come with the package."""
    table = pd.read_csv(BARS, keep_default_na=False)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)]
    return [Bar(**{f.name: _field(f.name, row[f.name]) for f in fields(Bar)}) for row in rows]


def _field(name: str, value: Any) -> Any:
    if name == "rival":
        return tuple(value.split("|")) if value else ()
    return float(value) if name == "bar" else value


def evaluate_bars(
    bars: Sequence[Bar], measurements: Sequence[Measurement], settings: Sequence[Setting]
) -> list[Outcome]:
    """Judge every bar in every setting; one whose measurements are missing or incomplete is "not measured"."""
    return [_judge(bar, measurements, setting) for bar in bars for setting in settings]


def _judge(bar: Bar, measurements: Sequence[Measurement], setting: Setting) -> Outcome:
    place = (setting, bar.group, bar.case, bar.quantity)
    series: dict[str, dict[str, tuple[float, ...]]] = {}
    for m in measurements:
        if (m.setting, m.group, m.case, m.quantity) == place:
            series.setdefault(m.method, {})[m.shape] = m.values
    ours = series.get(bar.ours, {})
    rivals = {name: series.get(name, {}) for name in bar.rival}
    if not ours or any(rival.keys() != ours.keys() for rival in rivals.values()):
        return Outcome(bar, setting, ABSENT)
    if bar.quantity == DIFFERENCE:
        worst = max(ours, key=lambda shape: spread(ours[shape]).median)
        value, detail = spread(ours[worst]), ""
    else:
        best, detail = _best(bar, rivals)
        value, place_of_worst = _compare(bar, ours, best)
        detail = ", ".join(part for part in (detail, place_of_worst) if part)
    return Outcome(bar, setting, judge(value, bar.direction, bar.bar), value, detail)


def judge(value: Spread, direction: str, bar: float) -> str:
    """Compare a median with a bar, "at least" or "at most": `CLEARED` or `MISSED`."""
    return CLEARED if (value.median >= bar if direction == AT_LEAST else value.median <= bar) else MISSED


def bar_text(direction: str, bar: float) -> str:
    """Write what is wanted."""
    return f"{'≥' if direction == AT_LEAST else '≤'} {bar:g}"


def _best(bar: Bar, rivals: Mapping[str, Series]) -> tuple[dict[str, tuple[float, ...]], str]:
    """Return the best rival, and its name."""

    def total(name: str) -> float:
        return sum(spread(values).median for values in rivals[name].values())

    if bar.pick == "single":
        name = min(rivals, key=total)
        return dict(rivals[name]), name
    shapes = next(iter(rivals.values()))
    chosen = {shape: min(rivals, key=lambda name: spread(rivals[name][shape]).median) for shape in shapes}
    names = list(dict.fromkeys(chosen.values()))
    return {shape: rivals[name][shape] for shape, name in chosen.items()}, " / ".join(names)


def _compare(bar: Bar, ours: Series, rival: Series) -> tuple[Spread, str]:
    """Divide round by round: the sums over all shapes, or at the shape where the ratio is worst."""
    if bar.over == "sum":
        return spread(_ratio(bar, _sum(ours), _sum(rival))), ""
    by_shape = {shape: spread(_ratio(bar, ours[shape], rival[shape])) for shape in ours}
    pick = min if bar.direction == AT_LEAST else max
    worst = pick(by_shape, key=lambda shape: by_shape[shape].median)
    return by_shape[worst], worst


def _ratio(bar: Bar, ours: Sequence[float], rival: Sequence[float]) -> list[float]:
    return ratios(rival, ours) if bar.direction == AT_LEAST else ratios(ours, rival)


def _sum(series: Series) -> list[float]:
    """Add over the shapes, round by round; as many rounds as all have."""
    return [sum(values) for values in zip(*series.values(), strict=False)]


def outcome_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Make the tidy table of the bars: one row per bar and setting."""
    return pd.DataFrame(
        {
            "id": o.bar.id,
            "what": o.bar.what,
            "threads": o.setting.threads,
            "device": o.setting.device,
            "dtype": o.setting.dtype,
            "direction": o.bar.direction,
            "bar": o.bar.bar,
            "status": o.status,
            "median": o.value.median if o.value else None,
            "quartile_low": o.value.low if o.value else None,
            "quartile_high": o.value.high if o.value else None,
            "detail": o.detail,
        }
        for o in outcomes
    )
