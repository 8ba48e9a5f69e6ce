"""The paper profile on miniature copies of the real layouts: 224 pixels, width 64, one step per stage."""

import json
import re
import shutil
import subprocess

import pandas as pd
import pytest
import yaml

from hocbench.config.load import _merge, parse_params
from hocbench.datasets.published_counts import compare_counts
from hocbench.synthetic.writers import synthesize
from tests.conftest import ROOT, copy_sources, environment_of, planned_jobs, run_snakemake
from tests.datasets.layouts import make_real, pack_afew_va, pack_segment, to_affectnet_2021
from tests.datasets.server import running

pytestmark = pytest.mark.workflow
PROFILE = "params/paper.yaml"
GUIDE = ROOT / "docs" / "real-data.md"
STILLS = {"seed": 1, "images": 16, "validation_images": 6, "size": 240}
CHATS = {"seed": 2, "subjects": 20, "frames": 4, "height": 240, "width": 320, "fps": 25, "motion_cues": True}
FILMS = {"seed": 3, "clips": 5, "actors": 5, "frames_min": 4, "frames_max": 4, "size": 240}
STAGES = ("static", "lasso", "frames", "temporal", "joint", "inflated", "scratch")
ONE_STEP = {"epochs": 1, "batch_size": 2}


@pytest.fixture(scope="module", autouse=True)
def untracked():
    """Leave MLflow to the tiny workflow; here it would only start up once per job."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOCBENCH_TRACKING", "off")
        yield


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """A clone with the user's own copies in it, one seed and one fold; sizes and network are the profile's."""
    folder = copy_sources(tmp_path_factory.mktemp("laboratory"))
    own, real = tmp_path_factory.mktemp("copies"), folder / "data" / "real"
    synthesize("affectnet", own / "affectnet original", STILLS)
    to_affectnet_2021(own / "affectnet original", real / "affectnet")
    synthesize("sewa", real / "sewa", CHATS)
    for segment in make_real(real / "sewa").iterdir():
        pack_segment(segment)
    synthesize("afew_va", own / "afew_va", FILMS)
    pack_afew_va(make_real(own / "afew_va"), 2)
    values = {
        "datasets": {
            "affectnet": {"seeds": [0]},
            "sewa": {"seeds": [0], "lasso": False, "baselines": ["inflated"]},
            "afew_va": {"seeds": [0], "folds": [0], "lasso": False, "baselines": []},
        },
        "sweep": {"lasso": [0, 0.05]},
        "ablations": [],
        "training": {
            "clip_length": 4,
            "clips": 2,
            "reestimation_batches": 1,
            "stages": dict.fromkeys(STAGES, ONE_STEP),
        },
        "evaluation": {"replicates": 100, "smoothing_windows": [1, 3]},
    }
    change(folder, values)
    return folder, own


def change(folder, values):
    """Write values into the profile."""
    path = folder / PROFILE
    path.write_text(yaml.safe_dump(_merge(yaml.safe_load(path.read_text()), values)))


def run(folder, *arguments):
    return run_snakemake(folder, *arguments, configfile=PROFILE)


@pytest.fixture(scope="module")
def server(laboratory):
    """What AFEW-VA is fetched from."""
    with running() as server:
        server.files |= {f"/{path.name}": path.read_bytes() for path in (laboratory[1] / "afew_va").glob("*.zip")}
        yield server


@pytest.fixture(scope="module")
def finished(laboratory, server):
    """Run everything."""
    folder, _ = laboratory
    addresses = [{"url": server.address + name} for name in sorted(server.files)]
    change(folder, {"datasets": {"afew_va": {"fetch": addresses}}})
    done = run(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return folder


def test_every_stage_of_the_profile_takes_a_step_at_full_size(finished):
    runs = sorted((finished / "results/paper/runs").glob("*/*/manifest.json"))
    manifests = [json.loads(path.read_text()) for path in runs]
    keys = [manifest["spec"]["key"] for manifest in manifests]
    assert {(key["dataset"], key["method"]) for key in keys} == {
        ("affectnet", "static"),
        ("affectnet", "static_dense"),
        ("affectnet", "lasso"),
        ("sewa", "static"),
        ("sewa", "temporal"),
        ("sewa", "joint"),
        ("sewa", "inflated"),
        ("afew_va", "static"),
        ("afew_va", "temporal"),
        ("afew_va", "joint"),
    }
    for path, manifest in zip(runs, manifests, strict=True):
        network = json.loads(path.with_name("network.json").read_text())["config"]
        assert manifest["label"] == "real"
        assert (network["width"], network["stem"]) == (64, "imagenet")
        assert manifest["spec"]["data"]["crop"]["size"] == 224


def test_data_are_checked_fetched_split_and_shown_before_they_are_trained_on(finished):
    assert (finished / "data/real/afew_va/FETCHED.json").is_file()
    for name in ("affectnet", "sewa", "afew_va"):
        prepared = finished / "data/prepared/paper" / name
        check = json.loads((prepared / "check.json").read_text())
        assert check["usable"], check["problems"]
        assert check["label"] == "real"
        assert {row["explanation"] for row in compare_counts(check)} == {"your copy holds fewer"}
        assert (prepared / "montage.png").read_bytes().startswith(b"\x89PNG")
        parts = json.loads((prepared / "splits.json").read_text())["parts"]
        assert all(set(part) == {"train", "validation", "test"} for part in parts.values())
        assert json.loads((prepared / "crops.json").read_text())["size"] == 224
    sewa = pd.read_csv(finished / "data/prepared/paper/sewa/splits.csv")
    assert sewa["part"].value_counts().to_dict() == {"train": 16, "validation": 2, "test": 2}


def test_tables_and_report_do_not_call_real_data_synthetic(finished):
    tables = finished / "results/paper/tables"
    for name in ("affectnet", "sewa", "afew_va"):
        text = (tables / f"{name}.md").read_text()
        assert "SYNTHETIC" not in text
        assert "crops of 224 pixels" in text
    assert (finished / "results/paper/report.html").stat().st_size > 10**5
    # Faces of real people stay beside the crops.
    assert not list((finished / "results").rglob("montage*"))


def test_a_second_start_fetches_and_trains_nothing(finished):
    done = run(finished)
    assert done.returncode == 0, done.stderr
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_list_of_the_user_s_own_makes_other_runs_and_a_changed_one_too(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns("crops.npy"))
    shutil.copytree(finished / "data", folder / "data", dirs_exist_ok=True)
    table = pd.read_csv(folder / "data/prepared/paper/sewa/splits.csv")
    table.to_csv(folder / "list.csv", index=False)
    change(folder, {"datasets": {"sewa": {"split": {"kind": "file", "path": "list.csv"}}}})
    first = planned_jobs(folder, configfile=PROFILE)
    # All of SEWA's four runs, and nothing of the other datasets.
    assert (first["fit"], first["splits"]) == (4, 1)
    assert not {"check", "index", "crop"} & set(first)
    specs = [plan_of(folder)]
    table.assign(part=table["part"].replace({"test": "validation", "validation": "test"})).to_csv(
        folder / "list.csv", index=False
    )
    specs.append(plan_of(folder))
    assert not specs[0] & specs[1]


def plan_of(folder):
    """List the ids of the runs on SEWA."""
    done = call(folder, f"hocbench plan --params params.yaml --params {PROFILE}")
    return {line.split("│")[2].strip() for line in done.stdout.splitlines() if line.startswith("│ sewa")}


def call(folder, command):
    """Run a command of a shell in a folder."""
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment_of(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def versioned(finished):
    """The same clone, under git and DVC."""
    shutil.copytree(ROOT / ".dvc", finished / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, finished / name)
    call(finished, "git init -q")
    return finished


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_guide_has_commands():
    assert len(commands()) == 12


# The benchmark at tiny size is what tests/studies/test_data.py runs.
@pytest.mark.parametrize("command", [command for command in commands() if "-m studies data" not in command])
def test_command_of_the_guide_works(versioned, server, command):
    here = command.replace("https://example.org", server.address)
    if "data fetch" in command:
        # The workflow has fetched into the folder that stands there.
        here = here.replace("data/real/afew_va", "data/real/afew_va_again")
    if "slurm" in command:
        here += " -n"  # there is no cluster here
    done = call(versioned, here)
    if command.startswith("snakemake"):
        assert "Nothing to be done" in done.stdout + done.stderr
    if "dvc" in command:
        assert (versioned / "data/real/afew_va/01.zip").read_bytes() == server.files["/01.zip"]
        known = call(versioned, "git status --short -uall data").stdout.split()[1::2]
        assert "data/real/afew_va/01.zip.dvc" in known
        assert not [name for name in known if not name.endswith((".dvc", ".gitignore"))]


def test_on_a_cluster_each_training_is_a_job_that_asks_for_a_gpu(versioned):
    done = call(versioned, f"snakemake --profile profiles/slurm --configfile {PROFILE} -n --forceall")
    text = done.stdout + done.stderr
    assert text.count("rule fit:") == len(list((versioned / "results/paper/runs").glob("*/*")))
    fits = [part for part in text.split("\nrule ") if part.startswith("fit:")]
    assert all("gpu=1" in part and "mem_mb=32000" in part for part in fits)


def test_the_parameters_of_the_guide_are_valid(finished):
    guide = GUIDE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"`(datasets: \{.*\})`", guide)
    merged = _merge(*(yaml.safe_load((ROOT / name).read_text()) for name in ("params.yaml", PROFILE)))
    for block in blocks:
        merged = _merge(merged, yaml.safe_load(block.replace("64 hexadecimal digits, if you know them", "a" * 64)))
    datasets = parse_params(merged).datasets
    assert [each.url[-6:] for each in datasets["afew_va"].fetch] == ["01.zip", "02.zip"]
    assert datasets["sewa"].exclude == ["SAH_C6_S181_P362_VC1_000742_001590"]
    assert datasets["sewa"].root == "data/synthetic/paper/sewa"
