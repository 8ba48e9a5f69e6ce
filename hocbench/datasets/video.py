"""Length, rate and times of a video, read from its headers and packets; nothing is decoded that need not be."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from hocbench.datasets.sources import open_media
from hocbench.errors import DatasetError


@dataclass(frozen=True)
class Video:
    """What is known of a video.

    Attributes
    ----------
    root, source : Path, str
        Where it lies.
    frames : int
        How many frames it has.
    rate : float
        Frames per second, on average.
    """

    root: Path
    source: str
    frames: int
    rate: float

    def times(self) -> np.ndarray:
        """Read when each frame is shown, seconds from the first, ascending; the rate may vary.

        Raises
        ------
        DatasetError
            If the file can no longer be read.
        """
        try:
            with av.open(open_media(self.root, self.source), "r") as container:
                stream = container.streams.video[0]
                stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None and packet.size]
                times = np.sort(np.array(stamps, dtype=np.float64)) * float(stream.time_base or 0)
        except (av.FFmpegError, IndexError, OSError) as error:
            raise _unreadable(self.root / self.source, error) from None
        # Some files hold no times, or not one per frame; then all frames last equally long.
        if len(times) != self.frames or (np.diff(times) <= 0).any():
            return np.arange(self.frames) / self.rate
        return times - times[0]


def probe_video(root: Path, source: str) -> Video:
    """Read the number of frames, by the header where that states them and by decoding otherwise, and the rate.

    Raises
    ------
    DatasetError
        If the file is not a readable video, or holds no frame.
    """
    path = root / source
    try:
        with av.open(open_media(root, source), "r") as container:
            stream = container.streams.video[0]
            frames = stream.frames or len(list(container.decode(stream)))
            rate = float(stream.average_rate or 0)
    except IndexError:
        raise DatasetError(f"{_name(path)} cannot be read as a video (it holds no pictures); copy it again") from None
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from None
    if frames == 0 or rate <= 0:
        raise DatasetError(f"{_name(path)} cannot be read as a video (it has no frame); copy it again")
    return Video(root, source, frames, rate)


def _unreadable(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{_name(path)} cannot be read as a video ({error}); copy it again")


def _name(path: Path) -> str:
    return f"sewa: {path}"
