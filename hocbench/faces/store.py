"""The crop store: all faces of a dataset in one memory-mapped array, with a ledger of what was dropped or repaired."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
from rich.progress import track

from hocbench.datasets.contract import write_parquet, write_text
from hocbench.errors import FaceError
from hocbench.faces.align import cut, from_box, from_landmarks
from hocbench.faces.detect import detect_face

STORE_COLUMNS = ["dataset", "subject", "session", "clip", "frame", "valence", "arousal", "split"]
NO_LABEL = ("uncertain_label", "label_missing")
METHODS = ("auto", "landmarks", "box", "detector")


@dataclass
class _Crop:
    """A crop in the making."""

    pixels: np.ndarray | None
    status: str
    face: str


class CropStore:
    """Read access to a folder written by `make_crops`.

    Attributes
    ----------
    frames : DataFrame
        One row per crop; columns dataset, subject, session, clip, frame, valence, arousal, split, status, face, usable.
    crops : ndarray, shape (n, size, size, 3), uint8
        RGB, memory-mapped, read-only.
    label : str
        "synthetic" or "real".
    size : int
        Pixels per side.

    Raises
    ------
    FaceError
        If the folder is not a complete store.
    """

    def __init__(self, folder: Path) -> None:
        try:
            summary = json.loads((folder / "crops.json").read_text(encoding="utf-8"))
            self.frames = pd.read_parquet(folder / "frames.parquet")
            self.crops = np.load(folder / "crops.npy", mmap_mode="r", allow_pickle=False)
            self.label: str = summary["label"]
            self.size: int = summary["size"]
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise FaceError(f"{folder} is not a complete crop store ({error}); run `hocbench crop` again") from None
        if len(self.frames) != len(self.crops):
            raise FaceError(f"{folder}: {len(self.crops)} crops but {len(self.frames)} rows; run `hocbench crop` again")


def make_crops(prepared: Path, root: Path, out: Path, *, size: int, margin: float, method: str = "auto") -> None:
    """Cut the face out of every frame of an index.

    Parameters
    ----------
    prepared : Path
        Folder with ``index.parquet`` and ``index.json``.
    root : Path
        Dataset folder that the index was read from.
    out : Path
        Folder that receives ``crops.npy``, ``frames.parquet``, ``ledger.csv`` and, last, ``crops.json``.
    size : int
        Pixels per side.
    margin : float
        Side of the crop in face sizes.
    method : {"auto", "landmarks", "box", "detector"}
        Where the face is taken from; "auto" takes the first of them that a frame has.

    Raises
    ------
    FaceError
        If the method is unknown, the index is missing, or no face is found in the whole dataset.
    """
    if method not in METHODS:
        raise FaceError(f"no way {method!r} to find faces; choose from {', '.join(METHODS)}")
    try:
        index = pd.read_parquet(prepared / "index.parquet")
        label = json.loads((prepared / "index.json").read_text(encoding="utf-8"))["label"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FaceError(f"{prepared} has no index ({error}); run `hocbench index` first") from None
    out.mkdir(parents=True, exist_ok=True)
    # The summary marks a store as complete, so an older one goes before anything of it is replaced.
    (out / "crops.json").unlink(missing_ok=True)
    temporary = out / ".crops.npy.part"
    statuses, faces = _fill(temporary, index, root, size, margin, method)
    if all(face == "none" for face in faces):
        temporary.unlink()
        raise FaceError(f"no face found in any of the {len(index)} frames below {root}; is it the right folder?")
    temporary.replace(out / "crops.npy")
    frames = index[STORE_COLUMNS].assign(status=statuses, face=faces)
    frames["usable"] = (frames["face"] != "none") & frames[["valence", "arousal"]].notna().all(axis=1)
    write_parquet(frames, out / "frames.parquet")
    ledger = _ledger(frames, method)
    write_text(ledger.to_csv(index=False, lineterminator="\n"), out / "ledger.csv")
    summary = {"dataset": str(index["dataset"].iloc[0]), "label": label, "size": size, "margin": margin}
    summary |= {"method": method, "sha256": _sha256(out / "crops.npy")}
    write_text(json.dumps(summary | _counts(frames, ledger), indent=1, sort_keys=True) + "\n", out / "crops.json")


def _counts(frames: pd.DataFrame, ledger: pd.DataFrame) -> dict[str, Any]:
    return {
        "frames": len(frames),
        "usable": int(frames["usable"].sum()),
        "faces": {str(k): int(v) for k, v in sorted(frames["face"].value_counts().items())},
        "dropped": int((ledger["action"] == "dropped").sum()),
        "repaired": int((ledger["action"] == "repaired").sum()),
    }


def _fill(
    path: Path, index: pd.DataFrame, root: Path, size: int, margin: float, method: str
) -> tuple[list[str], list[str]]:
    """Write the crops of all frames into an array file; return the status and the source of the face of each."""
    crops = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(index), size, size, 3))
    statuses, faces = [], []
    clips = index.groupby("clip", sort=False)
    place = 0
    for _, clip in track(clips, description=f"Cropping {index['dataset'].iloc[0]}", total=len(clips)):
        for crop in _repair(list(_crop_clip(clip, root, size, margin, method))):
            if crop.pixels is not None:
                crops[place] = crop.pixels
            statuses.append(crop.status)
            faces.append(crop.face)
            place += 1
    crops.flush()
    return statuses, faces


def _crop_clip(clip: pd.DataFrame, root: Path, size: int, margin: float, method: str) -> Iterator[_Crop]:
    """Crop the frames of one clip; a frame without landmarks is framed like the nearest one that has them."""
    own = [_matrix(row, size, margin, method) for row in clip.itertuples()]
    good = [i for i, (matrix, face) in enumerate(own) if matrix is not None and face != "box"]
    for i, (picture, row) in enumerate(zip(_pictures(clip, root), clip.itertuples(), strict=True)):
        if picture is None:
            yield _Crop(None, "frame_missing" if row.status == "frame_missing" else "image_unreadable", "none")
            continue
        matrix, face = own[i]
        if matrix is None and good:
            matrix, face = own[min(good, key=lambda j: abs(j - i))][0], "neighbour"
        if matrix is None and method in ("auto", "detector"):
            box = detect_face(picture)
            if box is not None:
                matrix, face = from_box(box, size, margin), "detector"
        if matrix is None:
            yield _Crop(None, "no_face", "none")
        else:
            yield _Crop(cut(picture, matrix, size), str(row.status), face)


def _matrix(row: object, size: int, margin: float, method: str) -> tuple[np.ndarray | None, str]:
    landmarks = np.asarray(row.landmarks)  # type: ignore[attr-defined]
    if method in ("auto", "landmarks") and len(landmarks):
        return from_landmarks(landmarks, size, margin), "landmarks"
    box = (row.box_x, row.box_y, row.box_width, row.box_height)  # type: ignore[attr-defined]
    if method in ("auto", "box") and not np.isnan(box).any() and min(box[2:]) > 0:
        return from_box(box, size, margin), "box"
    return None, "none"


def _repair(crops: list[_Crop]) -> list[_Crop]:
    """Give frames of a clip that have no picture the crop of the nearest frame that has one."""
    good = [i for i, crop in enumerate(crops) if crop.pixels is not None]
    for i, crop in enumerate(crops):
        if crop.pixels is None and good:
            nearest = min(good, key=lambda j: abs(j - i))
            crops[i] = _Crop(crops[nearest].pixels, crop.status, "neighbour")
    return crops


def _pictures(clip: pd.DataFrame, root: Path) -> Iterator[np.ndarray | None]:
    """Decode the frames of a clip in order, RGB; None where one cannot be read."""
    sources = clip["source"].unique()
    if len(sources) == 1 and sources[0].lower().endswith((".avi", ".mp4", ".mkv", ".mov")):
        yield from _video_frames(root / sources[0], clip["source_frame"].tolist())
        return
    for source in clip["source"]:
        picture = cv2.imread(str(root / source), cv2.IMREAD_COLOR)
        yield None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _video_frames(path: Path, wanted: list[int]) -> Iterator[np.ndarray | None]:
    found: dict[int, np.ndarray] = {}
    damaged: list[int] = []
    needed, decoded, stated = set(wanted), 0, 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            stated = stream.frames
            for number, frame in enumerate(container.decode(stream)):
                decoded = number + 1
                if frame.is_corrupt:
                    damaged.append(number)
                elif number in needed:
                    found[number] = frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError):
        # What was decoded before the damage is good; the rest is reported frame by frame.
        pass
    # Where a frame got lost, the later ones are not those that they are counted as.
    end = damaged[0] if damaged and decoded < stated else decoded
    for number in wanted:
        yield found.pop(number, None) if number < end else None


def _ledger(frames: pd.DataFrame, method: str) -> pd.DataFrame:
    # Asked for, the detector is no repair.
    repairs = ["neighbour"] if method == "detector" else ["neighbour", "detector"]
    special = frames[(frames["status"] != "ok") | frames["face"].isin(repairs)]
    at_index = special["status"].isin([*NO_LABEL, "landmarks_failed", "frame_missing"])
    return pd.DataFrame(
        {
            "clip": special["clip"],
            "frame": special["frame"],
            "step": np.where(at_index, "index", "crop"),
            "reason": special["status"].where(special["status"] != "ok", "landmarks_failed"),
            "action": np.where(special["usable"], "repaired", "dropped"),
            "detail": "face from " + special["face"],
        }
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
