"""The files of a run: written one by one under temporary names, the manifest last."""

from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.files.checksums import hashes_of, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_bytes, write_json, write_parquet, write_text
from hocbench.paths import RUN_FILES
from hocbench.runs.manifest import MANIFEST


def write_run(
    out: Path,
    weights: bytes,
    network: dict[str, Any],
    tables: dict[str, pd.DataFrame],
    cost: dict[str, Any],
    manifest: dict[str, Any],
) -> None:
    """Write a run directory.

    Parameters
    ----------
    out : Path
        The directory.
    weights : bytes
        In the format of safetensors.
    network, cost, manifest : dict
        Plain values: configuration and list of layers; costs; the manifest, which gets the hashes of the other files.
    tables : dict
        "history" and "predictions".
    """
    with staged(out, "run", MANIFEST) as folder:
        write_bytes(weights, folder / "weights.safetensors")
        write_json(network | {"label": manifest["label"]}, folder / "network.json")
        history = tables["history"].to_csv(index=False, float_format="%.9g", lineterminator="\n")
        write_text(history, folder / "history.csv")
        write_parquet(tables["predictions"], folder / "predictions.parquet")
        write_json(cost, folder / "cost.json")
        files = hashes_of(folder, [name for name in RUN_FILES if name != MANIFEST])
        write_text(sealed(manifest | {"files": files}), folder / MANIFEST)
