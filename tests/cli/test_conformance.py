"""Plug-ins of a file, and ours, held against their contracts."""

import json
import sys

from tests.cli.test_main import SEWA

PLUGINS = """
import pandas as pd
from torch import nn
from hocbench.experiment.tasks import affect

class Part(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv3d(3, channels, 1)

class Small(nn.Module):
    def __init__(self, outputs, width, **options):
        super().__init__()
        self.part, self.head = Part(width), nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(self.part.conv(x).mean((-2, -1)).movedim(1, 2))

class Mine:
    name, layout, role, task = "mine", "anything", "clips", affect(pain=(0, 10))

    def read(self, root, exclude=()):
        return pd.DataFrame([{"clip": "c", "frame": 0}] if (root / "a").exists() else []), {}
"""


def test_networks_and_adapters_of_a_file_are_found_and_parts_of_networks_are_none(hocbench, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGINS)
    code, printed, _ = hocbench("conformance", path)
    assert code == 0
    titles = [line for line in printed.splitlines() if line.startswith(("network", "adapter"))]
    assert titles == ["network Small", "adapter Mine, without --data, so that nothing is read"]
    (tmp_path / "a").touch()
    code, printed, error = hocbench("conformance", path, "--data", tmp_path)
    assert code == 2
    assert "BROKEN  columns are those of the contract, with its types\n        column subject is missing\n" in printed
    assert error.startswith(f"hocbench: error: {path}: ") and "promises are broken; hocbench.nn.own and" in error
    assert {each.name for each in tmp_path.iterdir()} == {"mine.py", "a"}


def test_one_class_can_be_named_and_a_file_without_any_is_refused(hocbench, tmp_path, monkeypatch):
    (tmp_path / "mine_alone.py").write_text(PLUGINS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    code, printed, _ = hocbench("conformance", "mine_alone:Part")
    assert code == 2 and "network Part\nBROKEN  it is built by outputs, width, stem and clip_length\n" in printed
    (tmp_path / "none.py").write_text("class Nothing:\n    pass\n")
    code, _, error = hocbench("conformance", "none.py")
    assert code == 2 and error.startswith(
        "hocbench: error: none.py holds neither an adapter, a class with a method read"
    )


def test_our_adapters_are_checked_by_their_names(hocbench, tmp_path):
    hocbench("synthesize", "sewa", tmp_path, "--parameters", json.dumps(SEWA))
    code, printed, _ = hocbench("conformance", "sewa", "--data", tmp_path)
    assert code == 0
    title, *lines = printed.splitlines()
    assert title == f"adapter Sewa, on {tmp_path}"
    assert {line[:6] for line in lines} == {"kept  "}
