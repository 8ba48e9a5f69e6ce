"""The rate of cropping against the least that it can cost, and what detectors find."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd

from hocbench.datasets.index import read_index, write_index
from hocbench.faces.align import from_landmarks
from hocbench.faces.crops import make_crops
from hocbench.faces.detect import DETECTORS, detect_face
from hocbench.opencv import cv2
from hocbench.seeds import generator
from hocbench.synthetic.scenes import render_stills
from hocbench.terminal import progress

CROP_PIXELS, MARGIN = 224, 1.25
PICTURE_PIXELS, PICTURES = 320, 64  # drawn again for each round; frames are links to them
LEAST_OVERLAP = 0.4


def measure(folder: Path, clips: int, frames: int, rounds: int) -> tuple[list[float], list[float]]:
    """Crop a part of the clips in each round, by us and by a bare loop, in turn.

    Returns
    -------
    list of float, list of float
        CPU seconds of ours, from the index to the finished store, and of the loop, which decodes each frame and warps
        it into memory with a matrix that it is given.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    ours: list[float] = []
    bare: list[float] = []
    try:
        for turn in progress(range(rounds), "Cropping AFEW-VA", rounds):
            root, out = folder / f"clips{turn}", folder / f"out{turn}"
            _write_clips(root, clips * turn // rounds, clips * (turn + 1) // rounds, frames)
            write_index(read_index("afew_va", root), out)
            for record, run in sorted([(ours, _crop), (bare, _bare)], key=lambda pair: turn % 2 == (pair[0] is ours)):
                record.append(run(root, out))
            shutil.rmtree(root)
            shutil.rmtree(out)
    finally:
        cv2.setNumThreads(threads)
    return ours, bare


def _write_clips(root: Path, first: int, last: int, frames: int) -> None:
    """Write clips of AFEW-VA whose frames are links to a few pictures."""
    pool = root / "pool"
    pool.mkdir(parents=True)
    pictures = render_stills(generator(0, use="data benchmark", first=first), PICTURES, PICTURE_PIXELS)
    for i, picture in enumerate(pictures.frames):
        cv2.imwrite(str(pool / f"{i}.png"), picture)
    for clip in range(first, last):
        folder = root / f"{clip + 1:03d}"
        folder.mkdir()
        annotations = {}
        for frame in range(frames):
            picked = (clip * frames + frame) % PICTURES
            os.link(pool / f"{picked}.png", folder / f"{frame:05d}.png")
            points = pictures.landmarks[picked].round(2).tolist()
            annotations[f"{frame:05d}"] = {"landmarks": points, "valence": 0, "arousal": 0}
        text = json.dumps({"actor": f"actor {clip}", "frames": annotations})
        (folder / f"{folder.name}.json").write_text(text, encoding="utf-8")


def _crop(root: Path, out: Path) -> float:
    started = time.process_time()
    make_crops(out, root, out, size=CROP_PIXELS, margin=MARGIN)
    return time.process_time() - started


def _bare(root: Path, out: Path) -> float:
    index = pd.read_parquet(out / "index.parquet")
    matrices = [from_landmarks(points, CROP_PIXELS, MARGIN) for points in index["landmarks"]]
    paths = [str(root / source) for source in index["source"]]
    size = (CROP_PIXELS, CROP_PIXELS)
    crops = np.zeros((256, *size, 3), np.uint8)
    started = time.process_time()
    for i, (path, matrix) in enumerate(zip(paths, matrices, strict=True)):
        crops[i % 256] = cv2.warpAffine(np.asarray(cv2.imread(path)), matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return time.process_time() - started


def measure_detectors(stills: int) -> dict[str, float]:
    """Return the share of stills in which each detector finds the eyes-to-chin box by an IoU > `LEAST_OVERLAP`."""
    pictures = render_stills(generator(0, use="data benchmark", what="detectors"), stills, 96)
    hits = dict.fromkeys(DETECTORS, 0)
    for frame, points in zip(progress(pictures.frames, "Detecting", stills), pictures.landmarks, strict=True):
        truth = face_box(points)
        for name in DETECTORS:
            box = detect_face(np.ascontiguousarray(frame[:, :, ::-1]), name)
            hits[name] += box is not None and overlap(np.array(box), truth) > LEAST_OVERLAP
    return {name: count / stills for name, count in hits.items()}


def face_box(points: np.ndarray) -> np.ndarray:
    """Frame the landmarks ``(68, 2)``: x, y, width, height."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low, high - low])


def overlap(box: np.ndarray, other: np.ndarray) -> float:
    """Divide the intersection of two boxes, x, y, width, height, by their union."""
    low = np.maximum(box[:2], other[:2])
    high = np.minimum(box[:2] + box[2:], other[:2] + other[2:])
    inside = float(np.prod(np.clip(high - low, 0, None)))
    return inside / float(np.prod(box[2:]) + np.prod(other[2:]) - inside)
