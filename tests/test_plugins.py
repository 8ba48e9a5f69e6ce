"""Classes of the user's own are found in files, modules and packages that announce them."""

import sys
from pathlib import Path

import pytest
import yaml

from hocbench.config.load import load_params
from hocbench.datasets.adapters import adapter_module, load_adapter
from hocbench.datasets.index import read_index
from hocbench.errors import ParameterError
from hocbench.experiment.networks import own_networks
from hocbench.experiment.plan import make_plan
from hocbench.nn.own import OwnConfig, build_own
from hocbench.plugins import load_class, source_of

ROOT = Path(__file__).parents[1]
MODULE = """
import numpy as np
import pandas as pd
from torch import nn


class Flat(nn.Module):
    def __init__(self, outputs, clip_length, **options):
        super().__init__()
        self.head, self.frames = nn.Linear(3, outputs), clip_length

    def forward(self, x):
        return self.head(x.mean((-2, -1)).movedim(1, 2))


class Clips:
    name, role, layout = "invented", "clips", "anything"

    def read(self, root, exclude=()):
        row = {"subject": "a", "clip": "c", "source": "one.png", "landmarks": np.zeros(0, np.float32), "status": "ok"}
        return pd.DataFrame([row | {"frame": 0, "valence": 0.5, "arousal": 0.0}]), {}
"""


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """An installed package that announces a network and a dataset."""
    folder = tmp_path / "site"
    about = folder / "invented-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: invented\nVersion: 1.0\n")
    announced = (
        "flat = invented_plugins:Flat\ninvented_clips = invented_plugins:Clips\nempty = invented_plugins:None_\n"
    )
    (about / "entry_points.txt").write_text(f"[hocbench.plugins]\n{announced}")
    (folder / "invented_plugins.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop("invented_plugins", None)


def test_what_a_package_announces_is_planned_built_and_read_by_its_name(distribution, tmp_path):
    data, overlay = tmp_path / "data", tmp_path / "overlay.yaml"
    data.mkdir()
    entry = {"adapter": "invented_clips", "root": str(data), "crop": {"size": 16}, "seeds": [0], "baselines": ["flat"]}
    entry["split"] = {"kind": "subjects", "folds": 2, "validation_share": 0.2}
    changes = {"networks": {"flat": "flat"}, "datasets": {"mine": entry | {"folds": [0], "lasso": False}}}
    overlay.write_text(yaml.safe_dump(changes))
    plan = make_plan(load_params([ROOT / "params.yaml", ROOT / "params" / "tiny.yaml", overlay]))
    (run,) = [run for run in plan if run.key.method == "flat"]
    assert (run.key.dataset, run.title, run.spec.network.place) == ("mine", "Flat from scratch", "flat")
    assert build_own(OwnConfig("flat", "flat", run.spec.network.source, 2, 4, "small", 8)).frames == 8
    assert read_index("invented_clips", data).frames["clip"].tolist() == ["c"]
    assert adapter_module("invented_clips") == str(distribution / "invented_plugins.py")


def test_a_name_that_is_nearly_announced_and_a_class_that_is_not_there_are_refused(distribution):
    with pytest.raises(ParameterError, match=r"^networks\.x: there is no 'flatt'; did you mean flat\? Your own "):
        load_class("flatt", "networks.x")
    with pytest.raises(ParameterError, match=r"^adapter: there is no 'invented_clip'; did you mean invented_clips\? "):
        load_adapter("invented_clip")
    with pytest.raises(ParameterError, match=r"^networks\.x: invented_plugins has no class None_$"):
        own_networks({"x": "empty"})
    with pytest.raises(ParameterError, match=r"^networks\.x: invented_plugins has no class Flet; did you mean Flat\?$"):
        load_class("invented_plugins:Flet", "networks.x")


def test_a_module_beside_the_workflow_is_found_as_python_finds_it(tmp_path, monkeypatch):
    (tmp_path / "invented_here.py").write_text("class Mine:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert source_of("invented_here:Mine", "x") == tmp_path / "invented_here.py"
    assert load_class("invented_here:Mine", "x").__name__ == "Mine"


def test_a_file_is_read_as_it_is_now_and_its_folder_stays_as_it_was(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("class Mine:\n    size = 1\n")
    first = load_class(f"{path}:Mine", "x")
    assert load_class(f"{path}:Mine", "x") is first
    path.write_text("class Mine:\n    size = 2\n")
    assert load_class(f"{path}:Mine", "x").size == 2
    assert [each.name for each in tmp_path.iterdir()] == ["own.py"]
    path.write_text("import absent_package\n")
    with pytest.raises(ParameterError, match=r"^x: \S+own\.py cannot be imported \(ModuleNotFoundError: No mod"):
        load_class(f"{path}:Mine", "x")
