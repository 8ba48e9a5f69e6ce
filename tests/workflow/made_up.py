"""A finished reproduction whose outputs are made up, so that asking what would be done again costs no training."""

import contextlib
from pathlib import Path

from hocbench import paths
from hocbench.config.load import load_params
from hocbench.experiment.plan import Run, make_plan
from hocbench.files.checksums import file_hash, sealed
from hocbench.files.code import module_hashes
from tests.conftest import run_snakemake


def plan_of(folder: Path, configfile: str) -> list[Run]:
    """Return the runs of an overlay in a folder of sources."""
    with contextlib.chdir(folder):
        return make_plan(load_params([Path("params.yaml"), Path(configfile)]))


def finish(folder: Path, configfile: str) -> Path:
    """Write what the workflow would, without its content, and let Snakemake take note of it.

    Parameters
    ----------
    folder : Path
        Copied sources (see `tests.conftest.copy_sources`).
    configfile : str
        Overlay, from that folder.
    """
    summary = run_snakemake(folder, "--summary", configfile=configfile)
    assert summary.returncode == 0, summary.stderr
    rows = [line.split("\t") for line in summary.stdout.splitlines()]
    for row in rows[1:]:
        path = folder / row[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(row[0])
    sources = module_hashes("hocbench.training.stages")
    for run in plan_of(folder, configfile):
        prepared = folder / paths.prepared(run.spec.profile, run.key.dataset)
        inputs = {name: file_hash(prepared / name) for name in ("crops.json", "frames.parquet")}
        values = {"run": run.id, "spec": run.spec.model_dump(mode="json"), "inputs": inputs, "sources": sources}
        place = folder / paths.run(run.spec.profile, run.key.dataset, run.id)
        (place / "manifest.json").write_text(sealed(values | {"label": "synthetic", "files": {}}))
    touched = run_snakemake(folder, "--touch", "--forceall", configfile=configfile)
    assert touched.returncode == 0, touched.stdout + touched.stderr
    return folder
