"""Small rendered datasets, and how to compare folders."""

import json

import pytest

from hocbench.synthetic import synthesize

PARAMETERS = {
    "affectnet": {"seed": 4, "images": 40, "validation_images": 12, "size": 48},
    "sewa": {"seed": 4, "subjects": 14, "frames": 8, "height": 48, "width": 64, "fps": 12, "motion_cues": True},
    "afew_va": {"seed": 4, "clips": 5, "actors": 3, "frames_min": 4, "frames_max": 7, "size": 48},
}


def tree(root):
    """Return the content of each file of a folder by its path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def summary_of(root):
    return json.loads((root / "SYNTHETIC.json").read_text())


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """Render the three datasets once; tests must not change them."""
    roots = {name: tmp_path_factory.mktemp("synthetic") / name for name in PARAMETERS}
    for name, root in roots.items():
        synthesize(name, root, PARAMETERS[name])
    return roots
