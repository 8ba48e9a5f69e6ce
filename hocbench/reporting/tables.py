"""Paper-style tables from the result tables of an evaluation, as Markdown, HTML and CSV."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.datasets.contract import NO_CROP
from hocbench.evaluation import METRICS, TARGETS, read_table
from hocbench.reporting.cost import cost_page, cost_table, is_outdated, outdated_page
from hocbench.reporting.markdown import STATUS_NOTE, markdown_table, records, write_page
from hocbench.reporting.ranks import rank_page, rank_report

TITLES = {"affectnet": "AffectNet (still images)", "sewa": "SEWA (video chats)", "afew_va": "AFEW-VA (film clips)"}
POOLINGS = {"pooled": "Pooled over all test frames", "per_video": "Mean of the scores of each video"}


def write_tables(evaluation: Path, out: Path, expected: list[dict[str, Any]], setting: dict[str, Any]) -> None:
    """Write all tables that follow from results alone; `hocbench.counting` writes the others.

    Parameters
    ----------
    evaluation : Path
        Folder written by `hocbench.evaluation.evaluate`.
    out : Path
        Receives ``<name>.md``, ``.html`` and ``.csv``.
    expected : list of dict
        Rows that must be shown, with dataset, method, rank and lasso; one that has no score is printed as missing.
    setting : dict
        profile, width, crop_size (by dataset) and rank, for the captions.
    """
    intervals = read_table(evaluation / "intervals.csv")
    counts = read_table(evaluation / "counts.csv")
    history = read_table(evaluation / "history.csv")
    out.mkdir(parents=True, exist_ok=True)
    for name in TITLES:
        rows = [row for row in expected if row["dataset"] == name]
        own = intervals[intervals["dataset"] == name]
        page = score_page(name, rows, own, counts[counts["dataset"] == name], setting)
        write_page(out / name, page + unconverged_note(history[history["dataset"] == name]), own)
    differences = read_table(evaluation / "differences.csv")
    write_page(out / "differences", difference_page(differences, setting), differences)
    sparsity = read_table(evaluation / "sparsity.csv")
    ranks = rank_report(sparsity)
    write_page(out / "ranks", rank_page(ranks, setting), ranks)
    costs = read_table(evaluation / "costs.csv")
    if is_outdated(costs):
        write_page(out / "cost", outdated_page(), costs)
    else:
        cost = cost_table(costs, expected)
        write_page(out / "cost", cost_page(costs, cost, setting), cost)


def unconverged_note(history: pd.DataFrame) -> str:
    """Name the methods that may need more epochs: in some run the last epoch was the best on validation.

    Parameters
    ----------
    history : DataFrame
        ``history.csv`` of one dataset. The LASSO stage, which keeps its last epoch always, does not count.

    Returns
    -------
    str
        A paragraph of Markdown; empty if there is no such method.
    """
    last = history[history["epoch"] == history.groupby("run")["epoch"].transform("max")]
    open_ended = last[(last["epoch"] > 0) & (last["kept"] == 1) & (last["stage"] != "lasso")]
    names = [
        method + (f", LASSO {lasso:g}" if lasso else "")
        for method, lasso in sorted(set(zip(open_ended["method"], open_ended["lasso"], strict=True)))
    ]
    if not names:
        return ""
    return (
        "\n**Among our rows, unconverged at this budget** (the last epoch was the best in at least one run): "
        + "; ".join(names)
        + ".\n"
    )


def score_page(
    name: str,
    expected: Sequence[dict[str, Any]],
    intervals: pd.DataFrame,
    counts: pd.DataFrame,
    setting: dict[str, Any],
) -> str:
    """Write one dataset's table of scores in Markdown; the published numbers stand apart."""
    parts = [f"# {TITLES[name]}", _caption(name, intervals, counts, setting)]
    for pooling, title in POOLINGS.items():
        chosen = intervals[intervals["pooling"] == pooling]
        if chosen.empty and pooling != "pooled":
            continue
        parts += [f"**{title}.**", _score_rows(expected, chosen)]
    parts += [
        "## Published scores",
        "Not comparable with the rows above unless those are from the real data.",
        _published(name),
    ]
    return "\n\n".join(parts) + "\n"


def _caption(name: str, intervals: pd.DataFrame, counts: pd.DataFrame, setting: dict[str, Any]) -> str:
    if intervals.empty:
        return "No run of this dataset is finished."
    synthetic = (intervals["label"] == "synthetic").any()
    test = counts[counts["part"] == "test"]
    repaired = test[~test["status"].isin(["ok", NO_CROP])].groupby("run")["frames"].sum()
    lost = test[test["status"] == NO_CROP].groupby("run")["frames"].sum()
    first = intervals.iloc[0]
    label = "**SYNTHETIC data: these scores say nothing about real faces.** " if synthetic else ""
    return (
        f"{label}Profile {setting['profile']}: ResNet-18 of width {setting['width']}, crops of "
        f"{setting['crop_size'][name]} pixels. {int(test.groupby('run')['scored'].sum().max())} test frames per run, "
        f"{int(first['n_clusters'])} {'images' if name == 'affectnet' else 'subjects'} as clusters, "
        f"{int(intervals['n_seeds'].max())} training seed(s), {int(intervals['n_folds'].max())} fold(s); "
        f"up to {int(repaired.max()) if len(repaired) else 0} frames of a run have a repaired crop and are scored, "
        f"{int(lost.max()) if len(lost) else 0} have none and are scored with the mean training label. "
        "Cells: mean over seeds [95 % cluster-bootstrap interval, conditional on the seeds] ± standard deviation over "
        "seeds. Rank is a multiple of the rank that matches a dense layer's parameters. RMSE: small is good; "
        "SAGR, PCC, CCC: large is good."
    )


def _score_rows(expected: Sequence[dict[str, Any]], intervals: pd.DataFrame) -> str:
    header = ["method", "rank", "LASSO", *(f"{target} {metric.upper()}" for target in TARGETS for metric in METRICS)]
    keys = [(row["method"], "" if row["rank"] is None else str(row["rank"]), row["lasso"]) for row in expected]
    found: dict[tuple[str, str, float], dict[tuple[str, str], str]] = {}
    for row in records(intervals):
        cells = found.setdefault((row["method"], row["rank"], row["lasso"]), {})
        cells[row["target"], row["metric"]] = _cell(row)
    # What was scored without being expected, such as smoothed outputs of another network, comes last.
    lines = []
    for key in dict.fromkeys([*keys, *found]):
        cells = found.get(key, {})
        scores = [cells.get((target, metric), "missing") for target in TARGETS for metric in METRICS]
        method, rank, lasso = key
        lines.append([method, rank or "-", f"{lasso:g}", *scores])
    return markdown_table(header, lines)


def _cell(row: dict[str, Any]) -> str:
    spread = "" if pd.isna(row["seed_sd"]) else f" ± {row['seed_sd']:.3f}"
    limits = "" if pd.isna(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['mean']:.3f}{limits}{spread}"


def _published(name: str) -> str:
    with (files("hocbench.published") / "results.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    table = table[table["dataset"] == name]
    header = ["method", *(f"{target} {metric.upper()}" for target in TARGETS for metric in METRICS)]
    lines = []
    for method, rows in table.groupby("method", sort=False):
        cells = []
        for target in TARGETS:
            for metric in METRICS:
                found = rows[(rows["target"] == target) & (rows["metric"] == metric)]
                cells.append(f"{found['value'].iloc[0]:.2f} {found['status'].iloc[0]}" if len(found) else "-")
        lines.append([str(method), *cells])
    return markdown_table(header, lines) + "\n\n" + STATUS_NOTE


def difference_page(table: pd.DataFrame, setting: dict[str, Any]) -> str:
    """Write the paired differences in Markdown."""
    synthetic = (table["label"] == "synthetic").any()
    caption = (
        f"{'**SYNTHETIC data.** ' if synthetic else ''}Profile {setting['profile']}. Difference = method minus "
        "reference on the same test frames and seeds, pooled; 95 % interval from resampling subjects (images on "
        "AffectNet), conditional on the seeds; p values two-sided, Holm-corrected over the rows of one dataset."
    )
    header = ["dataset", "method", "rank", "LASSO", "reference", "target", "metric", "difference [95 %]", "p (Holm)"]
    lines = [
        [
            row["dataset"],
            row["method"],
            row["rank"] or "-",
            f"{row['lasso']:g}",
            row["reference"],
            row["target"],
            row["metric"].upper(),
            f"{row['difference']:+.3f}" + ("" if pd.isna(row["low"]) else f" [{row['low']:+.3f}, {row['high']:+.3f}]"),
            _p_value(row["p_holm"]),
        ]
        for row in records(table[table["metric"] == "ccc"])
    ]
    note = "Shown: CCC. The CSV beside this page holds all metrics." if lines else "No two methods could be compared."
    return "\n\n".join(["# Paired differences", caption, markdown_table(header, lines), note]) + "\n"


def _p_value(p: float) -> str:
    if pd.isna(p):
        return "-"
    return f"{p:.3f}" if p >= 0.0005 else "< 0.001"
