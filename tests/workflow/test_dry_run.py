"""What the workflow refuses or plans before it runs a job."""

from tests.conftest import run_snakemake


def test_unknown_key_stops_before_the_first_job(copied_tree):
    done = run_snakemake(copied_tree, "-n", "--config", "sweeep={lasso: [0]}")
    assert done.returncode != 0
    assert "sweeep: unknown key" in done.stdout + done.stderr
    assert "did you mean sweep?" in done.stdout + done.stderr


def test_missing_real_dataset_is_named(copied_tree):
    done = run_snakemake(copied_tree, "-n", configfile="params/paper.yaml")
    assert done.returncode != 0
    assert "dataset folder missing: data/real/affectnet, data/real/sewa, data/real/afew_va" in done.stdout + done.stderr


def test_dry_run_plans_every_run_once(copied_tree):
    done = run_snakemake(copied_tree, "-n", "--quiet", "rules", "--forceall")
    assert done.returncode == 0, done.stderr
    counts = dict(line.split() for line in (done.stdout + done.stderr).splitlines() if len(line.split()) == 2)
    assert counts["fit"] == "19"
    assert counts["synthesize"] == counts["crop"] == "3"
