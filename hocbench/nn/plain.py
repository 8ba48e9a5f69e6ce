"""What a layer of torch is beside its type: tied to others, hooked, parametrized."""

import copy
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.utils import parametrize

from hocbench.errors import NetworkError

Network = TypeVar("Network", bound=nn.Module)
# The name of the network among its modules.
ITSELF = "(itself)"
# Where torch keeps the hooks of a module.
_HOOKS = (
    *("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks"),
    *("_is_full_backward_hook", "_state_dict_hooks", "_state_dict_pre_hooks"),
    *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
)


def peculiarity(module: nn.Module, parameters: Iterable[str]) -> str | None:
    """Say why a layer does not compute what its type and its parameters of some names say, None if it does."""
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


def copied(network: Network) -> Network:
    """Copy a network, and tensors that a hook makes anew before each call, as pruning does; torch refuses those."""
    memo: dict[int, Any] = {}
    for module in network.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(network, memo)


def carry_hooks(old: nn.Module, new: nn.Module) -> None:
    """Let a module that stands in for another one be called with the same hooks."""
    for name in _HOOKS:
        if hasattr(old, name):
            setattr(new, name, getattr(old, name))


def check_skip(skip: Iterable[str], known: Mapping[str, Any], what: str) -> frozenset[str]:
    """Return the names of layers to leave alone.

    Raises
    ------
    NetworkError
        If a name is that of no module.
    """
    names = ["" if name == ITSELF else name for name in ([skip] if isinstance(skip, str) else skip)]
    for name in names:
        if name not in known:
            near = ", ".join(map(repr, get_close_matches(name, known, 3))) or "see network.named_modules()"
            raise NetworkError(f"{what}: skip names {name!r}, which the network has no layer of; did you mean {near}?")
    return frozenset(names)


def below(name: str, skipped: frozenset[str]) -> bool:
    """Tell whether a module is one of those skipped or inside of one."""
    return any(name == each or name.startswith(f"{each}.") for each in skipped)
