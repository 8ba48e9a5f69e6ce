import shutil
import subprocess

import pytest

from hocbench.datasets.checksums import register, verify
from hocbench.errors import DatasetError


@pytest.fixture
def root(tmp_path):
    (tmp_path / "copy" / "deep er").mkdir(parents=True)
    for name in ("a.bin", "deep er/b.bin", "deep er/ü.txt"):
        (tmp_path / "copy" / name).write_bytes(name.encode())
    return tmp_path / "copy"


@pytest.fixture
def listed(root, tmp_path):
    assert register(root, tmp_path / "lists" / "copy.sha256") == 3
    return tmp_path / "lists" / "copy.sha256"


def text_of(call, *arguments):
    with pytest.raises(DatasetError) as error:
        call(*arguments)
    return str(error.value)


def test_an_unchanged_copy_is_as_listed(root, listed):
    changes = verify(root, listed)
    assert not changes.any
    assert changes.checked == 3


def test_sha256sum_reads_the_list(root, listed):
    done = subprocess.run(["sha256sum", "--check", "--strict", listed], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count(": OK")) == (0, 3)


def test_what_changed_is_named(root, listed):
    (root / "a.bin").write_bytes(b"a.bun")
    (root / "deep er" / "b.bin").unlink()
    (root / "new.bin").touch()
    changes = verify(root, listed)
    assert (changes.changed, changes.missing, changes.added) == (["a.bin"], ["deep er/b.bin"], ["new.bin"])
    assert changes.any


def test_a_copy_elsewhere_compares_with_the_same_list(root, listed, tmp_path):
    assert not verify(shutil.copytree(root, tmp_path / "elsewhere"), listed).any


def test_linked_folders_are_followed_but_not_for_ever(root, listed, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "far.bin").write_bytes(b"far")
    (root / "linked").symlink_to(tmp_path / "disk")
    (root / "loop").symlink_to(root)
    assert verify(root, listed).added == ["linked/far.bin"]


def test_a_list_among_the_files_is_refused(root):
    text = text_of(register, root, root / "list.sha256")
    assert text == (
        f"{root / 'list.sha256'} lies inside {root}, among the files that it is to list; choose another place"
    )
    assert not (root / "list.sha256").exists()


def test_a_missing_or_empty_folder_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    for call in (register, lambda root, path: verify(root, path)):
        absent = tmp_path / "absent"
        if call is register:
            assert (
                text_of(call, absent, tmp_path / "l") == f"folder {absent} does not exist; give the folder of your copy"
            )
    assert text_of(register, tmp_path / "empty", tmp_path / "l").endswith("holds no file; give the folder of your copy")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read ([Errno 2] No such file or directory"),
        (b"", "lists no file; run `hocbench data register` again"),
        (b"nonsense\n", "line 1: not a checksum and a path; run `hocbench data register` again"),
        (b"\xff\xfe", "cannot be read ('utf-8' codec"),
    ],
)
def test_a_bad_list_is_named(root, listed, content, fault):
    listed.unlink() if content is None else listed.write_bytes(content)
    text = text_of(verify, root, listed)
    assert text.startswith(str(listed))
    assert fault in text


def test_a_name_that_no_list_can_hold_is_refused(root, tmp_path):
    (root / "two\nlines").touch()
    assert "a file named 'two\\nlines', which a list of checksums cannot; rename it" in text_of(
        register, root, tmp_path / "list"
    )
