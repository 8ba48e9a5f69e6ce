"""What each cell of the tables cost: hours, memory, throughput."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from hocbench.experiment.description import KEY_COLUMNS, Description, RowKey
from hocbench.reporting.markdown import escape, records
from hocbench.reporting.pages import Page, Table
from hocbench.reporting.text import number

ALL_RUNS = "all runs"
NUMBERS = (
    *("runs", "cpu_h", "cpu_h_with_start", "gpu_h", "gpu_h_with_start", "peak_memory_mib", "peak_gpu_memory_mib"),
    *("samples_per_s", "waiting_share", "parameters"),
)
COST_COLUMNS = [*KEY_COLUMNS, *NUMBERS, "label"]


def cost_table(costs: pd.DataFrame, description: Description) -> pd.DataFrame:
    """Add up what the runs of each table cell cost.

    Parameters
    ----------
    costs : DataFrame
        ``costs.csv`` of an evaluation, a row per run.
    description : Description
        Rows that must be shown.

    Returns
    -------
    DataFrame
        `COST_COLUMNS`, a row per cell and a last one for all runs. runs is seeds × folds, 0 where none is finished;
        hours are those of the cell's runs and, in the columns ``_with_start``, of all that these start from too
        (NaN if one of them was not evaluated); memory is the largest of a run; samples_per_s the median over runs
        that took steps; waiting_share the part of their step time in which they waited for data. A cell with a moving
        average shows the runs whose outputs are averaged.
    """
    groups = {RowKey.read(records(runs)[0]): runs for _, runs in costs.groupby(list(KEY_COLUMNS), sort=False)}
    by_run = costs.drop_duplicates("run").set_index("run")
    rows = []
    for key in dict.fromkeys([*description.rows, *groups]):
        source = replace(key, method=description.methods[key.method].averages or key.method)
        runs = groups.get(source, costs.iloc[:0])
        hours = _hours(runs["run"], by_run) if len(runs) else {}
        rows.append(vars(key) | _sum_up(runs) | hours)
    nothing = dict.fromkeys(KEY_COLUMNS, "") | {"lasso": np.nan, "parameters": np.nan}
    total = _sum_up(costs) | nothing | {"dataset": ALL_RUNS}
    total |= {f"{unit}_h_with_start": total[f"{unit}_h"] for unit in ("cpu", "gpu")}
    return pd.DataFrame([*rows, total], columns=COST_COLUMNS)


def _sum_up(runs: pd.DataFrame) -> dict[str, Any]:
    """Sum up the runs of one cell; a single value per column."""
    if runs.empty:
        return dict.fromkeys(NUMBERS, np.nan) | {"runs": 0, "label": ""}
    rates = runs.loc[runs["steps_s"] > 0, "samples_per_s"]
    steps = float(runs["steps_s"].sum())
    return {
        "runs": len(runs),
        "cpu_h": _sum(runs["training_cpu_s"]) / 3600,
        "gpu_h": _sum(runs["gpu_s"]) / 3600,
        "peak_memory_mib": runs["peak_memory_mib"].max(),
        "peak_gpu_memory_mib": runs["peak_gpu_memory_mib"].max(),
        "samples_per_s": rates.median(),
        "waiting_share": float(runs["waiting_s"].sum()) / steps if steps else np.nan,
        "parameters": runs["parameters"].median(),
        "label": " and ".join(sorted(set(runs["label"]))),
    }


def _sum(values: pd.Series) -> float:
    """Sum, which is unknown if one of the values is."""
    return float(values.astype(float).sum(skipna=False))


def _hours(runs: pd.Series, by_run: pd.DataFrame) -> dict[str, float]:
    """Add up runs and all that they start from, each once."""
    needed = set(runs)
    waiting = list(needed)
    while waiting:
        name = waiting.pop()
        parent = str(by_run.loc[name, "parent"]) if name in by_run.index else ""
        if parent and parent not in needed:
            needed.add(parent)
            waiting.append(parent)
    # One that was not evaluated makes the sum unknown.
    whole = by_run.reindex(sorted(needed))
    return {"cpu_h_with_start": _sum(whole["training_cpu_s"]) / 3600, "gpu_h_with_start": _sum(whole["gpu_s"]) / 3600}


def cost_page(costs: pd.DataFrame, table: pd.DataFrame, description: Description) -> Page:
    """Write the page of costs.

    Parameters
    ----------
    costs : DataFrame
        ``costs.csv`` of an evaluation.
    table : DataFrame
        See `cost_table`.
    description : Description
        The profile, and what methods are called.
    """
    synthetic = sorted(set(costs.loc[costs["label"] == "synthetic", "dataset"]))
    again = int((costs["attempts"] > 1).sum())
    caption = (
        (f"**SYNTHETIC data: {', '.join(synthetic)}.** " if synthetic else "")
        + f"Profile {escape(description.profile)}, as measured in the runs; times differ from machine to machine and "
        "from day to day. Hours are sums over the runs of a row (seeds × folds): training, validation and predictions, "
        'without the seconds in which a job loads its programs. "With start" adds the runs that they start from, in '
        'full in each row although rows share them; the row "all runs" counts every run once. A moving average uses '
        "the runs of the row that it averages and costs nothing more. Memory is the largest of a run, samples are "
        "images or clips learned from, the median over runs; waiting is the share of step time in which a run waited "
        "for its batch. A dash: no such number, as the throughput of a row without training."
    )
    if again:
        caption += f" {again} run(s) were stopped and went on; all their attempts are counted."
    ablated = bool((table["ablation"] != "").any())
    header = [
        *("dataset", "method", "rank", "LASSO", *(["ablation"] if ablated else []), "runs", "CPU, h"),
        *("CPU with start, h", "GPU, h", "GPU with start, h", "peak memory, MiB", "peak GPU memory, MiB"),
        *("samples/s", "waiting, %", "parameters"),
    ]
    lines = [_line(row, description, ablated) for row in records(table)]
    keys = [RowKey.read(row) if row["method"] else None for row in records(table)]
    return Page("Cost", [caption, Table(header, lines, keys)])


def _line(row: dict[str, Any], description: Description, ablated: bool) -> list[str]:
    method = escape(description.title(RowKey.read(row))) if row["method"] else "-"
    names = [row["dataset"], method, escape(row["rank"]) or "-", number(row["lasso"], "g")]
    names += [escape(row["ablation"]) or "-"] if ablated else []
    if not row["runs"]:
        return [*names, *["missing"] * len(NUMBERS)]
    gpu_memory = row["peak_gpu_memory_mib"] or np.nan
    return [
        *names,
        str(row["runs"]),
        *(show_hours(row[key]) for key in ("cpu_h", "cpu_h_with_start", "gpu_h", "gpu_h_with_start")),
        *(number(value, ",.0f") for value in (row["peak_memory_mib"], gpu_memory, row["samples_per_s"])),
        number(100 * row["waiting_share"], ".1f"),
        number(row["parameters"], ",.0f"),
    ]


def show_hours(hours: float) -> str:
    """Write hours with two significant digits at least; those of a small run are a thousandth.

    >>> show_hours(0.00123), show_hours(3.14), show_hours(1234.56), show_hours(0)
    ('0.0012', '3.1', '1,234.6', '0')
    """
    if pd.isna(hours):
        return "-"
    return f"{hours:,.1f}" if hours >= 9.95 else np.format_float_positional(float(f"{hours:.2g}"), trim="-")
