"""The workflow on a real SLURM of one node: all of it, and what becomes of jobs that are ended before they are done."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, TINY, copy_sources, environment_of, run_snakemake, snakemake_command
from tests.slurm.start import obstacle, started

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "SLURM is there")]
GUIDE = ROOT / "docs" / "cluster.md"
# What differs between this cluster and a large one: no accounting, one machine, and jobs of seconds.
HERE = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "15")
SMALL = {"memory_mb": 1500, "rules": {"crop": {"memory_mb": 1500}, "fit": {"memory_mb": 1500}}}
SAME_BYTES = ("weights.safetensors", "network.json", "history.csv", "predictions.parquet")
RUNS = Path("results/tiny/runs")
# Long enough to be ended three times.
LONG = {
    "checkpoint_minutes": 0.1,
    "training": {"stages": {"static": {"epochs": 240}}},
    # Without notice, SLURM itself has to end the job.
    "cluster": {"notice_s": 0, "rules": {"fit": {"memory_mb": 800, "minutes": 60}}},
}


# States of jobs, and what ends them: what SLURM sends before a limit and at preemption, a user, and a limit that is set
# only then. On a busy machine start-up alone may take the minute that is the least limit: nothing is there to save yet.
ENDS = {"FAILED": "scancel --signal=TERM ", "CANCELLED": "scancel ", "TIMEOUT": "scontrol update TimeLimit=1 JobId="}
SAVED = re.compile(r"was asked to stop \(SIGTERM\) and is saved at epoch \d+, step \d+")


@pytest.fixture(scope="module")
def within(tmp_path_factory):
    """A cluster; adds to an environment what finds it."""
    with started(tmp_path_factory.mktemp("slurm")) as within:
        yield within


class Workflow:
    """The workflow of a folder, on the cluster."""

    def __init__(self, folder, within, *overlays):
        self.folder, self.environment = folder, within(environment_of(folder))
        self.configuration = ("--configfile", TINY, *overlays)
        self.log = folder / "snakemake.log"

    def start(self, *arguments):
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *HERE]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*command, *self.configuration, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def finish(self, *arguments):
        self.expect_success(self.start(*arguments))

    def expect_success(self, process, timeout_s=1800):
        try:
            assert process.wait(timeout=timeout_s) == 0, self.log.read_text()[-6000:]
        finally:
            process.kill()

    def call(self, command):
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def jobs(self):
        """List id, state, name, comment and GPUs of this folder's jobs, in order, those that have ended too."""
        columns = ("JobID", "State", "Name", "Comment", "tres-per-job", "WorkDir")
        layout = ",".join(f"{name}:|" for name in columns)
        lines = self.call(f"squeue --noheader --states all --sort=i --Format='{layout}'").splitlines()
        rows = [[part.strip() for part in line.split("|")[: len(columns)]] for line in lines]
        return [row[:-1] for row in rows if row[-1] == str(self.folder)]

    def states(self):
        """List the states of these jobs."""
        return [state for _, state, *_ in self.jobs()]

    def wait_for(self, process, look, what, timeout_s=1800):
        """Return what `look` finds once it finds something; fail if the workflow ends before that."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and process.poll() is None:
            if found := look():
                return found
            time.sleep(0.5)
        process.kill()
        raise AssertionError(f"{what} was not seen: {self.jobs()} {self.log.read_text()[-6000:]}")


def training(workflow):
    """Return the id of a training job that runs, if there is one."""
    fits = (job for job in workflow.jobs() if job[3].startswith("rule_fit"))
    return next((number for number, state, *_ in fits if state == "RUNNING"), None)


def same_runs(folder, other):
    for manifest in (other / RUNS).glob("*/*/manifest.json"):
        for name in SAME_BYTES:
            path = manifest.parent.relative_to(other) / name
            assert (folder / path).read_bytes() == (other / path).read_bytes(), path


def commands(heading):
    """Read the shell commands of a section of the guide."""
    section = GUIDE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line for block in re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S) for line in block.splitlines()]


def test_the_whole_dag_gives_the_same_bytes_though_snakemake_is_killed(within, tiny_reproduction, tmp_path):
    workflow = Workflow(copy_sources(tmp_path), within)
    (tmp_path / "params/small.yaml").write_text(yaml.safe_dump({"cluster": SMALL}))
    workflow.configuration += ("params/small.yaml",)
    process = workflow.start()
    workflow.wait_for(process, lambda: training(workflow), "a training job")
    process.kill()
    process.wait()
    jobs = workflow.jobs()
    assert all(name.startswith("hocbench_") for _, _, name, _, _ in jobs)
    fits = [job for job in jobs if job[3].startswith("rule_fit")]
    assert all(gpus == "gres:gpu:1" for *_, gpus in fits)
    (look,) = commands("See what runs")
    assert "rule_fit_wildcards_" in workflow.call(look)

    cancel, unlock, again = commands("Snakemake was killed")
    workflow.call(cancel)
    assert unlock == "snakemake --unlock --profile profiles/slurm --configfile params/paper.yaml"
    workflow.finish("--unlock")
    assert again == "snakemake --profile profiles/slurm --configfile params/paper.yaml"
    workflow.finish()
    same_runs(tmp_path, tiny_reproduction)
    scores = "results/tiny/evaluation/scores.csv"
    assert (tmp_path / scores).read_bytes() == (tiny_reproduction / scores).read_bytes()
    assert (tmp_path / "results/tiny/report.html").stat().st_size > 10**5
    assert set(workflow.states()) <= {"COMPLETED", "CANCELLED"}


def long_run(folder):
    """Prepare the data for one long training; return its run directory."""
    overlay = folder / "params" / "long.yaml"
    overlay.write_text(yaml.safe_dump(LONG))
    files = ("params.yaml", TINY, "params/long.yaml")
    plan = [sys.executable, "-m", "hocbench", "plan", *(word for file in files for word in ("--params", file))]
    printed = subprocess.run(plan, cwd=folder, env=environment_of(folder), capture_output=True, text=True, check=True)
    name = re.search(r"affectnet *│ (static-rank\S+)", printed.stdout)[1]
    done = run_snakemake(folder, "data/prepared/tiny/affectnet/crops.json")
    assert done.returncode == 0, done.stderr
    return RUNS / "affectnet" / name


def end_attempt(workflow, process, command, run):
    """End a training once it has saved something; return the state of its job when that has ended."""
    job = workflow.wait_for(process, lambda: training(workflow), "a training job")
    folder = workflow.folder / ".checkpoints" / run.name
    before = set(folder.glob("*.json"))
    workflow.wait_for(process, lambda: set(folder.glob("*.json")) - before, "a checkpoint")
    workflow.call(f"{command}{job}")
    active = ("RUNNING", "COMPLETING")

    def ended():
        state = dict(each[:2] for each in workflow.jobs())[job]
        return state if state not in active else None

    return workflow.wait_for(process, ended, "the end of a job")


def test_a_training_goes_on_after_a_notice_a_cancelled_job_and_a_time_limit(within, tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    copy_sources(folder)
    run = long_run(folder)
    undisturbed = Path(shutil.copytree(folder, tmp_path / "local"))
    workflow = Workflow(folder, within, "params/long.yaml")
    target = ("--", str(run / "manifest.json"))

    process = workflow.start(*target)
    for state, command in ENDS.items():
        assert end_attempt(workflow, process, command, run) == state
    workflow.wait_for(process, lambda: training(workflow), "the next attempt")
    local = subprocess.Popen(
        [*snakemake_command("--quiet"), "params/long.yaml", *target], cwd=undisturbed, env=environment_of(undisturbed)
    )
    workflow.expect_success(process)
    assert local.wait(timeout=600) == 0
    assert workflow.states() == [*ENDS, "COMPLETED"]
    # Each attempt that was ended has saved itself at that moment, and not only some seconds before.
    assert len(set(SAVED.findall(workflow.log.read_text()))) == len(ENDS)
    assert json.loads((folder / run / "manifest.json").read_text())["attempts"] == len(ENDS) + 1
    same_runs(folder, undisturbed)
    assert (undisturbed / run / "manifest.json").is_file()
