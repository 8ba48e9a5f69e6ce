"""Whether landmarks and boxes fit the pictures that they lie beside, judged by the sizes of these."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pandas as pd
from PIL import Image

from hocbench.datasets.sources import is_video, open_media
from hocbench.terminal import progress

# Looked at when an index is read: one picture of each clip up to so many, or so many stills, evenly spread.
SAMPLE, SAMPLE_VIDEOS, FRAMES_OF_A_VIDEO = 500, 60, 5
CHUNK = 20_000  # frames whose landmarks are held in memory as one array
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # EXIF: width and height change places
MARGIN = 0.05  # of the size, beside the picture, where points of a face at its border lie
MOST_OUTSIDE, MOSTLY_OUTSIDE = 0.2, 0.5  # share of the points, or of the area of the box
SYSTEMATIC = 0.2  # share of the pictures
TURNED_ALIKE = 0.8  # share of the pictures; of points that mean nothing it is a half
LEAST_PICTURES, LEAST_CLIPS, MANY_CLIPS = 5, 6, 20  # that say something of a copy
# Faces are in the middle on average; where they are at so much of the size in both directions, they are not.
NEAR, FAR = 0.38, 0.6
OFF_CENTRE = 0.06  # of the width; worth a remark in many clips
NORMALISED = 2.0  # no face has all its points in so few pixels
EYES = {136: (slice(36, 42), slice(42, 48), slice(48, 68)), 98: (slice(19, 25), slice(25, 31), slice(31, 49))}


@dataclass(frozen=True)
class Geometry:
    """What was found of a copy.

    Attributes
    ----------
    faults : list of str
        What is wrong with all of it, or with a split; such a copy cannot be cropped by its landmarks or boxes.
    outside : list of str
        Pictures of which most points, or most of the box, lie outside.
    remarks : list of str
        What may be wrong, or may be the way in which these pictures were taken.
    """

    faults: list[str]
    outside: list[str]
    remarks: list[str]


def inspect_geometry(frames: pd.DataFrame, root: Path, *, everything: bool) -> Geometry:
    """Compare landmarks and boxes of an index with the sizes of its pictures and videos, read from their headers.

    All sizes are read if ``everything`` is true, else those of `SAMPLE` pictures.
    """
    annotated = (frames["landmarks"].map(len) > 0) | frames["box_width"].notna()
    chosen = frames[annotated & (frames["status"] != "frame_missing")]
    if not everything:
        chosen = _sample(chosen)
    sizes: dict[str, tuple[int, int] | None] = {}
    sources = chosen["source"].unique()
    for source in progress(sources, "Reading sizes", len(sources)) if everything else sources:
        sizes[source] = _size(root, source)
    known = chosen["source"].map(lambda source: sizes[source] is not None).astype(bool)
    chosen = chosen[known]
    if chosen.empty:
        return Geometry([], [], [])
    shapes = np.array([sizes[source] for source in chosen["source"]], dtype=np.float64)
    starts = range(0, len(chosen), CHUNK)
    measured = pd.concat(
        [_measure(chosen.iloc[start : start + CHUNK], shapes[start : start + CHUNK]) for start in starts],
        ignore_index=True,
    )
    splits = sorted(set(measured["split"].to_list()))
    parts = {f" of {split}" if split else "": measured[measured["split"] == split] for split in splits}
    faults = [fault for of, part in parts.items() for fault in _faults(part, of)]
    remarks = [] if faults else [remark for of, part in parts.items() for remark in _remarks(part, of)]
    far = measured[["points_outside", "box_outside"]].max(axis=1) > MOSTLY_OUTSIDE
    names: list[str] = measured.loc[far, "source"].to_list()
    numbers = measured.loc[far, "source_frame"].to_list()
    outside = [
        f"{name}, frame {number}" if is_video(name) else name for name, number in zip(names, numbers, strict=True)
    ]
    return Geometry(faults, outside, remarks)


def _sample(frames: pd.DataFrame) -> pd.DataFrame:
    """Choose the middle of each clip, several frames of videos, and of many clips or stills some, evenly spread."""
    if not frames["clip"].duplicated().any():
        return frames.iloc[np.unique(np.linspace(0, len(frames) - 1, min(SAMPLE, len(frames))).round().astype(int))]
    places = frames.groupby("clip", sort=True).indices
    few = list(places.values())
    most = SAMPLE_VIDEOS if len(frames) and is_video(frames["source"].iloc[0]) else SAMPLE
    chosen = [few[i] for i in np.unique(np.linspace(0, len(few) - 1, min(most, len(few))).round().astype(int))]
    count = max(1, min(FRAMES_OF_A_VIDEO, SAMPLE // max(1, len(chosen))))
    shares = (np.arange(count) + 0.5) / count
    rows = [np.unique(part[(shares * len(part)).astype(int)]) for part in chosen]
    return frames.iloc[np.concatenate(rows)] if rows else frames


def _size(root: Path, source: str) -> tuple[int, int] | None:
    """Read width and height, upright; what cannot be read is named elsewhere."""
    try:
        if is_video(source):
            with av.open(open_media(root, source), "r") as container:
                stream = container.streams.video[0]
                return stream.width, stream.height
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(open_media(root, source)) as picture:
                turned = picture.getexif().get(ORIENTATION) in TURNED
                return picture.size[::-1] if turned else picture.size
    except Exception:  # Pillow and FFmpeg raise nearly anything for damaged headers
        return None


def _measure(frames: pd.DataFrame, sizes: np.ndarray) -> pd.DataFrame:
    """Return one row per frame: where its face is in units of the picture, and how it is turned."""
    columns = ["x", "y", "right", "bottom", "points_outside", "largest", "across", "down", "upright"]
    table = pd.DataFrame(np.nan, index=range(len(frames)), columns=[*columns, "box_outside", "apart"])
    landmarks = frames["landmarks"].to_list()
    lengths = np.array([len(points) for points in landmarks])
    boxes = frames[["box_x", "box_y", "box_width", "box_height"]].to_numpy(dtype=np.float64)
    with np.errstate(all="ignore"):
        table["box_outside"] = _share_outside(boxes, sizes)
        for length in np.unique(lengths[lengths > 0]):
            rows = np.flatnonzero(lengths == length)
            points = np.stack([landmarks[row] for row in rows]).astype(np.float64).reshape(len(rows), -1, 2)
            places = points / sizes[rows, None, :]
            table.loc[rows, ["x", "y"]] = np.median(places, axis=1)
            table.loc[rows, ["right", "bottom"]] = places.max(axis=1)
            outside = (places < -MARGIN) | (places > 1 + MARGIN)
            table.loc[rows, "points_outside"] = outside.any(axis=2).mean(axis=1)
            table.loc[rows, "largest"] = np.abs(points).max(axis=(1, 2))
            if length in EYES:
                first, second, mouth = (points[:, part].mean(axis=1) for part in EYES[length])
                table.loc[rows, ["across", "down"]] = second - first
                table.loc[rows, "upright"] = mouth[:, 1] - (first[:, 1] + second[:, 1]) / 2
            low, high = points.min(axis=1), points.max(axis=1)
            table.loc[rows, "apart"] = _share_apart(boxes[rows], low, high)
    frame_columns = frames[["clip", "source", "source_frame", "split"]].reset_index(drop=True)
    return pd.concat([frame_columns, table], axis=1)


def _share_outside(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    low, high = np.clip(boxes[:, :2], 0, sizes), np.clip(boxes[:, :2] + boxes[:, 2:], 0, sizes)
    return 1 - np.prod(high - low, axis=1) / np.prod(boxes[:, 2:], axis=1)


def _share_apart(boxes: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How much of the smaller of box and extent of the landmarks lies outside the larger one."""
    start, end = np.maximum(boxes[:, :2], low), np.minimum(boxes[:, :2] + boxes[:, 2:], high)
    common = np.prod(np.maximum(end - start, 0), axis=1)
    return 1 - common / np.minimum(np.prod(boxes[:, 2:], axis=1), np.prod(high - low, axis=1))


def _faults(measured: pd.DataFrame, of: str) -> Iterator[str]:
    """Yield what is systematically wrong; a face at the border with some points outside is not."""
    pointed = measured[measured["x"].notna()]
    boxed = measured[measured["box_outside"].notna()]
    remedy = "use pictures and annotations of one copy"
    if len(pointed) >= LEAST_PICTURES:
        order = _order(pointed)
        if order:
            yield f"the landmarks{of} do not fit the pictures: {order}; {remedy}"
            return
        where = _displacement(pointed)
        if where:
            yield f"the landmarks{of} do not fit the pictures: {where}{_factor(pointed)}; {remedy}"
    if len(boxed) >= LEAST_PICTURES:
        bad = boxed["box_outside"] > MOST_OUTSIDE
        if bad.mean() > SYSTEMATIC:
            yield (
                f"the boxes{of} do not fit the pictures: {bad.sum()} of {len(boxed)} lie partly or wholly outside, "
                f"first that of {boxed.loc[bad, 'source'].iloc[0]}; {remedy}"
            )
        apart = boxed["apart"].dropna()
        if len(apart) >= LEAST_PICTURES and apart.median() > MOSTLY_OUTSIDE:
            yield f"boxes and landmarks{of} do not fit each other: most of them hardly overlap; {remedy}"


def _order(pointed: pd.DataFrame) -> str:
    """Describe coordinates that are not pixels counted from the upper left corner, x before y; empty if they are."""
    if pointed["largest"].median() <= NORMALISED:
        return (
            f"they go up to {pointed['largest'].median():.3g}, as if in units of the picture, and pixels are expected"
        )
    # The same points beside many pictures say what they say once.
    turned = pointed[pointed["across"].notna()].drop_duplicates(["across", "down", "upright"])
    if len(turned) < LEAST_PICTURES:
        return ""
    if (turned["across"].abs() < turned["down"].abs()).mean() > TURNED_ALIKE:
        return "one eye stands above the other in most of them, as if y came before x"
    if (turned["upright"] < 0).mean() > TURNED_ALIKE:
        return "the mouth stands above the eyes in most of them, as if y were counted from below"
    if (turned["across"] < 0).mean() > TURNED_ALIKE:
        return "left and right eye are exchanged in most of them, as if the pictures were mirrored"
    return ""


def _displacement(pointed: pd.DataFrame) -> str:
    bad = pointed["points_outside"] > MOST_OUTSIDE
    if bad.mean() > SYSTEMATIC:
        return (
            f"{bad.sum()} of {len(pointed)} pictures have a fifth or more of their points outside, "
            f"first {pointed.loc[bad, 'source'].iloc[0]}"
        )
    if pointed["clip"].nunique() < LEAST_CLIPS:
        return ""
    x, y = pointed.groupby("clip")[["x", "y"]].median().median()
    if (x < NEAR and y < NEAR) or (x > FAR and y > FAR):
        corner = "upper left" if x < NEAR else "lower right"
        return f"most faces of {len(pointed)} pictures would be in the {corner} corner"
    return ""


def _remarks(measured: pd.DataFrame, of: str) -> Iterator[str]:
    """Yield what a slight change of the size would cause, but a camera beside the face as well."""
    clips = measured.groupby("clip")[["x", "y"]].median().dropna()
    if len(clips) < MANY_CLIPS:
        return
    x, y = clips.median()
    if abs(x - 0.5) > OFF_CENTRE:
        yield (
            f"the faces{of} are at {x:.0%} of the width and {y:.0%} of the height, not in the middle; were the "
            f"pictures made {0.5 / x:.2g} times as large without their landmarks?"
        )


def _factor(pointed: pd.DataFrame) -> str:
    """Estimate how pictures were resized: on average a face is in the middle, its points a little lower."""
    x, y = 0.5 / pointed["x"].median(), 0.55 / pointed["y"].median()
    if not (0.02 < x < 50 and 0.02 < y < 50):
        return ""
    factor = f"{x:.2g}" if 0.75 < x / y < 1.33 else f"{x:.2g} × {y:.2g}"
    return f". The pictures seem to be about {factor} times as large as those that the landmarks are of"
