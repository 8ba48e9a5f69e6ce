import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hocbench.datasets.splits import PARTS, check_splits, make_splits
from hocbench.errors import SplitError

COLUMNS = ["fold", "clip", "subject", "session", "part"]
quick = settings(max_examples=25, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32)


def index_of(clips, frames=2):
    """Build the rows of an index from (clip, subject, session, split)."""
    table = pd.DataFrame(clips, columns=["clip", "subject", "session", "split"])
    return table.loc[table.index.repeat(frames)].reset_index(drop=True)


def chats(sessions):
    return index_of([(f"C{n:03d}", f"P{n:03d}", f"S{n // 2:03d}", "") for n in range(2 * sessions)])


def films(clips_per_actor):
    owners = [actor for actor, count in enumerate(clips_per_actor) for _ in range(count)]
    return index_of([(f"{n:03d}", f"actor {actor}", "", "") for n, actor in enumerate(owners)])


def stills(training, validation):
    names = [("training", n) for n in range(training)] + [("validation", n) for n in range(validation)]
    return index_of([(f"{split}{n:04d}", f"{split}{n:04d}", "", split) for split, n in names], frames=1)


def assert_sound(splits, index, folds):
    """Check what holds for every protocol."""
    assert list(splits.columns) == COLUMNS
    assert sorted(splits["fold"].unique()) == list(range(folds))
    clips = sorted(index["clip"].unique())
    for _, fold in splits.groupby("fold"):
        assert fold["clip"].to_list() == clips
        assert set(fold["part"]) == set(PARTS)
        for column in ("subject", "session"):
            known = fold[fold[column] != ""]
            assert (known.groupby(column)["part"].nunique() <= 1).all()


@quick
@given(sessions=st.integers(10, 40), ratio=st.sampled_from([[8, 1, 1], [7, 1, 2], [0.5, 0.25, 0.25]]), seed=seeds)
def test_sessions_are_never_on_two_sides_and_keep_the_ratio(sessions, ratio, seed):
    index = chats(sessions)
    splits = make_splits(index, {"kind": "sessions", "ratio": ratio}, seed)
    assert_sound(splits, index, 1)
    for part, share in zip(PARTS, ratio, strict=True):
        count = splits.loc[splits["part"] == part, "session"].nunique()
        assert abs(count - share / sum(ratio) * sessions) <= 1


@quick
@given(counts=st.lists(st.integers(1, 9), min_size=12, max_size=30), folds=st.integers(2, 5), seed=seeds)
def test_each_actor_is_tested_once_and_the_folds_are_balanced(counts, folds, seed):
    index = films(counts)
    splits = make_splits(index, {"kind": "subjects", "folds": folds, "validation_share": 0.2}, seed)
    assert_sound(splits, index, folds)
    test = splits[splits["part"] == "test"]
    assert sorted(test["clip"]) == sorted(index["clip"].unique())
    assert (test.groupby("subject")["fold"].nunique() == 1).all()
    sizes = test["fold"].value_counts()
    assert sizes.max() - sizes.min() <= max(counts)
    for _, fold in splits.groupby("fold"):
        people = fold.groupby("part")["subject"].nunique()
        assert abs(people["validation"] - 0.2 * (people["train"] + people["validation"])) <= 0.5


@quick
@given(training=st.integers(4, 60), validation=st.integers(1, 20), share=st.sampled_from([0.1, 0.25, 0.5]), seed=seeds)
def test_the_official_validation_list_is_the_test_part(training, validation, share, seed):
    index = stills(training, validation)
    splits = make_splits(index, {"kind": "official", "validation_share": share}, seed)
    assert_sound(splits, index, 1)
    test = splits.loc[splits["part"] == "test", "clip"]
    assert sorted(test) == sorted(index.loc[index["split"] == "validation", "clip"])
    assert (splits["part"] == "validation").sum() == max(1, round(share * training))


PROTOCOLS = {
    "sessions": ({"kind": "sessions", "ratio": [7, 1, 2]}, chats(12)),
    "subjects": ({"kind": "subjects", "folds": 3, "validation_share": 0.2}, films([3, 1, 2, 5, 1, 1, 2, 2, 4])),
    "official": ({"kind": "official", "validation_share": 0.2}, stills(20, 5)),
}


@pytest.mark.parametrize("kind", PROTOCOLS)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(order=st.randoms(use_true_random=False), seed=seeds)
def test_splits_do_not_depend_on_the_order_of_the_rows(kind, order, seed):
    protocol, index = PROTOCOLS[kind]
    rows = list(range(len(index)))
    order.shuffle(rows)
    pd.testing.assert_frame_equal(make_splits(index.iloc[rows], protocol, seed), make_splits(index, protocol, seed))


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_the_root_seed_and_the_seed_of_the_protocol_change_the_splits(kind):
    protocol, index = PROTOCOLS[kind]
    base = make_splits(index, protocol, 1)["part"]
    assert not make_splits(index, protocol, 2)["part"].equals(base)
    assert not make_splits(index, protocol | {"seed": 1}, 1)["part"].equals(base)
    assert make_splits(index, protocol | {"seed": 0}, 1)["part"].equals(base)


def test_a_subject_of_two_sessions_cannot_be_split_by_session():
    index = index_of([(f"C{n}", "P7" if n < 12 else f"P{n}", f"S{n}", "") for n in range(20)])
    with pytest.raises(SplitError, match=r"^fold 0: subject P7 is in .*; a person may be on one side only"):
        make_splits(index, {"kind": "sessions", "ratio": [1, 1, 1]}, 0)


def table(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


GOOD = (
    (0, "a", "P1", "S1", "train"),
    (0, "b", "P2", "S2", "validation"),
    (0, "c", "P3", "S3", "test"),
)


def test_splits_without_leak_are_accepted():
    check_splits(table(*GOOD, (0, "d", "P1", "S1", "train"), (0, "e", "", "", "test"), (0, "f", "", "", "train")))


def test_a_subject_may_change_sides_between_folds():
    check_splits(table(*GOOD, *((1, clip, *rest, PARTS[2 - i]) for i, (_, clip, *rest, _) in enumerate(GOOD))))


def test_a_leaked_subject_is_named_with_its_parts():
    with pytest.raises(SplitError) as error:
        check_splits(table(*GOOD, (0, "d", "P1", "S9", "test")))
    assert str(error.value) == (
        "fold 0: subject P1 is in test and train; a person may be on one side only, so split by subject or session"
    )


def test_a_leaked_session_is_named_with_its_parts():
    second = [(1, *row[1:]) for row in GOOD]
    with pytest.raises(SplitError) as error:
        check_splits(table(*GOOD, *second, (1, "d", "P4", "S3", "validation")))
    assert str(error.value).startswith("fold 1: session S3 is in test and validation; a person may be on one side")


@pytest.mark.parametrize("part", PARTS)
def test_an_empty_part_is_named(part):
    with pytest.raises(SplitError) as error:
        check_splits(table(*(row for row in GOOD if row[-1] != part)))
    assert str(error.value) == f"fold 0: the {part} part is empty (2 subjects in all); use more data or other shares"


@pytest.mark.parametrize(
    ("index", "protocol", "part", "subjects"),
    [
        (chats(2), {"kind": "sessions", "ratio": [8, 1, 1]}, "validation", 4),
        (films([4, 4]), {"kind": "subjects", "folds": 2, "validation_share": 0.2}, "train", 2),
        (films([4, 4, 1]), {"kind": "subjects", "folds": 5, "validation_share": 0.2}, "test", 3),
        (stills(1, 3), {"kind": "official", "validation_share": 0.1}, "train", 4),
        (stills(8, 0), {"kind": "official", "validation_share": 0.1}, "test", 8),
    ],
)
def test_too_few_subjects_leave_a_part_empty(index, protocol, part, subjects):
    with pytest.raises(SplitError, match=rf"the {part} part is empty \({subjects} subjects in all\)"):
        make_splits(index, protocol, 0)
