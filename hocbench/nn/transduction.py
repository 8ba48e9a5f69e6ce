"""Transduction: a network for images becomes one for clips (section 4 of the paper)."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.factorized import PADDING_MODES
from hocbench.nn.resnet import ResNet

Init = Literal["ones", "average", "centre"]
INITS = ("ones", "average", "centre")


def temporal_taps(size: int, init: Init) -> Tensor:
    """Return the start of one temporal filter, shape ``(size,)``, in float64.

    Parameters
    ----------
    size : int
        Odd number of frames.
    init : {"ones", "average", "centre"}
        A constant of one, as published; one over the size; or each frame as before.
    """
    if init == "ones":
        return torch.ones(size, dtype=torch.float64)
    if init == "average":
        return torch.full((size,), 1.0 / size, dtype=torch.float64)
    taps = torch.zeros(size, dtype=torch.float64)
    taps[size // 2] = 1.0
    return taps


def transduct(
    network: ResNet,
    kernel_size: int = 3,
    init: Init = "ones",
    padding: Literal["zeros", "replicate"] = "zeros",
) -> ResNet:
    """Give every convolution of a 2-D network a temporal extent.

    A factorized layer gets one more factor; a dense kernel is repeated along time (it is *inflated*). Shortcuts,
    BatchNorm and head are carried over.

    Parameters
    ----------
    network : ResNet
        Of order 2; it stays untouched.
    kernel_size : int
        Frames seen by each convolution, odd.
    init : {"ones", "average", "centre"}
        See `temporal_taps`.
    padding : {"zeros", "replicate"}
        At the ends of a clip; dense networks know zeros only.

    Returns
    -------
    ResNet
        Of order 3.

    Raises
    ------
    NetworkError
        If the network is not of order 2, the kernel is even, or an option is unknown.
    """
    if network.config.order != 2:
        raise NetworkError(f"transduct wants a network of order 2, this one has order {network.config.order}")
    if kernel_size < 1 or kernel_size % 2 == 0 or init not in INITS:
        raise NetworkError(f"transduct: kernel size {kernel_size} must be odd and init {init!r} one of {INITS}")
    if padding not in PADDING_MODES:
        raise NetworkError(f"transduct: padding {padding!r} must be one of {PADDING_MODES}")
    if padding == "replicate" and network.config.kind == "dense":
        raise NetworkError("transduct: replicate padding is offered for factorized networks only")
    config = replace(network.config, order=3, temporal_kernel=kernel_size, temporal_padding=padding)
    state = network.state_dict()
    example = next(network.parameters())
    clip_network = ResNet(config).to(device=example.device, dtype=example.dtype)
    clip_network.load_state_dict(
        {name: _carry_over(name, target, state, init) for name, target in clip_network.state_dict().items()}
    )
    return clip_network.train(network.training)


def _carry_over(name: str, target: Tensor, state: dict[str, Tensor], init: Init) -> Tensor:
    """Find or make the value of one entry of the 3-D network's state."""
    if name.endswith("factors.time"):
        taps = temporal_taps(target.shape[0], init).to(target)
        return taps.unsqueeze(1).expand_as(target)
    value = state[name]
    if value.shape == target.shape:
        return value
    size = target.shape[2]
    taps = temporal_taps(size, init).to(target) if size > 1 else target.new_ones(1)
    return value.unsqueeze(2) * taps.reshape(1, 1, -1, 1, 1)


def reestimate_batchnorm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics of every BatchNorm by the average over some batches.

    Parameters
    ----------
    network : module
        Changed in place; parameters stay as they are, and so does each module's training mode.
    batches : iterable of Tensor
        Network inputs, of equal size if the average is to weigh all samples equally.

    Raises
    ------
    NetworkError
        If there are no batches.
    """
    remaining = iter(batches)
    first = next(remaining, None)
    if first is None:
        raise NetworkError("re-estimating BatchNorm needs at least one batch: give some training clips")
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [(norm, norm.momentum) for norm in norms]
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for a cumulative average
        norm.train()
    try:
        with torch.no_grad():
            for batch in chain([first], remaining):
                network(batch)
    finally:
        for norm, momentum in before:
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
