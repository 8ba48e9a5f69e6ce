"""Several recorded laboratories brought together: read, checked against each other, and each counted once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hocbench.errors import HocbenchError, VerifyError
from hocbench.runs.diff import Difference
from hocbench.verify.cells import listed
from hocbench.verify.laboratory import ABOUT, MANIFESTS, OWN, Laboratory, folders_of, read_laboratory
from hocbench.verify.runs import PARAMETERS, Pairing, pair_runs

MERGED = "merged"  # name of the page, and of its seal
NEEDED = (*(f"evaluation/{name}.csv" for name in ("scores", "intervals", "differences")), ABOUT)
JUDGED = tuple(f"claims/{name}.csv" for name in ("claims", "evidence"))  # absent where nobody has judged
CODE, DATA = "code", "data"  # groups of differences
WEIGHTS = "weights.safetensors"
Outputs = Mapping[str, Mapping[str, str]]  # by run


@dataclass(frozen=True)
class Merged:
    """Laboratories of one experiment.

    Attributes
    ----------
    laboratories : list of Laboratory
        The reference first, the others by name.
    same : dict of str to str
        By name of a laboratory that computed the same bytes as an earlier one: name of that one.
    same_weights : dict of str to int
        By laboratory, how many of its runs have the weights of the first laboratory, to the byte.
    notes, repeated : list of str
        What has to be said before any number, and what was given more than once, which changes nothing.
    """

    laboratories: list[Laboratory]
    same: dict[str, str]
    same_weights: dict[str, int]
    notes: list[str]
    repeated: list[str]

    @property
    def counted(self) -> list[Laboratory]:
        """Those whose numbers are put together: the same bytes twice say nothing new about spread."""
        return [laboratory for laboratory in self.laboratories if laboratory.name not in self.same]


def merge(folders: Iterable[Path]) -> Merged:
    """Read laboratories, in any order, and check that they are of one experiment.

    Each folder is one that `hocbench.verify.record` wrote; a reference is its own and those in its folder
    ``laboratories``. What an earlier call wrote is passed over.

    Raises
    ------
    VerifyError
        If there is none, or if one has no manifests, is damaged, shares its name with another one, or is of other
        parameters, other runs or other training code.
    """
    laboratories, repeated = _by_name([laboratory for folder in folders for laboratory in _read(folder)])
    if not laboratories:
        raise VerifyError("no laboratory is there; give folders that `hocbench record --laboratory NAME` wrote")
    first, *others = laboratories
    pairings = [pair_runs(first.runs, other.runs) for other in others]
    faults = [fault for laboratory in laboratories for fault in _damage(laboratory)]
    notes = _revision_notes(laboratories)
    outputs: dict[str, Outputs] = {first.name: first.outputs}
    for other, pairing in zip(others, pairings, strict=True):
        faults += other_experiment(first, other, pairing)
        notes += _data_notes(first, other, pairing)
        # Under the names that the first laboratory has for them.
        outputs[other.name] = {pairing.pairs.get(name, name): run.outputs for name, run in other.runs.items()}
    if faults:
        raise VerifyError("\n".join(faults))
    twins = {name: next(other for other in outputs if outputs[other] == runs) for name, runs in outputs.items()}
    same = {name: other for name, other in twins.items() if other != name}
    notes += [
        f"{name} has computed the same bytes as {other} in every run: it is counted once with it"
        for name, other in same.items()
    ]
    weights = {name: _same_weights(outputs[first.name], runs) for name, runs in outputs.items()}
    return Merged(laboratories, same, weights, notes, repeated)


def _read(folder: Path) -> Iterator[Laboratory]:
    """Read a folder, and those in it if it is a reference."""
    if not (folder / MANIFESTS).is_file():
        if (folder / f"{MERGED}.json").is_file():
            return
        raise VerifyError(
            f"{folder} is no recorded laboratory (no {MANIFESTS}); make one of a finished reproduction with `hocbench "
            "record RESULTS --laboratory NAME` and give the folder that it writes"
        )
    for path in folders_of(folder):
        try:
            yield read_laboratory(path)
        except HocbenchError as error:
            raise VerifyError(f"laboratory {path.name}: {error}; {_again(path)}") from None


def _again(path: Path) -> str:
    return f"get {path} again from who recorded it, or leave it out"


def _by_name(given: Sequence[Laboratory]) -> tuple[list[Laboratory], list[str]]:
    """Keep each laboratory once, in an order of its own, and list what was given more often."""
    by_name: dict[str, Laboratory] = {}
    for laboratory in given:
        known = by_name.setdefault(laboratory.name, laboratory)
        if _content(laboratory) != _content(known):
            raise VerifyError(
                f"{known.folder} and {laboratory.folder} are both called {known.name}, and differ; record one of them "
                "under another name with `hocbench record RESULTS --laboratory NAME`"
            )
    counts = Counter(laboratory.name for laboratory in given)
    repeated = [f"{name} was given {count} times and is counted once" for name, count in counts.items() if count > 1]
    return sorted(by_name.values(), key=lambda laboratory: (laboratory.name != OWN, laboratory.name)), repeated


def _content(laboratory: Laboratory) -> tuple[object, ...]:
    runs = {name: (run.values, run.outputs) for name, run in laboratory.runs.items()}
    return runs, laboratory.copies, laboratory.data, laboratory.revisions


def _damage(laboratory: Laboratory) -> Iterator[str]:
    """Name the tables in use that are not as they were recorded, or not there."""
    for name in (*NEEDED, *JUDGED):
        path, start = laboratory.folder / name, f"laboratory {laboratory.name}:"
        if name in laboratory.copies:
            try:
                laboratory.check(name)
            except VerifyError as error:
                yield f"{start} {error}, or leave this laboratory out"
        elif path.is_file():
            yield (
                f"{start} {path} is none of the files that were recorded (see {MANIFESTS}); delete it, or "
                f"{_again(laboratory.folder)}"
            )
        elif name in NEEDED:
            yield f"{start} {path} is not there; {_again(laboratory.folder)}"


def other_experiment(first: Laboratory, other: Laboratory, pairing: Pairing) -> Iterator[str]:
    """Name why a laboratory is of another experiment than the first one: by parameters, training code or runs."""
    for (group, difference), runs in pairing.differences((*PARAMETERS, CODE)).items():
        if group == CODE and (difference.b in first.earlier_code or difference.a in other.earlier_code):
            continue  # the one has computed the bytes of the other
        what = "training code" if group == CODE else f"parameter {difference.key}"
        todo = "the same version" if group == CODE else "the same parameters"
        yield (
            f"{what}: {_sides(difference, first, other)} ({listed(runs)}); only laboratories of {todo} can be merged, "
            "so leave one of them out or train it again"
        )
    for names, (here, there) in ((pairing.missing, ("lacks", "has")), (pairing.extra, ("has", "lacks"))):
        if names:
            yield (
                f"laboratory {other.name} {here} {listed(names)}, which laboratory {first.name} {there}; only "
                "laboratories of the same runs can be merged"
            )


def _sides(difference: Difference, first: Laboratory, other: Laboratory) -> str:
    a, b = difference.shown
    return f"{a} in laboratory {first.name}, {b} in {other.name}"


def _same_weights(first: Outputs, other: Outputs) -> int:
    return sum(files.get(WEIGHTS) == first[name].get(WEIGHTS) is not None for name, files in other.items())


def _revision_notes(laboratories: Sequence[Laboratory]) -> list[str]:
    """Name the commits that laboratories are of, if these are not one and the same."""
    commits = {laboratory.name: commits_of(laboratory.revisions) for laboratory in laboratories}
    if len(set(commits.values())) == 1:
        return []
    listed = "; ".join(f"{name}: {text}" for name, text in commits.items())
    return [f"the laboratories are not of one commit, though their training code computes the same ({listed})"]


def commits_of(revisions: Iterable[Mapping[str, Any]]) -> str:
    """Name commits, and whether the code was changed since, from what `hocbench.runs.revision` said of each."""
    texts = []
    for revision in revisions:
        if revision.get("commit"):
            difference = str(revision.get("diff") or "")[:12]
            changed = f", uncommitted changes {difference}".rstrip() if revision.get("dirty") else ""
            texts.append(f"{str(revision['commit'])[:12]}{changed}")
    return ", ".join(sorted(texts)) or "no commit recorded"


def _data_notes(first: Laboratory, other: Laboratory, pairing: Pairing) -> Iterator[str]:
    """Name data that are not the same bytes: then more than training differs between the two."""
    for (_, difference), runs in pairing.differences((DATA,)).items():
        yield (
            f"data: {difference.key} is {_sides(difference, first, other)} ({listed(runs)}), so what they differ by "
            "is not training alone"
        )
