import json
import shutil

import pandas as pd
import pytest

from hocbench.datasets import pictures
from hocbench.datasets.check import check_dataset, describe_inventory, write_inventory
from hocbench.datasets.index import read_index, write_index
from hocbench.datasets.published_counts import compare_counts
from hocbench.faces.crops import make_crops
from hocbench.faces.store import CropStore
from tests.datasets.conftest import PARAMETERS
from tests.datasets.layouts import IMAGES, LISTS, make_real, pack_afew_va, to_affectnet_2021


def check(name, root):
    return check_dataset(name, root, read_index(name, root))


@pytest.fixture(scope="module")
def inventories(rendered):
    return {name: check(name, root) for name, root in rendered.items()}


@pytest.mark.parametrize("name", PARAMETERS)
def test_rendered_data_are_usable_and_say_that_they_are_synthetic(inventories, name):
    inventory = inventories[name]
    assert inventory["usable"]
    assert inventory["problems"] == []
    text = describe_inventory(inventory)
    assert text.startswith(f"{name}: usable\n  SYNTHETIC data")
    assert {row["explanation"] for row in compare_counts(inventory)} == {"SYNTHETIC data, whose size params.yaml sets"}


def test_frames_subjects_and_sessions_are_counted_by_split(inventories, indices):
    assert inventories["affectnet"]["splits"] == {
        "training": {"frames": 30, "labelled": 29, "clips": 30, "subjects": 30},
        "validation": {"frames": 20, "labelled": 19, "clips": 20, "subjects": 20},
    }
    assert inventories["sewa"]["splits"] == {
        "all": {"frames": 72, "labelled": 72, "clips": 6, "subjects": 6, "sessions": 3}
    }
    frames = indices["afew_va"].frames
    assert inventories["afew_va"]["splits"]["all"]["frames"] == len(frames)
    assert inventories["afew_va"]["statuses"] == frames["status"].value_counts().to_dict()


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_histogram_counts_every_label_once(inventories, indices, name):
    for target, histogram in inventories[name]["labels"].items():
        values = indices[name].frames[target].dropna()
        assert sum(histogram["counts"]) == len(values)
        assert (histogram["min"], histogram["max"]) == (values.min(), values.max())
        low = values[(values >= -1) & (values < -0.8)]
        assert histogram["counts"][0] == len(low)


def test_the_truncated_picture_of_the_renderer_is_named(inventories, rendered):
    for name in ("affectnet", "afew_va"):
        defects = json.loads((rendered[name] / "SYNTHETIC.json").read_text())["defects"]
        (broken,) = [defect["file"] for defect in defects if defect["what"] == "unreadable image"]
        ((source, reason),) = inventories[name]["unreadable"].items()
        assert source.endswith(broken)
        assert reason == "cut short"
    assert inventories["sewa"]["unreadable"] == {}


def test_missing_and_damaged_files_are_named_and_too_many_are_not_usable(copy_of):
    root = copy_of("affectnet")
    images = sorted((root / IMAGES).glob("*/*.jpg"))
    images[0].unlink()
    images[1].write_bytes(b"")
    images[2].write_bytes(b"<html>not here</html>")
    inventory = check("affectnet", root)
    assert inventory["missing"] == [images[0].relative_to(root).as_posix()]
    assert {path.split("/")[-1]: why for path, why in inventory["unreadable"].items()}.items() >= {
        images[1].name: "empty file",
        images[2].name: "not a picture, though named .jpg",
    }.items()
    assert not inventory["usable"]
    # The renderer's own damaged picture may be one of the three.
    damaged = 1 + len(inventory["unreadable"])
    assert damaged in (3, 4)
    (problem,) = inventory["problems"]
    assert problem == (
        f"{damaged} of 50 files are missing or unreadable, first {inventory['missing'][0]}; more than 5% is too many: "
        "copy them again"
    )
    assert describe_inventory(inventory).startswith(f"affectnet: NOT USABLE\n  {damaged} of 50 files")


def test_a_picture_in_both_splits_is_found_by_its_content(copy_of):
    root = copy_of("affectnet")
    first = sorted((root / IMAGES).glob("1*/*.jpg"))[0]
    second = sorted((root / IMAGES).glob("2*/*.jpg"))[-1]
    shutil.copy(first, second)
    pairs = check("affectnet", root)["duplicates"]
    assert pairs == [sorted(path.relative_to(root).as_posix() for path in (first, second))]


def test_a_picture_twice_in_one_split_is_no_leak(copy_of):
    root = copy_of("affectnet")
    first, *_, last = sorted((root / IMAGES).glob("1*/*.jpg"))
    shutil.copy(first, last)
    assert check("affectnet", root)["duplicates"] == []


def test_a_frame_of_two_actors_is_found_inside_archives_too(copy_of):
    root = copy_of("afew_va")
    shutil.copy(root / "001" / "00000.png", root / "002" / "00003.png")
    pack_afew_va(root, 2)
    assert [[source[-13:] for source in pair] for pair in check("afew_va", root)["duplicates"]] == [
        ["001/00000.png", "002/00003.png"]
    ]


def test_no_label_at_all_is_not_usable(copy_of):
    root = copy_of("affectnet")
    path = root / LISTS / "validation.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table[["valence", "arousal"]] = "-2"
    table.to_csv(path, index=False)
    assert check("affectnet", root)["problems"] == ["no frame of validation has a label; check the annotations"]


def test_published_counts_stand_beside_ours_with_the_reason(rendered, tmp_path):
    root = make_real(shutil.copytree(rendered["affectnet"], tmp_path / "affectnet"))
    rows = {row["what"]: row for row in compare_counts(check("affectnet", root))}
    assert rows["training rows"] == {
        "what": "training rows",
        "published": 414799,
        "status": "P",
        "found": 30,
        "difference": 30 - 414799,
        "explanation": "your copy holds fewer",
    }
    assert rows["validation rows with valence and arousal"]["found"] == 19
    expressions = pd.read_csv(root / LISTS / "training.csv")["expression"].value_counts()
    for number in range(11):
        assert rows[f"training rows of expression {number}"]["found"] == expressions.get(number, 0)
    # The counts that circulate: one more than the rows.
    assert sum(rows[f"training rows of expression {number}"]["published"] for number in range(11)) == 414800


def test_the_one_row_too_many_that_circulates_is_explained(indices, rendered):
    index = indices["affectnet"]
    notes = index.notes | {"expressions": {"training": {"1": 134415, "0": 74874}}}
    real = type(index)(index.frames, "real", notes)
    rows = {row["what"]: row for row in compare_counts(check_dataset("affectnet", rendered["affectnet"], real))}
    assert rows["training rows of expression 0"]["explanation"] == "as published"
    assert rows["training rows of expression 1"]["explanation"].startswith("the counts per expression that circulate")


def test_the_layout_of_2021_has_counts_of_its_own(rendered, tmp_path):
    root = to_affectnet_2021(rendered["affectnet"], tmp_path / "affectnet")
    rows = {row["what"]: row["published"] for row in compare_counts(check("affectnet", root))}
    assert rows == {"training rows": 287651, "validation rows": 4000}


def test_text_and_json_are_written_and_agree(inventories, tmp_path):
    for name, inventory in inventories.items():
        write_inventory(inventory, tmp_path / name)
        assert json.loads((tmp_path / name / "check.json").read_text()) == json.loads(json.dumps(inventory))
        text = (tmp_path / name / "check.txt").read_text()
        assert text == describe_inventory(inventory)
        assert f"files: {inventory['files']:,}" in text
        assert "valence from " in text


def zeroed(content):
    """A disk block in the middle that was never written."""
    middle = len(content) // 2
    return content[:middle] + bytes(256) + content[middle + 256 :]


def flipped(content):
    """A wrong byte that no longer is what was compressed there."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :]


def lacking(content):
    """A block that was left out in the middle."""
    middle = len(content) // 2
    return content[:middle] + content[middle + 256 :]


def halved(content):
    return content[: len(content) // 2]


DAMAGES = {
    "a jpeg with a zeroed block": ("affectnet", "*.jpg", zeroed, "damaged (Corrupt JPEG data"),
    "a jpeg that was cut": ("affectnet", "*.jpg", halved, "cut short"),
    "a png with a flipped byte": ("afew_va", "*.png", flipped, "damaged"),
    "a png without a block": ("afew_va", "*.png", lacking, "damaged"),
    "a png that was cut": ("afew_va", "*.png", halved, "cut short"),
    "a video that was cut": ("sewa", "*.avi", halved, " frames cannot be decoded; the video ends or is damaged before"),
    "a video with a zeroed block": ("sewa", "*.avi", zeroed, " frames cannot be decoded; "),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damage_in_the_middle_is_named_by_check_and_in_the_ledger_of_the_crops(copy_of, tmp_path, case):
    name, files, damage, reason = DAMAGES[case]
    root = copy_of(name)
    sources = sorted(path for path in root.rglob(files) if path.stat().st_size > 100)
    chosen = sources[2:6:3]
    for path in chosen:
        path.write_bytes(damage(path.read_bytes()))
    named = {path.relative_to(root).as_posix() for path in chosen}
    found = check(name, root)["unreadable"]
    assert set(found) >= named
    assert all(reason in found[source] for source in named)
    write_index(read_index(name, root), tmp_path / "out")
    make_crops(tmp_path / "out", root, tmp_path / "out", size=32, margin=1.25)
    index = pd.read_parquet(tmp_path / "out" / "index.parquet")
    status = CropStore(tmp_path / "out").frames["status"]
    ledger = pd.read_csv(tmp_path / "out" / "ledger.csv", dtype={"clip": str})
    for source in named:
        lost = index[(index["source"] == source).to_numpy() & (status == "image_unreadable").to_numpy()]
        assert len(lost)
        rows = ledger.merge(lost[["clip", "frame"]], on=["clip", "frame"])
        assert len(rows) == len(lost)
        assert rows["detail"].str.contains(reason.split("; ")[-1], regex=False).all()


def test_the_number_of_workers_changes_nothing(copy_of, monkeypatch):
    root = copy_of("afew_va")
    sources = sorted(root.rglob("*.png"))
    sources[0].write_bytes(halved(sources[0].read_bytes()))
    sources[1].unlink()
    monkeypatch.setattr(pictures, "BATCH_PICTURES", 5)
    index = read_index("afew_va", root)
    one, two = (check_dataset("afew_va", root, index, workers=workers) for workers in (1, 2))
    assert json.dumps(one) == json.dumps(two)
    assert len(one["missing"]) + len(one["unreadable"]) >= 2


def test_a_quick_check_reads_headers_only_and_says_so(copy_of, inventories):
    root = copy_of("affectnet")
    path = sorted(root.rglob("*.jpg"))[3]
    path.write_bytes(zeroed(path.read_bytes()))
    index = read_index("affectnet", root)
    quick = check_dataset("affectnet", root, index, quick=True)
    assert quick["read"] == "headers only"
    assert path.relative_to(root).as_posix() not in quick["unreadable"]
    assert "files: 50, of which only the headers were read (--quick); damage behind them is not looked for" in (
        describe_inventory(quick)
    )
    assert inventories["affectnet"]["read"] == "to the end"
    assert "files: 50, each read and decoded to its end" in describe_inventory(inventories["affectnet"])
