"""Making the crop store: in worker processes, resumable, the same bytes whatever the number of workers."""

import json
import math
import shutil
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from hocbench.config.base import Count, check_values
from hocbench.config.crop import CropOptions
from hocbench.datasets.columns import NO_LABEL, label_columns, labelled
from hocbench.datasets.prepared import load_excluded, load_index
from hocbench.errors import FaceError
from hocbench.faces.clips import Crop, crop_clip
from hocbench.files.checksums import FILES, file_hash, hashes_of, read_sealed, sealed
from hocbench.files.staging import move_into
from hocbench.files.write import write_parquet, write_text
from hocbench.opencv import cv2
from hocbench.parallel import shared

JPEG_QUALITY = 95
BATCH_FRAMES = 256  # at least so many, whole clips: what a kill loses of one worker
PARTS = ".crops.part"  # survives a kill; not among the outputs that Snakemake deletes
STORE = "store"  # below it, the new store

Row = dict[str, Any]


def make_crops(
    prepared: Path,
    root: Path,
    out: Path,
    *,
    size: int,
    margin: float,
    method: str = "auto",
    detector: str = "haar",
    store: str = "raw",
    workers: int = 1,
) -> None:
    """Cut the face out of every frame of an index; started again, it goes on where it was stopped.

    Parameters
    ----------
    prepared : Path
        Folder with ``index.parquet`` and ``index.json``.
    root : Path
        Dataset folder that the index was read from.
    out : Path
        Folder that receives ``crops.npy``, ``frames.parquet``, ``ledger.csv`` and, last, ``crops.json``. A store that
        is there already is replaced when the new one is whole, not before.
    size, margin, method, detector, store
        See `CropOptions`.
    workers : int
        Processes. They change the time, never a byte.

    Raises
    ------
    ParameterError, DatasetError, DamageError
        If an option is wrong, or the index is missing or damaged.
    FaceError
        If the dataset lacks what the method needs, a worker dies, or no face is found in the whole dataset.
    """
    given = {"size": size, "margin": margin, "method": method, "detector": detector, "store": store}
    options: CropOptions = check_values(CropOptions, given, "the options of a crop")
    check_values(Count, workers, "workers")
    index, label = load_index(prepared)
    _check_sources(index, options)
    parts = _open_parts(out / PARTS, prepared, root, options, len(index))
    new = parts / STORE
    if not _is_whole(new, out):
        _crop_all(index, root, options, parts, workers)
        frames, ledger = _join(index, parts, options)
        if (frames["face"] == "none").all():
            shutil.rmtree(parts)
            raise FaceError(f"no face found in any of the {len(index)} frames below {root}; is it the right folder?")
        summary = {"dataset": str(index["dataset"].iloc[0]), "label": label} | options.model_dump()
        _finish(new, frames, ledger, summary, load_excluded(prepared))
    # Until here an older store stays as it was. Readers do not hash large stores, so its summary goes first.
    move_into(new, out, "crops.json")
    shutil.rmtree(parts)


def _finish(store: Path, frames: pd.DataFrame, ledger: pd.DataFrame, summary: Row, excluded: list[str]) -> None:
    """Write what belongs to the pixels of a new store, last the summary, which says that it is whole."""
    ledger = _with_excluded(ledger, excluded)
    write_parquet(frames, store / "frames.parquet")
    write_text(ledger.to_csv(index=False, lineterminator="\n"), store / "ledger.csv")
    if summary["store"] == "jpeg":
        _string_together(store)
    files = hashes_of(store, ["frames.parquet", "ledger.csv", "crops.npy"])
    counts = {
        "frames": len(frames),
        "usable": int(frames["usable"].sum()),
        "faces": {str(k): int(v) for k, v in sorted(frames["face"].value_counts().items())},
        "dropped": int((ledger["action"] == "dropped").sum()),
        "repaired": int((ledger["action"] == "repaired").sum()),
    }
    left_out = {"excluded": excluded} if excluded else {}
    write_text(sealed(summary | {"files": files} | counts | left_out), store / "crops.json")


def _is_whole(store: Path, out: Path) -> bool:
    """Return whether a new store is finished; a kill may have left some of its files moved to their places already."""
    if not (store / "crops.json").is_file():
        return False
    files = read_sealed(store / "crops.json")[FILES]
    moved = [name for name in files if not (store / name).is_file()]
    return all((out / name).is_file() and file_hash(out / name) == files[name] for name in moved)


def _check_sources(index: pd.DataFrame, options: CropOptions) -> None:
    """Refuse a method that no frame of the dataset has what it needs for, before hours of work."""
    shares = {"landmarks": (index["landmarks"].map(len) > 0).mean(), "box": index["box_x"].notna().mean()}
    if shares.get(options.method, 1) > 0:
        return
    name, what = index["dataset"].iloc[0], {"landmarks": "landmarks", "box": "face boxes"}
    others = [f"{method} (in {share:.1%} of its frames)" for method, share in shares.items() if share]
    raise FaceError(
        f"crop method {options.method!r}: no frame of {name} has {what[options.method]}; choose "
        f"{', '.join([*others, 'detector'])} or auto"
    )


def _open_parts(parts: Path, prepared: Path, root: Path, options: CropOptions, count: int) -> Path:
    """Make the folder of what is done so far; what belongs to another index, option or code is deleted."""
    index = prepared / "index.parquet"
    # Indexed again, the same index may be of files that were corrected meanwhile.
    key = {"index": file_hash(index), "indexed_ns": index.stat().st_mtime_ns, "root": str(root.resolve())}
    text = json.dumps(key | options.model_dump(), indent=1) + "\n"
    same = (parts / "key.json").is_file() and (parts / "key.json").read_text(encoding="utf-8") == text
    pixels = parts / STORE / "crops.npy"
    if not same or not (pixels.is_file() or options.store == "jpeg" or _is_whole(parts / STORE, parts.parent)):
        shape = (count, options.size, options.size, 3)
        if options.store == "raw":
            _check_room(parts, math.prod(shape))
        shutil.rmtree(parts, ignore_errors=True)
        (parts / STORE).mkdir(parents=True)
        if options.store == "raw":
            with pixels.open("wb") as file:
                _write_header(file, shape)
                file.truncate(file.tell() + math.prod(shape))
        write_text(text, parts / "key.json")
    return parts


def _check_room(folder: Path, wanted: int) -> None:
    """Refuse what the disk cannot hold; a mapped file would kill the process when it gets there."""
    out = folder.parent
    out.mkdir(parents=True, exist_ok=True)
    # What an interrupted crop of other options has taken is given back first.
    free = shutil.disk_usage(out).free + sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))
    if wanted > free:
        raise FaceError(
            f"the crops need {wanted / 1e9:.1f} GB and the disk of {out} has {free / 1e9:.1f} GB free; "
            "make room, or set crop.store to jpeg"
        )


def _batches(index: pd.DataFrame) -> Iterator[tuple[int, int]]:
    """Cut an index, sorted by clip, into ranges of rows of whole clips."""
    clips = index["clip"].to_numpy()
    edges = [*(np.flatnonzero(clips[1:] != clips[:-1]) + 1).tolist(), len(clips)]
    start = 0
    for edge in edges:
        if edge - start >= BATCH_FRAMES or edge == len(clips):
            yield start, edge
            start = edge


def _crop_all(index: pd.DataFrame, root: Path, options: CropOptions, parts: Path, workers: int) -> None:
    """Crop every batch that is not done yet."""
    waiting = [batch for batch in _batches(index) if not _part(parts, batch[0]).is_file()]
    jobs = ((index.iloc[start:stop], root, options, parts, start) for start, stop in waiting)
    try:
        for _ in shared(crop_batch, jobs, len(waiting), workers, f"Cropping {index['dataset'].iloc[0]}"):
            pass
    except BrokenProcessPool:
        raise FaceError(
            f"a worker that cropped {root} was killed, perhaps for want of memory; what is done is kept, "
            "so start again, with fewer workers"
        ) from None


def _part(parts: Path, start: int) -> Path:
    return parts / f"{start:09d}.json"


def crop_batch(rows: pd.DataFrame, root: Path, options: CropOptions, parts: Path, start: int) -> None:
    """Crop a range of rows into the parts folder; its JSON file is written last and marks it as done."""
    crops: list[Crop] = []
    for _, clip in rows.groupby("clip", sort=False):
        crops += crop_clip(clip, root, options)
    ends = _write_raw(crops, parts, start) if options.store == "raw" else _write_jpeg(crops, parts, start)
    outcomes = {
        "status": [crop.status for crop in crops],
        "face": [crop.face for crop in crops],
        "detail": [crop.detail for crop in crops],
        "bytes": ends,
    }
    write_text(json.dumps(outcomes), _part(parts, start))


def _write_raw(crops: list[Crop], parts: Path, start: int) -> list[int]:
    # Not by memory-mapping: each page would cost a fault.
    with (parts / STORE / "crops.npy").open("r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        first = file.tell()
        for place, crop in enumerate(crops, start=start):
            if crop.pixels is not None:
                file.seek(first + place * crop.pixels.nbytes)
                file.write(np.ascontiguousarray(crop.pixels).data)
    return []


def _write_jpeg(crops: list[Crop], parts: Path, start: int) -> list[int]:
    files = [b"" if crop.pixels is None else encode(crop.pixels) for crop in crops]
    (parts / f"{start:09d}.jpegs").write_bytes(b"".join(files))
    return [len(file) for file in files]


def encode(pixels: np.ndarray) -> bytes:
    """Encode a crop, RGB, as JPEG of `JPEG_QUALITY`."""
    _, content = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return content.tobytes()


def _join(index: pd.DataFrame, parts: Path, options: CropOptions) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join the outcomes of all batches: the frames of the store, and its ledger."""
    columns: dict[str, list[Any]] = {"status": [], "face": [], "detail": [], "bytes": []}
    for start, _ in _batches(index):
        outcomes = json.loads(_part(parts, start).read_text(encoding="utf-8"))
        for key, values in outcomes.items():
            columns[key] += values
    kept = ["dataset", "subject", "session", "clip", "frame", *label_columns(index.columns), "split"]
    frames = index[kept].assign(status=columns["status"], face=columns["face"])
    frames["usable"] = (frames["face"] != "none") & labelled(frames)
    ledger = _ledger(frames, options.method, columns["detail"])
    if options.store == "jpeg":
        frames["end_byte"] = np.cumsum(columns["bytes"])
    return frames, ledger


def _string_together(store: Path) -> None:
    """Join the JPEG files of all batches into one array of bytes."""
    pieces = sorted(store.parent.glob("*.jpegs"))
    shape = (sum(piece.stat().st_size for piece in pieces),)
    with (store / "crops.npy").open("wb") as file:
        _write_header(file, shape)
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, file, 2**20)


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Begin an array file of bytes."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _with_excluded(ledger: pd.DataFrame, excluded: list[str]) -> pd.DataFrame:
    """Begin a ledger with the clips that the user left out, of which no frame was read."""
    if not excluded:
        return ledger
    common = {"step": "index", "reason": "excluded", "action": "excluded", "detail": "left out by name"}
    lines = pd.DataFrame({"clip": excluded, "frame": pd.array([None] * len(excluded), dtype="Int64")}).assign(**common)
    return pd.concat([lines, ledger.astype({"frame": "Int64"})], ignore_index=True)


def _ledger(frames: pd.DataFrame, method: str, details: list[str]) -> pd.DataFrame:
    # Asked for, the detector is no repair.
    repairs = ["neighbour"] if method == "detector" else ["neighbour", "detector"]
    listed = (frames["status"] != "ok") | frames["face"].isin(repairs)
    special, reasons = frames[listed], pd.Series(details, index=frames.index, dtype=object)[listed]
    at_index = special["status"].isin([*NO_LABEL, "landmarks_failed", "frame_missing"])
    return pd.DataFrame(
        {
            "clip": special["clip"],
            "frame": special["frame"],
            "step": np.where(at_index, "index", "crop"),
            "reason": special["status"].where(special["status"] != "ok", "landmarks_failed"),
            "action": np.where(special["usable"], "repaired", "dropped"),
            "detail": "face from " + special["face"] + reasons.map(lambda reason: f"; {reason}" if reason else ""),
        }
    )
