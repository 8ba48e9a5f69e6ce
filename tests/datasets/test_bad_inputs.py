"""Bad input by class: what is done to a good dataset, and what becomes of it.

Every case runs index and crops over the results of an earlier run on the good dataset. None may crash, hang, write
anything beside its own folder, or lose the earlier results where it is refused.
"""

import io
import json
import os
import shutil
import wave
import zipfile
from dataclasses import dataclass

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import data

from hocbench.datasets.index import read_index, write_index
from hocbench.errors import HocbenchError
from hocbench.faces.crops import make_crops
from hocbench.faces.store import CropStore
from hocbench.synthetic import synthesize
from hocbench.synthetic.writers import _write_video
from tests.datasets.layouts import LISTS, edit_json, mark_encrypted, pack_afew_va

PARAMETERS = {
    "affectnet": {"seed": 1, "images": 12, "validation_images": 6, "size": 64},
    "sewa": {"seed": 2, "subjects": 4, "frames": 8, "height": 64, "width": 64, "fps": 25, "motion_cues": True},
    "afew_va": {"seed": 3, "clips": 4, "actors": 3, "frames_min": 5, "frames_max": 6, "size": 64},
}
REFUSED, SAME, ROW = "refused, earlier results kept", "read as if nothing were wrong", "its row says so"


@dataclass(frozen=True)
class Case:
    """A line of the table: class, what is wrong, what is done to which dataset, outcome, and what is said."""

    group: str
    name: str
    dataset: str
    damage: object
    outcome: str
    says: str = ""


# -- how to damage -------------------------------------------------------------------------------------------------
# The renderer damages clips of its own choice; these are good.
GOOD_FRAME = "003/00001.png"


def film(change):
    """Change a frame of a film clip; the function gets the path of its picture."""
    return lambda root: change(root / GOOD_FRAME)


def overwrite(content):
    return film(lambda path: path.write_bytes(content(path.read_bytes()) if callable(content) else content))


def as_image(kind, mode=None, **options):
    """Store the same picture in another way."""

    def change(path):
        picture = Image.open(path)
        picture.load()
        (picture.convert(mode) if mode else picture).save(path, kind, **options)

    return film(change)


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).rotate(90, expand=True).save(path, "JPEG", quality=100, subsampling=0, exif=exif)


def sixteen_bit(path):
    cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * 257)


def huge(path):
    Image.new("1", (11_000, 10_000)).save(path, "PNG")


def replaced(picture):
    """Show another picture in a clip of one frame without landmarks."""

    def damage(root):
        for path in (root / "003").glob("*.png"):
            path.unlink()
        cv2.imwrite(str(root / "003" / "00000.png"), np.ascontiguousarray(picture()[..., ::-1]))
        frames = {"00000": {"landmarks": [], "valence": 1, "arousal": 1}}
        edit_json(root / "003" / "003.json", lambda clip: clip.update(frames=frames))

    return damage


def two_faces():
    face = data.astronaut()[:260, 60:380]
    return np.concatenate([face, cv2.resize(face, (160, 130)).repeat(2, 0)], axis=1)


def linked(path):
    elsewhere = path.parents[1].with_name("elsewhere.png")
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


def looped(path):
    path.unlink()
    path.symlink_to(path)


def folder(path):
    path.unlink()
    path.mkdir()


def label(frame="00001", **values):
    return lambda root: edit_json(root / "003" / "003.json", lambda clip: clip["frames"][frame].update(values))


def text_of(path, change):
    return lambda root: (root / path).write_bytes(change((root / path).read_bytes()))


def stills(change):
    return text_of(f"{LISTS}/training.csv", change)


def cell(column, value, row=3):
    def damage(root):
        path = root / LISTS / "training.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table.loc[row, column] = value
        table.to_csv(path, index=False)

    return damage


def chat(change):
    """Change the first segment; the function gets its folder."""
    return lambda root: change(sorted(path for path in root.iterdir() if path.is_dir())[0])


def labels(change):
    def damage(segment):
        for target in ("Valence", "Arousal"):
            path = segment / f"{segment.name}_{target}_AV_Aligned.csv"
            change(pd.read_csv(path)).to_csv(path, index=False)

    return chat(damage)


def label_bytes(change):
    def damage(segment):
        path = segment / f"{segment.name}_Valence_AV_Aligned.csv"
        path.write_bytes(change(path.read_bytes()))

    return chat(damage)


def video(change):
    return chat(lambda segment: change(segment / f"{segment.name}.avi"))


def audio_only(path):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))


def no_frame(path):
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()


def other_rate(path):
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    _write_video(path, frames, 12)


def of_a_longer_clip(segment):
    for path in segment.glob("*_AV_Aligned.csv"):
        table = pd.read_csv(path)
        parts = [table.assign(frame_idx=table["frame_idx"] + shift) for shift in (0, 16, 32)]
        pd.concat(parts).to_csv(path, index=False)


def packed(change=lambda path: None):
    """Put all film clips into an archive, then change it."""

    def damage(root):
        pack_afew_va(root, 1)
        change(root / "01.zip")

    return damage


def renamed_members(rename):
    def change(path):
        with zipfile.ZipFile(path) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members:
                archive.writestr(rename(name), content)

    return packed(change)


def doubled_in_another_case(path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("003/00001.PNG", b"not the picture")


def flipped_bit(content):
    changed = bytearray(content)
    changed[20] ^= 0x40  # in the size that the header states
    return bytes(changed)


def headless(content):
    return content.split(b"\n", 1)[1]


# -- the table -----------------------------------------------------------------------------------------------------
F, S, A = "afew_va", "sewa", "affectnet"
LOST = "repaired, face from neighbour; "
CASES = [
    Case("pictures", "truncated", F, overwrite(lambda content: content[:500]), ROW, f"{LOST}cut short"),
    Case("pictures", "zero bytes", F, overwrite(b""), ROW, f"{LOST}empty file"),
    Case("pictures", "bit flipped in the header", F, overwrite(flipped_bit), ROW, "repaired, face from neighbour; "),
    Case("pictures", "a web page named .png", F, overwrite(b"<html>gone</html>" * 9), ROW, f"{LOST}not a picture"),
    Case("pictures", "missing", F, film(os.remove), ROW, f"{LOST}no such file"),
    Case("pictures", "a folder of that name", F, film(folder), ROW, f"{LOST}Is a directory"),
    Case("pictures", "a link to itself", F, film(looped), ROW, f"{LOST}Too many levels of symbolic links"),
    Case("pictures", "a link out of the folder", F, film(linked), SAME),
    Case("pictures", "huge dimensions", F, film(huge), ROW, f"{LOST}11000×10000 pixels, more than 100 million"),
    Case("pictures", "grey", F, as_image("PNG", "L"), SAME),
    Case("pictures", "16 bits", F, film(sixteen_bit), SAME),
    Case("pictures", "with alpha", F, as_image("PNG", "RGBA"), SAME),
    Case("pictures", "CMYK", F, as_image("JPEG", "CMYK", quality=100), SAME),
    Case("pictures", "turned by EXIF", F, film(turned), SAME),
    Case("pictures", "two faces", F, replaced(two_faces), ROW, "repaired, face from detector"),
    Case("pictures", "no face", F, replaced(data.coffee), ROW, "dropped, face from none"),
    Case("labels", "NaN", F, label(valence=float("nan")), REFUSED, "frame 00001: valence nan is no label"),
    Case("labels", "infinite", F, label(arousal=float("inf")), REFUSED, "arousal inf is no label"),
    Case("labels", "out of range", F, label(valence=11), REFUSED, "valence 11 is outside [-10, 10]"),
    Case("labels", "beyond any number", F, label(valence=10**400), REFUSED, "is no label; check the file"),
    Case("labels", "a word", F, label(valence="high"), REFUSED, "valence 'high' is not a number"),
    Case("labels", "null", F, label(valence=None), ROW, "dropped, face from landmarks"),
    Case("labels", "-2, uncertain", A, cell("valence", "-2"), ROW, "dropped, face from landmarks"),
    Case("labels", "a blank cell", A, cell("arousal", ""), REFUSED, "row 4: arousal is empty; correct the row"),
    Case("labels", "inf in a list", A, cell("arousal", "inf"), REFUSED, "row 4: arousal inf is outside [-1, 1]"),
    Case(
        "labels",
        "another scale in one file",
        S,
        label_bytes(lambda c: c.replace(b"2,0.", b"2,9.").replace(b"2,-0.", b"2,-9.")),
        REFUSED,
        "outside [-1, 1], the scale of the other files",
    ),
    Case("labels", "of another clip", S, chat(of_a_longer_clip), REFUSED, "go over 48, 150 per second"),
    Case("labels", "an empty file", S, label_bytes(lambda content: b""), REFUSED, "is empty; copy it from the release"),
    Case("landmarks", "NaN", F, label(landmarks=[[float("nan"), 1.0]] * 68), ROW, "repaired, face from neighbour"),
    Case("landmarks", "too few", F, label(landmarks=[[1, 2]] * 5), ROW, "repaired, face from neighbour"),
    Case("landmarks", "all in one place", F, label(landmarks=[[9, 9]] * 68), ROW, "repaired, face from neighbour"),
    Case(
        "landmarks",
        "beyond the picture",
        F,
        label(landmarks=[[1e30 * i, -1e30] for i in range(68)]),
        ROW,
        "repaired, face from neighbour",
    ),
    Case("lists", "truncated JSON", F, text_of("003/003.json", lambda c: c[:-20]), REFUSED, "003.json is not JSON ("),
    Case(
        "lists", "JSON nested too deeply", F, text_of("003/003.json", lambda c: b"[" * 10**5), REFUSED, "is not JSON ("
    ),
    Case(
        "lists",
        "frame ids twice",
        S,
        labels(lambda t: t.assign(frame_idx=[0, 1, 1, *range(3, 16)])),
        REFUSED,
        "row 3: frame 1 is listed twice",
    ),
    Case("lists", "gaps in the frame ids", S, labels(lambda t: t.drop(index=[6])), ROW, "dropped, face from landmarks"),
    Case("lists", "rows in another order", S, labels(lambda t: t.iloc[::-1]), SAME),
    Case(
        "lists", "a picture twice", A, cell("subDirectory_filePath", "1000/training000000.jpg"), REFUSED, "listed twice"
    ),
    Case("lists", "byte order mark", A, stills(lambda content: b"\xef\xbb\xbf" + content), SAME),
    Case("lists", "line ends of Windows", A, stills(lambda content: content.replace(b"\n", b"\r\n")), SAME),
    Case("lists", "line ends of old Macs", A, stills(lambda content: content.replace(b"\n", b"\r")), SAME),
    Case("lists", "no header", A, stills(headless), SAME),
    Case("lists", "UTF-16", A, stills(lambda c: c.decode().encode("utf-16")), REFUSED, "cannot be read as CSV ("),
    Case("lists", "Latin-1", A, stills(lambda c: c.replace(b"training000001", b"tr\xe4ning")), REFUSED, "as CSV ("),
    Case("lists", "NUL bytes", A, stills(lambda content: bytes(100)), REFUSED, "training.csv"),
    Case(
        "paths",
        "out of the folder",
        A,
        cell("subDirectory_filePath", "../../../x.jpg"),
        REFUSED,
        "leads out of the image",
    ),
    Case(
        "paths", "absolute", A, cell("subDirectory_filePath", "/etc/passwd"), REFUSED, "leads out of the image folder"
    ),
    Case(
        "paths", "a drive of Windows", A, cell("subDirectory_filePath", "C:\\x.jpg"), REFUSED, "leads out of the image"
    ),
    Case("videos", "zero bytes", S, video(lambda path: path.write_bytes(b"")), REFUSED, "cannot be read as a video ("),
    Case("videos", "a text", S, video(lambda path: path.write_bytes(b"x" * 999)), REFUSED, "cannot be read as a video"),
    Case("videos", "audio only", S, video(audio_only), REFUSED, "cannot be read as a video (it holds no pictures)"),
    Case("videos", "no frame", S, video(no_frame), REFUSED, "cannot be read as a video ("),
    Case("videos", "missing", S, video(os.remove), REFUSED, ".avi is missing; copy the segment again"),
    Case(
        "videos",
        "cut in the middle",
        S,
        video(lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2])),
        ROW,
        "repaired, face from neighbour; the video ends or is damaged before frame",
    ),
    Case("videos", "another frame rate", S, video(other_rate), REFUSED, "go over 16, 24 per second"),
    Case("archives", "packed as released", F, packed(), SAME),
    Case(
        "archives", "not an archive", F, packed(lambda path: path.write_bytes(b"x")), REFUSED, "cannot be read as a zip"
    ),
    Case(
        "archives", "cut short", F, packed(lambda p: p.write_bytes(p.read_bytes()[:-200])), REFUSED, "as a zip archive"
    ),
    Case("archives", "encrypted", F, packed(mark_encrypted), REFUSED, "is encrypted"),
    Case("archives", "names that lead out", F, renamed_members(lambda name: f"../../{name}"), SAME),
    Case("archives", "absolute names", F, renamed_members(lambda name: f"/{name}"), SAME),
    Case("archives", "names that differ in case only", F, packed(doubled_in_another_case), REFUSED, "is there twice"),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Each dataset as rendered, and its index and crops."""
    base = tmp_path_factory.mktemp("good")
    for name, parameters in PARAMETERS.items():
        synthesize(name, base / name, parameters)
        prepare(name, base / name, base / f"{name} prepared")
    return base


def prepare(name, root, out):
    write_index(read_index(name, root), out)
    make_crops(out, root, out, size=32, margin=1.25)


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_there_are_enough_cases_of_each_class():
    assert len(CASES) >= 60
    counts = pd.Series([case.group for case in CASES]).value_counts()
    assert counts.to_dict() == {
        "pictures": 16,
        "labels": 12,
        "lists": 13,
        "videos": 7,
        "archives": 7,
        "landmarks": 4,
        "paths": 3,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.name}")
def test_bad_input(case, good, tmp_path):
    root, out = tmp_path / "root", tmp_path / "out"
    shutil.copytree(good / case.dataset, root)
    shutil.copytree(good / f"{case.dataset} prepared", out)
    case.damage(root)
    beside, earlier = everything(tmp_path), contents(out)
    try:
        prepare(case.dataset, root, out)
    except HocbenchError as error:
        assert case.outcome == REFUSED, error
        assert case.says in str(error)
        assert contents(out) == earlier
    else:
        assert case.outcome in (SAME, ROW)
        compare(case, out, good / f"{case.dataset} prepared")
    # Nothing was written anywhere but into the folder for it.
    assert everything(tmp_path) == beside


def compare(case, out, before):
    """Hold the store against the one of the good dataset."""
    found, expected = CropStore(out).frames, CropStore(before).frames
    columns = ["clip", "frame", "valence", "arousal", "usable"]
    new = ledger(out) - ledger(before)
    if case.outcome == SAME:
        pd.testing.assert_frame_equal(found[columns], expected[columns])
        assert new == set()
    else:
        assert any(case.says in line for line in new), new
        # Only the one clip is touched, and no frame of it is lost.
        clips = {line.split(",")[0] for line in new}
        assert len(clips) == 1
        others = ~found["clip"].isin(clips)
        pd.testing.assert_frame_equal(
            found.loc[others, columns].reset_index(drop=True),
            expected.loc[~expected["clip"].isin(clips), columns].reset_index(drop=True),
        )


def ledger(folder):
    table = pd.read_csv(folder / "ledger.csv", dtype=str, keep_default_na=False)
    return {f"{row.clip},{row.frame}: {row.action}, {row.detail}" for row in table.itertuples()}


def test_pictures_stored_in_another_way_give_the_same_crop(good, tmp_path):
    for number, name in enumerate(("16 bits", "with alpha", "turned by EXIF", "CMYK", "a link out of the folder")):
        (case,) = [case for case in CASES if case.name == name]
        root, out = tmp_path / str(number) / "root", tmp_path / str(number) / "out"
        shutil.copytree(good / "afew_va", root)
        case.damage(root)
        prepare("afew_va", root, out)
        found, expected = CropStore(out), CropStore(good / "afew_va prepared")
        error = np.abs(found.crops.astype(int) - expected.crops).mean(axis=(1, 2, 3))
        assert error.max() < (0.01 if name in ("with alpha", "a link out of the folder") else 8), name


def test_a_message_is_one_line_a_fault_and_names_the_file(good, tmp_path):
    for number, case in enumerate(CASES):
        if case.outcome != REFUSED or case.name == "a picture twice":
            continue
        root = tmp_path / str(number)
        shutil.copytree(good / case.dataset, root)
        case.damage(root)
        with pytest.raises(HocbenchError) as error:
            read_index(case.dataset, root)
        first, *others = str(error.value).splitlines()
        if others:
            # An archive holds many clips, and each is named.
            assert first == f"{case.dataset}: {len(others)} parts cannot be read:"
        for line in others or [first]:
            assert line.strip().startswith(f"{case.dataset}: ")
            assert str(root) in line
            assert len(line) < 700


def test_json_that_was_written_by_hand_is_read(good, tmp_path):
    """Indented, in UTF-8 with a mark, its keys in another order."""
    root = shutil.copytree(good / "afew_va", tmp_path / "root")
    path = root / "003" / "003.json"
    clip = json.loads(path.read_text())
    shuffled = {"frames": dict(reversed(clip["frames"].items())), "actor": clip["actor"]}
    text = io.StringIO()
    json.dump(shuffled, text, indent=2)
    path.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    pd.testing.assert_frame_equal(read_index("afew_va", root).frames, read_index("afew_va", good / "afew_va").frames)
