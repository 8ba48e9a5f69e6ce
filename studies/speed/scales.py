"""How large the benchmark's layers, networks and batches are."""

import math
from dataclasses import dataclass, replace

from hocbench.errors import BenchmarkError

# Inputs and weights are drawn from it; their values do not change a time.
SEED = 20200614
STAGES = 4


@dataclass(frozen=True)
class Scale:
    """Sizes of everything that is timed.

    Attributes
    ----------
    name : str
        "paper", "small" or "tiny".
    width : int
        Channels of the first stage; the others have 2, 4 and 8 times as many.
    images, clips : int
        Batch sizes in 2-D and 3-D. At least 2 clips: with one clip and one thread, torch does not use oneDNN for a
        dense 3-D convolution, and the baseline would be twice too slow.
    frames, network_frames : int
        Per clip in single layers, and in whole networks.
    image_pixels, clip_pixels, network_pixels : tuple of int
        Sides of the network inputs whose 3×3 layers are timed one by one, 2-D and 3-D, and of the inputs of whole
        networks.
    """

    name: str
    width: int
    images: int
    clips: int
    frames: int
    image_pixels: tuple[int, ...]
    clip_pixels: tuple[int, ...]
    network_pixels: tuple[int, ...]
    network_frames: int

    def pixels(self, order: int) -> tuple[int, ...]:
        """Sides of the inputs whose layers are timed at an order."""
        return self.image_pixels if order == 2 else self.clip_pixels

    def layers(self, pixels: int) -> list[tuple[int, int]]:
        """Channels and side of the 3×3 convolution of each ResNet-18 stage, for a network input of so many pixels."""
        return [(self.width * 2**stage, math.ceil(pixels / (4 * 2**stage))) for stage in range(STAGES)]

    def layer_shape(self, order: int, channels: int, side: int) -> tuple[int, ...]:
        """Shape of a layer's input, ``(N, C, (T,) H, W)``."""
        return self._shape(order, channels, self.frames, side)

    def network_shape(self, order: int, pixels: int) -> tuple[int, ...]:
        """Shape of a network's input, ``(N, 3, (T,) H, W)``."""
        return self._shape(order, 3, self.network_frames, pixels)

    def _shape(self, order: int, channels: int, frames: int, side: int) -> tuple[int, ...]:
        clip = order == 3
        return (self.clips if clip else self.images, channels, *([frames] if clip else []), side, side)


SCALES = {
    "paper": Scale("paper", 64, 4, 2, 8, (224,), (224, 112), (112,), 4),
    "small": Scale("small", 32, 4, 2, 4, (112,), (112, 56), (56,), 4),
    "tiny": Scale("tiny", 4, 2, 2, 3, (32,), (32,), (32,), 3),
}


def find_scale(name: str, device: str) -> Scale:
    """Return the sizes of a scale; on a GPU, those of "paper" have longer clips, larger batches and 224 pixels too.

    Raises
    ------
    BenchmarkError
        If there is no such scale.
    """
    if name not in SCALES:
        raise BenchmarkError(f"--scale {name!r}: choose from {', '.join(SCALES)}")
    scale = SCALES[name]
    if name == "paper" and device == "cuda":
        return replace(scale, images=64, clips=4, frames=16, network_pixels=(112, 224), network_frames=16)
    return scale
