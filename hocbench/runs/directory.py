"""The files of a run: written one by one under temporary names, the manifest last."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hocbench.errors import RunError
from hocbench.files.checksums import file_hash, hashes_of, read_sealed, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_parquet, write_text
from hocbench.nn import NetworkConfig, ResNet
from hocbench.nn.layers import Layers


def write_run(
    out: Path,
    network: ResNet,
    layers: Layers,
    tables: dict[str, pd.DataFrame],
    cost: dict[str, Any],
    manifest: dict[str, Any],
) -> None:
    """Write a run directory.

    Parameters
    ----------
    out : Path
        The directory.
    network : ResNet
        Trained weights.
    layers : list
        See `hocbench.nn.layers.describe_layers`.
    tables : dict
        "history" and "predictions".
    cost, manifest : dict
        Plain values; the manifest gets the hashes of the other files.
    """
    with staged(out, "run", "manifest.json") as folder:
        save_file(
            {name: value.contiguous() for name, value in network.state_dict().items()}, folder / "weights.safetensors"
        )
        description = {"config": network.config.as_dict(), "layers": layers, "label": manifest["label"]}
        write_text(_json(description), folder / "network.json")
        history = tables["history"].to_csv(index=False, float_format="%.9g", lineterminator="\n")
        write_text(history, folder / "history.csv")
        write_parquet(tables["predictions"], folder / "predictions.parquet")
        write_text(_json(cost), folder / "cost.json")
        names = ("weights.safetensors", "network.json", "history.csv", "predictions.parquet", "cost.json")
        manifest["files"] = hashes_of(folder, names)
        write_text(sealed(manifest), folder / "manifest.json")


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def load_network(run: Path) -> tuple[ResNet, Layers]:
    """Load the network of a finished run.

    Raises
    ------
    RunError
        If the run is unfinished, or its weights are damaged or do not fit its network.
    DamageError
        If its manifest is damaged.
    """
    if not (run / "manifest.json").is_file():
        raise RunError(f"{run} is not a finished run (no manifest.json); run it first")
    manifest = read_sealed(run / "manifest.json")
    try:
        files = manifest["files"]
        for name in ("weights.safetensors", "network.json"):
            if file_hash(run / name) != files[name]:
                raise RunError(
                    f"{run / name} is damaged (its hash differs from the manifest); delete {run} and start again"
                )
        description = json.loads((run / "network.json").read_text(encoding="utf-8"))
        with torch.random.fork_rng(devices=[]):  # its first weights are replaced at once
            network = ResNet(NetworkConfig(**description["config"]))
        network.load_state_dict(load_file(run / "weights.safetensors"))
        layers: Layers = description["layers"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        # torch lists every layer that does not fit; the first one says enough.
        what = " ".join(str(error).split()[:40])
        raise RunError(f"{run} cannot be loaded ({what}); delete the folder and run it again") from None
    return network, layers
