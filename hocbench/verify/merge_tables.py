"""One table of all laboratories: their scores, paired differences and verdicts, with the spread between them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from hocbench.errors import VerifyError
from hocbench.experiment.description import Description, RowKey
from hocbench.metrics.records import PRIMARY
from hocbench.verify.cells import Row, by_key, named, number
from hocbench.verify.heterogeneity import Between, between
from hocbench.verify.laboratory import Laboratory
from hocbench.verify.machine import settings, values_of
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
    """All tables of merged laboratories.

    Attributes
    ----------
    description : Description
        What they are about, as the first laboratory says.
    laboratories : DataFrame
        A row each: machines, versions, revisions; with commas, what its runs do not share. ``same_bytes_as`` names the
        laboratory that it is counted with, ``same_weights`` is the number of runs with the weights of the first one.
    scores : DataFrame
        CCC of all frames, of each method row and target: `SCORE`, label, n_seeds, a column "value_NAME" per laboratory,
        and the fields of `hocbench.verify.heterogeneity.Between`.
    differences : DataFrame
        Paired differences in CCC: as scores, by `DIFFERENCE`, and above, below and undecided: how many laboratories
        find the difference above zero, below, or neither, by their own interval.
    verdicts : DataFrame
        claim, dataset, title, label, a column "verdict_NAME" per laboratory, and agree: 1 if all are the same.
    judged : set of tuple of str
        Rows of the differences that claims are judged by, by `JUDGED`.
    """

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

    Raises
    ------
    VerifyError
        If a laboratory lacks a row that another one has.
    EvaluationError
        If the description of the first one's tables cannot be read.
    """
    description = merged.laboratories[0].description()
    seeds = [_by_seed(laboratory) for laboratory in merged.counted]
    numbers = _scores(merged, seeds), _differences(merged, seeds, description)
    return Tables(description, _laboratories(merged), *numbers, _verdicts(merged), _judged(merged))


def _laboratories(merged: Merged) -> pd.DataFrame:
    rows = []
    for laboratory in merged.laboratories:
        row: dict[str, object] = {"laboratory": laboratory.name}
        row |= {what.replace(" ", "_"): ", ".join(values) for what, values in settings(laboratory.runs).items()}
        software = {what: ", ".join(values_of(laboratory.runs, key)) for what, key in SOFTWARE.items()}
        row["software"] = ", ".join(f"{what} {text}" for what, text in software.items() if text)
        row |= {"code": ", ".join(values_of(laboratory.runs, "code")), "revision": commits_of(laboratory.revisions)}
        row |= {"same_bytes_as": merged.same.get(laboratory.name, ""), "runs": len(laboratory.runs)}
        rows.append(row | {"same_weights": merged.same_weights[laboratory.name]})
    return pd.DataFrame(rows)


def _scores(merged: Merged, seeds: Sequence[BySeed]) -> pd.DataFrame:
    rows = [
        _spread(merged, SCORE, key, rows, "mean", [scores.get(key, {}) for scores in seeds])
        for key, rows in _read(merged, "intervals", SCORE)
    ]
    return pd.DataFrame(rows, columns=_columns(merged, SCORE))


def _differences(merged: Merged, seeds: Sequence[BySeed], description: Description) -> pd.DataFrame:
    table = []
    for key, rows in _read(merged, "differences", DIFFERENCE):
        names = dict(zip(DIFFERENCE, key, strict=True))
        by_seed = []
        for scores in seeds:
            first = scores.get(tuple(names[name] for name in SCORE), {})
            second = scores.get(_reference(names, scores, description), {})
            by_seed.append({seed: first[seed] - second[seed] for seed in first.keys() & second.keys()})
        spread = _spread(merged, DIFFERENCE, key, rows, "difference", by_seed)
        above, below = sum(_value(row, "low") > 0 for row in rows), sum(_value(row, "high") < 0 for row in rows)
        table.append(spread | {"above": above, "below": below, "undecided": len(rows) - above - below})
    return pd.DataFrame(table, columns=[*_columns(merged, DIFFERENCE), "above", "below", "undecided"])


def _verdicts(merged: Merged) -> pd.DataFrame:
    tables = {
        laboratory.name: by_key(laboratory.rows("claims/claims.csv"), CLAIM_KEYS, _where(laboratory, "claims"))
        for laboratory in merged.counted
    }
    rows = []
    for key in dict.fromkeys(key for table in tables.values() for key in table):
        first = next(table[key] for table in tables.values() if key in table)
        row = dict(zip(CLAIM_KEYS, key, strict=True)) | {name: first.get(name, "") for name in ("title", "label")}
        verdicts = {
            f"{VERDICT}_{name}": table[key]["verdict"] if key in table else NOT_JUDGED for name, table in tables.items()
        }
        rows.append(row | verdicts | {"agree": int(len(set(verdicts.values())) == 1)})
    return pd.DataFrame(rows)


def _judged(merged: Merged) -> set[tuple[str, ...]]:
    return {
        tuple(row[name] for name in JUDGED)
        for laboratory in merged.counted
        for row in laboratory.rows("claims/evidence.csv")
        if row["statistic"] == "difference" and row["judged"] == "1" and row["metric"] in PRIMARY.values()
    }


def _where(laboratory: Laboratory, name: str) -> str:
    return f"{name}.csv of laboratory {laboratory.name}"


def _read(merged: Merged, name: str, keys: Sequence[str]) -> list[tuple[tuple[str, ...], list[Row]]]:
    """Read a table of all laboratories, the primary scores of all frames only; by key, the row of each laboratory."""
    tables = {}
    for laboratory in merged.counted:
        rows = [row for row in laboratory.rows(f"evaluation/{name}.csv") if _is_primary(row)]
        where = _where(laboratory, name)
        tables[where] = by_key(rows, keys, where)
    union = dict.fromkeys(key for table in tables.values() for key in table)
    absent = {where: [key for key in union if key not in table] for where, table in tables.items()}
    faults = [
        f"{where} lacks {len(rows)} rows that another laboratory has, the first: {named(keys, rows[0])}; evaluate and "
        "record it again with the same version of hocbench"
        for where, rows in absent.items()
        if rows
    ]
    if faults:
        raise VerifyError("\n".join(faults))
    return [(key, [table[key] for table in tables.values()]) for key in sorted(union)]


def _is_primary(row: Row) -> bool:
    return row.get("metric") in PRIMARY.values() and row.get("pooling", "pooled") == "pooled"


def _value(row: Row, column: str) -> float:
    value = number(row.get(column, ""))
    return float("nan") if value is None else value


def _by_seed(laboratory: Laboratory) -> BySeed:
    """Read the scores of each seed, mean over folds."""
    scores: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in laboratory.rows("evaluation/scores.csv"):
        if _is_primary(row):
            scores[tuple(row[name] for name in SCORE)][row["seed"]].append(_value(row, "value"))
    return {key: {seed: float(np.mean(values)) for seed, values in seeds.items()} for key, seeds in scores.items()}


def _reference(names: Mapping[str, str], scores: BySeed, description: Description) -> tuple[str, ...]:
    """Find the other row of a paired difference, whose rank is the same, none, or the main one."""
    # A LASSO weight is compared with none, and a network that an ablation changed with itself unchanged.
    lasso = names["lasso"] if names["method"] == names["reference"] and names["ablation"] else "0"
    fixed = {"method": names["reference"], "lasso": lasso, "ablation": names["reference_ablation"]}
    networks = (names["factorization"], names["rank"]), ("", ""), (description.factorization, description.rank)
    keys = [dict(names) | fixed | {"factorization": kind, "rank": rank} for kind, rank in networks]
    rows = [tuple(key[name] for name in SCORE) for key in keys]
    return next((row for row in rows if row in scores), rows[0])


def _columns(merged: Merged, keys: Sequence[str]) -> list[str]:
    values = [f"{VALUE}_{laboratory.name}" for laboratory in merged.counted]
    return [*keys, "label", "n_seeds", *values, *(field.name for field in fields(Between))]


def _spread(
    merged: Merged,
    keys: Sequence[str],
    key: Sequence[str],
    rows: Sequence[Row],
    column: str,
    by_seed: Sequence[Mapping[str, float]],
) -> dict[str, object]:
    """Join what laboratories find in a row, and how far they are apart."""
    seeds = sorted(set.intersection(*(set(table) for table in by_seed)))
    if not seeds:
        last = min(zip(merged.counted, by_seed, strict=True), key=lambda pair: len(pair[1]))[0]
        raise VerifyError(
            f"{_where(last, 'scores')} has no seed of {named(keys, key)} that the others have; evaluate and record it "
            "again with the same version of hocbench"
        )
    values = [_value(row, column) for row in rows]
    spread = between(np.array(values), np.array([[table[seed] for seed in seeds] for table in by_seed]))
    by_name = dict(zip((f"{VALUE}_{laboratory.name}" for laboratory in merged.counted), values, strict=True))
    names = dict(zip(keys, key, strict=True)) | {"label": rows[0].get("label", ""), "n_seeds": len(seeds)}
    return names | by_name | asdict(spread)
