"""Trained networks as files of a run: saved with a list of their layers, and loaded again."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from hocbench.errors import RunError
from hocbench.files.checksums import check_file
from hocbench.nn import NetworkConfig, ResNet
from hocbench.nn.layers import Layers, describe_layers
from hocbench.nn.own import OwnConfig, build_own
from hocbench.nn.resnet import config_of
from hocbench.runs.directory import write_run
from hocbench.runs.manifest import manifest_values


def save_run(
    out: Path,
    network: nn.Module,
    parent: Layers | None,
    tables: dict[str, pd.DataFrame],
    cost: dict[str, Any],
    manifest: dict[str, Any],
    own: OwnConfig | None = None,
) -> None:
    """Write the directory of a run that is done.

    Parameters
    ----------
    out : Path
        The directory.
    network : Module
        As trained, on the CPU.
    parent : list or None
        Layers of the run that it started from; see `hocbench.nn.layers.describe_layers`.
    tables, cost, manifest : dict
        See `hocbench.runs.directory.write_run`.
    own : OwnConfig, optional
        What a network of the user's own was built from.
    """
    weights = save({name: value.contiguous() for name, value in network.state_dict().items()})
    config = own or config_of(network)
    assert config is not None
    description = {"config": config.as_dict(), "layers": describe_layers(network, parent)}
    write_run(out, weights, description, tables, cost, manifest)


def load_network(run: Path) -> tuple[nn.Module, Layers]:
    """Load the network of a finished run.

    Returns
    -------
    Module, list of dict
        The network, and its layers as of `hocbench.nn.layers.describe_layers`.

    Raises
    ------
    RunError
        If the run is not finished, or its weights do not fit its network.
    DamageError
        If a file is not as it was written.
    ParameterError
        If the class of a network of the user's own is no longer there, or another.
    """
    with manifest_values(run) as manifest:
        for name in ("weights.safetensors", "network.json"):
            check_file(run / name, manifest["files"][name])
    try:
        description = json.loads((run / "network.json").read_text(encoding="utf-8"))
        with torch.random.fork_rng(devices=[]):  # its first weights are replaced at once
            config = description["config"]
            network = build_own(OwnConfig(**config)) if "place" in config else ResNet(NetworkConfig(**config))
        network.load_state_dict(load_file(run / "weights.safetensors"))
        layers: Layers = description["layers"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        # torch lists every layer that does not fit; the first one says enough.
        what = " ".join(str(error).split()[:40])
        raise RunError(f"{run} cannot be loaded ({what}); delete it and start the workflow again") from None
    return network, layers
