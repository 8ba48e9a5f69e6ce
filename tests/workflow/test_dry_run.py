"""What the workflow refuses or plans before it runs a job."""

import re
import shlex

from tests.conftest import planned_jobs, run_snakemake


def test_unknown_key_stops_before_the_first_job(copied_tree):
    done = run_snakemake(copied_tree, "-n", "--config", "sweeep={lasso: [0]}")
    assert done.returncode != 0
    assert "sweeep: unknown key" in done.stdout + done.stderr
    assert "did you mean sweep?" in done.stdout + done.stderr


def test_a_value_out_of_range_stops_before_the_first_job(copied_tree):
    done = run_snakemake(copied_tree, "-n", "--config", "sweep={lasso: [-1]}")
    assert done.returncode != 0
    assert "sweep.lasso.0: -1 is not valid; input should be greater than or equal to 0" in done.stdout + done.stderr


def test_missing_real_dataset_is_named(copied_tree):
    done = run_snakemake(copied_tree, "-n", configfile="params/paper.yaml")
    assert done.returncode != 0
    assert "dataset folder missing: data/real/affectnet, data/real/sewa, data/real/afew_va" in done.stdout + done.stderr


def test_dry_run_plans_every_run_once(copied_tree):
    counts = planned_jobs(copied_tree, "--forceall")
    assert counts["fit"] == 16
    for rule in ("synthesize", "check", "index", "crop", "splits", "montage"):
        assert counts[rule] == 3, rule
    assert "fetch" not in counts
    assert counts["figures"] == 1
    assert counts["evaluate"] == counts["table"] == counts["counts"] == counts["report"] == counts["hashes"] == 1


def test_a_dataset_with_addresses_is_fetched_before_it_is_checked(copied_tree):
    address = "datasets={sewa: {root: own/sewa, fetch: [{url: 'file:///own/segments.zip'}]}}"
    counts = planned_jobs(copied_tree, "--forceall", "--config", address)
    assert (counts["fetch"], counts["synthesize"], counts["check"]) == (1, 2, 3)


def test_a_rendered_dataset_is_not_fetched_into(copied_tree):
    address = "datasets={sewa: {fetch: [{url: 'file:///own/segments.zip'}]}}"
    done = run_snakemake(copied_tree, "-n", "--config", address)
    assert done.returncode != 0
    assert "datasets.sewa.root: 'data/synthetic/tiny/sewa' is rendered" in done.stdout + done.stderr


def test_a_split_list_that_is_missing_stops_before_the_first_job(copied_tree):
    split = "datasets={sewa: {split: {kind: file, path: absent.csv}}}"
    done = run_snakemake(copied_tree, "-n", "--config", split)
    assert done.returncode != 0
    assert "split list absent.csv cannot be read (No such file or directory)" in done.stdout + done.stderr


def test_targets_of_a_user_exist(copied_tree):
    for target, absent in (("data", "fit"), ("tables", "figures"), ("figures", "table")):
        assert absent not in planned_jobs(copied_tree, "--forceall", target)


def test_no_word_of_a_command_grows_with_the_number_of_runs(copied_tree):
    """A system takes a million words, and none of more than 128 KiB."""
    done = run_snakemake(copied_tree, "-n", "-p", "--forceall")
    commands = re.findall(r"(?:exec )?hocbench \w.*", done.stdout)
    assert len(commands) > 30
    counts = {" ".join(words[:2]): [] for words in map(shlex.split, commands)}
    for words in map(shlex.split, commands):
        # A run, and the one that it starts from.
        assert all(len(set(re.findall(r"-[0-9a-f]{8}\b", word))) <= 2 for word in words), words[:3]
        counts[" ".join(words[:2])].append(sum("-rank0.22x-" in word for word in words))
    assert min(counts["hocbench evaluate"] + counts["hocbench report"]) > 8
