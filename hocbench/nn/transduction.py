"""Transduction: a network for images becomes one for clips (section 4 of the paper), or N dimensions become N + K."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.conversion import INITS, Converter, Init
from hocbench.nn.geometry import PADDING_MODES
from hocbench.nn.plain import Network, check_skip, copied
from hocbench.nn.resnet import NetworkConfig, config_of


def transduct(
    network: Network,
    kernel_size: int | Sequence[int] = 3,
    init: Init = "ones",
    padding: Literal["zeros", "replicate"] = "zeros",
    *,
    position: int = 0,
    skip: Iterable[str] = (),
) -> Network:
    """Give every convolution of a network one or more dimensions more.

    A factorized layer gets a factor per new dimension; a dense kernel is repeated along it (it is *inflated*). 1×1
    convolutions see one position of a new dimension at a time, as do pooling layers; a dimension that a layer has the
    number of is the same afterwards. Hooks and tied parameters stay.

    Parameters
    ----------
    network : module
        Of order N, built of factorized or plain convolutions; it stays untouched. Its own ``forward`` must not count
        dimensions, apart from `ResNet`, whose does the right thing.
    kernel_size : int or sequence of int
        Positions seen along the new dimension, odd; a sequence adds one dimension for each of its numbers.
    init : {"ones", "average", "centre"}
        See `temporal_taps`.
    padding : {"zeros", "replicate"}
        At the ends of the new dimensions; dense convolutions know zeros only.
    position : int
        Where the new dimensions go among the old ones: 0 before the first, N after the last.
    skip : iterable of str
        Names of modules that are right as they are; what is in them is transducted. "(itself)" is the network.

    Returns
    -------
    module
        Of order N + K.

    Raises
    ------
    NetworkError
        If the network has too many dimensions already, the kernel is even, or an option is unknown; or naming a layer
        that cannot be transducted, or of which that is not known: a module of your own with parameters or buffers.
    """
    kernels = tuple(kernel_size) if isinstance(kernel_size, Sequence) else (int(kernel_size),)
    if not kernels or any(k < 1 or k % 2 == 0 for k in kernels) or init not in INITS:
        raise NetworkError(f"transduct: kernel size {kernel_size} must be odd and init {init!r} one of {INITS}")
    config = config_of(network)
    _check_options(config, len(kernels), padding, position)
    result = copied(network)
    skipped = check_skip(skip, dict(result.named_modules(remove_duplicate=False)), "transduct")
    for added, kernel in enumerate(kernels):
        convert = Converter(kernel, init, padding, position + added, len(kernels) - added, skipped)
        result = convert.whole(result)
    if config is not None:
        result.config = config.transducted(kernels[0], padding)  # type: ignore[assignment]
    return result


def _check_options(config: NetworkConfig | None, dimensions: int, padding: str, position: int) -> None:
    if padding not in PADDING_MODES:
        raise NetworkError(f"transduct: padding {padding!r} must be one of {PADDING_MODES}")
    if config is not None and config.order != 2:
        raise NetworkError(f"transduct adds time to a network of order 2, this one has order {config.order}")
    if config is not None and (dimensions != 1 or position != 0):
        raise NetworkError("transduct gives a ResNet one dimension, time, before the others: give one kernel size")
    if config is not None and padding == "replicate" and config.kind == "dense":
        raise NetworkError("transduct: replicate padding is offered for factorized networks only")


def reestimate_batchnorm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics of every BatchNorm by the average over some batches, in place.

    Parameters and training modes stay as they are. ``batches`` are network inputs, of equal size if the average is to
    weigh all samples equally; none at all raises a NetworkError.
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
