"""A killed job and Ctrl-C cost one more start; what was finished is kept, and the bytes are those of a quiet run."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, copy_sources, environment_of, run_snakemake, snakemake_command

pytestmark = pytest.mark.workflow
PREPARED, RUNS = Path("data/prepared/tiny/affectnet"), Path("results/tiny/runs/affectnet")
SAME_BYTES = ("weights.safetensors", "network.json", "history.csv", "predictions.parquet")


def lasso_run(tree):
    (run,) = (tree / RUNS).glob("lasso-*")
    return run


def hear_ctrl_c():
    # A job that a shell put into the background ignores SIGINT, and so would its children.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder, target):
    return subprocess.Popen(
        snakemake_command(target),
        cwd=folder,
        env=environment_of(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )


def wait_for(process, look, otherwise, timeout_s=240):
    """Return what `look` finds once it finds something; fail if the workflow ends before that."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        if found := look():
            return found
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"{otherwise}: {process.communicate()[0]}")


def wait_for_fit(process, folder, run):
    """Return the process id of the training job of a run once it works."""
    return wait_for(process, lambda: fit_process(folder, run), f"no training job of {run} was seen")


def fit_process(folder, run):
    entries = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return next((int(entry.name) for entry in entries if is_fit(entry, folder, run)), None)


def is_fit(entry, folder, run):
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
        here = (entry / "cwd").resolve() == folder.resolve()
    except OSError:  # the process has ended meanwhile
        return False
    return here and b"fit" in words and any(word.endswith(run.encode()) for word in words) and b"-c" not in words


def test_a_killed_job_and_ctrl_c_cost_one_start_each(tiny_reproduction, tmp_path):
    folder = copy_sources(tmp_path)
    reference = lasso_run(tiny_reproduction)
    static = json.loads((reference / "manifest.json").read_text())["inputs"]["parent"]
    target = f"{RUNS}/{reference.name}/manifest.json"

    process = start(folder, target)
    os.kill(wait_for_fit(process, folder, static), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert static in output
    assert not (folder / RUNS / static / "manifest.json").exists()

    process = start(folder, target)
    wait_for_fit(process, folder, reference.name)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not (folder / target).exists()
    finished = (folder / RUNS / static / "manifest.json").stat().st_mtime_ns

    done = run_snakemake(folder, target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / RUNS / static / "manifest.json").stat().st_mtime_ns == finished
    for name in ("index.parquet", "frames.parquet", "ledger.csv", "crops.npy"):
        assert (folder / PREPARED / name).read_bytes() == (tiny_reproduction / PREPARED / name).read_bytes(), name
    for run in (static, reference.name):
        for name in SAME_BYTES:
            own, other = folder / RUNS / run / name, tiny_reproduction / RUNS / run / name
            assert own.read_bytes() == other.read_bytes(), f"{run}/{name}"


def test_a_killed_snakemake_costs_the_documented_unlock(tmp_path):
    folder, target = copy_sources(tmp_path), "data/prepared/tiny/afew_va/crops.json"
    process = start(folder, target)
    wait_for(process, lambda: any((folder / ".snakemake" / "locks").glob("*")), "no lock was seen")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)

    refused = run_snakemake(folder, target)
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout + refused.stderr
    assert "`snakemake --unlock`" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert run_snakemake(folder, "--unlock").returncode == 0
    assert run_snakemake(folder, target).returncode == 0
    assert (folder / target).is_file()
