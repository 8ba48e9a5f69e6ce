"""The network that a stage starts from."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from hocbench.errors import RunError
from hocbench.experiment.spec import NetworkSpec, RunSpec
from hocbench.nn import compact, resnet18, transduct
from hocbench.nn.lasso import normalize_factors
from hocbench.nn.own import OwnConfig, build_own
from hocbench.seeds import derive_seed
from hocbench.training.devices import Accelerator
from hocbench.training.networks import Layers, load_network
from hocbench.training.predict import main_score, predict, score
from hocbench.training.samples import Samples


def begin(
    spec: RunSpec,
    parent: Path | None,
    validation: Samples,
    accelerator: Accelerator,
    pulse: Callable[[], None] | None = None,
) -> tuple[nn.Module, float | None, Layers | None]:
    """Build the network that a stage starts from.

    Parameters
    ----------
    spec : RunSpec
        What the run is told.
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
    Module, float or None, list or None
        The network; in a temporal stage the score of its 2-D network; the layers of the parent.

    Raises
    ------
    RunError
        If the parent is missing, not the right one, or cannot be loaded.
    """
    if parent is None:
        if spec.network is None:
            raise RunError(f"run {spec.run}: the {spec.stage} stage needs a network to start from; give --parent")
        return _fresh(spec, spec.network), None, None
    if spec.parent is None:
        raise RunError(f"run {spec.run} starts from no other run; leave out --parent")
    if parent.name != spec.parent:
        raise RunError(f"run {spec.run} starts from {spec.parent}, not from {parent.name}; give the right --parent")
    network, layers = load_network(parent)
    if spec.stage == "lasso":
        normalize_factors(network)
    if spec.temporal is None:
        return network, None, layers
    if spec.temporal.init is None:
        # The standard inflation keeps the response to a still clip: one over the kernel size.
        return transduct(network, kernel_size=spec.temporal.kernel_size, init="average"), None, layers
    images = predict(network.to(accelerator.device), validation, 2, 1, accelerator.device, pulse=pulse)
    level = main_score(score(images, validation))
    network = transduct(compact(network), **spec.temporal.model_dump())
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name.endswith("factors.time")
    return network, level, layers


def own_config(spec: RunSpec) -> OwnConfig | None:
    """Return what a network of the user's own is built from, None for one of ours.

    Raises
    ------
    RunError
        If nothing says where its class is.
    """
    told = spec.network
    if told is None or told.source is None:
        return None
    if told.place is None:
        raise RunError(
            f"run {spec.run} trains a network {told.kind!r} of your own; say where it is by "
            f'--networks \'{{"{told.kind}": "FILE.py:CLASS"}}\''
        )
    where = (told.kind, told.place, told.source)
    return OwnConfig(*where, spec.task.outputs, told.width, told.stem, spec.clip_length)


def _fresh(spec: RunSpec, told: NetworkSpec) -> nn.Module:
    own = own_config(spec)
    options = told.model_dump(exclude={"source"}, exclude_none=True)
    if told.kind != "cp":
        del options["inner_activation"]
    if spec.temporal is not None:
        options |= {"temporal_kernel": spec.temporal.kernel_size}
        options |= {"temporal_padding": spec.temporal.padding} if spec.temporal.padding else {}
    # Without kind, rank or ablation: networks of one shape start from the same weights, so that they can be compared.
    key = spec.key
    with torch.random.fork_rng():
        torch.manual_seed(
            derive_seed(
                spec.root_seed, use="weights", dataset=key.dataset, fold=key.fold, seed=key.seed, order=spec.order
            )
        )
        if own is not None:
            return build_own(own)
        return resnet18(order=spec.order, outputs=spec.task.outputs, **options)
