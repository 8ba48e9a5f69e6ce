"""The other layouts of the releases, made from the rendered ones."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

LISTS = "Manually_Annotated/Manually_Annotated_file_lists"
IMAGES = "Manually_Annotated/Manually_Annotated_Images"


def to_affectnet_2021(source: Path, root: Path) -> Path:
    """Write numbered images and one array per value, as text like the release; the row's place is its number."""
    for split, folder in (("training", "train_set"), ("validation", "val_set")):
        images, annotations = root / folder / "images", root / folder / "annotations"
        images.mkdir(parents=True)
        annotations.mkdir()
        table = pd.read_csv(source / LISTS / f"{split}.csv", dtype=str, keep_default_na=False)
        for number, row in table.iterrows():
            shutil.copy(source / IMAGES / row["subDirectory_filePath"], images / f"{number}.jpg")
            for value, column in (("exp", "expression"), ("val", "valence"), ("aro", "arousal")):
                np.save(annotations / f"{number}_{value}.npy", np.array(row[column]))
            if row["facial_landmarks"]:
                points = np.array([float(each) for each in row["facial_landmarks"].split(";")])
                np.save(annotations / f"{number}_lnd.npy", points)
    return root


def pack(archive: Path, files: list[Path], below: Path) -> None:
    """Move files into a zip archive, under their paths below a folder."""
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted(files):
            target.write(path, path.relative_to(below))
            path.unlink()


def pack_afew_va(root: Path, archives: int) -> None:
    """Pack the clip folders into archives, as the release has them."""
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    for number in range(archives):
        own = folders[number::archives]
        pack(root / f"{number + 1:02d}.zip", [path for folder in own for path in folder.iterdir()], root)
    for folder in folders:
        folder.rmdir()


def pack_segment(folder: Path) -> None:
    """Pack video, landmarks and annotations of a SEWA segment into the archives of the release."""
    name = folder.name
    pack(folder / f"{name}-Video.zip", [folder / f"{name}.avi"], folder)
    landmarks = folder / f"{name}-Landmarks"
    pack(folder / f"{name}-Landmarks.zip", list(landmarks.iterdir()), folder)
    landmarks.rmdir()
    for target in ("Valence", "Arousal"):
        pack(folder / f"{name}-{target}.zip", list(folder.glob(f"{name}_{target}_*.csv")), folder)


def label_per_frame(root: Path, labels: int = 2) -> Path:
    """Keep one label a frame of all SEWA segments, of as many as the renderer gives each frame."""
    for path in root.glob("*/*_Aligned.csv"):
        table = pd.read_csv(path).iloc[::labels]
        table.assign(frame_idx=range(len(table))).to_csv(path, index=False)
    return root


def change_labels(root: Path, change, pattern: str = "*") -> None:
    """Change all annotation files of those SEWA segments whose names match; the function gets table and segment."""
    for folder in root.glob(pattern):
        for path in folder.glob("*_Aligned.csv"):
            change(pd.read_csv(path), folder.name).to_csv(path, index=False)


def shift_landmarks(root: Path, shift: int) -> None:
    """Number all landmark files of SEWA higher."""
    for path in sorted(root.glob("*/*-Landmarks/*.txt"), reverse=True):
        path.rename(path.with_name(f"{int(path.stem) + shift:06d}.txt"))


def make_real(root: Path) -> Path:
    """Take the markers of the renderer away, so that a folder passes for a user's own."""
    for path in [*root.rglob("SYNTHETIC.txt"), root / "SYNTHETIC.json"]:
        path.unlink(missing_ok=True)
    return root


def edit_json(path: Path, change) -> None:
    """Change the description of an AFEW-VA clip."""
    clip = json.loads(path.read_text())
    change(clip)
    path.write_text(json.dumps(clip))


def mark_encrypted(path: Path) -> None:
    """Set the flag of encryption of every member of a zip archive, in its own header and in the directory."""
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(mark)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(mark, start + 4)
    path.write_bytes(bytes(content))
