"""Reading random clips from a store, from the video itself and from JPEG files; what a worker holds in memory."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from hocbench.errors import BenchmarkError
from hocbench.faces.crops import encode
from hocbench.faces.store import CropStore
from hocbench.files.write import write_parquet
from hocbench.opencv import cv2
from hocbench.seeds import generator
from hocbench.synthetic.scenes import render_stills

PIXELS, FRAMES, CLIPS, CLIP_FRAMES = 112, 16, 8, 250
VIDEO_SIZE, RATE = (320, 240), 25
BATCH, WORKERS = 8, (0, 2)
MEMORY_CLIPS = (8, 40)  # the smaller store has 75 MB of pixels, the larger one 376

PROBE = """
import json, sys
from pathlib import Path
from studies.data.store_rate import held_by_worker
print(json.dumps(held_by_worker(Path(sys.argv[1]), int(sys.argv[2]))))
"""


@dataclass
class Reads:
    """Seconds per round: of the store and of the video, and of the store's and the files' loader by workers."""

    store: list[float] = field(default_factory=list)
    video: list[float] = field(default_factory=list)
    loaders: dict[int, tuple[list[float], list[float]]] = field(default_factory=dict)


class _Clips(Dataset[torch.Tensor]):
    """Random windows, one by one, as datasets usually give them."""

    def __init__(self, places: np.ndarray, read: Callable[[np.ndarray], np.ndarray]) -> None:
        self.places, self.read = places, read

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, item: int) -> torch.Tensor:
        return torch.from_numpy(self.read(self.places[item]))


class _Batches(_Clips):
    """Random windows in whole batches, as training reads the store."""

    def __getitems__(self, items: list[int]) -> list[torch.Tensor]:
        return [torch.from_numpy(self.read(self.places[items]))]


def _only(batch: list[torch.Tensor]) -> torch.Tensor:
    return batch[0]


def measure_reads(folder: Path, reads: int, rounds: int) -> dict[str, Reads]:
    """Read the same random clips in every way, in turn, from both forms of store, "raw" and "jpeg"."""
    crops = _draw(CLIPS)
    files = _write_files(folder / "files", crops)
    video = _write_video(folder / "clip.avi", CLIP_FRAMES)
    readings = {}
    for form in ("raw", "jpeg"):
        store = write_store(folder / form, crops, CLIPS, form)
        reading = Reads(loaders={workers: ([], []) for workers in WORKERS})
        for turn in range(rounds):
            rng = generator(0, use="data benchmark", turn=turn)
            starts = rng.integers(0, CLIP_FRAMES - FRAMES, reads)
            places = (rng.integers(0, CLIPS, reads) * CLIP_FRAMES + starts)[:, None] + np.arange(FRAMES)
            reading.store.append(_cpu(store.read, places))
            reading.video.append(_cpu(partial(_decode, video), starts))
            for workers, (ours, theirs) in reading.loaders.items():
                # Enough batches that starting the workers is a small part.
                many = np.tile(places, (1 + 24 * BATCH // reads, 1))
                ours.append(_load(_Batches(many, store.read), workers, _only))
                theirs.append(_load(_Clips(many, partial(_read_files, files)), workers, None))
        readings[form] = reading
    return readings


def _cpu(read: Callable[[Any], Any], items: np.ndarray) -> float:
    started = time.process_time()
    for item in items:
        read(item)
    return time.process_time() - started


def _load(clips: _Clips, workers: int, collate: Callable[..., torch.Tensor] | None) -> float:
    """Seconds on the clock for all batches after the first one, which starts the workers."""
    batches = iter(DataLoader(clips, BATCH, num_workers=workers, collate_fn=collate))
    next(batches)
    started = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - started


def _draw(clips: int) -> np.ndarray:
    """Draw a few faces and repeat them; what is read does not depend on what is seen."""
    faces = render_stills(generator(0, use="data benchmark", what="store"), CLIP_FRAMES // 5, PIXELS).frames
    return np.tile(faces, (5 * clips, 1, 1, 1))[: clips * CLIP_FRAMES]


def write_store(folder: Path, crops: np.ndarray, clips: int, form: str) -> CropStore:
    """Write a store of drawn faces."""
    folder.mkdir()
    count = clips * CLIP_FRAMES
    clip = np.repeat([f"clip{number:05d}" for number in range(clips)], CLIP_FRAMES)
    frames = pd.DataFrame({"dataset": "sewa", "subject": clip, "session": "", "clip": clip})
    frames = frames.assign(frame=np.tile(np.arange(CLIP_FRAMES), clips), valence=0.0, arousal=0.0, split="")
    frames = frames.assign(status="ok", face="landmarks", usable=True)
    if form == "jpeg":
        contents = [encode(crop) for crop in crops[:count]]
        frames["end_byte"] = np.cumsum([len(content) for content in contents])
        np.save(folder / "crops.npy", np.frombuffer(b"".join(contents), np.uint8))
    else:
        np.save(folder / "crops.npy", crops[:count])
    write_parquet(frames, folder / "frames.parquet")
    (folder / "crops.json").write_text(json.dumps({"label": "synthetic", "size": PIXELS, "store": form}))
    return CropStore(folder)


def _write_files(folder: Path, crops: np.ndarray) -> list[str]:
    folder.mkdir()
    paths = [folder / f"{number:06d}.jpg" for number in range(len(crops))]
    for path, crop in zip(paths, crops, strict=True):
        path.write_bytes(encode(crop))
    return [str(path) for path in paths]


def _read_files(paths: list[str], rows: np.ndarray) -> np.ndarray:
    return np.stack([cv2.cvtColor(np.asarray(cv2.imread(paths[row])), cv2.COLOR_BGR2RGB) for row in rows])


def _write_video(path: Path, frames: int) -> Path:
    """Encode as SEWA's videos are: MPEG-4 in AVI, a key frame about every half second."""
    pictures = render_stills(generator(0, use="data benchmark", what="video"), 25, VIDEO_SIZE[0]).frames
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=Fraction(RATE))
        stream.width, stream.height = VIDEO_SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = np.ascontiguousarray(pictures[number // 10 % 25, : VIDEO_SIZE[1]])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def _decode(path: Path, start: int) -> np.ndarray:
    """Decode a window, from the key frame before it, and shrink it: what reading without a store would do."""
    pictures = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        container.seek(int(int(start) / RATE / (stream.time_base or 1)), stream=stream)
        for frame in container.decode(stream):
            if frame.time is not None and round(frame.time * RATE) >= start:
                pictures.append(cv2.resize(frame.to_ndarray(format="rgb24"), (PIXELS, PIXELS)))
            if len(pictures) == FRAMES:
                break
    return np.stack(pictures)


def measure_memory(folder: Path, reads: int, rounds: int) -> list[float]:
    """Have a worker read from a small and from a large store as often, in processes of their own.

    Returns
    -------
    list of float
        Bytes that the second worker holds more by the bytes that its store is larger, in each round: 0 if the size
        does not matter, 1 if a worker holds its store.
    """
    small, large = sorted(MEMORY_CLIPS)
    crops = _draw(large)
    stores = []
    for clips in (small, large):
        write_store(folder / f"memory{clips}", crops, clips, "raw")
        stores.append(folder / f"memory{clips}")
    more = (large - small) * CLIP_FRAMES * PIXELS * PIXELS * 3
    shares = []
    for _ in range(rounds):
        held = [_probe(store, reads) for store in stores]
        shares.append((held[1] - held[0]) / more)
    return shares


def _probe(store: Path, reads: int) -> int:
    done = subprocess.run([sys.executable, "-c", PROBE, str(store), str(reads)], capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"a worker failed: {done.stderr.strip()[-500:]}")
    return int(json.loads(done.stdout))


def held_by_worker(folder: Path, reads: int) -> int:
    """Open a store, read random clips, and return the bytes that this process shares with no other.

    Pages of a mapped file belong to the system, which takes them back when it needs them; they do not count.
    """
    store = CropStore(folder)
    rng = generator(0, use="data benchmark", what="memory")
    for start in rng.integers(0, len(store.frames) - FRAMES, reads):
        store.read(np.arange(start, start + FRAMES))
    text = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(fields["Private_Dirty"].split()[0]) * 1024
