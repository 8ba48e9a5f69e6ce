"""All tables that follow from results alone, as Markdown, HTML, CSV and, in the paper's layout, LaTeX."""

from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.evaluation.files import read_table
from hocbench.files.staging import staged
from hocbench.reporting.cost import cost_page, cost_table, is_outdated, outdated_page
from hocbench.reporting.facts import interval_words
from hocbench.reporting.markdown import escape, markdown_table, records, with_variant, write_page
from hocbench.reporting.ranks import rank_page, rank_report
from hocbench.reporting.score_latex import score_latex
from hocbench.reporting.score_page import NEGATIVE_CONTROLS, TITLES, score_page
from hocbench.reporting.trends import trend_page


def write_tables(evaluation: Path, out: Path, expected: list[dict[str, Any]], setting: dict[str, Any]) -> None:
    """Write all tables that follow from results alone; `hocbench.network_tables` writes the others.

    Parameters
    ----------
    evaluation : Path
        Folder written by `hocbench.evaluation.evaluate`.
    out : Path
        Receives ``<name>.md``, ``.html``, ``.csv`` and ``.json``, for the tables of scores also ``.tex``. Their CSV
        holds a row per score of a run, as ``scores.csv`` of the evaluation does.
    expected : list of dict
        Rows that must be shown, with dataset, method, rank, lasso and perhaps variant; one that has no score is
        printed as missing.
    setting : dict
        profile, width, crop_size (by dataset) and rank (those of the sweep), for the layout and the captions.
    """
    intervals, scores, counts, history = (
        read_table(evaluation / f"{name}.csv") for name in ("intervals", "scores", "counts", "history")
    )
    differences, trends, sparsity, costs = (
        read_table(evaluation / f"{name}.csv") for name in ("differences", "trends", "sparsity", "costs")
    )
    with staged(out, "tables") as folder:
        for name in TITLES:
            page = score_page(name, expected, intervals, counts, setting)
            page += unconverged_note(history[history["dataset"] == name])
            own = scores[scores["dataset"].isin([name, NEGATIVE_CONTROLS.get(name)])]
            write_page(folder / name, page, own, score_latex(name, expected, intervals, counts, setting))
        write_page(folder / "differences", difference_page(differences, setting), differences)
        write_page(folder / "trends", trend_page(trends, setting), trends)
        ranks = rank_report(sparsity)
        write_page(folder / "ranks", rank_page(ranks, setting), ranks)
        if is_outdated(costs):
            write_page(folder / "cost", outdated_page(), costs)
        else:
            cost = cost_table(costs, expected)
            write_page(folder / "cost", cost_page(costs, cost, setting), cost)


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
    columns = ["method", "lasso", *with_variant(open_ended)]
    names = [
        escape(method)
        + (f", LASSO {lasso:g}" if lasso else "")
        + "".join(f", {escape(name)}" for name in variant if name)
        for method, lasso, *variant in sorted(set(open_ended[columns].itertuples(index=False, name=None)))
    ]
    if not names:
        return ""
    return (
        "\n**Among our rows, unconverged at this budget** (the last epoch was the best in at least one run): "
        + "; ".join(names)
        + ".\n"
    )


def difference_page(table: pd.DataFrame, setting: dict[str, Any]) -> str:
    """Write the paired differences in Markdown."""
    synthetic = (table["label"] == "synthetic").any()
    interval = interval_words(table, "subjects (images on AffectNet)")
    caption = (
        f"{'**SYNTHETIC data.** ' if synthetic else ''}Profile {escape(setting['profile'])}. Difference = method minus "
        f"reference on the same test frames and seeds, pooled; {interval}; p values two-sided, Holm-corrected over "
        "the rows of one dataset."
    )
    variants = with_variant(table)
    referred = [name for name in ("reference_variant",) if name in table.columns and (table[name] != "").any()]
    sized = [name for name in ("effect_size",) if name in table.columns]
    header = [
        *("dataset", "method", "rank", "LASSO", *variants, "reference", *(["its variant"] if referred else [])),
        *("target", "metric", "difference [95 %]", *(["effect size"] if sized else []), "p (Holm)"),
    ]
    lines = [
        [
            row["dataset"],
            escape(row["method"]),
            escape(row["rank"]) or "-",
            f"{row['lasso']:g}",
            *(escape(row[name]) or "-" for name in variants),
            escape(row["reference"]),
            *(escape(row[name]) or "-" for name in referred),
            row["target"],
            row["metric"].upper(),
            f"{row['difference']:+.3f}" + ("" if pd.isna(row["low"]) else f" [{row['low']:+.3f}, {row['high']:+.3f}]"),
            *("-" if pd.isna(row[name]) else f"{row[name]:+.2f}" for name in sized),
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
