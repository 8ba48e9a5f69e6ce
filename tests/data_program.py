"""Make data of all three layouts in a folder, from rendering to splits, and print the hash of every file, as JSON.

Run as a program, in the environment of a test. With the word "ipp" OpenCV hands pixels to IPP, as it would by itself.
"""

import json
import sys
from pathlib import Path

import cv2

IPP = sys.argv[2:] == ["ipp"]
if IPP:
    cv2.ipp.useIPP()  # from here on it no longer reads the environment

from hocbench.datasets.check import check_dataset, write_inventory  # noqa: E402
from hocbench.datasets.index import read_index, write_index  # noqa: E402
from hocbench.datasets.splits import make_splits, write_splits  # noqa: E402
from hocbench.faces.crops import make_crops  # noqa: E402
from hocbench.files.checksums import file_hash  # noqa: E402
from hocbench.synthetic import synthesize  # noqa: E402

RENDERED = {
    "affectnet": {"seed": 1, "images": 24, "validation_images": 8, "size": 96},
    "sewa": {"seed": 2, "subjects": 6, "frames": 6, "height": 96, "width": 96, "fps": 25, "motion_cues": True},
    "afew_va": {"seed": 3, "clips": 4, "actors": 4, "frames_min": 5, "frames_max": 6, "size": 96},
}
SPLITS = {
    "affectnet": {"kind": "official", "validation_share": 0.25},
    "sewa": {"kind": "sessions", "ratio": [1, 1, 1]},
    "afew_va": {"kind": "subjects", "folds": 2, "validation_share": 0.5},
}
CROPS = {
    "landmarks": {"method": "auto", "detector": "haar", "store": "raw"},
    "detector": {"method": "detector", "detector": "haar", "store": "jpeg"},
    "lbp": {"method": "detector", "detector": "lbp", "store": "raw"},
}


def make(folder: Path) -> dict[str, str]:
    """Render, check, index, split and crop in all ways; return sha256 by path."""
    for name, parameters in RENDERED.items():
        root = folder / "rendered" / name
        synthesize(name, root, parameters)
        index = read_index(name, root, [])
        for way, how in CROPS.items():
            out = folder / way / name
            write_inventory(check_dataset(name, root, index), out)
            write_index(index, out)
            write_splits(index.frames, make_splits(index.frames, SPLITS[name], 7), SPLITS[name], out)
            make_crops(out, root, out, size=48, margin=1.25, workers=1, **how)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in files}


if __name__ == "__main__":
    if IPP:
        cv2.ipp.setUseIPP(True)
    sys.stdout.write(json.dumps({"ipp": cv2.ipp.useIPP(), "files": make(Path(sys.argv[1]))}))
