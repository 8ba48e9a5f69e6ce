"""Several recorded laboratories brought together: read, checked against each other, and each counted once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hocbench.errors import HocbenchError, VerifyError
from hocbench.verify.laboratory import MANIFESTS, OWN, Laboratory, folders_of, read_laboratory
from hocbench.verify.runs import PARAMETERS, Pairing, pair_runs

MERGED = "merged"  # name of the page, and of its seal
NEEDED = tuple(f"evaluation/{name}.csv" for name in ("scores", "intervals", "differences"))
JUDGED = tuple(f"claims/{name}.csv" for name in ("claims", "evidence"))  # absent where nobody has judged
CODE, DATA = "code", "data"  # groups of differences
WEIGHTS = "weights.safetensors"
NAMED = 3  # runs that are named in one message
Outputs = Mapping[str, Mapping[str, str]]  # by run


@dataclass(frozen=True)
class Merged:
    """Laboratories of one experiment.

    Attributes
    ----------
    laboratories : list of Laboratory
        The reference first, the others by name.
    same : dict of str to str
        Name of a laboratory that has computed the same bytes as an earlier one, and name of that one.
    same_weights : dict of str to int
        By laboratory, how many of its runs have the same weights as the first laboratory's, to the byte.
    notes : list of str
        What has to be said before any number.
    repeated : list of str
        What was given more than once, which changes nothing.
    """

    laboratories: list[Laboratory]
    same: dict[str, str]
    same_weights: dict[str, int]
    notes: list[str]
    repeated: list[str]

    @property
    def counted(self) -> list[Laboratory]:
        """Those whose numbers are put together: the same bytes twice say nothing new about spread."""
        return [each for each in self.laboratories if each.name not in self.same]


def merge(folders: Iterable[Path]) -> Merged:
    """Read laboratories and see that they are of one experiment.

    Parameters
    ----------
    folders : iterable of Path
        Of laboratories that `hocbench.verify.record` wrote, in any order; a reference is its own and those in its
        folder ``laboratories``. What an earlier call wrote is passed over.

    Returns
    -------
    Merged
        See there.

    Raises
    ------
    VerifyError
        If there is none, or if one has no manifests, is damaged, shares its name with another one, or is of other
        parameters, other runs or other training code.
    """
    found, repeated = _by_name([each for folder in folders for each in _read(folder)])
    if not found:
        raise VerifyError("no laboratory is there; give folders that `hocbench record --laboratory NAME` wrote")
    first, others = found[0], found[1:]
    pairings = {each.name: pair_runs(list(first.runs), list(each.runs), first.runs, each.runs) for each in others}
    faults = [fault for each in found for fault in _damage(each)]
    faults += [fault for each in others for fault in other_experiment(first, each, pairings[each.name])]
    if faults:
        raise VerifyError("\n".join(faults))
    outputs: dict[str, Outputs] = {first.name: first.outputs}
    for each in others:
        # Under the names that the first laboratory has for them.
        outputs[each.name] = {pairings[each.name].pairs[name]: run.outputs for name, run in each.runs.items()}
    same = _same(outputs)
    notes = _revision_notes(found)
    notes += [note for each in others for note in _data_notes(first, each, pairings[each.name])]
    notes += [
        f"{name} has computed the same bytes as {other} in every run: it is counted once with it"
        for name, other in same.items()
    ]
    weights = {name: _same_weights(outputs[first.name], runs) for name, runs in outputs.items()}
    return Merged(found, same, weights, notes, repeated)


def _read(folder: Path) -> Iterator[Laboratory]:
    """Read a folder, and those below it if it is a reference."""
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
    """Take each laboratory once, in an order of its own, and say what was given more often."""
    found: dict[str, Laboratory] = {}
    for each in given:
        known = found.setdefault(each.name, each)
        if _content(each) != _content(known):
            raise VerifyError(
                f"{known.folder} and {each.folder} are both called {each.name}, and differ; record one of them under "
                "another name with `hocbench record RESULTS --laboratory NAME`"
            )
    counts = {name: sum(each.name == name for each in given) for name in found}
    repeated = [f"{name} was given {count} times and is counted once" for name, count in counts.items() if count > 1]
    return sorted(found.values(), key=lambda each: (each.name != OWN, each.name)), repeated


def _content(laboratory: Laboratory) -> tuple[object, ...]:
    runs = {name: (run.values, run.outputs) for name, run in laboratory.runs.items()}
    return runs, laboratory.copies, laboratory.data, laboratory.revisions


def _damage(laboratory: Laboratory) -> Iterator[str]:
    """Name the tables in use that are not as they were recorded, or not there."""
    for name in (*NEEDED, *JUDGED):
        path = laboratory.folder / name
        if name in laboratory.copies:
            try:
                laboratory.check(name)
            except VerifyError as error:
                yield f"laboratory {laboratory.name}: {error}, or leave this laboratory out"
        elif path.is_file():
            yield (
                f"laboratory {laboratory.name}: {path} is none of the files that were recorded (see {MANIFESTS}); "
                f"delete it, or {_again(laboratory.folder)}"
            )
        elif name in NEEDED:
            yield f"laboratory {laboratory.name}: {path} is not there; {_again(laboratory.folder)}"


def other_experiment(first: Laboratory, other: Laboratory, pairing: Pairing) -> Iterator[str]:
    """Say why a laboratory is of another experiment than the first one: by parameters, training code or runs.

    Parameters
    ----------
    first, other : Laboratory
        Recorded with their manifests.
    pairing : Pairing
        Of the runs of both.
    """
    for (group, each), runs in pairing.differences((*PARAMETERS, CODE)).items():
        what = "training code" if group == CODE else f"parameter {each.key}"
        todo = "the same version" if group == CODE else "the same parameters"
        yield (
            f"{what}: {each.shown[0]} in laboratory {first.name}, {each.shown[1]} in {other.name} ({_listed(runs)}); "
            f"only laboratories of {todo} can be merged, so leave one of them out or train it again"
        )
    for names, (here, there) in ((pairing.missing, ("lacks", "has")), (pairing.extra, ("has", "lacks"))):
        if names:
            yield (
                f"laboratory {other.name} {here} {_listed(names)}, which laboratory {first.name} {there}; only "
                "laboratories of the same runs can be merged"
            )


def _listed(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
    return f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}: {', '.join(runs[:NAMED])}{more}"


def _same(outputs: Mapping[str, Outputs]) -> dict[str, str]:
    """Find who has computed the same bytes as somebody before."""
    same: dict[str, str] = {}
    for name, runs in outputs.items():
        known = [other for other in outputs if other not in same and outputs[other] == runs]
        if known[0] != name:
            same[name] = known[0]
    return same


def _same_weights(first: Outputs, other: Outputs) -> int:
    return sum(files.get(WEIGHTS) == first[name].get(WEIGHTS) is not None for name, files in other.items())


def _revision_notes(laboratories: Sequence[Laboratory]) -> list[str]:
    """Say of which commits laboratories are, if these are not one and the same."""
    commits = {each.name: commits_of(each.revisions) for each in laboratories}
    if len(set(commits.values())) == 1:
        return []
    listed = "; ".join(f"{name}: {text}" for name, text in commits.items())
    return [f"the laboratories are not of one commit, though their training code is the same ({listed})"]


def commits_of(revisions: Iterable[Mapping[str, Any]]) -> str:
    """Name commits, and whether the code was changed since, from what `hocbench.runs.revision` said of each."""
    texts = []
    for each in revisions:
        commit = str(each.get("commit") or "")
        changed = f", uncommitted changes {str(each.get('diff') or '')[:12]}".rstrip() if each.get("dirty") else ""
        texts.append(f"{commit[:12]}{changed}" if commit else "")
    return ", ".join(sorted(filter(None, texts))) or "no commit recorded"


def _data_notes(first: Laboratory, other: Laboratory, pairing: Pairing) -> Iterator[str]:
    """Say which data are not the same bytes: then more than training differs between the two."""
    for (_, each), runs in pairing.differences((DATA,)).items():
        yield (
            f"data: {each.key} is {each.shown[0]} in laboratory {first.name}, {each.shown[1]} in {other.name} "
            f"({_listed(runs)}), so what they differ by is not training alone"
        )
