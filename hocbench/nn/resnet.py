"""ResNet-18 for images and clips, dense or CP-factorized, with one prediction per frame."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.factorized import PADDING_MODES, FactorizedConv, Rank

BLOCKS_PER_STAGE = 2
STAGE_MULTIPLES = (1, 2, 4, 8)


@dataclass(frozen=True)
class NetworkConfig:
    """All that is needed to build a network, so that weights can be loaded into it.

    Attributes
    ----------
    order : int
        2 for images, 3 for clips.
    kind : {"cp", "dense"}
        Factorized or dense convolutions. An inflated network is a dense one of order 3.
    width : int
        Channels of the first stage.
    rank : "same", int or float
        Of the factorized layers.
    stem : {"imagenet", "small"}
        7×7 with stride 2 and a pooling layer, or 3×3 with stride 2 for crops of about 48 pixels.
    outputs : int
        2: valence, arousal.
    temporal_kernel : int
        Odd; used at order 3.
    temporal_padding : {"zeros", "replicate"}
        At the ends of a clip.
    ranks : dict of str to int
        Components left in layers that were compacted, by the layer's name.
    """

    order: int = 2
    kind: str = "cp"
    width: int = 64
    rank: Rank = "same"
    stem: str = "imagenet"
    outputs: int = 2
    temporal_kernel: int = 3
    temporal_padding: Literal["zeros", "replicate"] = "zeros"
    ranks: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


class _Layers:
    """Makes the layers of one network, so that the trunk is written once for every order and kind."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self.clip = config.order == 3

    def conv(self, name: str, inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Module:
        config = self.config
        kernel = (config.temporal_kernel, size, size) if self.clip else (size, size)
        if config.kind == "cp":
            rank = config.ranks.get(name, config.rank)
            return FactorizedConv(
                inputs, outputs, kernel, rank=rank, stride=stride, padding_mode=config.temporal_padding
            )
        layer: nn.Conv2d | nn.Conv3d
        if self.clip:
            taps = (config.temporal_kernel, size, size)
            padding = (taps[0] // 2, size // 2, size // 2)
            layer = nn.Conv3d(inputs, outputs, taps, stride=(1, stride, stride), padding=padding, bias=False)
        else:
            layer = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
        nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        return layer

    def shortcut(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        # 1×1 shortcuts stay dense and see one frame at a time.
        conv = nn.Conv3d if self.clip else nn.Conv2d
        return nn.Sequential(Subsample(stride), conv(inputs, outputs, 1, bias=False), self.norm(outputs))

    def norm(self, channels: int) -> nn.Module:
        return nn.BatchNorm3d(channels) if self.clip else nn.BatchNorm2d(channels)

    def pool(self) -> nn.Module:
        if self.clip:
            return nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        return nn.MaxPool2d(3, stride=2, padding=1)


class Subsample(nn.Module):
    """Every ``stride``-th row and column.

    With a 1×1 convolution behind it, this is the strided 1×1 convolution. oneDNN's own one writes past its buffers
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
        self.conv1 = layers.conv(f"{name}.conv1", inputs, outputs, 3, stride)
        self.norm1 = layers.norm(outputs)
        self.conv2 = layers.conv(f"{name}.conv2", outputs, outputs, 3)
        self.norm2 = layers.norm(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = layers.shortcut(inputs, outputs, stride)

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
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        layers = _Layers(config)
        imagenet = config.stem == "imagenet"
        self.stem = layers.conv("stem", 3, config.width, 7 if imagenet else 3, stride=2)
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

    def forward(self, x: Tensor) -> Tensor:
        """Predict for every image or every frame."""
        if x.ndim != self.config.order + 2:
            wanted = "(N, 3, T, H, W)" if self.config.order == 3 else "(N, 3, H, W)"
            raise NetworkError(f"a network of order {self.config.order} wants {wanted}, got {tuple(x.shape)}")
        memory = torch.channels_last_3d if self.config.order == 3 else torch.channels_last
        x = x.contiguous(memory_format=memory)
        x = self.pool(torch.relu(self.stem_norm(self.stem(x))))
        for stage in range(1, len(STAGE_MULTIPLES) + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.head(x.mean((-2, -1)).movedim(1, -1))


def resnet18(order: int = 2, kind: str = "cp", width: int = 64, rank: Rank = "same", **options: Any) -> ResNet:
    """Build a ResNet-18; see `NetworkConfig` for the options.

    Raises
    ------
    NetworkError
        For an unknown kind, order or stem, a width below 1, an even temporal kernel, or a temporal padding that the
        kind does not offer.
    """
    config = NetworkConfig(order=order, kind=kind, width=width, rank=rank, **options)
    if kind not in ("cp", "dense"):
        raise NetworkError(f"kind {kind!r} of a network: choose 'cp' or 'dense'")
    if order not in (2, 3) or config.stem not in ("imagenet", "small") or width < 1:
        raise NetworkError(f"order {order} (2 or 3), stem {config.stem!r} (imagenet or small), width {width} (≥ 1)")
    kernel, padding = config.temporal_kernel, config.temporal_padding
    offered = ("zeros",) if kind == "dense" else PADDING_MODES
    if kernel < 1 or kernel % 2 == 0 or padding not in offered:
        raise NetworkError(f"temporal kernel {kernel} (odd), padding {padding!r} ({' or '.join(offered)} if {kind})")
    return ResNet(config)


def convolutions(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Conv3d | FactorizedConv]]:
    """Name every convolution that has spatial extent, in the order of the forward pass."""
    found: list[tuple[str, nn.Conv2d | nn.Conv3d | FactorizedConv]] = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | FactorizedConv) and max(module.kernel_size) > 1:
            found.append((name, module))
    return found
