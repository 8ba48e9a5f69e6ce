"""All tables that follow from results alone, as Markdown, HTML, CSV and, in the paper's layout, LaTeX."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from hocbench import paths
from hocbench.evaluation.files import read_table
from hocbench.experiment.description import Description, RowKey, read_description
from hocbench.files.staging import staged
from hocbench.metrics.records import PRIMARY, known_metrics
from hocbench.reporting.cost import cost_page, cost_table
from hocbench.reporting.facts import interval_words
from hocbench.reporting.markdown import escape, records
from hocbench.reporting.pages import Block, Page, Table, write_page
from hocbench.reporting.ranks import rank_page, rank_report
from hocbench.reporting.score_latex import score_latex
from hocbench.reporting.score_page import score_page
from hocbench.reporting.text import (
    ALL_METRICS,
    clusters_of,
    interval_text,
    metric_titles,
    p_text,
    row_name,
    synthetic_mark,
)
from hocbench.reporting.trends import trend_page


def write_tables(evaluation: Path, out: Path) -> None:
    """Write all tables that follow from results alone; `hocbench.network_tables` writes the others.

    Parameters
    ----------
    evaluation : Path
        Folder written by `hocbench.evaluation.scores.evaluate`.
    out : Path
        Receives ``<name>.md``, ``.html``, ``.csv`` and ``.json``, for the tables of the paper's datasets also ``.tex``.
        Their CSV holds a row per score of a run, as ``scores.csv`` of the evaluation does.
    """
    description = read_description(evaluation)
    intervals, scores, counts, history = (
        read_table(evaluation / f"{name}.csv") for name in ("intervals", "scores", "counts", "history")
    )
    differences, trends, sparsity, costs = (
        read_table(evaluation / f"{name}.csv") for name in ("differences", "trends", "sparsity", "costs")
    )
    with staged(out, "tables") as folder:
        for name in paths.score_tables(description.datasets.values()):
            page = score_page(name, intervals, counts, description)
            page = replace(
                page, blocks=[*page.blocks, *unconverged_note(history[history["dataset"] == name], description)]
            )
            controls = [each.name for each in description.datasets.values() if each.control_of == name]
            own = scores[scores["dataset"].isin([name, *controls])]
            latex = score_latex(name, intervals, counts, description) if name in paths.PAPER_DATASETS else None
            write_page(folder / name, page, own, latex)
        write_page(folder / "differences", difference_page(differences, description), differences)
        write_page(folder / "trends", trend_page(trends, description), trends)
        ranks = rank_report(sparsity)
        write_page(folder / "ranks", rank_page(ranks, description), ranks)
        cost = cost_table(costs, description)
        write_page(folder / "cost", cost_page(costs, cost, description), cost)


def unconverged_note(history: pd.DataFrame, description: Description) -> list[Block]:
    """Name the methods that may need more epochs: in some run the last epoch was the best on validation.

    Parameters
    ----------
    history : DataFrame
        ``history.csv`` of one dataset. The LASSO stage, which keeps its last epoch always, does not count.
    description : Description
        What methods are called.

    Returns
    -------
    list of Block
        A paragraph; none if there is no such method.
    """
    last = history[history["epoch"] == history.groupby("run")["epoch"].transform("max")]
    open_ended = last[(last["epoch"] > 0) & (last["kept"] == 1) & (last["method"] != "lasso")]
    keys = sorted({RowKey.read(row) for row in records(open_ended)})
    names = dict.fromkeys(escape(row_name(key, description, several_ranks=len(description.ranks) > 1)) for key in keys)
    if not names:
        return []
    lead = "**Among our rows, unconverged at this budget** (the last epoch was the best in at least one run): "
    return [f"{lead}{'; '.join(names)}."]


def difference_page(table: pd.DataFrame, description: Description) -> Page:
    """Write the paired differences."""
    interval = interval_words(table, clusters_of(table, description))
    caption = (
        f"{synthetic_mark(table)}Profile {escape(description.profile)}. Difference = method minus "
        f"reference on the same test frames and seeds, pooled; {interval}; p values two-sided, Holm-corrected over "
        "the rows of one dataset."
    )
    ablated, referred = ((table[name] != "").any() for name in ("ablation", "reference_ablation"))
    header = [
        *("dataset", "method", "rank", "LASSO", *(["ablation"] if ablated else [])),
        *("reference", *(["its ablation"] if referred else [])),
        *("target", "metric", "difference [95 %]", "effect size", "p (Holm)"),
    ]
    lines, keys = [], []
    shown = table[table["metric"].isin(PRIMARY.values())]
    for row in records(shown):
        keys.append(key := RowKey.read(row))
        reference = description.methods[row["reference"]].named(key.factorization or description.factorization)
        lines.append(
            [
                key.dataset,
                escape(description.title(key)),
                escape(key.rank) or "-",
                f"{key.lasso:g}",
                *([escape(key.ablation) or "-"] if ablated else []),
                escape(reference),
                *([escape(row["reference_ablation"]) or "-"] if referred else []),
                row["target"],
                known_metrics()[row["metric"]].title,
                interval_text(row["difference"], row["low"], row["high"], signed=True),
                "-" if pd.isna(row["effect_size"]) else f"{row['effect_size']:+.2f}",
                p_text(row["p_holm"]),
            ]
        )
    note = f"Shown: {metric_titles(shown)}. {ALL_METRICS}" if lines else "No two methods could be compared."
    return Page("Paired differences", [caption, Table(header, lines, keys), note])
