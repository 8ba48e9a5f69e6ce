"""Small rendered datasets, and copies of them for tests that damage something."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from hocbench.datasets.index import read_index
from hocbench.errors import DatasetError
from hocbench.synthetic import synthesize

PARAMETERS = {
    "affectnet": {"seed": 1, "images": 30, "validation_images": 20, "size": 64},
    "sewa": {"seed": 2, "subjects": 6, "frames": 12, "height": 64, "width": 80, "fps": 25, "motion_cues": True},
    "afew_va": {"seed": 3, "clips": 6, "actors": 4, "frames_min": 5, "frames_max": 9, "size": 64},
}


def refusal(name, root):
    """Return the text with which an adapter refuses a folder."""
    with pytest.raises(DatasetError) as error:
        read_index(name, root)
    return str(error.value)


def nearest(picture, frames):
    """Return which of the rendered frames a decoded picture shows."""
    return int(np.abs(frames.astype(int) - picture).mean(axis=(1, 2, 3)).argmin())


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """Render the three datasets once; tests must not change them."""
    roots = {name: tmp_path_factory.mktemp("rendered") / name for name in PARAMETERS}
    for name, root in roots.items():
        synthesize(name, root, PARAMETERS[name])
    return roots


@pytest.fixture(scope="session")
def indices(rendered):
    """Read the three datasets as rendered."""
    return {name: read_index(name, root) for name, root in rendered.items()}


@pytest.fixture
def copy_of(rendered, tmp_path):
    """Copy a dataset, for a test that changes something in it."""
    return lambda name: Path(shutil.copytree(rendered[name], tmp_path / name))
