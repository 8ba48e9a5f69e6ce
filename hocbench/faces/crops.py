"""Making the crop store: in worker processes, resumable, the same bytes whatever the number of workers."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pandas as pd

from hocbench.datasets.contract import NO_LABEL, load_index, write_parquet, write_text
from hocbench.errors import FaceError
from hocbench.faces.clips import Crop, CropOptions, crop_clip, encode
from hocbench.faces.detect import DETECTORS
from hocbench.faces.store import STORES
from hocbench.manifest import file_hash
from hocbench.memory import keep_freed_memory
from hocbench.progress import progress
from hocbench.seals import hashes_of, sealed

STORE_COLUMNS = ["dataset", "subject", "session", "clip", "frame", "valence", "arousal", "split"]
METHODS = ("auto", "landmarks", "box", "detector")
BATCH_FRAMES = 256  # at least so many, whole clips: what a kill loses of one worker
JPEG_QUALITY = 95
PARTS = ".crops.part"  # survives a kill; not among the outputs that Snakemake deletes

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
        Folder that receives ``crops.npy``, ``frames.parquet``, ``ledger.csv`` and, last, ``crops.json``.
    size, margin, method, detector, store
        See `CropOptions`.
    workers : int
        Processes. They change the time, never a byte.

    Raises
    ------
    FaceError
        If an option is unknown, a worker dies, or no face is found in the whole dataset.
    DatasetError, DamageError
        If the index is missing or damaged.
    """
    options = CropOptions(size, margin, method, detector, store)
    _check(options, workers)
    index, label = load_index(prepared)
    out.mkdir(parents=True, exist_ok=True)
    # The summary marks a store as complete, so an older one goes before anything of it is replaced.
    (out / "crops.json").unlink(missing_ok=True)
    parts = _open_parts(out / PARTS, prepared, root, options, len(index))
    _crop_all(index, root, options, parts, workers)
    frames, ledger = _join(index, parts, options)
    if (frames["face"] == "none").all():
        shutil.rmtree(parts)
        raise FaceError(f"no face found in any of the {len(index)} frames below {root}; is it the right folder?")
    write_parquet(frames, out / "frames.parquet")
    write_text(ledger.to_csv(index=False, lineterminator="\n"), out / "ledger.csv")
    pixels = _finish_pixels(parts, options)
    summary = {"dataset": str(index["dataset"].iloc[0]), "label": label, **asdict(options)}
    files = hashes_of(out, ["frames.parquet", "ledger.csv"]) | {"crops.npy": file_hash(pixels)}
    summary |= {"files": files} | _counts(frames, ledger)
    # What takes long is done: a kill from here on costs next to nothing.
    pixels.replace(out / "crops.npy")
    write_text(sealed(summary), out / "crops.json")
    shutil.rmtree(parts)


def _check(options: CropOptions, workers: int) -> None:
    if options.method not in METHODS:
        raise FaceError(f"no way {options.method!r} to find faces; choose from {', '.join(METHODS)}")
    if options.detector not in DETECTORS:
        raise FaceError(f"no detector {options.detector!r}; choose from {', '.join(DETECTORS)}")
    if options.store not in STORES:
        raise FaceError(f"no store {options.store!r}; choose from {', '.join(STORES)}")
    if workers < 1:
        raise FaceError(f"{workers} workers cannot work; give at least 1")


def _open_parts(parts: Path, prepared: Path, root: Path, options: CropOptions, count: int) -> Path:
    """Make the folder of what is done so far; what belongs to another index, option or code is thrown away."""
    index = prepared / "index.parquet"
    # Indexed again, the same index may be of files that were mended meanwhile.
    key = {"index": file_hash(index), "indexed_ns": index.stat().st_mtime_ns, "root": str(root.resolve())}
    text = json.dumps(key | asdict(options), indent=1) + "\n"
    same = (parts / "key.json").is_file() and (parts / "key.json").read_text(encoding="utf-8") == text
    if not same or (options.store == "raw" and not (parts / "crops.npy").is_file()):
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        if options.store == "raw":
            shape = (count, options.size, options.size, 3)
            _check_room(parts, int(np.prod(shape)))
            with (parts / "crops.npy").open("wb") as file:
                _write_header(file, shape)
                file.truncate(file.tell() + int(np.prod(shape)))
        write_text(text, parts / "key.json")
    return parts


def _check_room(folder: Path, wanted: int) -> None:
    """Refuse what the disk cannot hold; a mapped file would kill the process when it gets there."""
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise FaceError(
            f"the crops need {wanted / 1e9:.1f} GB and the disk of {folder.parent} has {free / 1e9:.1f} GB free; "
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
    label = f"Cropping {index['dataset'].iloc[0]}"
    jobs = ((index.iloc[start:stop], root, options, parts, start) for start, stop in waiting)
    if workers == 1 or len(waiting) < 2:
        keep_freed_memory()
        for job in progress(jobs, label, len(waiting)):
            crop_batch(*job)
        return
    # Forked workers would inherit locks of OpenCV's and PyAV's threads.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        done = as_completed([pool.submit(crop_batch, *job) for job in jobs])
        for future in progress(done, label, len(waiting)):
            future.result()
    except BrokenProcessPool:
        raise FaceError(
            f"a worker that cropped {root} was killed, perhaps for want of memory; what is done is kept, "
            "so start again, with fewer workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(1)
    keep_freed_memory()


def _part(parts: Path, start: int) -> Path:
    return parts / f"{start:09d}.json"


def crop_batch(rows: pd.DataFrame, root: Path, options: CropOptions, parts: Path, start: int) -> None:
    """Crop a range of rows into the parts folder; its JSON file is written last and marks it as done."""
    crops: list[Crop] = []
    for _, clip in rows.groupby("clip", sort=False):
        crops += crop_clip(clip, root, options)
    ends = _write_raw(crops, parts, start) if options.store == "raw" else _write_jpeg(crops, parts, start)
    about = {
        "status": [crop.status for crop in crops],
        "face": [crop.face for crop in crops],
        "detail": [crop.detail for crop in crops],
        "bytes": ends,
    }
    write_text(json.dumps(about), _part(parts, start))


def _write_raw(crops: list[Crop], parts: Path, start: int) -> list[int]:
    # Not by memory-mapping: each page would cost a fault.
    with (parts / "crops.npy").open("r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        first = file.tell()
        for place, crop in enumerate(crops, start=start):
            if crop.pixels is not None:
                file.seek(first + place * crop.pixels.nbytes)
                file.write(np.ascontiguousarray(crop.pixels).data)
    return []


def _write_jpeg(crops: list[Crop], parts: Path, start: int) -> list[int]:
    files = [b"" if crop.pixels is None else encode(crop.pixels, JPEG_QUALITY) for crop in crops]
    (parts / f"{start:09d}.jpegs").write_bytes(b"".join(files))
    return [len(file) for file in files]


def _join(index: pd.DataFrame, parts: Path, options: CropOptions) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put together what the batches found: the frames of the store, and its ledger."""
    found: dict[str, list[Any]] = {"status": [], "face": [], "detail": [], "bytes": []}
    for start, _ in _batches(index):
        about = json.loads(_part(parts, start).read_text(encoding="utf-8"))
        for key, values in about.items():
            found[key] += values
    frames = index[STORE_COLUMNS].assign(status=found["status"], face=found["face"])
    frames["usable"] = (frames["face"] != "none") & frames[["valence", "arousal"]].notna().all(axis=1)
    ledger = _ledger(frames, options.method, found["detail"])
    if options.store == "jpeg":
        frames["end_byte"] = np.cumsum(found["bytes"])
    return frames, ledger


def _finish_pixels(parts: Path, options: CropOptions) -> Path:
    """Return the file of all pixels; JPEG files are strung together into one array of bytes."""
    whole = parts / "crops.npy"
    if options.store == "jpeg":
        pieces = sorted(parts.glob("*.jpegs"))
        shape = (sum(piece.stat().st_size for piece in pieces),)
        with whole.open("wb") as file:
            _write_header(file, shape)
            for piece in pieces:
                with piece.open("rb") as source:
                    shutil.copyfileobj(source, file, 2**20)
    return whole


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Begin an array file of bytes."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _counts(frames: pd.DataFrame, ledger: pd.DataFrame) -> Row:
    return {
        "frames": len(frames),
        "usable": int(frames["usable"].sum()),
        "faces": {str(k): int(v) for k, v in sorted(frames["face"].value_counts().items())},
        "dropped": int((ledger["action"] == "dropped").sum()),
        "repaired": int((ledger["action"] == "repaired").sum()),
    }


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
