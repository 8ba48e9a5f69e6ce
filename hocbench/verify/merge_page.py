"""What laboratories have in common and what not, in words and tables of Markdown."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from hocbench.experiment.description import Description, RowKey
from hocbench.reporting.markdown import escape, markdown_table, records
from hocbench.reporting.names import SYMBOLS, verdict_text
from hocbench.reporting.text import dataset_title
from hocbench.verify.heterogeneity import prediction_factor
from hocbench.verify.merge import Merged
from hocbench.verify.merge_tables import NOT_JUDGED, VALUE, VERDICT, Tables

LEVEL = 0.05
NONE = "-"
LABORATORIES = {
    "laboratory": "laboratory",
    "CPU_type": "CPU type",
    "CPU_instructions": "instructions",
    "arithmetic": "arithmetic",
    "threads": "threads",
    "device": "device",
    "torch": "torch",
    "numpy": "numpy",
    "software": "further versions",
    "revision": "commit",
    "runs": "runs",
    "same_weights": "runs with the weights of the first",
    "same_bytes_as": "counted with",
}
SPREAD = ("mean [least, most]", "between laboratories", "between seeds", "same seed", "τ", "p of Q", "I²", "one more")
SPREAD_NOTE = (
    "*Between laboratories*: standard deviation of their values. *Between seeds*: that of training seeds within a "
    "laboratory, pooled. *Same seed*: that of one and the same seed between laboratories. *τ*: what laboratories "
    "differ by in all their seeds alike, by a random-effects model; *p of Q*: how often laboratories without such a "
    "difference would be as far apart; *I²*: its share in the variance between laboratories. *One more*: where the "
    "value of one more laboratory is expected, 95 %. Laboratories share data, test subjects and seeds, so none of "
    "these is noise between them: noise is what rounding, which training lets grow, makes of each seed by itself."
)
NOT_RUN = "not run"
ONE_SEED = (
    "Rows of one seed have no heterogeneity (-): nothing tells there what a laboratory does to all seeds from what "
    "becomes of this one."
)


@dataclass(frozen=True)
class Part:
    """One section of a page: its anchor, its title, and its text in Markdown."""

    anchor: str
    title: str
    text: str


def parts(merged: Merged, tables: Tables) -> list[Part]:
    """Write the sections of the page on merged laboratories.

    Parameters
    ----------
    merged : Merged
        From `hocbench.verify.merge.merge`.
    tables : Tables
        See there.
    """
    found = [Part("first", "To be said first", bullets(merged.notes))] if merged.notes else []
    found.append(Part("laboratories", "Laboratories", laboratories(tables.laboratories)))
    found.append(Part("verdicts", "Verdicts", verdicts(tables)))
    if not len(tables.scores):
        return found
    said = "\n\n".join([few(len(merged.counted)), heterogeneity(tables), SPREAD_NOTE, ONE_SEED])
    return [
        *found,
        Part("spread", "How far laboratories are apart", said),
        Part("differences", "Differences that claims are judged by", _differences(tables)),
        Part("scores", "Scores: CCC of all frames", _scores(tables)),
    ]


def synthetic_note(tables: Tables) -> str:
    """Say that the data are synthetic, "" if they are not."""
    if "synthetic" in tables.labels:
        return "SYNTHETIC data: nothing here is about real faces."
    return ""


def bullets(notes: Iterable[str]) -> str:
    """Write a list, names from data as they are."""
    return "\n".join(f"* {escape(note)}" for note in notes)


def laboratories(table: pd.DataFrame) -> str:
    """List the laboratories by what they differ in, and say what they share."""
    rows = records(table.astype(str))
    shown = [column for column in LABORATORIES if any(row[column] for row in rows)]
    shared = [column for column in shown if len(rows) > 1 and len({row[column] for row in rows}) == 1]
    shown = [column for column in shown if column not in shared]
    lines = [[escape(row[column]) or NONE for column in shown] for row in rows]
    text = "; ".join(f"{LABORATORIES[column]} {escape(rows[0][column])}" for column in shared)
    parts = [markdown_table([LABORATORIES[column] for column in shown], lines)]
    return "\n\n".join([*([f"All of them: {text}."] if text else []), *parts])


def verdicts(tables: Tables, here: Mapping[tuple[str, str], str] | None = None) -> str:
    """Show the verdict of each laboratory, and how often they agree.

    Parameters
    ----------
    tables : Tables
        From `hocbench.verify.merge_tables.read_tables`.
    here : mapping, optional
        Verdict of another run, by claim and dataset, to stand beside them.
    """
    table, known = tables.verdicts, tables.description
    if not len(table):
        return "No laboratory has judged the claims; `hocbench claims` does."
    header = ["claim", "data", *(["this run"] if here is not None else []), "laboratories"]
    lines = []
    for row in records(table):
        own = [] if here is None else [_verdict(here.get((row["claim"], row["dataset"]), NOT_JUDGED))]
        names = f"{row['claim']} {escape(row['title'])}", escape(dataset_title(row["dataset"], known))
        lines.append([*names, *own, _verdicts(row, laboratory_names(table))])
    return "\n\n".join([agreement(tables, here), markdown_table(header, lines)])


def _verdicts(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """Write the verdict of all laboratories, or who reaches which."""
    by_verdict: dict[str, list[str]] = {}
    for name in names:
        by_verdict.setdefault(row[f"{VERDICT}_{name}"], []).append(escape(name))
    if len(by_verdict) == 1:
        return _verdict(next(iter(by_verdict)))
    return "; ".join(f"{_verdict(text)}: {', '.join(who)}" for text, who in by_verdict.items())


def _verdict(text: str) -> str:
    return verdict_text(text) if text in SYMBOLS else escape(text)


def agreement(tables: Tables, here: Mapping[tuple[str, str], str] | None = None) -> str:
    """Say how many verdicts are the same in all laboratories, and which are not; see `verdicts`."""
    table, known = tables.verdicts, tables.description
    names = laboratory_names(table)
    first = f"{VERDICT}_{names[0]}"
    judged = [row for row in records(table) if not (row["agree"] and row[first] in (NOT_JUDGED, NOT_RUN))]
    agree = [row for row in judged if row["agree"]]
    split = [f"{row['claim']} ({dataset_title(row['dataset'], known)})" for row in judged if not row["agree"]]
    text = f"{len(names)} laboratories reach the same verdict on {len(agree)} of {len(judged)} claims and data sets."
    if len(names) == 1:
        text = f"One laboratory, with verdicts on {len(judged)} claims and data sets."
    text += f" They do not on {', '.join(split)}." if split else ""
    if here is not None:
        same = sum(here.get((row["claim"], row["dataset"])) == row[first] for row in agree)
        text += f" Of the {len(agree)} verdicts that they share, this run reaches {same}."
    return text


def laboratory_names(verdicts: pd.DataFrame) -> list[str]:
    """Return the laboratories that a table of verdicts is of, in their order."""
    return [name.removeprefix(f"{VERDICT}_") for name in verdicts.columns if name.startswith(f"{VERDICT}_")]


def few(count: int) -> str:
    """Say what this number of laboratories can tell."""
    if count == 1:
        return "One laboratory tells nothing about what lies between laboratories; two are needed for a spread."
    if count == 2:
        return (
            "Two laboratories tell whether their verdicts agree, and hardly how far laboratories are apart in general: "
            "a standard deviation of two values may be 0.45 to 32 times what it seems (95 %), so "
            "none is predicted for a third one."
        )
    return (
        f"{count} laboratories: the interval for one more rests on a t distribution of {count - 2} "
        f"{'degree' if count == 3 else 'degrees'} of freedom, "
        f"{prediction_factor(count):.1f} standard deviations to either side."
    )


def heterogeneity(tables: Tables) -> str:
    """Sum up over all rows whether laboratories are further apart than rounding explains."""
    sentences = []
    for what, table in (("scores", tables.scores), ("differences", tables.differences)):
        known = table[table["tau"].notna()]
        if len(known):
            small = int((known["p"] < LEVEL).sum())
            sentences.append(
                f"Of {len(known)} {what} of several seeds, τ is 0 in {int((known['tau'] == 0).sum())} and at most "
                f"{known['tau'].max():.3f}; p of Q is below {LEVEL:g} in {small}, where chance alone gives "
                f"{LEVEL * len(known):.0f}."
            )
    return " ".join(sentences) or "No heterogeneity can be told here."


def _differences(tables: Tables) -> str:
    known = tables.description
    chosen = [row for row in in_order(tables.differences, known) if tables.is_judged(row)]
    if not chosen:
        return "No claim was judged by a difference in CCC; `differences.csv` has all."
    further = _varying(chosen, known)
    header = ["data", "method", "against", *further, "target", *SPREAD, "above / below / undecided"]
    lines = [
        [
            *(escape(dataset_title(row["dataset"], known)), escape(known.title(RowKey.read(row)))),
            escape(known.title(_reference(row, known))),
            *(escape(row[name]) or NONE for name in further),
            *(row["target"], *spread_cells(row).values()),
            f"{row['above']} / {row['below']} / {row['undecided']}",
        ]
        for row in chosen
    ]
    note = (
        "The last column counts laboratories whose own interval, over subjects, lies above zero, below zero, or "
        "neither. `differences.csv` has all differences, and the value of each laboratory."
    )
    return f"{note}\n\n{markdown_table(header, lines)}"


def _reference(row: Mapping[str, Any], description: Description) -> RowKey:
    """Return a row of the other method of a difference; beside a network without a rank it is of the main one."""
    return replace(
        RowKey.read(row),
        method=row["reference"],
        factorization=row["factorization"] or description.factorization,
        ablation=row["reference_ablation"],
    )


def _scores(tables: Tables) -> str:
    known = tables.description
    texts = ["`scores.csv` has the value of each laboratory."]
    rows = in_order(tables.scores, known)
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        own = [row for row in rows if row["dataset"] == dataset]
        texts += [f"### {escape(dataset_title(dataset, known))}", score_lines(own, known)]
    return "\n\n".join(texts)


def in_order(table: pd.DataFrame, description: Description) -> list[dict[str, Any]]:
    """Return rows with their data sets and methods in the order of all tables."""
    orders = {"dataset": list(description.datasets), "method": list(description.methods)}

    def place(row: Mapping[str, Any]) -> list[int]:
        return [order.index(row[name]) if row[name] in order else len(order) for name, order in orders.items()]

    return sorted(records(table), key=place)


def score_lines(rows: Sequence[Mapping[str, Any]], description: Description) -> str:
    """Show scores with their spread, a table of Markdown.

    Parameters
    ----------
    rows : sequence of dict
        Of `hocbench.verify.merge_tables.score_table`, of one dataset.
    description : Description
        Names their methods.
    """
    further = _varying(rows, description)
    lines = []
    for row in rows:
        title = escape(description.title(RowKey.read(row)))
        names = title, *(escape(row[name]) or NONE for name in further), row["target"]
        lines.append([*names, *spread_cells(row).values()])
    return markdown_table(["method", *further, "target", *SPREAD], lines)


def _varying(rows: Sequence[Mapping[str, Any]], description: Description) -> list[str]:
    """Name the columns that are needed to tell rows apart; ranks are shown wherever the sweep has several."""
    several = [name for name in ("lasso", "ablation") if len({row[name] for row in rows}) > 1]
    return ["rank", *several] if len(description.ranks) > 1 else several


def spread_cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Write a row's mean and spread, by `SPREAD`."""
    values = [value for name, value in row.items() if name.startswith(f"{VALUE}_")]
    interval = NONE if math.isnan(row["low"]) else f"[{row['low']:.3f}, {row['high']:.3f}]"
    deviations = [number(row[name], ".4f") for name in ("between_sd", "seed_sd", "same_seed_sd", "tau")]
    mean = f"{row['mean']:.3f} [{min(values):.3f}, {max(values):.3f}]"
    cells = mean, *deviations, number(row["p"], ".2g"), number(row["i2"], ".0%"), interval
    return dict(zip(SPREAD, cells, strict=True))


def number(value: float, form: str) -> str:
    """Write a number, or that there is none."""
    return NONE if math.isnan(value) else format(value, form)
