"""Merged laboratories for people: in words and tables, and as files."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.errors import VerifyError
from hocbench.evaluation.files import write_csv
from hocbench.experiment.description import Description, RowKey
from hocbench.files.checksums import hashes_of, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.reporting.markdown import escape, records
from hocbench.reporting.pages import Block, Bullets, Heading, Page, Table
from hocbench.reporting.text import SYMBOLS, dataset_title, interval_text, number, verdict_text
from hocbench.verify.heterogeneity import prediction_factor
from hocbench.verify.laboratory import MANIFESTS
from hocbench.verify.merge import MERGED, Merged
from hocbench.verify.merge_tables import NOT_JUDGED, VALUE, VERDICT, Tables, read_tables

TITLE = "Laboratories together"
SYNTHETIC = "**SYNTHETIC data: nothing here is about real faces.**"
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


def write_merged(merged: Merged, out: Path) -> Tables:
    """Write ``laboratories.csv``, ``scores.csv``, ``differences.csv``, ``verdicts.csv``, the page, and last the seal.

    The same laboratories give the same bytes, in whatever order they came.

    Raises
    ------
    VerifyError
        If the folder is a laboratory itself, or a laboratory lacks a row that another one has.
    """
    if (out / MANIFESTS).exists():
        raise VerifyError(f"{out} is a recorded laboratory; give another folder with --out")
    tables = read_tables(merged)
    text = page(merged, tables)
    with staged(out, "merge") as folder:
        for name in ("laboratories", "scores", "differences", "verdicts"):
            write_csv(getattr(tables, name), folder / f"{name}.csv")
        write_text(text.markdown(), folder / f"{MERGED}.md")
        write_text(text.html(f"hocbench: {TITLE.lower()}"), folder / f"{MERGED}.html")
        seal = sealed({"files": hashes_of(folder, (path.name for path in folder.iterdir()))})
        write_text(seal, folder / f"{MERGED}.json")
    return tables


def page(merged: Merged, tables: Tables) -> Page:
    """Write the page on merged laboratories and their tables."""
    blocks: list[Block] = [SYNTHETIC] if "synthetic" in tables.labels else []
    if merged.notes:
        blocks += [Heading("To be said first"), bullets(merged.notes)]
    blocks += [Heading("Laboratories"), *laboratories(tables.laboratories)]
    blocks += [Heading("Verdicts"), *verdicts(tables)]
    if len(tables.scores):
        blocks += [Heading("How far laboratories are apart"), few(len(merged.counted)), heterogeneity(tables)]
        blocks += [SPREAD_NOTE, ONE_SEED, Heading("Differences that claims are judged by"), *_differences(tables)]
        blocks += [Heading("Scores: CCC of all frames"), *_scores(tables)]
    return Page(TITLE, blocks)


def bullets(notes: Iterable[str]) -> Bullets:
    """Write a list, names from data as they are."""
    return Bullets([escape(note) for note in notes])


def laboratories(table: pd.DataFrame) -> list[Block]:
    """List the laboratories by what they differ in, after what they share."""
    rows = records(table.astype(str))
    filled = [column for column in LABORATORIES if any(row[column] for row in rows)]
    shared = [column for column in filled if len(rows) > 1 and len({row[column] for row in rows}) == 1]
    columns = [column for column in filled if column not in shared]
    lines = [[escape(row[column]) or NONE for column in columns] for row in rows]
    text = "; ".join(f"{LABORATORIES[column]} {escape(rows[0][column])}" for column in shared)
    return [
        *([f"All of them: {text}."] if text else []),
        Table([LABORATORIES[column] for column in columns], lines),
    ]


def verdicts(tables: Tables, here: Mapping[tuple[str, str], str] | None = None) -> list[Block]:
    """Show the verdict of each laboratory, and how often they agree.

    ``here`` has the verdicts of another run, by claim and dataset, to stand beside them.
    """
    table, known = tables.verdicts, tables.description
    if not len(table):
        return ["No laboratory has judged the claims; `hocbench claims` does."]
    lines = []
    for row in records(table):
        beside = [] if here is None else [_verdict(here.get((row["claim"], row["dataset"]), NOT_JUDGED))]
        names = f"{row['claim']} {escape(row['title'])}", escape(dataset_title(row["dataset"], known))
        lines.append([*names, *beside, _verdicts(row)])
    header = ["claim", "data", *(["this run"] if here is not None else []), "laboratories"]
    return [agreement(tables, here), Table(header, lines)]


def _verdicts(row: Mapping[str, Any]) -> str:
    """Write the verdict of all laboratories, or who reaches which."""
    by_verdict: dict[str, list[str]] = {}
    for column, text in row.items():
        if column.startswith(f"{VERDICT}_"):
            by_verdict.setdefault(text, []).append(escape(column.removeprefix(f"{VERDICT}_")))
    if len(by_verdict) == 1:
        return _verdict(next(iter(by_verdict)))
    return "; ".join(f"{_verdict(text)}: {', '.join(names)}" for text, names in by_verdict.items())


def _verdict(text: str) -> str:
    return verdict_text(text) if text in SYMBOLS else escape(text)


def agreement(tables: Tables, here: Mapping[tuple[str, str], str] | None = None) -> str:
    """Count how many verdicts are the same in all laboratories, and name those that are not; see `verdicts`."""
    table, known = tables.verdicts, tables.description
    first, *others = (column for column in table.columns if column.startswith(f"{VERDICT}_"))
    judged = [row for row in records(table) if not (row["agree"] and row[first] in (NOT_JUDGED, NOT_RUN))]
    agree = [row for row in judged if row["agree"]]
    split = [f"{row['claim']} ({dataset_title(row['dataset'], known)})" for row in judged if not row["agree"]]
    text = f"One laboratory, with verdicts on {len(judged)} claims and data sets."
    if others:
        count = 1 + len(others)
        text = f"{count} laboratories reach the same verdict on {len(agree)} of {len(judged)} claims and data sets."
    text += f" They do not on {', '.join(split)}." if split else ""
    if here is not None:
        same = sum(here.get((row["claim"], row["dataset"])) == row[first] for row in agree)
        text += f" Of the {len(agree)} verdicts that they share, this run reaches {same}."
    return text


def few(count: int) -> str:
    """Explain what this number of laboratories can show."""
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


def _differences(tables: Tables) -> list[Block]:
    known = tables.description
    judged = [row for row in in_order(tables.differences, known) if tables.is_judged(row)]
    if not judged:
        return ["No claim was judged by a difference in CCC; `differences.csv` has all."]
    note = (
        "The last column counts laboratories whose own interval, over subjects, lies above zero, below zero, or "
        "neither. `differences.csv` has all differences, and the value of each laboratory."
    )
    titles = {"dataset": "data", "method": "method", "reference": "against"}
    return [note, _spread_table(judged, titles, known, ("above", "below", "undecided"))]


def _scores(tables: Tables) -> list[Block]:
    known = tables.description
    blocks: list[Block] = ["`scores.csv` has the value of each laboratory."]
    for dataset, rows in groupby(in_order(tables.scores, known), key=lambda row: row["dataset"]):
        heading = Heading(escape(dataset_title(dataset, known)), 3)
        blocks += [heading, _spread_table(list(rows), {"method": "method"}, known)]
    return blocks


def _spread_table(
    rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], description: Description, counts: Sequence[str] = ()
) -> Table:
    """Write rows by what tells them apart, with their spread, and last some counts in one column."""
    varying = [name for name in ("lasso", "ablation") if len({row[name] for row in rows}) > 1]
    # Ranks are shown wherever the sweep has several.
    columns = [*titles, *(["rank"] if len(description.ranks) > 1 else []), *varying, "target"]
    lines = []
    for row in rows:
        texts = dict(row) | _titles(row, description)
        names = [escape(texts[name]) or NONE for name in columns]
        last = [" / ".join(str(row[name]) for name in counts)] if counts else []
        lines.append([*names, *spread_cells(row).values(), *last])
    last = [" / ".join(counts)] if counts else []
    return Table([*(titles.get(name, name) for name in columns), *SPREAD, *last], lines)


def _titles(row: Mapping[str, Any], description: Description) -> dict[str, str]:
    """Return what people read for the dataset and the methods of a row."""
    key = RowKey.read(row)
    titles = {"dataset": dataset_title(key.dataset, description), "method": description.title(key)}
    if "reference" in row:
        # Beside a network without a rank it is of the main one.
        factorization = key.factorization or description.factorization
        titles["reference"] = description.title(replace(key, method=row["reference"], factorization=factorization))
    return titles


def in_order(table: pd.DataFrame, description: Description) -> list[dict[str, Any]]:
    """Return rows with their data sets and methods in the order of all tables."""
    orders = {"dataset": list(description.datasets), "method": list(description.methods)}

    def place(row: Mapping[str, Any]) -> list[int]:
        return [order.index(row[name]) if row[name] in order else len(order) for name, order in orders.items()]

    return sorted(records(table), key=place)


def spread_cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Write a row's mean and spread, by `SPREAD`."""
    values = [value for name, value in row.items() if name.startswith(f"{VALUE}_")]
    interval = NONE if math.isnan(row["low"]) else f"[{row['low']:.3f}, {row['high']:.3f}]"
    deviations = [number(row[name], ".4f") for name in ("between_sd", "seed_sd", "same_seed_sd", "tau")]
    cells = (
        interval_text(row["mean"], min(values), max(values)),
        *deviations,
        number(row["p"], ".2g"),
        number(row["i2"], ".0%"),
        interval,
    )
    return dict(zip(SPREAD, cells, strict=True))
