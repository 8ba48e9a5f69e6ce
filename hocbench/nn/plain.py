"""Modules of torch: what they are beside their type (tied, hooked, parametrized), copied, replaced and loaded."""

import copy
from collections.abc import Callable, Container, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hocbench.errors import NetworkError
from hocbench.nn.geometry import PADDING_MODES

Network = TypeVar("Network", bound=nn.Module)
# The name of the network among its modules.
ITSELF = "(itself)"
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Where torch keeps the hooks of a module.
_HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks",
    "_is_full_backward_hook", "_state_dict_hooks", "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip


def peculiarity(module: nn.Module, parameters: Iterable[str]) -> str | None:
    """Return why a layer does not compute what its type and its parameters of some names say, None if it does."""
    if "forward" in vars(module):
        return "its forward was replaced"
    if any(parametrize.is_parametrized(part) for part in module.modules()):
        return "it is parametrized; see torch.nn.utils.parametrize.remove_parametrizations"
    if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in module.parameters()):
        return "it is lazy; call the network once"
    unknown = {name for name, _ in module.named_parameters()} - set(parameters)
    if unknown:
        return f"it has parameters of another kind ({', '.join(sorted(unknown))}), as weight norm and pruning make"
    return None


def obstacle(conv: Any) -> str | None:
    """Return why a module cannot be factorized, None if it can."""
    strange = peculiarity(conv, ("weight", "bias"))
    if type(conv) not in _CONVOLUTIONS:
        return f"is a {type(conv).__name__}; give a Conv1d, Conv2d or Conv3d" + (f" ({strange})" if strange else "")
    if strange is not None:
        return f"is not the {type(conv).__name__} that torch makes: {strange}"
    if conv.groups != 1:
        return f"has {conv.groups} groups; only convolutions with one group are factorized"
    if conv.padding_mode not in PADDING_MODES or isinstance(conv.padding, str):
        return f"has padding {conv.padding!r}, {conv.padding_mode}; give numbers, zeros or replicate"
    return None


def copied(network: Network) -> Network:
    """Copy a network, and tensors that a hook makes again before each call, as pruning does; torch refuses those."""
    memo: dict[int, Any] = {}
    for module in network.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(network, memo)


def replace_modules(
    network: nn.Module, make: Callable[[str, nn.Module], nn.Module | None], skip: Container[str] = ()
) -> nn.Module:
    """Replace modules of a network in place by others, which are called with the same hooks.

    ``make`` maps name and module to what takes its place, None for a module that stays; it is called once for a module
    that is used at several places, which stays one module, and not for names in ``skip``. Returns the network, or what
    takes the place of all of it.
    """
    made: dict[int, nn.Module | None] = {}
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if name in skip:
            continue
        if id(module) not in made:
            made[id(module)] = new = make(name, module)
            for hooks in _HOOKS:
                if new is not None and hasattr(module, hooks):
                    setattr(new, hooks, getattr(module, hooks))
        if (new := made[id(module)]) is None:
            continue
        if not name:
            return new
        network.set_submodule(name, new)
    return network


def norm_of_channels(norm: nn.BatchNorm2d, channels: Tensor) -> nn.BatchNorm2d:
    """Copy a BatchNorm for some of its channels, which may come more than once."""
    result = copy.deepcopy(norm)
    result.num_features = len(channels)
    for name, parameter in norm.named_parameters():
        setattr(result, name, nn.Parameter(parameter.detach()[channels], requires_grad=parameter.requires_grad))
    for name, buffer in norm.named_buffers():
        setattr(result, name, (buffer[channels] if buffer.ndim else buffer).clone())
    return result


def check_skip(skip: Iterable[str], known: Mapping[str, Any], what: str) -> frozenset[str]:
    """Return the names of modules to leave alone; a name that no module has raises a NetworkError."""
    names = ["" if name == ITSELF else name for name in ([skip] if isinstance(skip, str) else skip)]
    for name in names:
        if name not in known:
            near = ", ".join(map(repr, get_close_matches(name, known, 3))) or "see network.named_modules()"
            raise NetworkError(f"{what}: skip names {name!r}, which the network has no layer of; did you mean {near}?")
    return frozenset(names)


def below(name: str, skipped: frozenset[str]) -> bool:
    """Return whether a module is one of those skipped or inside one."""
    return any(name == outer or name.startswith(f"{outer}.") for outer in skipped)


def check_state(network: nn.Module, state: Mapping[str, Tensor], strict: bool = True) -> None:
    """Check that weights belong to a network before any of them is copied.

    If ``strict`` is false, entries may be absent or unknown; shapes and values are checked in any case.

    Raises
    ------
    NetworkError
        Naming the first layer that is missing, unknown, of another shape or not finite.
    """
    entries = network.state_dict()
    for name in entries:
        if strict and name not in state:
            layer, entry = _split(name)
            hint = "; it may be of another order or kind" if "factors" in name else ""
            raise NetworkError(f"weights do not fit: layer {layer!r} has no {entry!r} in the checkpoint{hint}")
    for name, value in state.items():
        layer, entry = _split(name)
        if name not in entries:
            if not strict:
                continue
            raise NetworkError(f"weights do not fit: the network has no {entry!r} in layer {layer!r}")
        if value.shape != entries[name].shape:
            raise NetworkError(
                f"weights do not fit: {entry!r} of layer {layer!r} is {tuple(value.shape)} in the checkpoint and "
                f"{tuple(entries[name].shape)} in the network; build it with the rank and order that were trained"
            )
        if value.is_floating_point() and not value.is_meta and not torch.isfinite(value).all():
            raise NetworkError(f"weights cannot be used: {entry!r} of layer {layer!r} holds NaN or infinity")


def _split(name: str) -> tuple[str, str]:
    """Split the name of an entry into its layer and what it is there."""
    parts = name.split(".")
    cut = len(parts) - (2 if len(parts) > 1 and parts[-2] == "factors" else 1)
    return ".".join(parts[:cut]) or ITSELF, ".".join(parts[cut:])
