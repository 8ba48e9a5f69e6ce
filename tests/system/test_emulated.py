"""Data, trainings and scores of the tiny profile on emulated CPUs of both makers are those of this one, to the byte.

An emulator is no CPU, but libraries choose their instructions by what it says it is.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hocbench import paths
from hocbench.arithmetic import PORTABLE, has_instructions
from hocbench.config.load import load_params
from hocbench.experiment.plan import describe, make_plan
from tests.conftest import ROOT, TINY, copy_sources
from tests.system.pipeline_kill import EXEMPT

EMULATOR = shutil.which("qemu-x86_64")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(EMULATOR is None, reason="no qemu-x86_64 (Debian: apt-get install qemu-user)"),
    pytest.mark.skipif(not has_instructions(), reason="bytes are promised on CPUs with AVX2 alone"),
]
CPUS = ("Haswell", "EPYC-Rome")
CHOSEN = [
    {"dataset": "affectnet", "method": "static"},
    {"dataset": "affectnet", "method": "static_dense"},
    {"dataset": "affectnet", "method": "lasso", "lasso": 0.05},
    {"dataset": "sewa", "method": "joint", "lasso": 0.0},
]


def chosen_runs():
    """Return a run of each kind, that of clips brings those that it starts from; and the experiment, described."""
    params = load_params([ROOT / "params.yaml", ROOT / TINY])
    plan = make_plan(params)
    wanted = [
        next(run for run in plan if all(getattr(run.key, name) == value for name, value in key.items()))
        for key in CHOSEN
    ]
    return [paths.run("tiny", run.key.dataset, run.id) for run in wanted], describe(params, plan)


def write_environment(folder, cpu):
    """Write a virtual environment whose `hocbench` runs on an emulated CPU, or on this one."""
    own = Path(sys.prefix)
    (folder / "bin").mkdir(parents=True)
    shutil.copy(own / "pyvenv.cfg", folder)
    (folder / "lib").symlink_to(own / "lib")
    python = folder / "bin" / "python"
    python.symlink_to(Path(sys.executable).resolve())
    # An emulator follows no link, so it is told by which name Python shall look for its environment.
    emulated = [EMULATOR, "-cpu", cpu, "-0", str(python), str(python.resolve())]
    command = shlex.join([*(emulated if cpu else [str(python)]), "-m", "hocbench"])
    program = folder / "bin" / "hocbench"
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    return python


def compute(folder, cpu):
    """Make all data, train the chosen runs and score them; return the files by path."""
    tree = folder / "tree"
    tree.mkdir()
    copy_sources(tree)
    python = write_environment(folder / "environment", cpu)
    environment = {name: value for name, value in os.environ.items() if name not in PORTABLE}
    environment |= {"PYTHONPATH": str(tree), "HOCBENCH_TRACKING": "off", "OMP_NUM_THREADS": "1"}
    runs, experiment = chosen_runs()
    targets = ["data", *(f"{run}/manifest.json" for run in runs)]
    snakemake = [python, "-m", "snakemake", "--cores", "2", *targets, "--configfile", TINY]
    evaluate = [python.with_name("hocbench"), "evaluate", "results/tiny/evaluation", *runs]
    evaluate += ["--replicates", "200", "--seed", "0", "--windows", "[1, 3, 5]", "--experiment", experiment.text()]
    for command in (snakemake, evaluate):
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    places = [tree / "data", tree / "results"]
    files = [path for place in places for path in place.rglob("*") if path.is_file() and path.name not in EXEMPT]
    # Text of a picture is laid out with a last digit that varies.
    kept = [path for path in files if path.stem != "montage"]
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return compute(tmp_path_factory.mktemp("here"), "")


@pytest.mark.parametrize("cpu", CPUS)
def test_an_emulated_cpu_computes_the_same_bytes(here, tmp_path, cpu):
    there = compute(tmp_path, cpu)
    for part in ("data/synthetic", "data/prepared", "results/tiny/runs/affectnet", "results/tiny/runs/sewa"):
        assert any(name.startswith(part) for name in here), part
    assert there.keys() == here.keys()
    assert [name for name in sorted(here) if here[name] != there[name]] == []
