"""The network that a stage starts from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hocbench.errors import RunError
from hocbench.nn import ResNet, compact, resnet18, transduct
from hocbench.nn.lasso import normalize_factors
from hocbench.seeds import derive_seed
from hocbench.training.data import Samples
from hocbench.training.devices import Accelerator
from hocbench.training.networks import Layers, load_network
from hocbench.training.predict import mean_ccc, predict, score


def rescales(axes: dict[str, Any]) -> bool:
    """Tell whether a stage begins with another scale of activations than BatchNorm knows: λ or kernels were changed."""
    return axes["stage"] in ("lasso", "temporal") or axes["kind"] == "inflated"


def begin(
    spec: dict[str, Any],
    parent: Path | None,
    validation: Samples,
    accelerator: Accelerator,
    pulse: Callable[[], None] | None = None,
) -> tuple[ResNet, float | None, Layers | None]:
    """Build the network that a stage starts from.

    Parameters
    ----------
    spec : dict
        Resolved slice of the parameters.
    parent : Path or None
        Run directory of the network to start from.
    validation : Samples
        Part that a 2-D network is scored on.
    accelerator : Accelerator
        Where it is scored.
    pulse : callable, optional
        See `predict`.

    Returns
    -------
    ResNet, float or None, list or None
        The network; in a temporal stage the score of its 2-D network; the layers of the parent.

    Raises
    ------
    RunError
        If the parent is missing, not the right one, or cannot be loaded.
    """
    axes, stage = spec["axes"], spec["axes"]["stage"]
    if parent is None:
        if spec["parent"] is not None or stage not in ("static", "scratch"):
            raise RunError(f"run {spec['run']}: the {stage} stage needs a network to start from; give --parent")
        return _fresh(spec), None, None
    if spec["parent"] is None:
        raise RunError(f"run {spec['run']} starts from no other run; leave out --parent")
    if parent.name != spec["parent"]:
        raise RunError(
            f"run {spec['run']} starts from {spec['parent']}, not from {parent.name}; give the right --parent"
        )
    network, layers = load_network(parent)
    if stage == "lasso":
        normalize_factors(network)
    if stage == "temporal":
        images = predict(network.to(accelerator.device), validation, 2, 1, accelerator.device, pulse=pulse)
        level = mean_ccc(score(images, validation))
        network = transduct(compact(network), **spec["temporal"])
        for name, parameter in network.named_parameters():
            parameter.requires_grad = name.endswith("factors.time")
        return network, level, layers
    if stage == "joint" and axes["kind"] == "inflated":
        # The standard inflation keeps the response to a still clip: one over the kernel size.
        network = transduct(network, kernel_size=spec["temporal"]["kernel_size"], init="average")
    return network, None, layers


def _fresh(spec: dict[str, Any]) -> ResNet:
    axes, options = spec["axes"], dict(spec["network"])
    if options["rank"] is None:
        del options["rank"]
    if axes["order"] == 3:
        options |= {"temporal_kernel": spec["temporal"]["kernel_size"]}
        if options["kind"] == "cp":
            options |= {"temporal_padding": spec["temporal"]["padding"]}
    # Without kind, rank or variant: networks of one shape start from the same weights, so that they can be compared.
    where = {name: axes[name] for name in ("dataset", "fold", "seed", "order")}
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(spec["root_seed"], use="weights", **where))
        return resnet18(order=axes["order"], **options)
