"""What jobs ask a cluster for comes from the parameters, changes no result, and means nothing on one machine."""

import copy
import json
import os
import re
import signal
import subprocess
import sys
from itertools import pairwise

import pytest
import yaml

from hocbench.config.cluster import RuleRequests
from hocbench.config.load import _merge, parse_params
from hocbench.errors import ParameterError
from hocbench.experiment.jobs import job_resources
from tests.conftest import ROOT, TINY, environment_of, planned_jobs, run_snakemake

pytestmark = pytest.mark.workflow
BASE = yaml.safe_load((ROOT / "params.yaml").read_text())
CHILD = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("up", flush=True)
signal.pause()
"""
PARENT = """
import signal, subprocess, sys
from hocbench.experiment.jobs import forward_signals
forward_signals()
signal.signal(signal.SIGTERM, lambda *_: None)  # as Snakemake, which then waits for its job
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[1]]).returncode)
"""


def requested(rule, attempt=1, **changes):
    """Return what a rule's job asks for, memory worked out for an attempt."""
    resources = job_resources(parse_params(_merge(copy.deepcopy(BASE), changes)), rule)
    return resources | {"mem_mb": resources["mem_mb"](None, attempt)}


def test_rules_ask_for_what_the_section_says_and_else_for_the_same():
    cluster = {
        "partition": "cpu",
        "account": "faces",
        "minutes": 30,
        "memory_mb": 4000,
        "gpu_model": "a100",
        "rules": {"fit": {"partition": "gpu", "minutes": 600}, "index": {"memory_mb": 9000}},
    }
    common = {"slurm_partition": "cpu", "slurm_account": "faces", "runtime": 30, "mem_mb": 4000}
    assert requested("splits", cluster=cluster) == common
    assert requested("index", cluster=cluster) == common | {"mem_mb": 9000}
    assert requested("fit", cluster=cluster, processes=2) == {
        "slurm_partition": "gpu",
        "slurm_account": "faces",
        "runtime": 600,
        "mem_mb": 32000,  # that of trainings by default, whatever else is said of them
        "gpu": 2,
        "gpu_model": "a100",
        "slurm_extra": "--signal=TERM@120",
    }


def test_memory_grows_with_the_attempt():
    assert [requested("fit", attempt)["mem_mb"] for attempt in (1, 2, 3)] == [32000, 64000, 96000]


def test_a_cluster_without_gpus_is_asked_for_none():
    assert requested("fit", cluster={"gpus": False, "gpu_model": "a100"})["gpu"] == 0
    assert "gpu_model" not in requested("fit", cluster={"gpus": False, "gpu_model": "a100"})
    assert "slurm_extra" not in requested("fit", cluster={"notice_s": 0})


@pytest.mark.parametrize(
    ("cluster", "text"),
    [
        ({"rules": {"fitt": {"minutes": 1}}}, "cluster.rules.fitt: unknown key (value {'minutes': 1}); did you mean"),
        ({"rules": {"fit": {"minuts": 1}}}, "did you mean cluster.rules.fit.minutes?"),
        ({"rules": {"fit": {"minutes": 0}}}, "cluster.rules.fit.minutes: 0 is not valid"),
        ({"partiton": "gpu"}, "did you mean cluster.partition?"),
    ],
)
def test_a_mistake_in_the_section_is_named(cluster, text):
    with pytest.raises(ParameterError) as caught:
        parse_params(_merge(copy.deepcopy(BASE), {"cluster": cluster}))
    assert text in str(caught.value)


def test_the_section_knows_every_rule_that_has_a_command():
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    blocks = [block for block in rules.split("\nrule ")[1:] if "shell:" in block]
    assert {block.split(":")[0] for block in blocks} == set(RuleRequests.model_fields)
    for block in blocks:
        assert f'**job_resources(PARAMS, "{block.split(":")[0]}")' in block


def test_the_slurm_profile_plans_the_same_jobs_with_their_resources(copied_tree):
    cluster = "cluster={partition: short, rules: {fit: {partition: gpu, memory_mb: 5000}}}"
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--configfile", TINY]
    done = subprocess.run(
        [*command, "-n", "--forceall", "--config", cluster],
        cwd=copied_tree,
        env=environment_of(copied_tree),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = (done.stdout + done.stderr).split("\nrule ")[1:]
    fits = [job for job in jobs if job.startswith("fit:")]
    assert len(fits) == 16
    for words in ("slurm_partition=gpu", "mem_mb=5000", "runtime=1440", "gpu=1", "slurm_extra=--signal=TERM@120"):
        assert all(words in job for job in fits), words
    others = [job for job in jobs if job.startswith(("index:", "evaluate:"))]
    assert len(others) == 4
    assert all("slurm_partition=short" in job and "mem_mb=8000" in job and "gpu" not in job for job in others)


def test_another_request_runs_nothing_again(tiny_reproduction):
    cluster = "cluster={partition: gpu, account: faces, minutes: 7, memory_mb: 70000, rules: {fit: {minutes: 9}}}"
    assert planned_jobs(tiny_reproduction, "--config", cluster) == {}


def test_two_trainings_run_at_once_on_one_machine(tiny_reproduction):
    records = [json.loads(path.read_text()) for path in (tiny_reproduction / ".snakemake/metadata").iterdir()]
    times = sorted({(each["starttime"], each["endtime"]) for each in records if each["rule"] == "fit"})
    assert any(start < end for (_, end), (start, _) in pairwise(times))


def test_a_mistake_in_the_section_stops_before_the_first_job(copied_tree):
    done = run_snakemake(copied_tree, "-n", "--config", "cluster={rules: {fitt: {minutes: 1}}}")
    assert done.returncode != 0
    assert "cluster.rules.fitt: unknown key" in done.stdout + done.stderr


@pytest.mark.parametrize(("job", "code"), [({"SLURM_JOB_ID": "1"}, 75), ({}, None)])
def test_a_signal_to_snakemake_in_a_slurm_job_reaches_the_training(job, code):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    command = [sys.executable, "-c", PARENT, CHILD]
    process = subprocess.Popen(command, cwd=ROOT, env=environment | job, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(timeout=30 if code else 2) == code
    except subprocess.TimeoutExpired:
        assert code is None  # outside of SLURM nothing is handed on
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_the_parameters_of_the_guide_are_valid():
    text = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert requested("fit", **yaml.safe_load(block))["slurm_partition"] == "gpu"


def test_the_profile_holds_nothing_that_belongs_into_the_parameters():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert not {"default-resources", "set-resources"} & set(profile)
    assert (profile["retries"], profile["slurm-jobname-prefix"]) == (3, "hocbench")
