"""The whole workflow, killed with all its jobs inside rule after rule, ends with the bytes of a quiet run."""

import random
import time

import pytest

from tests.conftest import ROOT
from tests.system.pipeline_kill import JOBS, assert_same, half_written, job_of, kill_in, resume, start

pytestmark = pytest.mark.system


def test_killed_in_every_rule_and_started_again_each_time(tree, quiet):
    rng, rules, missed = random.Random(0), list(JOBS), []
    process = start(tree)
    while rules:
        killed = kill_in(process, tree, rules, rng, whole_group=True)
        if killed is None:  # the workflow is complete: a quick job was over before its moment came
            assert process.returncode == 0, (tree / "snakemake.txt").read_text()[-5000:]
            missed.append(rules[0])
            assert len(missed) < 10, f"no job seen of: {', '.join(missed)}"
            process = start(tree, "--forcerun", rules[0].split(",")[0])
            continue
        assert half_written(tree) == []
        rules.remove(killed)
        process = resume(tree)
    assert process.wait() == 0, (tree / "snakemake.txt").read_text()[-5000:]
    assert_same(tree, quiet)


def test_jobs_that_outlive_their_workflow_do_no_harm(tree, quiet):
    process = start(tree)
    assert kill_in(process, tree, ["fit, 2-D"], random.Random(1), whole_group=False)
    assert job_of(tree, JOBS["fit, 2-D"]) is not None
    process = resume(tree)
    if process.wait() != 0:  # the job took longer than a second start of its run waits
        assert "is being trained by process" in (tree / "snakemake.txt").read_text()
        while job_of(tree, JOBS["fit, 2-D"]) is not None:
            time.sleep(0.1)
        process = resume(tree)
    assert process.wait() == 0, (tree / "snakemake.txt").read_text()[-5000:]
    assert half_written(tree) == []
    assert_same(tree, quiet)


def test_the_command_is_the_documented_one():
    assert "snakemake --unlock && snakemake --cores all" in (ROOT / "docs" / "reliability.md").read_text()
