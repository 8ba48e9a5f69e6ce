"""ResNet-18 for images and clips, dense or factorized, with one prediction per frame."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.baselines import FlatConv3d, TltorchConv
from hocbench.nn.contraction import channels_last
from hocbench.nn.factorizations import FACTORIZATIONS, Rank
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.geometry import PADDING_MODES
from hocbench.nn.plain import check_state
from hocbench.nn.recompute import recomputed_module

BLOCKS_PER_STAGE = 2
STAGE_MULTIPLES = (1, 2, 4, 8)
# (2+1)-D puts so many channels between space and time of its stem, for 64 after it (Tran et al., CVPR 2018).
STEM_MIDDLE = 45
KINDS = (*FACTORIZATIONS, "dense", "inflated", "2plus1d", "tltorch")


@dataclass(frozen=True)
class NetworkConfig:
    """All that is needed to build a network, so that weights can be loaded into it.

    Attributes
    ----------
    order : int
        2 for images, 3 for clips.
    kind : {"cp", "tucker", "tt", "dense", "inflated", "2plus1d", "tltorch"}
        Factorized or dense convolutions. "inflated" has the layers of "dense" at order 3 and says where they come
        from. "2plus1d" convolves space, then time, with BatchNorm and ReLU between them (order 3 only); "tltorch"
        is "cp" computed by tensorly-torch.
    width : int
        Channels of the first stage.
    rank : "same", int or float
        Of the factorized layers.
    stem : {"imagenet", "small"}
        7×7 with stride 2 and a pooling layer, or 3×3 with stride 2 for crops of about 48 pixels.
    outputs : int
        Per frame: the targets of affect, or the logits of classes.
    temporal_kernel : int
        Odd; used at order 3.
    temporal_padding : {"zeros", "replicate"}
        At the ends of a clip.
    inner_activation : bool
        BatchNorm and ReLU after the first projection of factorized layers, the published Ψ.
    factorize_stem, factorize_shortcuts : bool
        Whether the stem and the 1×1 shortcuts are factorized as well.
    ranks : dict of str to int
        Components left in layers that were compacted, by the layer's name; 0 for one that is dense among factorized.
    """

    order: int = 2
    kind: str = "cp"
    width: int = 64
    rank: Rank = "same"
    stem: str = "imagenet"
    outputs: int = 2
    temporal_kernel: int = 3
    temporal_padding: Literal["zeros", "replicate"] = "zeros"
    inner_activation: bool = False
    factorize_stem: bool = True
    factorize_shortcuts: bool = False
    ranks: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def transducted(self, kernel_size: int, padding: Any) -> "NetworkConfig":
        """Describe the network for clips that transduction makes of this one for images."""
        kind = "inflated" if self.kind == "dense" else self.kind
        return replace(self, order=3, kind=kind, temporal_kernel=kernel_size, temporal_padding=padding)

    def factorized(self, kind: str, rank: Rank, shortcuts: bool, left: Iterable[str] = ()) -> "NetworkConfig":
        """Describe the factorized network that decomposition makes of this dense one, but for layers that it left."""
        made = replace(self, kind=kind, rank=rank, factorize_stem=True, factorize_shortcuts=shortcuts)
        return replace(made, ranks=dict.fromkeys(left, 0))


def check_config(config: NetworkConfig) -> None:
    """Refuse a network that does not exist, by a NetworkError.

    That is one of an unknown kind, order or stem, a width below 1, an even temporal kernel, or an option that the kind
    does not offer.
    """
    kind, order = config.kind, config.order
    if kind not in KINDS:
        raise NetworkError(f"kind {kind!r} of a network: choose from {', '.join(KINDS)}")
    if order not in (2, 3) or config.stem not in ("imagenet", "small") or config.width < 1:
        raise NetworkError(
            f"order {order} (2 or 3), stem {config.stem!r} (imagenet or small), width {config.width} (≥ 1)"
        )
    if kind in ("inflated", "2plus1d") and order == 2:
        raise NetworkError(f"kind {kind!r} of a network: it exists at order 3 only")
    kernel, padding = config.temporal_kernel, config.temporal_padding
    offered = PADDING_MODES if kind in FACTORIZATIONS else ("zeros",)
    if kernel < 1 or kernel % 2 == 0 or padding not in offered:
        raise NetworkError(f"temporal kernel {kernel} (odd), padding {padding!r} ({' or '.join(offered)} if {kind})")
    dense = not config.factorize_stem or 0 in config.ranks.values()
    if order == 3 and padding == "replicate" and kernel > 1 and dense:
        raise NetworkError("temporal padding 'replicate' is offered for factorized stems and layers only")
    if config.inner_activation and kind not in FACTORIZATIONS:
        raise NetworkError(f"inner_activation: a network of kind {kind!r} has no factorized layers of ours")


class _Layers:
    """Makes the layers of one network, so that the trunk is written once for every order and kind."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self.clip = config.order == 3

    def conv(self, name: str, inputs: int, outputs: int, size: int, stride: int = 1, middle: int = 0) -> nn.Module:
        """Make a convolution; ``middle`` is the number of channels between space and time of (2+1)-D."""
        config = self.config
        # A 1×1 convolution sees one frame at a time.
        kernel = (config.temporal_kernel if size > 1 else 1, size, size)[-config.order :]
        strides = (1, stride, stride)[-config.order :]
        skipped = (name == "stem" and not config.factorize_stem) or (size == 1 and not config.factorize_shortcuts)
        skipped |= config.ranks.get(name) == 0
        if config.kind == "2plus1d" and size > 1:
            return self._two_plus_one(inputs, outputs, size, stride, middle)
        if config.kind in ("dense", "inflated", "2plus1d") or skipped:
            return self._dense(inputs, outputs, kernel, strides)
        layer = FactorizedConv(
            inputs,
            outputs,
            kernel,
            factorization="cp" if config.kind == "tltorch" else config.kind,
            rank=config.ranks.get(name, config.rank),
            stride=strides,
            padding_mode=(config.temporal_padding, "zeros", "zeros")[-config.order :],
            inner_activation=config.inner_activation,
        )
        return TltorchConv(layer.to_tltorch()) if config.kind == "tltorch" else layer

    def _dense(
        self, inputs: int, outputs: int, kernel: tuple[int, ...], strides: tuple[int, ...], make: Any = None
    ) -> nn.Module:
        padding = tuple(k // 2 for k in kernel)
        make = make or (nn.Conv3d if self.clip else nn.Conv2d)
        layer = make(inputs, outputs, kernel, stride=strides, padding=padding, bias=False)
        if max(kernel) > 1:
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        return layer

    def _two_plus_one(self, inputs: int, outputs: int, size: int, stride: int, middle: int) -> nn.Module:
        space = self._dense(inputs, middle, (1, size, size), (1, stride, stride), FlatConv3d)
        time = self._dense(middle, outputs, (self.config.temporal_kernel, 1, 1), (1, 1, 1), FlatConv3d)
        return nn.Sequential(space, self.norm(middle), nn.ReLU(), time)

    def middle(self, inputs: int, outputs: int) -> int:
        """Match the parameters of a dense 3-D convolution, as (2+1)-D does, by those of the block's first layer."""
        taps = self.config.temporal_kernel
        return max(1, (taps * 9 * inputs * outputs) // (9 * inputs + taps * outputs))

    def shortcut(self, name: str, inputs: int, outputs: int, stride: int) -> nn.Module:
        """Subsample, then mix channels."""
        return nn.Sequential(Subsample(stride), self.conv(name, inputs, outputs, 1), self.norm(outputs))

    def norm(self, channels: int) -> nn.Module:
        """Make a BatchNorm over samples, frames, rows and columns."""
        return nn.BatchNorm3d(channels) if self.clip else nn.BatchNorm2d(channels)

    def pool(self) -> nn.Module:
        """Make the pooling layer after a 7×7 stem."""
        if self.clip:
            return nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        return nn.MaxPool2d(3, stride=2, padding=1)


class Subsample(nn.Module):
    """Every ``stride``-th row and column.

    Before a 1×1 convolution, this is the strided 1×1 convolution. oneDNN's own one writes past its buffers
    on processors with AVX2 only when there are fewer than 8 input channels (torch 2.13, backward pass).
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., H, W)`` to ``(..., H/stride, W/stride)``, rounded up."""
        return x[..., :: self.stride, :: self.stride]


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, layers: _Layers, name: str, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        middle = layers.middle(inputs, outputs)
        self.conv1 = layers.conv(f"{name}.conv1", inputs, outputs, 3, stride, middle)
        self.norm1 = layers.norm(outputs)
        self.conv2 = layers.conv(f"{name}.conv2", outputs, outputs, 3, 1, middle)
        self.norm2 = layers.norm(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = layers.shortcut(f"{name}.shortcut.1", inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, ..., H, W)`` to ``(N, C', ..., H/stride, W/stride)``."""
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet-18: images ``(N, 3, H, W)`` to ``(N, outputs)``, clips ``(N, 3, T, H, W)`` to ``(N, T, outputs)``.

    Attributes
    ----------
    config : NetworkConfig
        What it was built from.
    recompute : bool
        Whether training keeps only the inputs of the residual blocks and computes the blocks again in the backward
        pass. False at first; it changes memory and time, not what is computed.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        check_config(config)
        self.recompute = False
        self.config = config
        layers = _Layers(config)
        imagenet = config.stem == "imagenet"
        middle = max(1, round(STEM_MIDDLE * config.width / 64))
        self.stem = layers.conv("stem", 3, config.width, 7 if imagenet else 3, 2, middle)
        self.stem_norm = layers.norm(config.width)
        self.pool = layers.pool() if imagenet else nn.Identity()
        inputs = config.width
        for stage, multiple in enumerate(STAGE_MULTIPLES, start=1):
            outputs = config.width * multiple
            blocks = []
            for block in range(BLOCKS_PER_STAGE):
                stride = 2 if stage > 1 and block == 0 else 1
                blocks.append(BasicBlock(layers, f"layer{stage}.{block}", inputs, outputs, stride))
                inputs = outputs
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.head = nn.Linear(inputs, config.outputs)
        strangers = sorted(set(config.ranks) - {name for name, _ in self.named_modules()})
        if strangers:
            raise NetworkError(f"ranks of a network name layers that it lacks: {', '.join(strangers)}; remove them")

    def forward(self, x: Tensor) -> Tensor:
        """Predict for every image or every frame."""
        if x.ndim != self.config.order + 2:
            wanted = "(N, 3, T, H, W)" if self.config.order == 3 else "(N, 3, H, W)"
            raise NetworkError(f"a network of order {self.config.order} wants {wanted}, got {tuple(x.shape)}")
        if x.shape[1] != 3:
            raise NetworkError(f"a network wants 3 colour channels, got {tuple(x.shape)}")
        x = channels_last(x)
        x = self.pool(torch.relu(self.stem_norm(self.stem(x))))
        for stage in range(1, len(STAGE_MULTIPLES) + 1):
            for block in self.get_submodule(f"layer{stage}").children():
                x = recomputed_module(block, x) if self.recompute and torch.is_grad_enabled() else block(x)
        return self.head(x.mean((-2, -1)).movedim(1, -1))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load all or nothing; see `hocbench.nn.plain.check_state`."""
        check_state(self, state_dict, strict)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


def config_of(network: nn.Module) -> NetworkConfig | None:
    """Return what a network of this package was built from, None for a user's own."""
    config = getattr(network, "config", None)
    return config if isinstance(config, NetworkConfig) else None


def resnet18(order: int = 2, kind: str = "cp", width: int = 64, rank: Rank = "same", **options: Any) -> ResNet:
    """Build a ResNet-18; see `NetworkConfig` for the options, and `check_config` for what is refused."""
    return ResNet(NetworkConfig(order=order, kind=kind, width=width, rank=rank, **options))
