"""The same data in another container are the same data: folders, archives and spellings of all four layouts."""

import io
import shutil
import unicodedata
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from hocbench.datasets.download import Item, fetch
from hocbench.datasets.index import read_index
from hocbench.datasets.sources import read_bytes
from tests.datasets.layouts import make_real, to_affectnet_2021
from tests.datasets.test_extract import write

LAYOUTS = ("affectnet", "affectnet_2021", "sewa", "afew_va")
GHOST = b"\0\5\x16\7\0\2\0\0Mac OS X        "
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def plain(rendered, tmp_path_factory):
    """Each layout in folders: its files, and its index with the pictures that it names."""
    base = tmp_path_factory.mktemp("plain")
    roots = {name: make_real(Path(shutil.copytree(rendered[name], base / name))) for name in rendered}
    roots["affectnet_2021"] = to_affectnet_2021(roots["affectnet"], base / "affectnet_2021")
    files = {
        layout: {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for layout, root in roots.items()
    }
    return {layout: (files[layout], read(layout, roots[layout])) for layout in LAYOUTS}


def read(layout, root):
    """Read an index; a source is replaced by the bytes that it leads to."""
    index = read_index(layout.removesuffix("_2021"), root)
    contents = {source: read_bytes(root, source) for source in index.frames["source"].unique()}
    return index.frames.assign(source=index.frames["source"].map(contents)), index.notes


def put(root: Path, files: Files) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def packed(files: Files) -> bytes:
    """Pack files; names stay as they are, even with a backslash."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system = name, 0
            archive.writestr(info, content)
    return target.getvalue()


def below(folder: str, files: Files) -> Files:
    return {f"{folder}/{name}": content for name, content in files.items()}


def by_top(files: Files) -> dict[str, Files]:
    """Group files by their outermost folder."""
    tops: dict[str, Files] = {}
    for name, content in files.items():
        tops.setdefault(name.split("/")[0], {})[name] = content
    return tops


def a_parent_folder(root, files):
    put(root, below("release of 2020/copy", files))


def one_archive(root, files):
    put(root, {"all.zip": packed(files)})


def an_archive_of_a_folder(root, files):
    put(root / "from the server", {"all.ZIP": packed(below("all", files))})


def an_archive_for_each_folder(root, files):
    put(root, {f"{top}.zip": packed(own) for top, own in by_top(files).items()})


def flat_archives(root, files):
    """Each folder packed without its own name."""
    for top, own in by_top(files).items():
        put(root, {f"{top}.zip": packed({name.removeprefix(f"{top}/"): own[name] for name in own})})


def backslashes(root, files):
    put(root, {"all.zip": packed({name.replace("/", "\\"): content for name, content in files.items()})})


def absolute_names(root, files):
    put(root, {"all.zip": packed({f"/./{name}": content for name, content in files.items()})})


def archives_in_an_archive(root, files):
    put(root, {"all.zip": packed({f"all/{top}.zip": packed(own) for top, own in by_top(files).items()})})


def of_a_mac(root, files):
    ghosts = {f"__MACOSX/{'/'.join((*name.split('/')[:-1], '._' + name.split('/')[-1]))}": GHOST for name in files}
    stores = {f"{name.rpartition('/')[0]}/.DS_Store": b"Bud1" for name in files if "/" in name}
    put(root, {"all.zip": packed(ghosts | files | stores), "._all.zip": GHOST})


def littered(root, files):
    put(root, files)
    folders = {"/".join(name.split("/")[:-1]) for name in files}
    for folder in folders:
        names = ("Thumbs.db", "desktop.ini", "ehthumbs.db", ".directory", "README.txt", "md5sums.txt", "x.png.part")
        put(root / folder, dict.fromkeys(names, b"no data"))
        put(root / folder, {f"._{name.split('/')[-1]}": GHOST for name in files if name.rpartition("/")[0] == folder})
        put(root / folder / "@eaDir", dict.fromkeys(("00001.png", "SYNOFILE_THUMB_M.jpg"), b"a small one"))
    put(root / ".Trashes", {name.split("/")[-1]: b"thrown away" for name in files})


def fetched(kind):
    def container(root, files):
        source = root.with_name("server")
        source.mkdir()
        write(source / f"all.{kind}", files)
        fetch(root, [Item(f"file://{source}/all.{kind}")])

    return container


def other_case(root, files):
    put(root, {name.swapcase(): content for name, content in files.items()})


def other_separators(root, files):
    put(root, {name.replace("_", "-"): content for name, content in files.items()})


CONTAINERS = {
    "a parent folder": a_parent_folder,
    "one archive": one_archive,
    "an archive of a folder, itself in a folder": an_archive_of_a_folder,
    "an archive for each folder": an_archive_for_each_folder,
    "an archive for each folder, without its name": flat_archives,
    "an archive with backslashes": backslashes,
    "an archive with absolute names": absolute_names,
    "archives in an archive": archives_in_an_archive,
    "an archive of a Mac": of_a_mac,
    "folders with litter": littered,
    "a zip fetched": fetched("zip"),
    "a tar.gz fetched": fetched("tar.gz"),
    "names in another case": other_case,
    "names with other separators": other_separators,
}


def same(layout, root, expected):
    frames, notes = read(layout, root)
    pd.testing.assert_frame_equal(frames, expected[0])
    assert "not_recognised" not in notes
    return notes


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_another_container_reads_the_same(plain, layout, container, tmp_path):
    files, expected = plain[layout]
    root = tmp_path / "root"
    CONTAINERS[container](root, files)
    notes = same(layout, root, expected)
    assert ("left_behind" in notes) == (container in ("an archive of a Mac", "folders with litter"))


def numbered(files: Files) -> Files:
    """Put clips into the numbered folders of the twelve archives."""
    return {f"{1 + int(name.split('/')[0]) % 3:02d}/{name}": content for name, content in files.items()}


@pytest.mark.parametrize(
    "container",
    [
        numbered,
        lambda files: below("AFEW-VA", numbered(files)),
        lambda files: {f"{top}.zip": packed(own) for top, own in by_top(numbered(files)).items()},
        lambda files: {
            f"{top}.zip": packed({name[3:]: own[name] for name in own}) for top, own in by_top(numbered(files)).items()
        },
        lambda files: below("12", below("12", files)) | {"12/notes.txt": b"from the server"},
        lambda files: {str(int(name[:3])) + name[3:].replace("/00", "/"): files[name] for name in files},
    ],
    ids=["folders", "below a folder", "archives with their folder", "archives", "batch in batch", "fewer zeros"],
)
def test_film_clips_in_the_folders_of_the_release_read_the_same(plain, container, tmp_path):
    files, expected = plain["afew_va"]
    put(tmp_path, container(files))
    frames, _ = read("afew_va", tmp_path)
    pd.testing.assert_frame_equal(frames, expected[0])


def parts_of(files: Files) -> Files:
    """Pack video, landmarks and annotations of each segment into archives of their own, as the release has them."""
    archives: dict[str, Files] = {}
    for path, content in files.items():
        segment, *inner = path.split("/")
        what = next((what for what in ("Landmarks", "Valence", "Arousal", "metadata") if what in path), "Video")
        archives.setdefault(f"{segment}/{segment}-{what}.zip", {})["/".join(inner)] = content
    return {name: packed(own) for name, own in archives.items()}


@pytest.mark.parametrize(
    "container",
    [
        parts_of,
        lambda files: {name.split("/")[1]: content for name, content in parts_of(files).items()},
        lambda files: {f"{top}.zip": packed(own) for top, own in by_top(parts_of(files)).items()},
        lambda files: below("C1/recordings", parts_of(files)),
    ],
    ids=["archives of parts", "all beside each other", "in an archive of the segment", "below folders"],
)
def test_segments_in_archives_of_their_parts_read_the_same(plain, container, tmp_path):
    files, expected = plain["sewa"]
    put(tmp_path, container(files))
    notes = same("sewa", tmp_path, expected)
    assert notes == expected[1]


def test_names_in_the_other_unicode_form_are_found(plain, tmp_path):
    """As a Mac writes them: the list says é in one character, the disk in two."""
    files, _ = plain["affectnet"]
    composed = {
        name.replace("training", "entraîné") if name.endswith(".jpg") else name: content.replace(
            b"/training", "/entraîné".encode()
        )
        for name, content in files.items()
    }
    put(tmp_path / "nfc", composed)
    put(tmp_path / "nfd", {unicodedata.normalize("NFD", name): content for name, content in composed.items()})
    expected, _ = read("affectnet", tmp_path / "nfc")
    frames, notes = read("affectnet", tmp_path / "nfd")
    pd.testing.assert_frame_equal(frames, expected)
    assert len(notes["read_under_another_name"]) == 30
