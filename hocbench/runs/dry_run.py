"""What the workflow would do now, in the words of Snakemake's dry run."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hocbench.errors import RunError

SNAKEFILE = Path("Snakefile")
# How the parts of a reason begin; what follows a colon is a list of files, or the parameters before and now.
CLAUSES = (
    *("Missing output files", "Incomplete output files", "Updated input files", "Input files updated by another job"),
    *("Set of input files has changed since last execution", "Code has changed since last execution"),
    *("Params have changed since last execution", "Software environment definition has changed since last execution"),
    "Forced execution",
)
MISSING, INCOMPLETE, NEWER, UPDATED, INPUTS, RULE, PARAMS, _, _ = CLAUSES
NEXT_CLAUSE = re.compile(f"; (?={'|'.join(CLAUSES)})")
JOB = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n?)+)", re.MULTILINE)
SHOWN_LINES = 12


@dataclass(frozen=True)
class Job:
    """A job that the workflow would run.

    Attributes
    ----------
    rule : str
        Its rule.
    outputs : tuple of str
        Files that it writes.
    reason : str
        Snakemake's words.
    clauses : dict of str to str
        The parts of the reason: what follows each of `CLAUSES`, "" for nothing.
    """

    rule: str
    outputs: tuple[str, ...]
    reason: str
    clauses: dict[str, str]

    def files(self, clause: str) -> list[str]:
        """List the files that a part of the reason names."""
        return [name for name in self.clauses.get(clause, "").split(", ") if name]


def dry_run(configfiles: Sequence[Path]) -> list[Job]:
    """Ask Snakemake for the jobs that the workflow in the current folder would run.

    Parameters
    ----------
    configfiles : sequence of Path
        Overlays of ``params.yaml``, as ``snakemake --configfile`` takes them.

    Raises
    ------
    RunError
        If there is no workflow here, or Snakemake refuses it.
    """
    if not SNAKEFILE.is_file():
        raise RunError(f"there is no Snakefile in {Path.cwd()}; call this in the folder of the workflow")
    overlays = ["--configfile", *map(str, configfiles)] if configfiles else []
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *overlays]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-SHOWN_LINES:]
        raise RunError("snakemake --dry-run fails; correct what it says:\n" + "\n".join(lines))
    return parse_jobs(done.stdout)


def parse_jobs(text: str) -> list[Job]:
    """Read the jobs out of what ``snakemake --dry-run`` prints."""
    jobs = []
    for rule, body in JOB.findall(text):
        values = dict(line.strip().partition(": ")[::2] for line in body.splitlines())
        reason = values.get("reason", "")
        clauses = {part.partition(":")[0]: part.partition(":")[2].strip() for part in NEXT_CLAUSE.split(reason)}
        jobs.append(Job(rule, tuple(values.get("output", "").split(", ")), reason, clauses))
    return jobs
