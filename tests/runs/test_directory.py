"""The files of a run, from ready values."""

import json
import subprocess
import sys

import pandas as pd

from hocbench import paths
from hocbench.files.checksums import file_hash, read_sealed
from hocbench.runs.directory import write_run

TABLE = pd.DataFrame({"epoch": [0, 1], "train_loss": [float("nan"), 0.123456789012]})


def test_a_run_directory_has_exactly_its_files_and_their_hashes(tmp_path):
    out, manifest = tmp_path / "deep" / "run", {"run": "some", "label": "synthetic"}
    tables = {"history": TABLE, "predictions": TABLE}
    write_run(out, b"weights", {"config": {}, "layers": []}, tables, {"parameters": 1}, manifest)
    assert sorted(path.name for path in out.iterdir()) == sorted(paths.RUN_FILES)
    files = {name: file_hash(out / name) for name in paths.RUN_FILES if name != "manifest.json"}
    assert read_sealed(out / "manifest.json") == manifest | {"files": files}
    assert (out / "weights.safetensors").read_bytes() == b"weights"
    assert json.loads((out / "network.json").read_text()) == {"config": {}, "layers": [], "label": "synthetic"}
    assert (out / "history.csv").read_text() == "epoch,train_loss\n0,\n1,0.123456789\n"


def test_the_room_of_runs_does_not_load_torch():
    names = ("attempts", "diff", "directory", "environment", "finished", "manifest", "record", "revision")
    code = f"import sys; {'; '.join(f'import hocbench.runs.{name}' for name in names)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
