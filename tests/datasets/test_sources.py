import zipfile

import pytest

from hocbench.datasets import sources
from hocbench.datasets.sources import list_files, locate, open_media, read_bytes


@pytest.fixture
def root(tmp_path):
    """A folder with a plain file, and an archive two levels below it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "plain.txt").write_bytes(b"plain")
    with zipfile.ZipFile(tmp_path / "a" / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/one.txt", "one")
        archive.writestr("two.txt", "two" * 1000)
        archive.mkdir("empty")
    return tmp_path


def test_files_are_listed_with_those_inside_archives(root):
    assert list_files(root, {}) == ["a/packed.zip/inside/one.txt", "a/packed.zip/two.txt", "a/plain.txt"]


def test_what_is_listed_can_be_read(root):
    contents = {source: read_bytes(root, source) for source in list_files(root, {})}
    assert list(contents.values()) == [b"one", b"two" * 1000, b"plain"]
    assert open_media(root, "a/packed.zip/inside/one.txt").read() == b"one"
    assert open_media(root, "a/plain.txt") == str(root / "a" / "plain.txt")


def test_a_folder_that_is_named_like_an_archive_is_a_folder(root):
    folder = root / "clip.zip"
    folder.mkdir()
    (folder / "x.txt").write_text("x")
    assert locate(root, "clip.zip/x.txt") == (folder / "x.txt", None)
    assert read_bytes(root, "clip.zip/x.txt") == b"x"


@pytest.mark.parametrize("source", ["a/packed.zip/absent.txt", "a/absent.txt", "absent.zip/x"])
def test_a_missing_file_is_not_found(root, source):
    with pytest.raises(FileNotFoundError):
        read_bytes(root, source)


def test_an_archive_that_changed_is_opened_again(root):
    assert read_bytes(root, "a/packed.zip/inside/one.txt") == b"one"
    with zipfile.ZipFile(root / "a" / "packed.zip", "w") as archive:
        archive.writestr("inside/one.txt", "another one")
    assert read_bytes(root, "a/packed.zip/inside/one.txt") == b"another one"


def test_a_file_that_is_no_archive_is_named(root):
    (root / "bad.zip").write_bytes(b"no archive")
    broken = {}
    assert list_files(root, broken) == ["a/packed.zip/inside/one.txt", "a/packed.zip/two.txt", "a/plain.txt"]
    assert str(broken["bad.zip"]).startswith(f"{root / 'bad.zip'} cannot be read as a zip archive")


def test_a_damaged_member_is_named(root):
    path = root / "a" / "packed.zip"
    content = bytearray(path.read_bytes())
    content[content.find(b"one.txt") + 8] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(OSError, match=r"inside/one\.txt in .*packed\.zip cannot be unpacked"):
        read_bytes(root, "a/packed.zip/inside/one.txt")


def test_a_member_that_unpacks_to_too_much_is_not_unpacked(root, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST_MEMBER_BYTES", 2999)
    with pytest.raises(OSError, match=r"two\.txt in .* unpacks to more than"):
        read_bytes(root, "a/packed.zip/two.txt")
    assert read_bytes(root, "a/packed.zip/inside/one.txt") == b"one"
