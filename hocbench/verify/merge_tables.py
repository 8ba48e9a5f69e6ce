"""One table of all laboratories: their scores, paired differences and verdicts, with the spread between them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from hocbench.errors import VerifyError
from hocbench.experiment.description import Description, RowKey
from hocbench.verify.cells import Row, by_key, named, number
from hocbench.verify.heterogeneity import Between, between
from hocbench.verify.laboratory import Laboratory
from hocbench.verify.machine import settings
from hocbench.verify.merge import Merged, commits_of
from hocbench.verify.tables import CLAIM_KEYS, METHOD, PAIR

SCORE = (*METHOD, "target")
DIFFERENCE = (*METHOD, *PAIR, "target")
JUDGED = ("dataset", "method", "rank", "lasso", "reference", "target")  # of a difference at the main rank
VALUE, VERDICT = "value", "verdict"  # columns of a laboratory: these words, "_" and its name
NOT_JUDGED = "not judged"
SOFTWARE = {
    "Python": "environment.python",
    "CUDA": "environment.torch.cuda",
    "OpenCV": "environment.packages.opencv-python-headless",
    "C library": "environment.c_library",
}
BySeed = Mapping[tuple[str, ...], Mapping[str, float]]


@dataclass(frozen=True)
class Tables:
    """All tables of merged laboratories, and which differences claims are judged by; see the functions below."""

    description: Description
    laboratories: pd.DataFrame
    scores: pd.DataFrame
    differences: pd.DataFrame
    verdicts: pd.DataFrame
    judged: set[tuple[str, ...]]

    def is_judged(self, row: Mapping[str, Any]) -> bool:
        """Whether claims are judged by a row of the differences."""
        main = not row["reference_ablation"] and self.description.is_main(RowKey.read(row))
        return main and tuple(row[name] for name in JUDGED) in self.judged

    @property
    def labels(self) -> list[str]:
        """What the data are: "synthetic" or "real"."""
        return sorted(set(self.scores["label"]))


def read_tables(merged: Merged) -> Tables:
    """Make all tables of merged laboratories.

    Parameters
    ----------
    merged : Merged
        From `hocbench.verify.merge.merge`.

    Raises
    ------
    VerifyError
        If one of them lacks a row that another one has.
    EvaluationError
        If what the first one says of its tables cannot be read.
    """
    description = merged.laboratories[0].description()
    found = score_table(merged), difference_table(merged, description), verdict_table(merged)
    return Tables(description, laboratory_table(merged), *found, judged_differences(merged))


def laboratory_table(merged: Merged) -> pd.DataFrame:
    """List the laboratories: a row each, with their machines, versions and revisions.

    Parameters
    ----------
    merged : Merged
        From `hocbench.verify.merge.merge`.

    Returns
    -------
    DataFrame
        What several runs of a laboratory do not share is listed, with commas. ``same_bytes_as`` names the laboratory
        that a repetition is counted with, ``same_weights`` is the number of runs whose weights are the first
        laboratory's.
    """
    rows = []
    for each in merged.laboratories:
        row: dict[str, object] = {"laboratory": each.name}
        row |= {what.replace(" ", "_"): ", ".join(values) for what, values in settings(each.runs).items()}
        software = {what: ", ".join(_distinct(each, key)) for what, key in SOFTWARE.items()}
        row["software"] = ", ".join(f"{what} {text}" for what, text in software.items() if text)
        row |= {"code": ", ".join(_distinct(each, "code")), "revision": commits_of(each.revisions)}
        row |= {"same_bytes_as": merged.same.get(each.name, ""), "runs": len(each.runs)}
        rows.append(row | {"same_weights": merged.same_weights[each.name]})
    return pd.DataFrame(rows)


def _distinct(laboratory: Laboratory, key: str) -> list[str]:
    values = (run.values.get(key) for run in laboratory.runs.values())
    return sorted({str(value) for value in values if value is not None})


def score_table(merged: Merged) -> pd.DataFrame:
    """Put together the CCC of all frames, of each method row and target.

    Parameters
    ----------
    merged : Merged
        From `hocbench.verify.merge.merge`.

    Returns
    -------
    DataFrame
        `SCORE`, label, n_seeds, a column "value_NAME" per laboratory, and the fields of
        `hocbench.verify.heterogeneity.Between`.

    Raises
    ------
    VerifyError
        If a row is absent from a laboratory.
    """
    tables = _read(merged, "intervals", SCORE)
    seeds = [_by_seed(each) for each in merged.counted]
    rows = []
    for key, own in tables:
        values = [_value(row, "mean") for row in own]
        by_seed = [found.get(key, {}) for found in seeds]
        rows.append(_shared(SCORE, key, own[0]) | _spread(merged, key, values, by_seed))
    return pd.DataFrame(rows, columns=_columns(merged, SCORE))


def difference_table(merged: Merged, description: Description) -> pd.DataFrame:
    """Put together the paired differences in CCC.

    Parameters
    ----------
    merged : Merged
        From `hocbench.verify.merge.merge`.
    description : Description
        Whose main rank a network without one is compared at.

    Returns
    -------
    DataFrame
        As `score_table`, with `DIFFERENCE`, and above, below and undecided: how many laboratories find the difference
        above zero, below, or neither, by their own interval.

    Raises
    ------
    VerifyError
        If a row is absent from a laboratory.
    """
    tables = _read(merged, "differences", DIFFERENCE)
    seeds = [_by_seed(each) for each in merged.counted]
    rows = []
    for key, own in tables:
        names = dict(zip(DIFFERENCE, key, strict=True))
        by_seed = []
        for found in seeds:
            first = found.get(tuple(names[name] for name in SCORE), {})
            second = found.get(_reference(names, found, description), {})
            by_seed.append({seed: first[seed] - second[seed] for seed in first.keys() & second.keys()})
        row = _shared(DIFFERENCE, key, own[0])
        row |= _spread(merged, key, [_value(each, "difference") for each in own], by_seed)
        limits = [(_value(each, "low"), _value(each, "high")) for each in own]
        above, below = sum(low > 0 for low, _ in limits), sum(high < 0 for _, high in limits)
        rows.append(row | {"above": above, "below": below, "undecided": len(own) - above - below})
    return pd.DataFrame(rows, columns=[*_columns(merged, DIFFERENCE), "above", "below", "undecided"])


def verdict_table(merged: Merged) -> pd.DataFrame:
    """Put together the verdicts on the claims.

    Parameters
    ----------
    merged : Merged
        From `hocbench.verify.merge.merge`.

    Returns
    -------
    DataFrame
        claim, dataset, title, label, a column "verdict_NAME" per laboratory, and agree: 1 if all are the same.
    """
    found = {
        each.name: by_key(each.rows("claims/claims.csv"), CLAIM_KEYS, _where(each, "claims")) for each in merged.counted
    }
    rows = []
    for key in dict.fromkeys(key for table in found.values() for key in table):
        first = next(table[key] for table in found.values() if key in table)
        row = dict(zip(CLAIM_KEYS, key, strict=True)) | {name: first.get(name, "") for name in ("title", "label")}
        verdicts = {
            f"{VERDICT}_{name}": table[key]["verdict"] if key in table else NOT_JUDGED for name, table in found.items()
        }
        rows.append(row | verdicts | {"agree": int(len(set(verdicts.values())) == 1)})
    return pd.DataFrame(rows)


def judged_differences(merged: Merged) -> set[tuple[str, ...]]:
    """Name the rows of the differences that claims are judged by, by `JUDGED`.

    Parameters
    ----------
    merged : Merged
        From `hocbench.verify.merge.merge`.
    """
    judged = set()
    for each in merged.counted:
        for row in each.rows("claims/evidence.csv"):
            if row["statistic"] == "difference" and row["judged"] == "1" and row["metric"] == "ccc":
                judged.add(tuple(row[name] for name in JUDGED))
    return judged


def _where(laboratory: Laboratory, name: str) -> str:
    return f"{name}.csv of laboratory {laboratory.name}"


def _read(merged: Merged, name: str, keys: Sequence[str]) -> list[tuple[tuple[str, ...], list[Row]]]:
    """Read a table of all laboratories, the CCC of all frames only; by key, the row of each laboratory."""
    tables: list[tuple[Laboratory, dict[tuple[str, ...], Row]]] = []
    for each in merged.counted:
        rows = [row for row in each.rows(f"evaluation/{name}.csv") if _is_ccc(row)]
        tables.append((each, by_key(rows, keys, _where(each, name))))
    every = dict.fromkeys(key for _, table in tables for key in table)
    faults = []
    for each, table in tables:
        absent = [key for key in every if key not in table]
        if absent:
            faults.append(
                f"{_where(each, name)} lacks {len(absent)} rows that another laboratory has, the first: "
                f"{named(keys, absent[0])}; evaluate and record it again with the same version of hocbench"
            )
    if faults:
        raise VerifyError("\n".join(faults))
    return [(key, [table[key] for _, table in tables]) for key in sorted(every)]


def _is_ccc(row: Row) -> bool:
    return row.get("metric") == "ccc" and row.get("pooling", "pooled") == "pooled"


def _value(row: Row, column: str) -> float:
    found = number(row.get(column, ""))
    return float("nan") if found is None else found


def _by_seed(laboratory: Laboratory) -> BySeed:
    """Read the scores of each seed, mean over folds."""
    found: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in laboratory.rows("evaluation/scores.csv"):
        if _is_ccc(row):
            found[tuple(row[name] for name in SCORE)][row["seed"]].append(_value(row, "value"))
    return {key: {seed: float(np.mean(values)) for seed, values in seeds.items()} for key, seeds in found.items()}


def _reference(names: Mapping[str, str], found: BySeed, description: Description) -> tuple[str, ...]:
    """Find the other row of a paired difference, whose rank is the same, none, or the main one."""
    # A LASSO weight is compared with none, and a network that an ablation changed with itself unchanged.
    lasso = names["lasso"] if names["method"] == names["reference"] and names["ablation"] else "0"
    fixed = {"method": names["reference"], "lasso": lasso, "ablation": names["reference_ablation"]}
    networks = (names["factorization"], names["rank"]), ("", ""), (description.factorization, description.rank)
    keys = [dict(names) | fixed | {"factorization": kind, "rank": rank} for kind, rank in networks]
    rows = [tuple(key[name] for name in SCORE) for key in keys]
    return next((row for row in rows if row in found), rows[0])


def _columns(merged: Merged, keys: Sequence[str]) -> list[str]:
    own = [f"{VALUE}_{each.name}" for each in merged.counted]
    return [*keys, "label", "n_seeds", *own, *(field.name for field in fields(Between))]


def _shared(keys: Sequence[str], key: Sequence[str], row: Row) -> dict[str, object]:
    return {**dict(zip(keys, key, strict=True)), "label": row.get("label", "")}


def _spread(
    merged: Merged, key: Sequence[str], values: Sequence[float], by_seed: Sequence[Mapping[str, float]]
) -> dict[str, object]:
    """Lay out what laboratories find, and how far they are apart."""
    seeds = sorted(set.intersection(*(set(table) for table in by_seed)))
    if not seeds:
        last = min(zip(merged.counted, by_seed, strict=True), key=lambda pair: len(pair[1]))[0]
        row = named(DIFFERENCE if len(key) > len(SCORE) else SCORE, key)
        raise VerifyError(
            f"{_where(last, 'scores')} has no seed of {row} that the others have; evaluate and record it again with "
            "the same version of hocbench"
        )
    found = between(np.array(values), np.array([[table[seed] for seed in seeds] for table in by_seed]))
    own = {f"{VALUE}_{each.name}": value for each, value in zip(merged.counted, values, strict=True)}
    return {"n_seeds": len(seeds)} | own | asdict(found)
