"""The crops of one clip, each with its status, where its face came from, and what went wrong."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pandas as pd

from hocbench.config.crop import CropOptions
from hocbench.datasets.pixels import PictureError, read_picture
from hocbench.datasets.playback import Shown, play
from hocbench.datasets.sources import is_video, open_media, read_bytes
from hocbench.errors import DatasetError
from hocbench.faces.align import cut, from_box, from_landmarks
from hocbench.faces.detect import detect_face, face_frame

# A crop of fewer pixels shows no face, and one of so many sides of the picture shows mostly nothing.
SMALLEST_FACE_PIXELS, LARGEST_SIDE = 4, 8
# A frame is taken for like another one up to so many frames away: half a second of film, a quarter of a second of
# SEWA. Heads move by a small part of a face in that time; across more, the detector is asked.
FARTHEST_NEIGHBOUR = 12


@dataclass
class Crop:
    """A crop, or the reason why there is none."""

    pixels: np.ndarray | None
    status: str
    face: str
    detail: str = ""


def crop_clip(clip: pd.DataFrame, root: Path, options: CropOptions) -> list[Crop]:
    """Crop the frames of one clip, rows of an index sorted by frame.

    A frame without landmarks is framed like the nearest one that has them, and a frame without a picture gets the crop
    of the nearest one that has one, if that is at most `FARTHEST_NEIGHBOUR` frames away; both say so in ``face``.
    """
    crops = list(_cut(clip, root, options))
    numbers = clip["frame"].to_numpy()
    good = [i for i, crop in enumerate(crops) if crop.pixels is not None]
    for i, crop in enumerate(crops):
        near = _near(numbers, good, i) if crop.pixels is None else []
        if near:
            crops[i] = Crop(crops[near[0]].pixels, crop.status, "neighbour", crop.detail)
    return crops


def _near(numbers: np.ndarray, places: list[int], place: int) -> list[int]:
    """List the places of frames that are near enough to be taken for like another one, the nearest first."""
    away = np.abs(numbers[places] - numbers[place])
    order = np.argsort(away, kind="stable")
    return [places[i] for i in order[away[order] <= FARTHEST_NEIGHBOUR] if places[i] != place]


def _cut(clip: pd.DataFrame, root: Path, options: CropOptions) -> Iterator[Crop]:
    framings = _framings(clip, options)
    numbers = clip["frame"].to_numpy()
    good = [i for i, (matrix, face) in enumerate(framings) if matrix is not None and face != "box"]
    for i, (picture, status) in enumerate(zip(_pictures(clip, root), clip["status"].tolist(), strict=True)):
        if not isinstance(picture, np.ndarray):
            fault = "frame_missing" if status == "frame_missing" else "image_unreadable"
            yield Crop(None, fault, "none", str(picture))
            continue
        matrix, face = framings[i]
        if matrix is not None and not _lies_in(picture, matrix, options.size):
            matrix = None
        if matrix is None:
            face = "neighbour"
            borrowed = (framings[j][0] for j in _near(numbers, good, i))
            matrix = next((m for m in borrowed if m is not None and _lies_in(picture, m, options.size)), None)
        if matrix is None and options.method in ("auto", "detector"):
            box = detect_face(picture, options.detector)
            if box is not None:
                frame = face_frame(box, options.detector)
                matrix, face = from_box(frame, options.size, options.margin), "detector"
        if matrix is None:
            yield Crop(None, "no_face", "none")
        else:
            yield Crop(cut(picture, matrix, options.size), status, face)


def _lies_in(picture: np.ndarray, matrix: np.ndarray, size: int) -> bool:
    """Return whether a crop is of this picture at all: not of a point, nor of the emptiness around it."""
    height, width = picture.shape[:2]
    (a, _, right), (b, _, down) = matrix.tolist()
    # A similarity transform multiplies by a complex number; its middle comes from dividing by it.
    turn = complex(a, b)
    if not SMALLEST_FACE_PIXELS <= size / abs(turn) <= LARGEST_SIDE * max(height, width):
        return False
    middle = complex(size / 2 - right, size / 2 - down) / turn
    return 0 <= middle.real <= width and 0 <= middle.imag <= height


def _framings(clip: pd.DataFrame, options: CropOptions) -> list[tuple[np.ndarray | None, str]]:
    """Frame the faces of a clip by what the index says of each frame; returns by what, too."""
    framings: list[tuple[np.ndarray | None, str]] = [(None, "none")] * len(clip)
    if options.method in ("auto", "box"):
        for place, box in enumerate(clip[["box_x", "box_y", "box_width", "box_height"]].to_numpy()):
            if np.isfinite(box).all() and min(box[2:]) > 0:
                framings[place] = from_box(tuple(box.tolist()), options.size, options.margin), "box"
    if options.method in ("auto", "landmarks"):
        landmarks = clip["landmarks"].tolist()
        for count in {len(points) for points in landmarks} - {0}:
            places = [place for place, points in enumerate(landmarks) if len(points) == count]
            matrices = from_landmarks(np.stack([landmarks[place] for place in places]), options.size, options.margin)
            # Points that all coincide, or lie beyond any number, say nothing.
            telling = np.isfinite(matrices).all(axis=(1, 2)) & (matrices[:, :, 0] != 0).any(axis=1)
            for place, matrix in zip(np.array(places)[telling].tolist(), matrices[telling], strict=True):
                framings[place] = matrix, "landmarks"
    return framings


def _pictures(clip: pd.DataFrame, root: Path) -> Iterator[np.ndarray | str]:
    """Decode the frames of a clip in order, RGB; the reason where one cannot be read."""
    sources = clip["source"].unique()
    if len(sources) == 1 and is_video(sources[0]):
        yield from _video_frames(root, sources[0], clip["source_frame"].tolist())
        return
    for source in clip["source"].tolist():
        try:
            yield read_picture(read_bytes(root, source))
        except PictureError as error:
            yield str(error)
        except FileNotFoundError:
            yield "no such file"
        except OSError as error:
            yield error.strerror or str(error)


def _video_frames(root: Path, source: str, wanted: list[int]) -> Iterator[np.ndarray | str]:
    """Decode the wanted frames of a video; only those are held that are decoded and still to be yielded."""
    left = Counter(wanted)
    waiting: dict[int, Shown] = {}
    frames = _played(root, source)
    for number in wanted:
        while number not in waiting:
            place, shown = next(frames, (number, f"the video ends or is damaged before frame {number}"))
            if left[place]:
                waiting[place] = shown
        left[number] -= 1
        shown = waiting[number] if left[number] else waiting.pop(number)
        # As decoded, a picture takes half the memory of RGB.
        yield shown if isinstance(shown, str) else shown.to_ndarray(format="rgb24")


def _played(root: Path, source: str) -> Iterator[tuple[int, Shown]]:
    try:
        yield from enumerate(play(open_media(root, source), root / source))
    except (av.FFmpegError, DatasetError, IndexError, OSError):
        # The index could still read it; now every frame that is asked for is reported.
        return
