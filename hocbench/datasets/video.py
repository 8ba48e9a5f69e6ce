"""Length, rate and times of a video, read from its headers and packets; nothing is decoded that need not be."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from hocbench.datasets.sources import open_media
from hocbench.datasets.timeline import read_timeline
from hocbench.errors import DatasetError


@dataclass(frozen=True)
class Video:
    """A video on the grid of its nominal rate: frame k is what a player shows at k / rate.

    Attributes
    ----------
    frames, rate : int, float
        Length of the grid, and its frames per second.
    pictures : int
        How many the file holds.
    repeated, unshown : int
        Frames that show the picture before again, and pictures that another one replaces before any frame shows them.
    lost : int
        Pictures that the index of the file lists and that are not where it says.
    stamped : bool
        Whether the file says when its pictures are shown; if not, they are taken to follow each other evenly.
    varies : bool
        Whether the times of its pictures lie on no grid; each frame then shows the picture nearest to it.
    size : (int, int)
        Width and height of its pictures in pixels.
    """

    root: Path
    source: str
    frames: int
    rate: float
    pictures: int
    repeated: int = 0
    unshown: int = 0
    lost: int = 0
    stamped: bool = True
    varies: bool = False
    size: tuple[int, int] = (0, 0)

    def times(self) -> np.ndarray:
        """Return when each frame is shown, seconds from the first."""
        return np.arange(self.frames) / self.rate

    def remarks(self) -> dict[str, str]:
        """Return what is unusual about when its pictures are shown: a heading for notes → what there is of it."""
        texts = {
            "repeated_pictures": f"{self.repeated} of {self.frames} frames" if self.repeated else "",
            "pictures_never_shown": f"{self.unshown} of {self.pictures} pictures" if self.unshown else "",
            "pictures_lost": f"{self.lost} of {self.pictures} pictures" if self.lost else "",
            "no_time_stamps": "" if self.stamped else f"taken to be even, {self.rate:g} per second",
            "varying_frame_rate": f"shown on a grid of {self.rate:g} per second" if self.varies else "",
        }
        return {heading: text for heading, text in texts.items() if text}


def probe_video(root: Path, source: str, dataset: str = "sewa") -> Video:
    """Read how many frames a video has, and what is known of their times; a cut one has as many as its header states.

    A file that is not a readable video, holds no picture, or states the times of only some raises a DatasetError.
    """
    path = f"{dataset}: {root / source}"
    try:
        timeline = read_timeline(open_media(root, source), Path(path))
    except IndexError:
        raise DatasetError(f"{path} cannot be read as a video (it holds no pictures); copy it again") from None
    except (av.FFmpegError, OSError) as error:
        raise DatasetError(f"{path} cannot be read as a video ({error}); copy it again") from None
    taken = timeline.taken
    return Video(
        root,
        source,
        timeline.frames,
        float(timeline.rate),
        pictures=timeline.pictures,
        repeated=timeline.end - min(taken) - len(taken),
        unshown=timeline.pictures - len(taken),
        lost=len(timeline.lost),
        stamped=timeline.stamped,
        varies=timeline.varies,
        size=timeline.size,
    )
