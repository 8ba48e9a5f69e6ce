import hashlib
import json

import pandas as pd
import pytest

from hocbench.datasets.splits import make_splits, write_splits
from hocbench.errors import SplitError
from tests.datasets.test_splits import COLUMNS, chats, films


@pytest.fixture
def index():
    """Six chats of two persons each."""
    return chats(6).assign(frame=[0, 1] * 12, valence=0.25, arousal=-0.5)


def write(folder, text):
    path = folder / "list.csv"
    path.write_text(text)
    return {"kind": "file", "path": str(path)}


SESSIONS = "session,part\nS000,train\nS001,train\nS002,validation\nS003,test\nS004,test\nS005,train\n"


def refusal(index, protocol):
    with pytest.raises(SplitError) as error:
        make_splits(index, protocol, 0)
    return str(error.value)


def test_a_list_of_sessions_places_all_their_clips(index, tmp_path):
    splits = make_splits(index, write(tmp_path, SESSIONS), 0)
    assert list(splits.columns) == COLUMNS
    assert splits["clip"].tolist() == sorted(index["clip"].unique())
    assert splits.groupby("part")["session"].unique().map(list).to_dict() == {
        "train": ["S000", "S001", "S005"],
        "validation": ["S002"],
        "test": ["S003", "S004"],
    }


@pytest.mark.parametrize("key", ["clip", "subject"])
def test_clips_and_subjects_can_be_listed_in_folds(tmp_path, key):
    index = films([1] * 6)
    names = sorted(index[key].unique())
    rows = [(fold, name, "test" if i // 2 == fold else "val" if i // 2 == (fold + 1) % 3 else "training")
            for fold in range(3) for i, name in enumerate(names)]  # fmt: skip
    text = f"fold,{key},part\n" + "".join(f"{fold},{name},{part}\n" for fold, name, part in rows)
    splits = make_splits(index, write(tmp_path, text), 0)
    assert sorted(splits["fold"].unique()) == [0, 1, 2]
    for fold, table in splits.groupby("fold"):
        assert table.set_index(key).loc[names[2 * fold], "part"] == "test"
        assert table["part"].value_counts().to_dict() == {"train": 2, "validation": 2, "test": 2}


def test_none_leaves_a_clip_out(index, tmp_path):
    splits = make_splits(index, write(tmp_path, SESSIONS.replace("S005,train", "S005,none")), 0)
    assert "S005" not in set(splits["session"])
    assert len(splits) == 10


def test_windows_lists_are_read(index, tmp_path):
    protocol = write(tmp_path, "")
    (tmp_path / "list.csv").write_bytes(b"\xef\xbb\xbf" + SESSIONS.replace("\n", "\r\n").encode())
    pd.testing.assert_frame_equal(make_splits(index, protocol, 0), make_splits(index, write(tmp_path, SESSIONS), 0))


def test_a_list_that_leaks_is_refused(index, tmp_path):
    parts = ["train"] * 11 + ["test"]
    text = "clip,part\n" + "".join(f"C{n:03d},{part}\n" for n, part in enumerate(parts))
    assert refusal(index, write(tmp_path, text)) == (
        "fold 0: session S005 is in test and train; a person may be on one side only, so split by subject or session"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", " is empty; "),
        ("clip\nC000\n", "has the columns clip and 1 rows; it needs part and one of clip, subject and session"),
        ("name,part\nC000,train\n", "has the columns name, part and 1 rows; it needs part and one of clip"),
        ("session,part\n", "has the columns session, part and 0 rows; it needs part and one of clip"),
        (SESSIONS.replace("validation", "dev"), "row 3: part 'dev' is none of train, validation, test and none"),
        (SESSIONS + "S000,train\n", "fold 0: session 'S000' is listed twice; keep one row"),
        (SESSIONS + "S9,train\n", "names S9, no session of the dataset; use its own ids"),
        ("session,part\nS000,train\n", "fold 0: 10 are not named: S001, S002"),
        (SESSIONS.replace("session,part", "fold,part").replace("S00", ""), "it needs part and one of clip"),
        ("session,part,fold\nS000,train,first\n", "row 1: fold is not a number; count folds from 0"),
    ],
)
def test_a_bad_list_is_named_with_its_fault(index, tmp_path, text, fault):
    protocol = write(tmp_path, text)
    if "10 are not named" in fault:
        fault = "fold 0: 5 are not named: S001, S002, S003, S004, S005; give each a part, or none to leave it out"
    found = refusal(index, protocol)
    assert fault in found
    assert protocol["path"] in found


def test_a_missing_list_is_named(index, tmp_path):
    assert refusal(index, {"kind": "file", "path": str(tmp_path / "absent.csv")}) == (
        f"split list {tmp_path / 'absent.csv'} cannot be read (No such file or directory); check split.path"
    )


def test_a_list_that_changed_since_the_plan_is_refused(index, tmp_path):
    protocol = write(tmp_path, SESSIONS)
    digest = hashlib.sha256(SESSIONS.encode()).hexdigest()
    make_splits(index, protocol | {"sha256": digest}, 0)
    write(tmp_path, SESSIONS.replace("S005,train", "S005,test"))
    assert refusal(index, protocol | {"sha256": digest}).endswith(
        "has changed since the runs were planned; start the workflow again"
    )


@pytest.fixture
def written(index, tmp_path):
    protocol = {"kind": "sessions", "ratio": [4, 1, 1]}
    splits = make_splits(index, protocol, 7)
    write_splits(index, splits, protocol, tmp_path / "out")
    return splits, tmp_path / "out"


def test_written_lists_hold_ids_and_hashes_and_no_label(written, index):
    splits, out = written
    table = pd.read_csv(out / "splits.csv")
    pd.testing.assert_frame_equal(table[COLUMNS], splits[COLUMNS], check_dtype=False)
    assert set(table["frames"]) == {2}
    about = json.loads((out / "splits.json").read_text())
    assert about["sha256"] == hashlib.sha256((out / "splits.csv").read_bytes()).hexdigest()
    assert about["protocol"] == {"kind": "sessions", "ratio": [4, 1, 1]}
    assert about["parts"]["fold 0"]["train"] == {"clips": 8, "subjects": 8, "frames": 16}
    text = (out / "splits.csv").read_text() + (out / "splits.json").read_text()
    assert "0.25" not in text
    assert "valence" not in text


def test_the_hash_of_a_clip_tells_other_labels_but_not_their_order(written, index, tmp_path):
    splits, out = written
    whole = pd.read_csv(out / "splits.csv")["sha256"]

    def again(changed):
        write_splits(changed, splits, {"kind": "sessions"}, tmp_path / "again")
        return pd.read_csv(tmp_path / "again" / "splits.csv")["sha256"]

    assert again(index.sample(frac=1, random_state=0)).equals(whole)
    assert again(index.assign(valence=index["valence"] + 1e-9)).equals(whole)
    other = index.copy()
    other.loc[0, "valence"] = 0.26
    assert (again(other) != whole).sum() == 1


def test_written_lists_name_what_was_left_out_and_can_be_given_again(index, tmp_path):
    protocol = write(tmp_path, SESSIONS.replace("S005,train", "S005,none"))
    splits = make_splits(index, protocol, 0)
    write_splits(index, splits, protocol, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "splits.csv")
    assert (table["part"] == "none").sum() == 2
    again = make_splits(index, {"kind": "file", "path": str(tmp_path / "out" / "splits.csv")}, 0)
    pd.testing.assert_frame_equal(again, splits, check_dtype=False)


def test_the_written_lists_of_another_laboratory_give_the_same_split(written, index):
    splits, out = written
    again = make_splits(index, {"kind": "file", "path": str(out / "splits.csv")}, 99)
    pd.testing.assert_frame_equal(again, splits, check_dtype=False)
