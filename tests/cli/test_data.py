"""``hocbench data``: every command as a user calls it."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from hocbench.synthetic.writers import synthesize
from tests.datasets.layouts import IMAGES, make_real
from tests.datasets.server import running
from tests.datasets.test_extract import write

STILLS = {"seed": 1, "images": 30, "validation_images": 20, "size": 64}
CHATS = {"seed": 2, "subjects": 8, "frames": 4, "height": 64, "width": 64, "fps": 25, "motion_cues": True}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    root = tmp_path_factory.mktemp("rendered")
    synthesize("affectnet", root / "affectnet", STILLS)
    synthesize("sewa", root / "sewa", CHATS)
    return root


def test_check_prints_an_inventory_and_writes_it(hocbench, rendered, tmp_path):
    code, printed, error = hocbench("data", "check", "affectnet", rendered / "affectnet", "--out", tmp_path)
    assert (code, error) == (0, "")
    assert printed.startswith("affectnet: usable\n  SYNTHETIC data")
    text = (tmp_path / "check.txt").read_text()
    # The published counts are no part of what is found, and may be corrected later.
    assert printed.startswith(f"{text}\npublished counts (P stated")
    assert "  training rows: 30 found, 414,799 published (P); SYNTHETIC" in printed
    assert json.loads((tmp_path / "check.json").read_text())["usable"] is True


def test_check_of_a_damaged_copy_exits_with_2_and_still_writes_the_inventory(hocbench, rendered, tmp_path):
    root = make_real(shutil.copytree(rendered / "affectnet", tmp_path / "affectnet"))
    for path in sorted((root / IMAGES).glob("1*/*.jpg"))[:10]:
        path.unlink()
    code, printed, error = hocbench("data", "check", "affectnet", root, "--out", tmp_path)
    assert code == 2
    assert printed.startswith("affectnet: NOT USABLE")
    assert error.startswith("hocbench: error: 1")
    assert "files are missing or unreadable" in error
    assert len(json.loads((tmp_path / "check.json").read_text())["missing"]) == 10


def test_check_of_a_folder_that_cannot_be_read_says_why(hocbench, tmp_path):
    (tmp_path / "empty").mkdir()
    code, printed, error = hocbench("data", "check", "sewa", tmp_path / "empty", "--out", tmp_path / "out")
    assert code == 2
    assert printed.startswith("sewa: NOT USABLE\n  sewa: no frame found below ")
    assert "sewa: no frame found below" in error
    (problem,) = json.loads((tmp_path / "out" / "check.json").read_text())["problems"]
    assert problem in error


def test_register_and_verify_name_what_changed(hocbench, rendered, tmp_path):
    root, listed = shutil.copytree(rendered / "sewa", tmp_path / "sewa"), tmp_path / "sewa.sha256"
    code, printed, _ = hocbench("data", "register", "sewa", root, "--checksums", listed)
    count = sum(path.is_file() for path in root.rglob("*"))
    assert (code, printed) == (0, f"{count:,} files of {root} listed in {listed}\n")
    assert hocbench("data", "verify", "sewa", root, "--checksums", listed)[:2] == (
        0,
        f"{root}: {count:,} files as listed in {listed}\n",
    )
    video = next(root.glob("*/*.avi"))
    video.write_bytes(b"x")
    code, printed, error = hocbench("data", "verify", "sewa", root, "--checksums", listed)
    assert (code, printed) == (2, f"changed: {video.relative_to(root)}\n")
    assert "1 changed, 0 missing, 0 added; copy these files again, or register them again" in error


def test_checksums_lie_in_data_unless_told_otherwise(hocbench, rendered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hocbench("data", "register", "sewa", rendered / "sewa")[0] == 0
    assert (tmp_path / "data" / "checksums" / "sewa.sha256").is_file()
    assert hocbench("data", "verify", "sewa", rendered / "sewa")[0] == 0
    assert hocbench("data", "verify", "emotic", rendered / "sewa")[0] == 2


def test_fetch_downloads_checks_and_unpacks(hocbench, tmp_path):
    content = write(tmp_path / "x.zip", {"a/b.txt": b"b"}).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with running() as server:
        server.files |= {"/x.zip": content, "/list.csv": b"a,b\n"}
        urls = [f"{server.address}/x.zip?signature={'ab' * 32}#sha256={digest}", f"{server.address}/list.csv"]
        code, _, _ = hocbench("data", "fetch", tmp_path / "copy", "--url", urls[0], "--url", urls[1])
        assert code == 0
        assert [path for path, _ in server.seen] == ["/x.zip", "/list.csv"]
        code, _, error = hocbench(
            "data", "fetch", tmp_path / "copy", "--url", f"{server.address}/list.csv#sha256={'0' * 64}"
        )
        assert code == 2
        assert "is not the file that was expected" in error
    assert (tmp_path / "copy" / "a" / "b.txt").read_bytes() == b"b"


def test_splits_are_written_beside_the_index(hocbench, rendered, tmp_path):
    assert hocbench("index", "sewa", rendered / "sewa", tmp_path)[0] == 0
    protocol = json.dumps({"kind": "sessions", "ratio": [2, 1, 1]})
    assert hocbench("data", "splits", tmp_path, "--split", protocol, "--seed", 3)[0] == 0
    table = pd.read_csv(tmp_path / "splits.csv")
    assert table["part"].value_counts().to_dict() == {"train": 4, "validation": 2, "test": 2}
    code, _, error = hocbench("data", "splits", tmp_path, "--split", "{", "--seed", 3)
    assert (code, "--split is not JSON" in error) == (2, True)
    code, _, error = hocbench("data", "splits", tmp_path / "absent", "--split", protocol, "--seed", 3)
    assert (code, "has no index" in error) == (2, True)


def test_crops_and_montage_are_made_with_every_option(hocbench, rendered, tmp_path):
    hocbench("index", "affectnet", rendered / "affectnet", tmp_path)
    options = ["--size", 32, "--margin", 1.25, "--method", "detector", "--detector", "lbp", "--store", "jpeg"]
    assert hocbench("crop", tmp_path, rendered / "affectnet", *options, "--workers", 2)[0] == 0
    summary = json.loads((tmp_path / "crops.json").read_text())
    assert {key: summary[key] for key in ("size", "method", "detector", "store")} == {
        "size": 32,
        "method": "detector",
        "detector": "lbp",
        "store": "jpeg",
    }
    assert hocbench("data", "montage", tmp_path)[0] == 0
    assert hocbench("data", "montage", tmp_path, tmp_path / "page")[0] == 0
    assert (tmp_path / "montage.png").read_bytes() == (tmp_path / "page.png").read_bytes()
    assert np.frombuffer((tmp_path / "montage.png").read_bytes()[:4], np.uint8).tolist() == [0x89, *b"PNG"]
