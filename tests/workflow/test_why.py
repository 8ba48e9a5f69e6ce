"""`hocbench why` agrees with Snakemake about every run, whatever was changed, and names what it was."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from hocbench.cli.why import find_run
from hocbench.errors import ParameterError, RunError
from hocbench.runs.dry_run import dry_run, parse_jobs
from hocbench.runs.why import Explainer
from tests.conftest import ROOT, TINY, copy_sources, environment_of, run_snakemake
from tests.workflow.made_up import finish, plan_of

pytestmark = pytest.mark.workflow
OVERLAY = "params/made_up.yaml"
LIST = "list.csv"
FIT = re.compile(r"^rule fit:\n(?:    .*\n)*?    wildcards: dataset=(\w+), run=(\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def made_up_reproduction(tmp_path_factory):
    """Runs of two datasets, seven in all, whose outputs are made up; SEWA is split by a list."""
    folder = copy_sources(tmp_path_factory.mktemp("made_up"))
    values = yaml.safe_load((ROOT / TINY).read_text())
    values["datasets"]["sewa"] |= {"baselines": ["scratch"], "split": {"kind": "file", "path": LIST}}
    values["datasets"]["afew_va"] = None
    values["sweep"]["lasso"] = [0]
    (folder / OVERLAY).write_text(yaml.safe_dump(values))
    (folder / LIST).write_text("subject,part\n")
    return finish(folder, OVERLAY)


@pytest.fixture
def tree(made_up_reproduction, tmp_path, monkeypatch):
    folder = shutil.copytree(made_up_reproduction, tmp_path / "tree")
    monkeypatch.chdir(folder)
    # What is hashed here is what Snakemake hashes there.
    monkeypatch.setattr("hocbench.files.code.ROOT", folder)
    return folder


def run_named(folder, dataset, method):
    (run,) = [run for run in plan_of(folder, OVERLAY) if (run.key.dataset, run.key.method) == (dataset, method)]
    return run


def folder_of(folder, dataset, method):
    return folder / "results" / "tiny" / "runs" / run_named(folder, dataset, method).spec.name


def answers(folder):
    """Explain all runs of the plan; what is said must be what one dry run of Snakemake schedules."""
    done = run_snakemake(folder, "-n", configfile=OVERLAY)
    assert done.returncode == 0, done.stdout + done.stderr
    scheduled = set(
        re.findall(r"^rule fit:\n(?:    .*\n)*?    wildcards: dataset=(\w+), run=(\S+)$", done.stdout, re.M)
    )
    runs = {run.spec.name: run for run in plan_of(folder, OVERLAY)}
    explainer = Explainer("tiny", runs, parse_jobs(done.stdout))
    explained = {name: explainer.explain(name) for name in runs}
    assert {name for name, why in explained.items() if why.again} == {"/".join(pair) for pair in scheduled}
    # A run that will be done says why, and one that will not says nothing else of Snakemake.
    assert all(why.causes and why.snakemake for why in explained.values() if why.again)
    assert not any(why.snakemake for why in explained.values() if not why.again)
    return {(runs[name].key.dataset, runs[name].key.method): why for name, why in explained.items()}


def again(explained):
    return {key for key, why in explained.items() if why.again}


ON_SEWA = {("sewa", "static"), ("sewa", "temporal"), ("sewa", "joint"), ("sewa", "scratch")}
ALL = ON_SEWA | {("affectnet", "static"), ("affectnet", "static_dense")}
FROM_STATIC = ALL - {("sewa", "scratch"), ("affectnet", "static_dense")}


def test_nothing_and_a_comment_change_nothing(tree):
    for name in ("nn/kernel.py", "errors.py", "training/loop.py"):
        path = tree / "hocbench" / name
        path.write_text(path.read_text() + "\n# Another comment.\n")
    explained = answers(tree)
    assert set(explained) == ALL
    assert not again(explained)
    assert not any(why.causes for why in explained.values())


def test_a_line_of_the_training_is_named(tree):
    path = tree / "hocbench" / "training" / "losses.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    explained = answers(tree)
    assert again(explained) == ALL
    why = explained["affectnet", "static"]
    assert [cause.kind for cause in why.causes] == ["code"]
    assert "hocbench.training.losses (edited)" in why.text()
    joint = explained["sewa", "joint"]
    assert [cause.kind for cause in joint.causes] == ["code", "parent"]
    # Down to the network of images that all starts from.
    assert joint.causes[1].causes[1].text.startswith(why.run)


def test_a_line_of_the_report_does_no_run_again(tree):
    path = tree / "hocbench" / "reporting" / "style.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    assert not again(answers(tree))


def test_a_line_of_a_reader_makes_its_crops_again(tree):
    path = tree / "hocbench" / "datasets" / "sewa.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    explained = answers(tree)
    assert again(explained) == ON_SEWA
    text = explained["sewa", "scratch"].text()
    assert (
        text.index("rule crop") < text.index("rule index") < text.index("rule check") < text.index("code: since then")
    )


def test_another_parameter_names_the_key_and_the_finished_run(tree):
    before = run_named(tree, "sewa", "joint").id
    overlay = yaml.safe_load((tree / OVERLAY).read_text())
    overlay["training"]["stages"]["joint"]["epochs"] = 3
    (tree / OVERLAY).write_text(yaml.safe_dump(overlay))
    explained = answers(tree)
    assert again(explained) == {("sewa", "joint")}
    (cause,) = explained["sewa", "joint"].causes
    assert (cause.kind, cause.text) == ("parameters", f"{before} is finished and differs by training.epochs: 1 -> 3")
    runs = {run.spec.name: run for run in plan_of(tree, OVERLAY)}
    gone = Explainer("tiny", runs, []).explain(f"sewa/{before}")
    assert (gone.planned, gone.again, gone.finished) == (False, False, True)
    assert f"in its place is {run_named(tree, 'sewa', 'joint').spec.name}, which differs by" in gone.text()
    # As another version wrote it.
    path = tree / "results" / "tiny" / "runs" / "sewa" / before / "manifest.json"
    path.write_text(json.dumps({"run": before, "spec": {"old": 1}}))
    with pytest.raises(RunError, match=r"manifest.json has a value of the wrong kind \(spec\."):
        Explainer("tiny", runs, []).explain(f"sewa/{before}")


def test_another_list_of_the_split_is_another_parameter(tree):
    (tree / LIST).write_text("subject,part\nsub1,test\n")
    explained = answers(tree)
    assert again(explained) == ON_SEWA
    assert explained["sewa", "scratch"].causes[0].kind == "parameters"
    assert "differs by split.sha256: " in explained["sewa", "scratch"].text()


def test_weights_that_were_deleted_are_missed_by_nobody_but_named(tree):
    (folder_of(tree, "affectnet", "static") / "weights.safetensors").unlink()
    explained = answers(tree)
    assert not again(explained)
    text = explained["affectnet", "static"].text()
    assert "will not be done again, although" in text
    assert "files: weights.safetensors: not there. Snakemake asks for manifest.json only" in text
    # What starts from it would fail.
    (folder_of(tree, "sewa", "temporal") / "manifest.json").unlink()
    explained = answers(tree)
    assert again(explained) == {("sewa", "temporal"), ("sewa", "joint")}
    assert "from which it starts, is not whole" in explained["sewa", "temporal"].text()


def test_a_run_whose_parent_was_deleted_follows_it(tree):
    shutil.rmtree(folder_of(tree, "affectnet", "static"))
    explained = answers(tree)
    assert again(explained) == FROM_STATIC
    assert explained["affectnet", "static"].causes[0].kind == "missing"
    joint = explained["sewa", "joint"]
    assert joint.finished
    assert joint.text().startswith(f"{joint.run} will be done again\n  parent: ")


def test_deleted_crops_are_missed_where_a_run_needs_them_only(tree):
    (tree / "data" / "prepared" / "tiny" / "sewa" / "crops.npy").unlink()
    assert not again(answers(tree))
    (folder_of(tree, "sewa", "joint") / "manifest.json").unlink()
    explained = answers(tree)
    # Crops that are made again are other inputs of all runs.
    assert again(explained) == ON_SEWA
    assert "unfinished" in {cause.kind for cause in explained["sewa", "joint"].causes}
    assert "missing: not there: data/prepared/tiny/sewa/crops.npy" in explained["sewa", "scratch"].text()


def test_other_crops_and_an_edited_command_are_reasons(tree):
    path = tree / "data" / "prepared" / "tiny" / "sewa" / "crops.json"
    path.write_text("other crops")
    rules = tree / "workflow" / "rules" / "train.smk"
    rules.write_text(rules.read_text().replace('"exec hocbench fit ', '"exec  hocbench fit '))
    explained = answers(tree)
    assert again(explained) == ALL
    assert "crops.json is another file than the run read" in explained["sewa", "scratch"].text()
    assert "rule: the command of rule fit was edited" in explained["affectnet", "static"].text()


def test_the_command_prints_words_and_an_object(tree):
    run = run_named(tree, "sewa", "joint")
    command = [sys.executable, "-m", "hocbench", "why", "--configfile", OVERLAY]
    call = {"cwd": tree, "env": environment_of(tree), "capture_output": True, "text": True, "check": False}
    said = subprocess.run([*command, run.spec.name], **call)
    assert (
        said.stdout == f"{run.spec.name} will not be done again: nothing has changed\nSnakemake: nothing to be done\n"
    )
    (folder_of(tree, "sewa", "joint") / "manifest.json").unlink()
    (tree / ".checkpoints" / run.id).mkdir(parents=True)
    said = subprocess.run([*command, run.id[:-3], "--json"], **call)
    answer = json.loads(said.stdout)
    cause = {"kind": "unfinished", "text": "it was stopped, and goes on from its last checkpoint", "causes": []}
    assert answer["causes"] == [cause]
    assert (answer["run"], answer["again"], answer["finished"]) == (run.spec.name, True, False)


def test_a_run_is_found_by_the_beginning_of_its_id():
    plan, made = ["sewa/joint-12345678", "sewa/joint-lasso0.05-abcdef12", "afew_va/static-1"], ["sewa/frames-00000000"]
    assert find_run("joint-1", plan, made) == "sewa/joint-12345678"
    assert find_run("results/tiny/runs/sewa/joint-12345678/", plan, made) == "sewa/joint-12345678"
    assert find_run("sewa/frames", plan, made) == "sewa/frames-00000000"
    assert find_run("static-1", [*plan, "afew_va/static-12"], made) == "afew_va/static-1"
    with pytest.raises(ParameterError, match=r"'joint' may be sewa/joint-12345678, sewa/joint-lasso.*; give more"):
        find_run("joint", plan, made)
    with pytest.raises(ParameterError, match=r"no run 'jiont-12345678' .* did you mean sewa/joint-12345678\?"):
        find_run("jiont-12345678", plan, made)
    with pytest.raises(ParameterError, match="`hocbench plan` lists them"):
        find_run("xyz", plan, made)


def test_a_folder_without_workflow_and_a_refused_one_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=f"there is no Snakefile in {tmp_path}"):
        dry_run([])
    (tmp_path / "Snakefile").write_text("rule all:\n    input: 'absent'\n")
    with pytest.raises(RunError, match=r"(?s)snakemake --dry-run fails; correct what it says:.*absent"):
        dry_run([])
