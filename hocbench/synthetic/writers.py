"""Rendered datasets on disk, in the layouts of the real ones and with their nasty rows.

SEWA-like segments have 50 labels a second, numbered from 0, whatever the rate of the video, and one landmark file per
frame, named by its number from 1. What was damaged on purpose is listed in ``SYNTHETIC.json``, which is written last
and marks a folder as complete and as synthetic.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
from pydantic import ValidationError

from hocbench.config.datasets import AfewVaSynthetic, AffectNetSynthetic, Rendering, SewaSynthetic
from hocbench.datasets.columns import SYNTHETIC_MARKER, SYNTHETIC_NOTICE
from hocbench.datasets.layouts import COLUMNS, IMAGES, LABELS_PER_SECOND, LISTS, SEGMENT, UNCERTAIN
from hocbench.errors import DatasetError, ParameterError
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.opencv import cv2
from hocbench.seeds import generator
from hocbench.synthetic.face import sample_identities
from hocbench.synthetic.scenes import Pictures, render_clip, render_stills
from hocbench.terminal import progress

CHUNK = 100  # stills that share a generator, so that an image does not depend on how many there are
NOTICE = "SYNTHETIC data: faces drawn by a program, no real person. In the layout of {name}; none of its files.\n"
SEWA_POINTS = [n for n in range(17, 68) if n not in (60, 64)]
VIDEO_QUALITY = 3  # quantiser scale of MPEG-4, 1 (best) to 31

Defects = list[dict[str, Any]]


def synthesize(name: str, root: Path, parameters: dict[str, Any]) -> None:
    """Render a dataset in the layout of "affectnet", "sewa" or "afew_va" into a folder.

    ``parameters`` are the section ``datasets.<name>.synthetic`` of the parameters.

    Raises
    ------
    DatasetError
        If the name is unknown, or the folder holds something that is not synthetic.
    ParameterError
        If a parameter is missing, unknown or out of range.
    """
    if name not in WRITERS:
        raise DatasetError(f"no synthetic dataset {name!r}; choose from {', '.join(WRITERS)}")
    model, write = WRITERS[name]
    parameters = _checked(model, parameters, f"datasets.{name}.synthetic")
    if root.exists() and not root.is_dir():
        raise DatasetError(f"{root} is a file; nothing was written. Choose an empty folder")
    if root.is_dir() and any(root.iterdir()) and not (root / SYNTHETIC_NOTICE).is_file():
        raise DatasetError(f"{root} holds files that are not synthetic; nothing was written. Choose an empty folder")
    # Readers take every clip folder that they find, so the new ones are rendered beside the root until all are there.
    root = root.resolve()
    with staged(root.parent, f"{root.name}.rendering") as place:
        _notice(place / root.name, name)
        defects = write(place / root.name, parameters)
        summary = {"dataset": name, "synthetic": True, "parameters": parameters, "defects": defects}
        write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", place / root.name / SYNTHETIC_MARKER)
        # What a kill leaves from here on has the notice but no marker, and is rendered again.
        _notice(root, name)
        (root / SYNTHETIC_MARKER).unlink(missing_ok=True)
        _clear(root)


def _checked(model: type[Rendering], parameters: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        checked = model.model_validate(parameters)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, (where, *fault['loc'])))}: {fault['msg']}" for fault in error.errors()]
        raise ParameterError("; ".join(faults) + "; `hocbench params` describes the keys") from None
    if checked.fault:
        raise ParameterError(f"{where}.{checked.fault}")
    return checked.model_dump()


def _clear(root: Path) -> None:
    """Remove what an earlier rendering wrote."""
    for path in root.iterdir() if root.is_dir() else ():
        if path.is_dir() and (path.name == "Manually_Annotated" or SEGMENT.match(path.name) or path.name.isdigit()):
            shutil.rmtree(path)


def _notice(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_text(NOTICE.format(name=name), folder / SYNTHETIC_NOTICE)


def _write_image(path: Path, picture: np.ndarray, *options: int) -> None:
    if not cv2.imwrite(str(path), picture, list(options)):
        raise DatasetError(f"{path} cannot be written; is the disk full?")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def _write_affectnet(root: Path, parameters: dict[str, Any]) -> Defects:
    images, lists = root / "Manually_Annotated" / IMAGES, root / "Manually_Annotated" / LISTS
    for folder in (images, lists):
        _notice(folder, "affectnet")
    counts = {"training": parameters["images"], "validation": parameters["validation_images"]}
    defects: Defects = []
    for split, count in counts.items():
        rng = generator(parameters["seed"], dataset="affectnet", split=split, use="defects")
        rows: list[dict[str, Any]] = []
        chunks = range(0, count, CHUNK)
        for start in progress(chunks, f"Rendering SYNTHETIC affectnet, {split}"):
            rng_of_chunk = generator(parameters["seed"], dataset="affectnet", split=split, chunk=start // CHUNK)
            pictures = render_stills(rng_of_chunk, CHUNK, parameters["size"])
            for i in range(min(CHUNK, count - start)):
                rows.append(_write_still(images, split, start + i, pictures, i))
        _damage_rows(rows, rng, split, defects)
        broken = int(rng.integers(count))
        if split == "training":
            _truncate(images / rows[broken]["subDirectory_filePath"])
            defects.append({"file": rows[broken]["subDirectory_filePath"], "what": "unreadable image"})
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        write_text(table.to_csv(index=False, lineterminator="\n", float_format="%.6f"), lists / f"{split}.csv")
    return defects


def _write_still(images: Path, split: str, number: int, pictures: Pictures, i: int) -> dict[str, Any]:
    path = Path(f"{'1' if split == 'training' else '2'}{number // 1000:03d}") / f"{split}{number:06d}.jpg"
    if not (images / path.parent).is_dir():
        _notice(images / path.parent, "affectnet")
    _write_image(images / path, pictures.frames[i], cv2.IMWRITE_JPEG_QUALITY, 95)
    points = pictures.landmarks[i]
    low, high = points.min(0), points.max(0)
    box = {"face_x": low[0], "face_y": low[1], "face_width": high[0] - low[0], "face_height": high[1] - low[1]}
    return {
        "subDirectory_filePath": path.as_posix(),
        **{key: round(float(value)) for key, value in box.items()},
        "facial_landmarks": ";".join(f"{value:.2f}" for value in points.ravel()),
        "expression": _expression(float(pictures.valence[i]), float(pictures.arousal[i])),
        "valence": float(pictures.valence[i]),
        "arousal": float(pictures.arousal[i]),
    }


def _expression(valence: float, arousal: float) -> int:
    """Name the nearest of neutral, happy, sad, surprise and anger by their ids in AffectNet."""
    if np.hypot(valence, arousal) < 0.2:
        return 0
    if valence > 0:
        return 3 if arousal > 2 * valence else 1
    return 6 if arousal > 0 else 2


def _damage_rows(rows: list[dict[str, Any]], rng: np.random.Generator, split: str, defects: Defects) -> None:
    """Mark one row in a hundred as uncertain or without face, and take the landmarks of one in two hundred."""
    chosen = rng.permutation(len(rows)).tolist()
    uncertain, lost = max(1, len(rows) // 100), max(1, len(rows) // 200)
    nameless, pointless = sorted(chosen[:uncertain]), sorted(chosen[uncertain : uncertain + lost])
    for place in nameless:
        rows[place] |= {"expression": int(rng.choice([9, 10])), "valence": UNCERTAIN, "arousal": UNCERTAIN}
    for place in pointless:
        rows[place]["facial_landmarks"] = ""
    defects += [{"list": split, "what": "labels of -2", "rows": len(nameless)}]
    defects += [{"list": split, "what": "landmarks missing", "rows": len(pointless)}]


def _write_sewa(root: Path, parameters: dict[str, Any]) -> Defects:
    defects: Defects = []
    length, fps = parameters["frames"], parameters["fps"]
    for subject in progress(range(1, parameters["subjects"] + 1), "Rendering SYNTHETIC sewa"):
        rng = generator(parameters["seed"], dataset="sewa", subject=subject)
        person = sample_identities(rng, 1)
        size = (parameters["height"], parameters["width"])
        pictures = render_clip(rng, person, length, *size, fps, parameters["motion_cues"])
        mood = ("V" if abs(pictures.valence.mean()) > abs(pictures.arousal.mean()) else "A") + (
            "H" if pictures.arousal.mean() > 0 else "L"
        )
        first = int(rng.integers(0, 3000))
        session = (subject + 1) // 2
        culture = (session - 1) % 6 + 1
        segment = f"S{mood}_C{culture}_S{session:03d}_P{subject:03d}_VC1_{first:06d}_{first + length - 1:06d}"
        folder = root / segment
        _notice(folder, "sewa")
        (folder / f"{segment}-Landmarks").mkdir()
        _write_video(folder / f"{segment}.avi", pictures.frames, fps)
        lost = _write_landmarks(folder / f"{segment}-Landmarks", pictures.landmarks, rng)
        if lost:
            defects.append({"segment": segment, "what": "landmarks failed", "frames": lost})
        _write_annotations(folder, segment, pictures, fps, rng)
        metadata = {"Session": session, "Subject": subject, "Category": mood, "Culture": culture, "Note": "SYNTHETIC"}
        write_text("".join(f"{key} = {value}\n" for key, value in metadata.items()), folder / "metadata.ini")
    return defects


def _write_video(path: Path, frames: Iterable[np.ndarray], fps: int) -> None:
    """Encode BGR frames as MPEG-4 on one thread, without dates, so that equal frames give equal bytes."""
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("mpeg4", rate=Fraction(fps), options={"flags": "+bitexact+qscale"})
        stream.codec_context.thread_count = 1
        stream.codec_context.global_quality = VIDEO_QUALITY * 118  # the codec counts in units of lambda
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            if not stream.codec_context.is_open:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode(None))


def _write_landmarks(folder: Path, landmarks: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Write one file a frame; in one clip of ten, tracking fails for up to three, which are returned, from 0."""
    lost: set[int] = set()
    if rng.random() < 0.1:
        start = int(rng.integers(0, len(landmarks)))
        lost = set(range(start, min(len(landmarks), start + int(rng.integers(1, 4)))))
    for frame, points in enumerate(landmarks):
        chosen = points[SEWA_POINTS]
        lines = [np.zeros(3), points[36:46:1].ravel()[:20], chosen.ravel()]
        if frame in lost:
            lines = [np.full_like(line, -1) for line in lines]
        text = "".join(" ".join(f"{value:.3f}" for value in line) + "\n" for line in lines)
        write_text(text, folder / f"{frame + 1:06d}.txt")
    return sorted(lost)


def _write_annotations(folder: Path, segment: str, pictures: Pictures, fps: int, rng: np.random.Generator) -> None:
    """Write what annotators gave who could hear, see, or both; the latter is the truth of the rendering.

    Between two frames the truth is a straight line, after the last one it stays.
    """
    length = len(pictures.frames)
    label_s = np.arange(round(length / fps * LABELS_PER_SECOND)) / LABELS_PER_SECOND
    for target in ("valence", "arousal"):
        truth = np.interp(label_s, np.arange(length) / fps, getattr(pictures, target))
        for kind, sd in (("AV", 0.0), ("V", 0.05), ("A", 0.15)):
            values = np.clip(truth + sd * rng.normal(), -1, 1)
            table = pd.DataFrame({"frame_idx": np.arange(len(truth)), target: values})
            text = table.to_csv(index=False, lineterminator="\n", float_format="%.6f")
            write_text(text, folder / f"{segment}_{target.capitalize()}_{kind}_Aligned.csv")


def _write_afew_va(root: Path, parameters: dict[str, Any]) -> Defects:
    defects: Defects = []
    size, count = parameters["size"], parameters["clips"]
    chooser = generator(parameters["seed"], dataset="afew_va", use="defects")
    broken, lost = (int(value) for value in chooser.choice(np.arange(1, count + 1), 2, replace=False))
    for clip in progress(range(1, count + 1), "Rendering SYNTHETIC afew_va"):
        rng = generator(parameters["seed"], dataset="afew_va", clip=clip)
        # The first clips go round all actors once, so that each has at least one.
        actor = (clip - 1) % parameters["actors"]
        person = sample_identities(generator(parameters["seed"], dataset="afew_va", actor=actor), 1)
        length = int(rng.integers(parameters["frames_min"], parameters["frames_max"] + 1))
        pictures = render_clip(rng, person, length, size, size, fps=25)
        folder = root / f"{clip:03d}"
        _notice(folder, "afew_va")
        frames: dict[str, dict[str, Any]] = {}
        for t in range(length):
            _write_image(folder / f"{t:05d}.png", pictures.frames[t], cv2.IMWRITE_PNG_COMPRESSION, 1)
            frames[f"{t:05d}"] = {
                "landmarks": np.round(pictures.landmarks[t], 2).tolist(),
                "valence": round(10 * float(pictures.valence[t])),
                "arousal": round(10 * float(pictures.arousal[t])),
            }
        if clip == broken:
            _truncate(folder / "00001.png")
            defects.append({"file": f"{clip:03d}/00001.png", "what": "unreadable image"})
        if clip == lost:
            frames["00002"]["landmarks"] = []
            defects.append({"file": f"{clip:03d}/{clip:03d}.json", "what": "landmarks missing", "frames": [2]})
        description = {"actor": f"synthetic actor {actor:03d}", "video_id": f"{clip:03d}", "frames": frames}
        write_text(json.dumps(description, sort_keys=True) + "\n", folder / f"{clip:03d}.json")
    return defects


WRITERS: dict[str, tuple[type[Rendering], Callable[[Path, dict[str, Any]], Defects]]] = {
    "affectnet": (AffectNetSynthetic, _write_affectnet),
    "sewa": (SewaSynthetic, _write_sewa),
    "afew_va": (AfewVaSynthetic, _write_afew_va),
}
