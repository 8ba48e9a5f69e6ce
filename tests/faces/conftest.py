"""Small rendered datasets on disk, and a real photograph in a dataset's layout."""

import json
import shutil

import cv2
import pandas as pd
import pytest
from skimage import data

from hocbench.datasets.index import read_index, write_index
from hocbench.faces.crops import make_crops
from hocbench.faces.store import CropStore
from hocbench.synthetic.writers import synthesize

SETTINGS = {
    "affectnet": {"seed": 1, "images": 60, "validation_images": 20, "size": 96},
    "sewa": {"seed": 5, "subjects": 6, "frames": 12, "height": 96, "width": 96, "fps": 25, "motion_cues": True},
    "afew_va": {"seed": 3, "clips": 4, "actors": 3, "frames_min": 5, "frames_max": 7, "size": 96},
}


def crop(name, root, out, *, size=48, margin=1.25, method="auto"):
    """Index a dataset and crop it, as the two commands do."""
    write_index(read_index(name, root), out)
    make_crops(out, root, out, size=size, margin=margin, method=method)
    return CropStore(out)


def read_ledger(out):
    return pd.read_csv(out / "ledger.csv", dtype={"clip": str}, keep_default_na=False)


def write_photograph(root, pictures, labels=(2, 4)):
    """Lay pictures out as the clips of AFEW-VA, one frame each, without landmarks."""
    for number, picture in enumerate(pictures, start=1):
        folder = root / f"{number:03d}"
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "00000.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        frames = {"00000": {"landmarks": [], "valence": labels[0], "arousal": labels[1]}}
        text = json.dumps({"actor": f"actor {number}", "video_id": folder.name, "frames": frames})
        (folder / f"{number:03d}.json").write_text(text)
    return root


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """One folder per dataset, as the renderer leaves it."""
    root = tmp_path_factory.mktemp("rendered")
    for name, parameters in SETTINGS.items():
        synthesize(name, root / name, parameters)
    return root


@pytest.fixture(scope="session")
def stores(rendered, tmp_path_factory):
    """Folder of the crops of each dataset."""
    root = tmp_path_factory.mktemp("stores")
    for name in SETTINGS:
        crop(name, rendered / name, root / name)
    return root


@pytest.fixture
def copy(rendered, tmp_path):
    """Copy one dataset, so that a test may damage it."""
    return lambda name: shutil.copytree(rendered / name, tmp_path / name)


@pytest.fixture(scope="session")
def astronaut():
    """A real photograph with one face, its eyes at about (203, 101) and (249, 101), its mouth at (223, 146)."""
    return data.astronaut()
