import io
import stat
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from hocbench.datasets.extract import Limits, is_archive, unpack
from hocbench.errors import FetchError
from tests.datasets.layouts import mark_encrypted

KINDS = ("zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz")
FILES = {"a.txt": b"one", "deep/er/b.bin": bytes(range(256)) * 50}


def write(path, files):
    """Write an archive of the kind that its name says, names as they are given."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    kind = {"tgz": "gz", "tar": ""}.get(path.name.rpartition(".")[2], path.name.rpartition(".")[2])
    with tarfile.open(path, f"w:{kind}") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def refusal(path, target, **limits):
    with pytest.raises(FetchError) as error:
        unpack(path, target, Limits(**limits))
    return str(error.value)


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_unpacked_whole(tmp_path, kind):
    archive = write(tmp_path / f"x.{kind}", FILES)
    assert is_archive(archive)
    assert unpack(archive, tmp_path / "target") == 2
    assert {name: (tmp_path / "target" / name).read_bytes() for name in FILES} == FILES
    assert everything(tmp_path / "target") == sorted(FILES)


def test_what_systems_leave_behind_is_not_unpacked_and_backslashes_lead_into_folders(tmp_path):
    litter = dict.fromkeys(("__MACOSX/deep/._a.txt", "deep/.DS_Store", "deep/Thumbs.db", "@eaDir/a.txt"), b"x")
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in (FILES | litter | {"readme.txt": b"read", "folder/": b""}).items():
            info = zipfile.ZipInfo("x")
            info.filename = name.replace("/", "\\")
            file.writestr(info, content)
    assert unpack(archive, tmp_path / "target") == 3
    assert everything(tmp_path / "target") == [*sorted(FILES), "readme.txt"]


def test_the_same_file_of_two_archives_is_unpacked_and_another_one_refused(tmp_path):
    written = {}
    for name, files in (("1.zip", FILES), ("2.tar.gz", FILES | {"Read me.txt": b"2"})):
        unpack(write(tmp_path / name, files | {"readme.txt": name.encode()}), tmp_path / "target", written=written)
    third = write(tmp_path / "3.zip", {"other.txt": b"3", "A.TXT": b"one", "deep/er/b.bin": b"3"})
    with pytest.raises(FetchError) as error:
        unpack(third, tmp_path / "target", written=written)
    place = tmp_path / "target" / "deep/er/b.bin"
    assert str(error.value) == (
        f"{third}: member 'deep/er/b.bin' is in 1.zip too, and the two differ; {place} is that of 1.zip. "
        "Fetch them into two folders"
    )
    assert place.read_bytes() == FILES["deep/er/b.bin"]


def test_other_files_are_no_archives(tmp_path):
    assert not any(is_archive(tmp_path / name) for name in ("x.csv", "x.avi", "zip", "x.tar.gz.part"))


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../evil.txt", "leads out of the archive's folder"),
        ("a/../../evil.txt", "leads out of the archive's folder"),
        ("/tmp/evil.txt", "is an absolute path"),
        ("C:/evil.txt", "is an absolute path"),
        ("..\\evil.txt", "leads out of the archive's folder"),
        ("x" * 300, "is no name for a file"),
        ("A.TXT", "clashes with 'a.txt'"),
    ],
)
def test_a_bad_name_stops_everything_before_the_first_file(tmp_path, kind, name, fault):
    archive = write(tmp_path / f"x.{kind}", FILES | {name: b"evil"})
    text = refusal(archive, tmp_path / "target")
    assert text.startswith(f"{archive}: member '{name[:2]}".replace("\\", "\\"))
    assert text.endswith(f" {fault}; nothing was unpacked. Do not trust this archive")
    assert everything(tmp_path / "target") == []
    assert everything(tmp_path) == [archive.name]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_of_a_tar_are_refused(tmp_path, kind):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    what = "is a link" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else "is a device"
    assert refusal(path, tmp_path / "target") == (
        f"{path}: member 'link' {what}; nothing was unpacked. Do not trust this archive"
    )


def test_a_link_of_a_zip_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc")
    assert "member 'link' is a link; nothing was unpacked" in refusal(path, tmp_path / "target")


def test_a_link_that_was_there_before_leads_nothing_out(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "deep").symlink_to(tmp_path / "outside")
    archive = write(tmp_path / "x.zip", FILES)
    assert "would be written outside of" in refusal(archive, tmp_path / "target")
    assert everything(tmp_path / "outside") == []


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_stopped_by_its_ratio(tmp_path, kind):
    archive = write(tmp_path / f"x.{kind}", {"bomb": bytes(40 * 2**20)})
    text = refusal(archive, tmp_path / "target", ratio=3)
    assert text == f"{archive} unpacks to more than 3 times its size; stopped. Do not trust this archive"
    assert everything(tmp_path / "target") == []


def test_a_bomb_that_understates_its_size_is_stopped(tmp_path):
    archive = write(tmp_path / "x.zip", {"bomb": bytes(2**20)})
    content = archive.read_bytes()
    size = struct.pack("<I", 2**20)
    assert content.count(size) == 2
    archive.write_bytes(content.replace(size, struct.pack("<I", 10)))
    assert "cannot be unpacked" in refusal(archive, tmp_path / "target")
    assert everything(tmp_path / "target") == []


def test_more_than_is_allowed_is_not_begun(tmp_path):
    archive = write(tmp_path / "x.zip", FILES)
    assert "holds more than 1 files; nothing was unpacked" in refusal(archive, tmp_path / "target", files=1)
    text = refusal(archive, tmp_path / "target", total_bytes=1000)
    assert "would unpack to 12,803 bytes, more than the 1,000 that are allowed and free" in text
    assert everything(tmp_path / "target") == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["empty", "rubbish", "cut"])
def test_a_damaged_archive_is_named(tmp_path, kind, damage):
    archive = write(tmp_path / f"x.{kind}", FILES)
    content = {"empty": b"", "rubbish": b"rubbish" * 300, "cut": archive.read_bytes()[: -30000 or None]}
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2] if damage == "cut" else content[damage])
    text = refusal(archive, tmp_path / "target")
    assert text.startswith(f"{archive} cannot be unpacked (")
    assert text.endswith("); fetch it again")
    assert "\n" not in text


def test_a_flipped_byte_is_found_by_the_checksum_of_a_member(tmp_path):
    archive = write(tmp_path / "x.zip", FILES)
    content = bytearray(archive.read_bytes())
    content[content.find(b"a.txt") + 6] ^= 0xFF
    archive.write_bytes(bytes(content))
    assert "cannot be unpacked (" in refusal(archive, tmp_path / "target")


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.bz2"])
def test_a_flipped_byte_of_a_packed_tar_is_no_traceback(tmp_path, kind):
    content = np.random.default_rng(0).bytes(300_000)
    archive = write(tmp_path / f"x.{kind}", {"a.bin": content})
    packed = bytearray(archive.read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    archive.write_bytes(bytes(packed))
    assert refusal(archive, tmp_path / "target").startswith(f"{archive} cannot be unpacked (")


def test_a_file_and_a_folder_of_one_name_are_no_traceback(tmp_path):
    archive = write(tmp_path / "x.zip", {"a": b"file", "a/b": b"in a folder"})
    assert refusal(archive, tmp_path / "target").startswith(
        f"{archive} cannot be unpacked into {tmp_path / 'target'} ("
    )


def test_an_encrypted_archive_is_named(tmp_path):
    archive = write(tmp_path / "x.zip", FILES)
    mark_encrypted(archive)
    assert refusal(archive, tmp_path / "target") == (
        f"{archive} is encrypted; nothing was unpacked. Unpack it by hand, with its password"
    )
