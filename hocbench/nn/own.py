"""What a network of the user's own promises, and how it is built.

It is a class of ``torch.nn.Module`` in one file, whose hash is part of the id of its runs::

    class Mine(nn.Module):
        def __init__(self, outputs: int, width: int, stem: str, clip_length: int) -> None: ...
        def forward(self, x: Tensor) -> Tensor: ...  # (N, 3, T, H, W) -> (N, T, outputs)

* It is built by four keywords: ``outputs`` per frame, as the task of the dataset has them; ``width`` and ``stem``
  ("imagenet" or "small") as in the section ``network``; and ``clip_length``, the T of every clip that it gets. One that
  ignores some of them takes ``**options``.
* Clips are float32 in RGB, ``(pixel - 127.5) / 63.75``; outputs are one row per frame, in the order of the task's
  columns, without an activation.
* First weights come from torch's global generator, which is seeded. Tensors of ``forward`` are made on the device of
  its input.
* In evaluation mode, a clip gets the same outputs whatever clips are beside it.

``hocbench conformance`` checks all of this.
"""

import copy
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from hocbench.errors import ParameterError
from hocbench.files.code import syntax_hash
from hocbench.plugins import load_class, source_of


@dataclass(frozen=True)
class OwnConfig:
    """All that is needed to build a network of the user's own.

    Attributes
    ----------
    kind : str
        Name that ``networks`` gives it.
    place : str
        See `hocbench.plugins.load_class`.
    source : str
        Hash of the syntax of its file.
    outputs, width, stem, clip_length
        The keywords.
    """

    kind: str
    place: str
    source: str
    outputs: int
    width: int
    stem: Literal["imagenet", "small"]
    clip_length: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def build_own(config: OwnConfig) -> nn.Module:
    """Build a network of the user's own, and pass the shape of a clip through it.

    Raises
    ------
    ParameterError
        If it cannot be loaded, its file is another than the run was planned with, building fails, or outputs are not
        ``(N, T, outputs)``.
    """
    key = f"networks.{config.kind}"
    if syntax_hash(source_of(config.place, key).read_bytes()) != config.source:
        raise ParameterError(
            f"{key}: {config.place} has changed since this run was planned; start the workflow again, which plans a "
            "run of the changed network, or change the file back"
        )
    network = build(load_class(config.place, key), key, config)
    check_shape(network, key, config)
    return network


def build(made_of: Any, key: str, config: OwnConfig) -> nn.Module:
    """Call a class with the keywords of the contract.

    Raises
    ------
    ParameterError
        If that fails, or makes no ``nn.Module``.
    """
    keywords = {name: getattr(config, name) for name in ("outputs", "width", "stem", "clip_length")}
    try:
        network = made_of(**keywords)
    except Exception as error:  # whatever a user's class raises is what is wrong with it
        called = ", ".join(f"{name}={value!r}" for name, value in keywords.items())
        raise ParameterError(f"{key}: it cannot be built by ({called}): {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise ParameterError(f"{key}: it makes a {type(network).__name__}; a network is a class of torch.nn.Module")
    return network


def check_shape(network: nn.Module, key: str, config: OwnConfig, size: int = 32) -> None:
    """Pass the shape of two clips through a network, without any arithmetic.

    Raises
    ------
    ParameterError
        If that fails, or outputs are of another shape or type than promised.
    """
    # On the meta device, so that it costs nothing and finds tensors that are made on a device of their own.
    shadow = copy.deepcopy(network).to("meta").eval()
    clips = torch.empty(2, 3, config.clip_length, size, size, device="meta")
    try:
        output = shadow(clips)
    except Exception as error:  # as above
        raise ParameterError(
            f"{key}: clips of shape {tuple(clips.shape)} do not pass through it ({type(error).__name__}: {error}); it "
            "gets (N, 3, T, H, W), and makes tensors on the device of its input"
        ) from error
    wanted = (2, config.clip_length, config.outputs)
    if not isinstance(output, torch.Tensor) or output.shape != wanted or output.dtype != torch.float32:
        got = f"{output.dtype} of {tuple(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
        raise ParameterError(
            f"{key}: it makes {got} of clips {tuple(clips.shape)}; float32 of (N, T, outputs) = {wanted} is promised"
        )
