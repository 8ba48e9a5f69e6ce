"""Every artefact, damaged in every way: refused with its path and what to do, by whoever reads it."""

import io
import json
import os
import shutil
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout

import pytest

from hocbench.cli.main import main
from hocbench.faces import store
from hocbench.files.checksums import sealed
from hocbench.paths import EVALUATION_FILES
from hocbench.synthetic.writers import synthesize
from tests.evaluation.conftest import Writer, description_of
from tests.training.conftest import LASSO, Laboratory

DAMAGES = {
    "0 bytes": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "n - 1 bytes": lambda content: content[:-1],
    "a bit in the middle": lambda content: flip(content, len(content) // 2),
    "a bit near the end": lambda content: flip(content, max(0, len(content) - 700)),
}
PREPARED = ("index.parquet", "index.json", "frames.parquet", "crops.npy", "crops.json", "splits.csv", "splits.json")
RUN = ("weights.safetensors", "network.json", "history.csv", "predictions.parquet", "cost.json", "manifest.json")
TABLES = ("scores", "intervals", "differences", "sparsity", "history", "costs", "counts", "windows")
PAGES = ("sewa.csv", "sewa.md", "sewa.html", "sewa.tex", "sewa.json", "ranks.csv")
# What reads an artefact, beside `hocbench audit`, which reads all.
READERS = {
    **{f"prepared/{name}": ("crop", "splits") for name in ("index.parquet", "index.json")},
    **{f"prepared/{name}": ("montage", "fit") for name in ("frames.parquet", "crops.npy", "crops.json")},
    **{f"run/{name}": ("child",) for name in ("weights.safetensors", "network.json", "manifest.json")},
    **{f"written/{name}": ("evaluate",) for name in RUN if name != "weights.safetensors"},
    **{f"evaluation/{name}.csv": ("tables",) for name in TABLES if name != "windows"},
    "evaluation/files.json": ("tables", "figures"),
    "evaluation/timelines.parquet": ("figures",),
}
ALL = (
    *(f"prepared/{name}" for name in (*PREPARED, "ledger.csv")),
    *(f"run/{name}" for name in RUN),
    *(f"evaluation/{name}" for name in EVALUATION_FILES),
    *(f"tables/{name}" for name in PAGES),
)


def flip(content, place):
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def run(*arguments):
    """Run the command; return its exit code and what it printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.setattr(sys, "argv", ["hocbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code or 0, printed.getvalue()


class Artefacts:
    """A folder with one of each, and the commands that read them."""

    def __init__(self, folder):
        self.folder = folder
        laboratory = Laboratory(folder / "laboratory")
        self.crops = laboratory.crops["affectnet"]
        self.static = laboratory.plan("static", "affectnet")
        self.child = laboratory.plan("lasso", "affectnet", lasso=LASSO)
        prepared, sewa = folder / "prepared", folder / "sewa"
        synthesize("sewa", sewa, {"seed": 5, "subjects": 8, "frames": 6, "height": 96, "width": 96, "fps": 25})
        for words in (("index", "sewa", sewa, prepared), ("crop", prepared, sewa, "--size", 32, "--margin", 1.25)):
            assert run(*words)[0] == 0
        shutil.copytree(laboratory.fit(self.static), folder / "run" / self.static.id)
        write = Writer(folder / "written")
        for method in ("static", "frames", "joint"):
            manifest = write("sewa", method) / "manifest.json"
            manifest.write_text(sealed(json.loads(manifest.read_text())))
        self.experiment = description_of(write.paths)
        for command in ("splits", "evaluate", "tables"):
            code, printed = self.read(command)
            assert code == 0, printed

    def path(self, name):
        """Find an artefact; runs have names of their own."""
        kind, file = name.split("/")
        if kind in ("run", "written"):
            return next(path for path in sorted((self.folder / kind).rglob(file)))
        return self.folder / kind / file

    def read(self, command, *options):
        prepared, evaluation = self.folder / "prepared", self.folder / "evaluation"
        protocol = {"kind": "sessions", "ratio": [2, 1, 1]}
        words = {
            "splits": ("data", "splits", prepared, "--split", json.dumps(protocol), "--seed", 3),
            "crop": ("crop", prepared, self.folder / "nowhere", "--size", 32, "--margin", 1.25),
            "montage": ("data", "montage", prepared),
            "fit": ("fit", self.folder / "out", "--spec", self.static.spec.text(), "--crops", prepared),
            "child": (
                *("fit", self.folder / "out", "--spec", self.child.spec.text(), "--crops", self.crops),
                *("--parent", self.folder / "run" / self.static.id),
            ),
            "evaluate": (
                *("evaluate", evaluation, *sorted((self.folder / "written" / "sewa").iterdir())),
                *("--replicates", 100, "--seed", 1, "--windows", "[1]", "--experiment", self.experiment.text()),
            ),
            "tables": ("tables", evaluation, self.folder / "tables"),
            "figures": ("figures", evaluation, self.folder / "figures", "timelines"),
            "audit": ("audit", *(self.folder / kind for kind in ("prepared", "run", "evaluation", "tables"))),
        }
        with chdir(self.folder):
            return run(*words[command], *options)


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    environment = dict(os.environ)
    yield Artefacts(tmp_path_factory.mktemp("artefacts"))
    os.environ.clear()
    os.environ.update(environment)


# All of them take half a minute; a file that lost its end and one with a flipped bit tell most.
QUICK = ("half", "a bit near the end")


@pytest.fixture(params=[pytest.param(name, marks=[] if name in QUICK else pytest.mark.system) for name in DAMAGES])
def damage(request, artefacts):
    """Damage an artefact, and put it back afterwards."""
    kept = {}

    def apply(name):
        path = artefacts.path(name)
        kept[path] = path.read_bytes()
        path.write_bytes(DAMAGES[request.param](kept[path]))
        return path

    yield apply
    for path, content in kept.items():
        path.write_bytes(content)


@pytest.mark.parametrize(("name", "command"), [(name, each) for name, all_ in READERS.items() for each in all_])
def test_whoever_reads_a_damaged_file_refuses_it_by_path_and_says_what_to_do(artefacts, damage, name, command):
    path = damage(name)
    code, printed = artefacts.read(command)
    assert code == 2, printed
    assert "Traceback" not in printed
    assert str(path) in printed
    assert "elete" in printed


@pytest.mark.parametrize("name", ALL)
def test_audit_finds_every_damage_and_nothing_else(artefacts, damage, name):
    path = damage(name)
    code, printed = artefacts.read("audit")
    assert code == 2
    first, *rest = printed.splitlines()
    assert first.startswith(f"{path} is damaged")
    assert len(rest) == 1 and rest[0].startswith("hocbench: error: 1 of ")


def test_audit_of_what_is_whole_says_so_and_deletes_nothing(artefacts):
    before = sorted(artefacts.folder.rglob("*"))
    code, printed = artefacts.read("audit")
    assert (code, printed.endswith(" files are as they were written\n")) == (0, True)
    assert artefacts.read("audit", "--delete")[0] == 0
    assert sorted(artefacts.folder.rglob("*")) == before


def test_of_a_large_store_the_size_is_looked_at_and_audit_reads_the_rest(artefacts, monkeypatch):
    path = artefacts.path("prepared/crops.npy")
    content = path.read_bytes()
    monkeypatch.setattr(store, "HASHED_BYTES", len(content) // 2)
    path.write_bytes(DAMAGES["a bit in the middle"](content))
    assert len(store.CropStore(path.parent).frames)
    assert artefacts.read("audit")[1].startswith(f"{path} is damaged")
    path.write_bytes(content[:-1])
    code, printed = artefacts.read("montage")
    assert (code, f"{path.parent} is not a complete crop store" in printed) == (2, True)
    path.write_bytes(content)
