"""A command that fails leaves what an earlier call wrote, byte for byte, whatever the command."""

import errno
import json
from pathlib import Path

import pytest

from hocbench.synthetic.writers import synthesize
from tests.evaluation.conftest import description_of
from tests.reporting.conftest import ReportWriter

STILLS = {"seed": 1, "images": 6, "validation_images": 6, "size": 48}
CLIPS = {"seed": 3, "clips": 6, "actors": 6, "frames_min": 4, "frames_max": 4, "size": 48}
SPLIT = {"kind": "subjects", "folds": 2, "validation_share": 0.3}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A rendered dataset, and two runs."""
    root = tmp_path_factory.mktemp("world")
    synthesize("afew_va", root / "data", CLIPS)
    write_run = ReportWriter(root / "runs")
    write_run("affectnet", "static", noise=0.3)
    write_run("affectnet", "static_dense", noise=0.35)
    return root


def commands(world, out):
    """Spell out two calls of each command that write different files, after those that it needs."""
    data, runs = world / "data", [*write_paths(world)]
    how = ["--replicates", 100, "--windows", "[1, 3]", "--experiment", description_of(runs).text(), "--seed"]
    evaluate = ["evaluate", out / "evaluation", *runs, *how]
    both = [[*evaluate, 1], ["evaluate", out / "other", *runs, *how, 2]]
    index, crop = ["index", "afew_va", data, out], ["crop", out, data, "--margin", 1.25, "--size"]
    tables, claims = ([[name, out / each] for each in ("evaluation", "other")] for name in ("tables", "claims"))
    figures = ["figures", out / "evaluation", out / "figures"]
    return {
        "synthesize": ([], *([*_synthesize(out), json.dumps(STILLS | {"seed": seed})] for seed in (1, 2))),
        "check": (
            [],
            ["data", "check", "afew_va", data, "--out", out],
            ["data", "check", "afew_va", data, "--out", out],
        ),
        "index": ([], index, index),
        "splits": ([index], *([*_splits(out), json.dumps(SPLIT), "--seed", seed] for seed in (1, 2))),
        "crop": ([index], [*crop, 32], [*crop, 40]),
        "montage": ([index, [*crop, 32]], ["data", "montage", out], ["data", "montage", out]),
        "evaluate": ([], [*evaluate, 1], [*evaluate, 2]),
        "tables": (both, *([*words, out / "tables"] for words in tables)),
        "claims": (both, *([*words, out / "tables", out / "claims"] for words in claims)),
        "figures": ([[*evaluate, 1]], [*figures, "sparsity"], [*figures, "sparsity"]),
    }


def write_paths(world):
    return sorted(path.parent for path in (world / "runs").rglob("manifest.json"))


def _synthesize(out):
    return ["synthesize", "affectnet", out / "stills", "--parameters"]


def _splits(out):
    return ["data", "splits", out, "--split"]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", list(commands(Path(), Path())))
def test_a_command_that_fails_at_its_end_leaves_the_earlier_result(hocbench, world, tmp_path, monkeypatch, name):
    before, first, second = commands(world, tmp_path)[name]
    for arguments in (*before, first):
        assert hocbench(*arguments)[::2] == (0, "")
    older = contents(tmp_path)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    with monkeypatch.context() as patched:
        for place in ("faces.crops.move_into", "synthetic.writers._truncate", "files.staging.move_into"):
            patched.setattr(f"hocbench.{place}", full)
        code, _, error = hocbench(*second)
    assert code == 2
    assert f"hocbench: error: {tmp_path}: No space left on device; check the path" in error
    parts = [path for path in contents(tmp_path) if ".crops.part" in path.parts]
    assert {path: content for path, content in contents(tmp_path).items() if path not in parts} == older
    assert hocbench(*second)[0] == 0
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]
