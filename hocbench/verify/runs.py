"""Which run here is which of the reference, and why two of them may differ."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hocbench.experiment.methods import METHODS
from hocbench.runs.diff import Comparison, Difference, compare_records
from hocbench.runs.record import Record
from hocbench.verify.cells import Row
from hocbench.verify.laboratory import Runs
from hocbench.verify.tables import RUN

PROCESSORS = "processors"  # those of all attempts of a run; of one attempt it says what the environment says
PARAMETERS = ("parameters", "seeds")  # groups of differences that name a key of params.yaml
NOT_RECORDED = "unknown: the reference has no manifests"
SAME_OUTPUTS = "the runs gave the same predictions: their evaluation was another one (its code, parameters or packages)"
NOTHING = "nothing that both manifests record differs"
# They follow from other reasons, if there are any.
CONSEQUENCES = ("parent run", "interruptions")
MOST = 3  # keys that are shown of a reason
# By a method whose outputs are averaged over time, the one that averages them.
AVERAGED_BY = {method.averages: method.id for method in METHODS.values() if method.averages}


@dataclass(frozen=True)
class Pairing:
    """Runs here and those of the reference that they repeat.

    Attributes
    ----------
    pairs : dict of str to str
        Name here to name there.
    missing, extra : tuple of str
        Runs that only the reference has, and that it does not have.
    comparisons : dict of str to Comparison
        By name here; empty if the reference has no manifests.
    """

    pairs: dict[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    comparisons: dict[str, Comparison]

    def differences(self, groups: Sequence[str]) -> dict[tuple[str, Difference], list[str]]:
        """List what differs in some groups of the manifests, by group and key, and the runs that it is of."""
        runs: dict[tuple[str, Difference], list[str]] = defaultdict(list)
        for run, comparison in self.comparisons.items():
            for group, differences in comparison.reasons:
                if group.name in groups:
                    for difference in differences:
                        runs[group.name, difference].append(run)
        return dict(runs)

    @property
    def parameters(self) -> dict[str, list[str]]:
        """Parameters that differ ("key: reference → here"), and the runs that they are of."""
        differences = self.differences(PARAMETERS).items()
        return {f"{difference.key}: {' → '.join(difference.shown)}": runs for (_, difference), runs in differences}


def pair_runs(
    reference: Runs, runs: Runs, there: Iterable[str] | None = None, here: Iterable[str] | None = None
) -> Pairing:
    """Find for each run the one that it repeats: that of the same id, or else of the same key.

    ``there`` and ``here`` name all runs of the reference and of this place, by default those that have a manifest.
    """
    there, here = list(reference if there is None else there), list(runs if here is None else here)
    pairs = {name: name for name in here if name in set(there)}
    left = [name for name in there if name not in pairs], [name for name in here if name not in pairs]
    by_key = _by_key(left[0], reference), _by_key(left[1], runs)
    for key, names in by_key[1].items():
        others = by_key[0].get(key, [])
        if len(names) == len(others) == 1:
            pairs[names[0]] = others[0]
    repeated = set(pairs.values())
    return Pairing(
        pairs,
        tuple(name for name in there if name not in repeated),
        tuple(name for name in here if name not in pairs),
        {a: compare_records(reference[b], runs[a]) for a, b in pairs.items() if a in runs and b in reference},
    )


def _by_key(names: Sequence[str], runs: Mapping[str, Record]) -> dict[tuple[str, ...], list[str]]:
    """Group runs by what they are of: the row of the tables, the seed and the fold."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        if name in runs:
            key = {part: value for part, value in runs[name].values.items() if part.startswith("spec.key.")}
            groups[tuple(f"{part}={key[part]!r}" for part in sorted(key))].append(name)
    return groups


def explain(comparison: Comparison) -> str:
    """Name in one line why a run probably differs from its repetition."""
    if comparison.same_outputs:
        return SAME_OUTPUTS
    reasons = {group.name: [key for key in keys if key.certain] for group, keys in comparison.reasons}
    reasons = {name: differences for name, differences in reasons.items() if differences}
    causes = {name: differences for name, differences in reasons.items() if name not in CONSEQUENCES} or reasons
    texts = []
    for name, differences in causes.items():
        if any(difference.key == "processor" for difference in differences):
            differences = [difference for difference in differences if difference.key != PROCESSORS]
        keys = [f"{difference.key} {difference.a} → {difference.b}" for difference in differences[:MOST]]
        keys += [f"{len(differences) - MOST} more"] if len(differences) > MOST else []
        texts.append(f"{name} ({', '.join(keys)})")
    return "; ".join(texts) or NOTHING


class Causes:
    """Likely causes of differing cells.

    Parameters
    ----------
    costs : iterable of dict
        Rows of costs.csv, here and of what is missing here: which run is of which row.
    pairing : Pairing
        Runs here and in the reference.
    """

    def __init__(self, costs: Iterable[Row], pairing: Pairing) -> None:
        self._rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in costs:
            method = row.get("method", "")
            # Tables without methods, such as that of sparsity, ask for a dataset.
            for name in dict.fromkeys((method, AVERAGED_BY.get(method, ""), "")):
                self._rows[row["dataset"], name].append(row)
        self._texts = {name: explain(comparison) for name, comparison in pairing.comparisons.items()}
        self._texts |= {run: f"run {run} is missing here" for run in pairing.missing}

    def of(self, keys: Mapping[str, str]) -> str:
        """Name the likely causes for a row with these keys, of all its runs."""
        texts = dict.fromkeys(self._texts.get(run, NOT_RECORDED) for run in self.runs(keys))
        # What stayed the same explains nothing if something else changed.
        changed = [text for text in texts if text != SAME_OUTPUTS]
        return " | ".join(changed or texts) or "unknown: no run of this row is known"

    def runs(self, keys: Mapping[str, str]) -> dict[str, None]:
        """Name the runs of a row with these keys, as "dataset/run id"."""
        runs = self._of_method(keys)
        if "reference" in keys:
            reference = {"method": keys["reference"], "ablation": keys.get("reference_ablation", "")}
            runs |= self._of_method({"dataset": keys["dataset"], "target": keys["target"]} | reference)
        return runs

    def _of_method(self, keys: Mapping[str, str]) -> dict[str, None]:
        rows = self._rows.get((keys.get("dataset", ""), keys.get("method", "")), [])
        # A trend is of all runs along its axis.
        asked = [key for key in RUN if key in keys and key not in ("method", keys.get("axis"))]
        fitting = [row for row in rows if all(row.get(key, "") == keys[key] for key in asked)]
        return dict.fromkeys(f"{row['dataset']}/{row['run']}" for row in fitting)
