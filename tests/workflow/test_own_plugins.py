"""A network and a dataset outside the clone stand in the tables beside the paper's methods; the clone stays clean."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.clips import write_clips
from tests.conftest import ROOT, TINY, copy_sources, environment_of

pytestmark = pytest.mark.workflow
TABLE = "results/clips/tables/clips.md"
LONGEST = 60  # lines of the user's code


class Site:
    """A clone, and the folder of a user beside it."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.mine = folder / "clone", folder / "mine"
        self.clone.mkdir()
        copy_sources(self.clone)
        shutil.copy(ROOT / ".gitignore", self.clone)
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("-c", "user.name=u", "-c", "user.email=u@example.org", "commit", "--quiet", "--message=clone")
        self.mine.mkdir()
        for name in ("networks.py", "dataset.py"):
            shutil.copy(ROOT / "examples" / name, self.mine)
        write_clips(self.mine / "videos", subjects=12)
        self.params = yaml.safe_load((ROOT / "examples" / "params.yaml").read_text())
        entry = self.params["datasets"]["clips"]
        entry |= {"root": f"{self.mine}/videos", "adapter": f"{self.mine}/dataset.py:LabelledClips"}
        entry |= {"crop": entry["crop"] | {"size": 32}, "seeds": [0], "baselines": ["tsm"]}
        scratch = {"epochs": 25, "learning_rate": 0.005}
        self.params |= {"sweep": {"lasso": [0]}, "network": {"width": 8}}
        self.params["training"] |= {"stages": {"scratch": scratch}}
        self.write("networks.py")

    def write(self, networks: str) -> None:
        """Name the file of the network in the parameters."""
        self.params["networks"]["tsm"] = f"{self.mine / networks}:TSM"
        (self.mine / "params.yaml").write_text(yaml.safe_dump(self.params))

    def run(self, *command: str) -> str:
        """Run a command in the clone."""
        # MLflow would keep files of its own in the clone, at the address that tests give it.
        where = {"cwd": self.clone, "env": environment_of(self.clone) | {"HOCBENCH_TRACKING": "off"}}
        done = subprocess.run(command, **where, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def hocbench(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "hocbench", *arguments)

    def snakemake(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", TABLE, *arguments]
        return self.run(*command, "--configfile", TINY, str(self.mine / "params.yaml"))

    def planned(self) -> dict[str, int]:
        """Count the jobs that the workflow would run now, by rule."""
        words = [line.split() for line in self.snakemake("-n", "--quiet", "rules").splitlines()]
        return {each[0]: int(each[1]) for each in words if len(each) == 2 and each[1].isdigit() and each[0] != "total"}

    def files(self) -> set[str]:
        return {str(path.relative_to(self.mine)) for path in self.mine.rglob("*")}


def test_a_network_and_a_dataset_of_ones_own_stand_beside_the_paper_s_methods(tmp_path):
    site = Site(tmp_path)
    before = site.files()
    assert sum(len((site.mine / name).read_text().splitlines()) for name in ("networks.py", "dataset.py")) <= LONGEST
    for name in ("networks.py", "dataset.py"):
        printed = site.hocbench("conformance", str(site.mine / name), "--data", str(site.mine / "videos"))
        assert "kept    " in printed and "BROKEN" not in printed
    site.snakemake()
    evaluation = site.clone / "results" / "clips" / "evaluation"
    intervals = pd.read_csv(evaluation / "intervals.csv").query("metric == 'auc'").set_index("method")
    assert set(intervals.index) == {"static", "temporal", "joint", "tsm"}
    assert (intervals["low"] <= intervals["mean"]).all() and (intervals["mean"] <= intervals["high"]).all()
    assert intervals.loc["tsm", "mean"] > 0.9  # one epoch of the others learns nothing, and a frame shows no motion
    differences = pd.read_csv(evaluation / "differences.csv").query("metric == 'auc'")
    pairs = set(zip(differences["method"], differences["reference"], strict=True))
    assert {("tsm", "static"), ("joint", "tsm")} <= pairs
    rows = {line.split(" | ")[0] for line in (site.clone / TABLE).read_text().splitlines() if line.startswith("| ")}
    assert {"| TSM from scratch", "| CP 2-D, static", "| CP 3-D, temporal then joint"} <= rows
    assert site.git("status", "--porcelain") == "" and site.files() == before

    # A file that was moved, and other words in it, rerun nothing; another line reruns the runs of its network.
    text = (site.mine / "networks.py").read_text()
    (site.mine / "moved.py").write_text(text.replace('"""TSM', '"""Our TSM') + "# the end\n")
    site.write("moved.py")
    assert site.planned() == {}
    (site.mine / "moved.py").write_text(text.replace("// 8", "// 4"))
    assert site.planned() == {"fit": 1, "evaluate": 1, "table": 1}
