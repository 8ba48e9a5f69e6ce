"""Scores of a classification, against slow references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hocbench.errors import EvaluationError
from hocbench.metrics.classification import accuracy, auc, balanced_accuracy, brier, probabilities


def drawn(seed: int, units: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw classes, each at least once on both sides, and coarse logits, so that there are ties."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), np.arange(classes), rng.integers(classes, size=units)])
    logits = np.round(rng.normal(size=(len(truth), classes)), 1) + np.eye(classes)[truth]
    return truth, probabilities(logits)


@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(2, 4))
def test_auc_is_the_share_of_ordered_pairs(seed: int, units: int, classes: int) -> None:
    truth, chance = drawn(seed, units, classes)
    areas = []
    for place in range(classes):
        inside, outside = chance[truth == place, place], chance[truth != place, place]
        areas.append(np.mean([(a > b) + 0.5 * (a == b) for a in inside for b in outside]))
    expected = areas[1] if classes == 2 else np.mean(areas)
    assert auc(truth, chance) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(2, 4))
def test_other_scores_equal_loops_over_units(seed: int, units: int, classes: int) -> None:
    truth, chance = drawn(seed, units, classes)
    hits = [int(np.argmax(row)) == own for own, row in zip(truth, chance, strict=True)]
    recalls = [np.mean([hit for hit, own in zip(hits, truth, strict=True) if own == k]) for k in range(classes)]
    errors = [sum((p - (k == own)) ** 2 for k, p in enumerate(row)) for own, row in zip(truth, chance, strict=True)]
    assert accuracy(truth, chance) == pytest.approx(np.mean(hits))
    assert balanced_accuracy(truth, chance) == pytest.approx(np.mean(recalls))
    assert brier(truth, chance) == pytest.approx(np.mean(errors) / 2)
    if classes == 2:
        assert brier(truth, chance) == pytest.approx(np.mean((chance[:, 1] - truth) ** 2))


def test_a_certain_and_right_network_is_perfect() -> None:
    truth = np.array([0, 1, 2, 1])
    chance = np.eye(3)[truth]
    assert (auc(truth, chance), balanced_accuracy(truth, chance), accuracy(truth, chance)) == (1, 1, 1)
    assert brier(truth, chance) == 0


def test_large_logits_do_not_overflow() -> None:
    assert probabilities([[1000.0, 0.0]]).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("truth", "chance", "words"),
    [
        ([0, 1], [[0.5, 0.5]], "needs true classes"),
        ([], np.empty((0, 2)), "no units"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "Check the classes"),
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], "sum to 1"),
        ([0, 1], [[np.nan, 0.5], [0.5, 0.5]], "sum to 1"),
    ],
)
def test_what_is_no_classification_is_refused(truth: list, chance: list, words: str) -> None:
    with pytest.raises(EvaluationError, match=words):
        brier(truth, chance)


def test_auc_of_one_class_is_refused() -> None:
    with pytest.raises(EvaluationError, match="single class"):
        auc([1, 1], [[0.4, 0.6], [0.5, 0.5]])
