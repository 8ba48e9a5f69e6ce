"""Why a run would be done again, or not: what Snakemake would do, explained by what is recorded of the run."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hocbench import paths
from hocbench.errors import HocbenchError
from hocbench.experiment.plan import Run
from hocbench.experiment.spec import RunSpec
from hocbench.files.checksums import file_hash
from hocbench.files.code import module_hashes
from hocbench.runs.dry_run import INCOMPLETE, INPUTS, MISSING, NEWER, PARAMS, RULE, UPDATED, Job
from hocbench.runs.manifest import MANIFEST, is_finished, manifest_values, read_manifest, spec_of
from hocbench.runs.record import flat

TRAINING = "hocbench.training.stages"
NAMES = ("run", "profile")  # keys of a spec that say what it is called
BEFORE_AND_NOW = re.compile(r"before: (.*) now: (.*)")
HASH = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Cause:
    """One reason, and what is behind it.

    Attributes
    ----------
    kind : str
        "plan", "missing", "unfinished", "damaged", "parameters", "code", "rule", "parent", "data" or "files".
    text : str
        In words.
    causes : tuple of Cause
        Of a parent that is done again, or of data that are made again.
    """

    kind: str
    text: str
    causes: "tuple[Cause, ...]" = ()


@dataclass(frozen=True)
class Why:
    """The answer for one run.

    Attributes
    ----------
    run : str
        Dataset and id.
    planned, finished, again : bool
        Whether the parameters ask for it, its manifest is there, and the workflow would do it (again).
    causes : tuple of Cause
        Why it would; or, if it would not, what differs from what was recorded and is no reason for Snakemake.
    snakemake : str
        Snakemake's own reason, "" for none.
    """

    run: str
    planned: bool
    finished: bool
    again: bool
    causes: tuple[Cause, ...] = ()
    snakemake: str = ""

    def text(self) -> str:
        """Say it in plain words."""
        if self.again:
            verdict = "will be done again" if self.finished else "will be done"
        elif not self.planned:
            verdict = "will not be done: it is not in the plan"
        else:
            verdict = "will not be done again"
            verdict += ", although" if self.causes else ": nothing has changed"
        lines = [f"{self.run} {verdict}", *_lines(self.causes)]
        return "\n".join([*lines, f"Snakemake: {self.snakemake or 'nothing to be done'}"]) + "\n"


def _lines(causes: Iterable[Cause], depth: int = 1, seen: set[Cause] | None = None) -> list[str]:
    """Write causes as a tree; what is behind one is said where it is met first."""
    seen = set() if seen is None else seen
    lines = []
    for cause in causes:
        lines.append(f"{'  ' * depth}{cause.kind}: {cause.text}")
        if cause not in seen:
            seen.add(cause)
            lines += _lines(cause.causes, depth + 1, seen)
    return lines


@dataclass
class Explainer:
    """Explains the runs of a plan.

    Attributes
    ----------
    profile : str
        Name of the results folder.
    runs : dict of str to Run
        The plan, by dataset and id.
    jobs : sequence of Job
        What the workflow would run; see `hocbench.runs.dry_run`.
    """

    profile: str
    runs: Mapping[str, Run]
    jobs: Sequence[Job]
    _known: dict[str, Why] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._makers = {name: job for job in self.jobs for name in job.outputs}
        self._sources = module_hashes(TRAINING)

    def explain(self, name: str) -> Why:
        """Explain a run of the plan, or one that lies in the results and is not in the plan; by dataset and id."""
        if name not in self._known:
            self._known[name] = self._planned(self.runs[name]) if name in self.runs else self._unplanned(name)
        return self._known[name]

    def _folder(self, name: str) -> Path:
        return paths.results(self.profile) / "runs" / name

    def _planned(self, run: Run) -> Why:
        folder = self._folder(run.spec.name)
        job = self._makers.get(str(folder / MANIFEST))
        finished = is_finished(folder)
        causes = self._of_record(run, folder) if finished else [self._absent(run, folder)]
        causes += self._of_parent(run, job)
        if job is not None:
            causes += self._of_data(run, job)
            causes += _of_rule(job, causes)
        return Why(run.spec.name, True, finished, job is not None, tuple(causes), job.reason if job else "")

    def _unplanned(self, name: str) -> Why:
        with manifest_values(self._folder(name)) as manifest:
            spec = spec_of(manifest)
        same = next((run for run in self.runs.values() if run.key == spec.key), None)
        if same is None:
            text = "the parameters ask for no run of its method, rank, LASSO weight, fold and seed on this dataset"
        else:
            text = f"in its place is {same.spec.name}, which differs by {changes(spec, same.spec)}"
        return Why(name, False, True, False, (Cause("plan", text),))

    def _absent(self, run: Run, folder: Path) -> Cause:
        """Say why there is no manifest: stopped, made with other parameters, or never made."""
        if (paths.checkpoints() / run.id).is_dir():
            return Cause("unfinished", "it was stopped, and goes on from its last checkpoint")
        if folder.is_dir() and any(folder.iterdir()):
            return Cause("unfinished", f"{folder} has no {MANIFEST}, which is written last")
        candidates = []
        for other in sorted(folder.parent.glob(f"{run.id.rpartition('-')[0]}-{'[0-9a-f]' * 8}")):
            try:
                spec = spec_of(read_manifest(other))
            except (HocbenchError, KeyError, ValueError):  # of another version, or not finished
                continue
            if spec.key == run.key and spec.run != run.id:
                candidates.append((len(differing(spec, run.spec)), other.name, spec))
        if not candidates:
            return Cause("missing", "it was never made, and neither was one that differs by parameters only")
        _, nearest, spec = min(candidates, key=lambda candidate: candidate[:2])
        return Cause("parameters", f"{nearest} is finished and differs by {changes(spec, run.spec)}")

    def _of_record(self, run: Run, folder: Path) -> list[Cause]:
        """Compare a finished run with the sources, data and files of now."""
        try:
            manifest = read_manifest(folder)
        except HocbenchError as error:
            return [Cause("damaged", str(error))]
        causes = self._of_code(manifest)
        prepared = paths.prepared(self.profile, run.key.dataset)
        for name in ("crops.json", "frames.parquet"):
            recorded = manifest.get("inputs", {}).get(name)
            if recorded and (prepared / name).is_file() and file_hash(prepared / name) != recorded:
                causes.append(Cause("data", f"{prepared / name} is another file than the run read"))
        absent = [name for name in paths.RUN_FILES if not (folder / name).is_file()]
        if absent:
            remedy = f"to have the run done again, call `hocbench audit --delete {folder}`"
            causes.append(
                Cause("files", f"{', '.join(absent)}: not there. Snakemake asks for {MANIFEST} only; {remedy}")
            )
        return causes

    def _of_code(self, manifest: Mapping[str, Any]) -> list[Cause]:
        before: dict[str, str] = manifest.get("sources", {})
        if not before:
            return []
        now = self._sources
        edited = [name for name in now if name in before and before[name] != now[name]]
        parts = {
            "edited": edited,
            "added": [name for name in now if name not in before],
            "no longer executed": [name for name in before if name not in now],
        }
        words = [f"{', '.join(names)} ({change})" for change, names in parts.items() if names]
        return [Cause("code", f"since then, other modules are executed: {'; '.join(words)}")] if words else []

    def _of_parent(self, run: Run, job: Job | None) -> list[Cause]:
        if run.parent is None:
            return []
        parent = self.explain(run.parent.spec.name)
        if parent.again:
            return [Cause("parent", f"{parent.run}, from which it starts, will be done", parent.causes)]
        broken = tuple(cause for cause in parent.causes if cause.kind in ("files", "damaged"))
        # Then the training will be refused.
        return [Cause("parent", f"{parent.run}, from which it starts, is not whole", broken)] if job and broken else []

    def _of_data(self, run: Run, job: Job) -> list[Cause]:
        """Follow the files of a dataset that are made again, or were since."""
        place = str(paths.prepared(self.profile, run.key.dataset))
        causes = [self._made_again(self._makers[name]) for name in job.files(UPDATED) if name.startswith(place)][:1]
        newer = [name for name in job.files(NEWER) if name not in job.files(UPDATED)]
        crops = [name for name in newer if name.startswith(place)]
        if crops:
            causes.append(Cause("data", f"made after the run, with another content: {', '.join(crops)}"))
        if len(crops) < len(newer) and run.parent is not None:
            causes.append(Cause("parent", f"{run.parent.spec.name}, from which it starts, was done after it"))
        return causes

    def _made_again(self, job: Job, seen: set[str] | None = None) -> Cause:
        """Explain a job before the training by those before it, each once, or by itself."""
        seen = set() if seen is None else seen
        causes = []
        for name in job.files(UPDATED):
            maker = self._makers.get(name)
            if maker is not None and maker.outputs[0] not in seen:
                seen.add(maker.outputs[0])
                causes.append(self._made_again(maker, seen))
        text = f"rule {job.rule} will write {Path(job.outputs[0]).parent} first"
        return Cause("data", text, tuple(causes or _of_rule(job, [])))


def _of_rule(job: Job, causes: Sequence[Cause]) -> list[Cause]:
    """Put into words what Snakemake says of a job's own, where nothing else explains it yet."""
    kinds = {cause.kind for cause in causes}
    more = []
    if job.files(MISSING) and not kinds & {"missing", "unfinished", "parameters"}:
        more.append(Cause("missing", f"not there: {', '.join(job.files(MISSING))}"))
    if INCOMPLETE in job.clauses and "unfinished" not in kinds:
        more.append(Cause("unfinished", "the job that wrote it did not end"))
    if job.files(NEWER) and not kinds & {"data", "parent"}:
        more.append(Cause("data", f"made after it, with another content: {', '.join(job.files(NEWER))}"))
    if INPUTS in job.clauses:
        more.append(Cause("rule", "it is made of other files than before"))
    if RULE in job.clauses:
        more.append(Cause("rule", f"the command of rule {job.rule} was edited"))
    if PARAMS in job.clauses:
        parameters = _of_parameters(job.clauses[PARAMS])
        if parameters.kind not in kinds:
            more.append(parameters)
    return more


def _of_parameters(text: str) -> Cause:
    """Tell a hash of sources from other parameters of a rule."""
    match = BEFORE_AND_NOW.search(text)
    before, now = (part.strip().strip("'") for part in match.groups()) if match else (text, "")
    if HASH.fullmatch(before) and HASH.fullmatch(now):
        return Cause("code", f"since then, sources that it executes were edited (hash {before} -> {now})")
    return Cause("parameters", f"{before} -> {now}")


def differing(before: RunSpec, now: RunSpec) -> dict[str, tuple[Any, Any]]:
    """List the keys by which two runs differ, apart from their names: old and new value, None for no key."""
    a, b = (flat(spec.model_dump(mode="json", exclude=set(NAMES))) for spec in (before, now))
    return {key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}


def changes(before: RunSpec, now: RunSpec) -> str:
    """Spell out by what two runs differ."""
    pairs = sorted(differing(before, now).items())
    words = [f"{key}: {' -> '.join(x if isinstance(x, str) else json.dumps(x) for x in pair)}" for key, pair in pairs]
    return ", ".join(words) or "its name only"
