"""Deterministic mode: the same inputs, seeds and threads give the same bytes, and what cannot do so is named."""

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

import torch

from hocbench.training.devices import own_accelerate_state
from hocbench.training.state import capture_generators, restore_generators

LOGGER = logging.getLogger(__name__)

# What torch says of an operation that it computes all the same.
UNAVAILABLE = r"(.+?) does not have a deterministic implementation"
# cuBLAS is deterministic with a workspace of a fixed size; another size may round differently.
WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def as_runs_compute(threads: int) -> Iterator[set[str]]:
    """Compute inside the block as runs do, and leave the process as it was.

    That is in deterministic mode, with so many threads, and with a state of accelerate of its own. What the block drew
    from the global random generators, or set them to, is undone as well.

    Parameters
    ----------
    threads : int
        Of torch.

    Yields
    ------
    set of str
        See `deterministic_mode`.
    """
    with ExitStack() as stack:
        operations = stack.enter_context(deterministic_mode())
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        stack.callback(restore_generators, capture_generators())
        stack.enter_context(own_accelerate_state())
        yield operations


@contextmanager
def deterministic_mode(warn_only: bool | None = None) -> Iterator[set[str]]:
    """Compute deterministically inside the block, and float32 in float32; afterwards everything is as before.

    It has to begin before the first product of matrices on a GPU: cuBLAS reads its workspace once.

    Parameters
    ----------
    warn_only : bool, optional
        Go on when an operation has no deterministic implementation, instead of failing. By default so on a machine
        with a GPU, where some of the operations of a network have none.

    Yields
    ------
    set of str
        Torch's names of such operations, filled while the block runs; always empty unless ``warn_only``.

    Raises
    ------
    RuntimeError
        By torch, at an operation without a deterministic implementation, unless ``warn_only``.
    """
    if warn_only is None:
        warn_only = torch.cuda.is_available()
    with ExitStack() as stack:
        _switch_on(stack, warn_only)
        yield _collect(stack)


def _switch_on(stack: ExitStack, warn_only: bool) -> None:
    name, value = WORKSPACE
    stack.callback(_restore_variable, name, os.environ.get(name))
    os.environ[name] = value
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    stack.callback(torch.use_deterministic_algorithms, before[0], warn_only=before[1])
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
    torch.set_float32_matmul_precision("highest")
    cudnn = torch.backends.cudnn
    # To measure algorithms is to choose between them by chance.
    _set(stack, cudnn, "benchmark", False)
    _set(stack, cudnn, "deterministic", True)
    # The older name of this switch: after the newer one, whoever reads the older one gets an error from torch.
    _set(stack, cudnn, "allow_tf32", False)
    # A debugging aid that writes every new tensor once more; it costs a dense network a tenth of its time.
    _set(stack, torch.utils.deterministic, "fill_uninitialized_memory", False)


def _set(stack: ExitStack, owner: Any, name: str, value: bool) -> None:
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


def _restore_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _collect(stack: ExitStack) -> set[str]:
    """Take torch's warnings about missing implementations out of all warnings, until the stack is closed."""
    operations: set[str] = set()
    stack.enter_context(warnings.catch_warnings())
    # Python shows a repeated warning once per process, and an earlier run may have had this one.
    warnings.filterwarnings("always", message=UNAVAILABLE, category=UserWarning)
    show = warnings.showwarning

    def note(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        found = re.match(UNAVAILABLE, str(message)) if issubclass(category, UserWarning) else None
        if found is None:
            show(message, category, filename, lineno, file, line)
        elif found[1] not in operations:
            operations.add(found[1])
            LOGGER.warning("%s has no deterministic implementation on this device; the manifest lists it", found[1])

    warnings.showwarning = note
    return operations
