"""What was measured, as rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from studies.speed.timing import Setting, ratios, spread

# Quantities and their units.
TIME, KEPT, DIFFERENCE = "time_s", "kept_bytes", "relative_difference"
LIMIT, FLOPS, BANDWIDTH = "limit_ratio", "flop_per_s", "byte_per_s"


@dataclass(frozen=True)
class Measurement:
    """One quantity of one method in one place.

    Attributes
    ----------
    setting : Setting
        Threads, device, dtype.
    group, case, shape : str
        What is measured, for example "layers 3-D", "224 px", "2×64×8×56×56". The first method of a group, case and
        shape is ours.
    method, quantity : str
        Of which method, and one of the quantities named in this module; its unit is in its name.
    values : tuple of float
        One per round.
    note : str
        Implementation or memory layout.
    """

    setting: Setting
    group: str
    case: str
    shape: str
    method: str
    quantity: str
    values: tuple[float, ...]
    note: str = ""

    @property
    def place(self) -> tuple[Setting, str, str, str, str]:
        """What measurements must have in common to be compared."""
        return (self.setting, self.group, self.case, self.shape, self.quantity)


def by_shape(shape: Sequence[int]) -> str:
    """Write a shape as text."""
    return "×".join(map(str, shape))


def ratio_to_ours(measurements: Sequence[Measurement]) -> dict[Measurement, list[float]]:
    """Divide each measurement by ours in the same place, round by round; above 1, ours is faster or smaller."""
    ours: dict[tuple, Measurement] = {}
    relative = {}
    for measurement in measurements:
        first = ours.setdefault(measurement.place, measurement)
        if measurement.quantity in (TIME, KEPT):
            relative[measurement] = ratios(measurement.values, first.values)
    return relative


def to_table(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """Make the tidy table: one row per measurement with its median and quartiles, and the ratio to ours."""
    relative = ratio_to_ours(measurements)
    rows = []
    for m in measurements:
        value = spread(m.values)
        ratio = spread(relative[m]) if m in relative else None
        rows.append(
            {
                "group": m.group,
                "case": m.case,
                "shape": m.shape,
                "method": m.method,
                "note": m.note,
                "threads": m.setting.threads,
                "device": m.setting.device,
                "dtype": m.setting.dtype,
                "quantity": m.quantity,
                "rounds": len(m.values),
                "median": value.median,
                "quartile_low": value.low,
                "quartile_high": value.high,
                "ratio_to_ours": ratio.median if ratio else None,
                "ratio_low": ratio.low if ratio else None,
                "ratio_high": ratio.high if ratio else None,
            }
        )
    return pd.DataFrame(rows)
