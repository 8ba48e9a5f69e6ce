"""Tasks: what networks predict."""

import json
from dataclasses import asdict

import pytest

from hocbench.errors import ParameterError
from hocbench.experiment.tasks import VALENCE_AROUSAL, Task, affect, classification


def test_affect_has_an_output_per_target() -> None:
    assert VALENCE_AROUSAL.outputs == 2
    assert VALENCE_AROUSAL.output_columns == ("valence", "arousal")
    assert VALENCE_AROUSAL.truth_columns == ("truth_valence", "truth_arousal")
    assert VALENCE_AROUSAL.unit == "frame"


def test_a_classification_has_a_logit_per_class() -> None:
    task = classification("low", "middle", "high")
    assert task.outputs == 3
    assert task.output_columns == ("logit_0", "logit_1", "logit_2")
    assert task.truth_columns == ("truth_class",)
    assert task.unit == "clip"


def test_a_task_says_in_words_what_it_predicts() -> None:
    assert str(affect(joy=(0, 10), fear=(-0.5, 1))) == "joy in [0, 10] and fear in [-0.5, 1]"
    assert str(classification("calm", "moved")) == "calm or moved"


def test_a_task_without_anything_to_predict_is_refused() -> None:
    with pytest.raises(ParameterError, match="needs targets"):
        affect()
    with pytest.raises(ParameterError, match="larger upper end"):
        affect(joy=(1, 0))
    for classes in ((), ("one",), ("a", "a"), ("a", "")):
        with pytest.raises(ParameterError, match="at least two classes"):
            classification(*classes)


@pytest.mark.parametrize("task", [VALENCE_AROUSAL, affect(joy=(0, 10)), classification("calm", "moved")])
def test_a_task_comes_back_from_json(task: Task) -> None:
    assert Task.read(json.loads(json.dumps(asdict(task)))) == task
