"""Hashes of the data: what they are of, and what they refuse."""

import hashlib
import json
import re
import shutil
import subprocess

import pytest

from hocbench.datasets.check import check_dataset, write_inventory
from hocbench.datasets.hashes import PREPARED, read_hashes, write_hashes
from hocbench.datasets.index import read_index, write_index
from hocbench.datasets.splits import make_splits, write_splits
from hocbench.errors import DamageError, DatasetError
from hocbench.faces.crops import make_crops
from hocbench.files.checksums import sealed
from hocbench.synthetic import synthesize

PICTURES = {"seed": 1, "images": 40, "validation_images": 12, "size": 64}
PROTOCOL = {"kind": "official", "validation_share": 0.2}


def prepare(root, out):
    index = read_index("affectnet", root, [])
    write_inventory(check_dataset("affectnet", root, index), out)
    write_index(index, out)
    make_crops(out, root, out, size=16, margin=1.25, method="auto", detector="haar", store="raw", workers=1)
    write_splits(index.frames, make_splits(index.frames, PROTOCOL, 3), PROTOCOL, out)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    synthesize("affectnet", folder / "rendered", PICTURES)
    prepare(folder / "rendered", folder / "affectnet")
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def hashes_of(folder):
    write_hashes([folder / "affectnet"], {"affectnet": folder / "rendered"}, folder / "out" / "data_hashes.json")
    return read_hashes(folder / "out" / "data_hashes.json")["affectnet"]


def test_they_are_those_of_sha256sum(folder):
    found = hashes_of(folder)
    assert [*found] == sorted([*PREPARED, "rendered files"])
    command = ["sha256sum", *PREPARED]
    printed = subprocess.run(command, cwd=folder / "affectnet", capture_output=True, text=True, check=True).stdout
    assert {name: digest for digest, name in map(str.split, printed.splitlines())}.items() <= found.items()
    files = sorted(
        path.relative_to(folder / "rendered").as_posix() for path in (folder / "rendered").rglob("*") if path.is_file()
    )
    lines = subprocess.run(["sha256sum", *files], cwd=folder / "rendered", capture_output=True, check=True).stdout
    assert found["rendered files"] == f"{hashlib.sha256(lines).hexdigest()} of {len(files)} files"


def test_they_do_not_depend_on_where_the_data_lie(finished, folder):
    # Not a copy: what would name its folder is written again.
    shutil.rmtree(folder / "affectnet")
    prepare(folder / "rendered", folder / "affectnet")
    assert hashes_of(folder) == hashes_of(finished)


def test_nothing_but_names_and_hashes_is_written(folder):
    hashes_of(folder)
    values = json.loads((folder / "out" / "data_hashes.json").read_text())
    assert [*values] == ["datasets", "seal"]
    assert [*values["datasets"]] == ["affectnet"]
    for what, text in values["datasets"]["affectnet"].items():
        assert what in (*PREPARED, "rendered files")
        assert re.fullmatch(r"[0-9a-f]{64}( of \d+ files)?", text)


@pytest.mark.parametrize("change", ["a bit", "a name", "one more"])
def test_another_rendered_file_changes_one_hash(folder, change):
    before = hashes_of(folder)
    path = sorted((folder / "rendered").rglob("*.jpg"))[0]
    if change == "a bit":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    elif change == "a name":
        path.rename(path.with_name("other.jpg"))
    else:
        shutil.copy(path, path.with_name("other.jpg"))
    after = hashes_of(folder)
    assert [what for what in before if before[what] != after[what]] == ["rendered files"]


def test_files_of_a_copy_are_not_hashed(folder):
    write_hashes([folder / "affectnet"], {}, folder / "own.json")
    assert sorted(read_hashes(folder / "own.json")["affectnet"]) == sorted(PREPARED)
    (folder / "rendered" / "SYNTHETIC.json").unlink()
    with pytest.raises(DatasetError, match=r"rendered is not rendered \(it has no SYNTHETIC.json\); files of a copy"):
        hashes_of(folder)


@pytest.mark.parametrize("name", [name for name in PREPARED if name != "check.json"])
def test_a_damaged_file_is_named(folder, name):
    path = folder / "affectnet" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamageError, match=re.escape(f"{path} is damaged")):
        hashes_of(folder)
    path.unlink()
    with pytest.raises(DamageError, match=re.escape(f"{path} is not there; start again what writes it")):
        hashes_of(folder)


def test_a_rendered_folder_without_prepared_data_is_refused(folder):
    with pytest.raises(DatasetError, match="no prepared folder is named sewa; choose from affectnet"):
        write_hashes([folder / "affectnet"], {"sewa": folder / "rendered"}, folder / "out.json")


@pytest.mark.parametrize("values", [{}, {"datasets": 3}, {"datasets": {"sewa": {"crops.npy": 3}}}])
def test_a_file_of_something_else_is_refused(tmp_path, values):
    (tmp_path / "data_hashes.json").write_text(sealed(values))
    with pytest.raises(DatasetError, match="holds no hashes of data; write it again with `hocbench data hashes`"):
        read_hashes(tmp_path / "data_hashes.json")


def test_a_changed_file_of_hashes_is_refused(folder):
    hashes_of(folder)
    path = folder / "out" / "data_hashes.json"
    path.write_text(path.read_text().replace(" of ", " oF "))
    with pytest.raises(DamageError, match="it was changed after it was written"):
        read_hashes(path)
