"""What the networks of a dataset predict: values on continuous scales, or a class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hocbench.errors import ParameterError

# The column of an index that holds the names of classes.
CLASS = "class"


@dataclass(frozen=True)
class Task:
    """A task, as adapters declare it and as training, evaluation and tables know it.

    Attributes
    ----------
    kind : {"affect", "classification"}
        *affect*: targets on continuous scales; every frame has a label of its own and is scored. *classification*:
        one of several classes; a whole clip (or an image) is scored, by the mean logits of its frames.
    targets : tuple of str
        Columns of labels in an index, and values of the column ``target`` in tables: names of the scales, or
        `CLASS` alone.
    ranges : tuple of (float, float)
        Smallest and largest value of each target of *affect*.
    classes : tuple of str
        Names of the classes, at least two; of two, the second is the one that is detected.
    """

    kind: Literal["affect", "classification"]
    targets: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...] = ()
    classes: tuple[str, ...] = ()

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Task":
        """Take a task out of parsed JSON, which has lists where a task has tuples."""
        ranges = tuple((low, high) for low, high in values["ranges"])
        return cls(values["kind"], tuple(values["targets"]), ranges, tuple(values["classes"]))

    @property
    def outputs(self) -> int:
        """Number of outputs of a network, per frame."""
        return len(self.classes) or len(self.targets)

    @property
    def output_columns(self) -> tuple[str, ...]:
        """Columns of predictions that hold the outputs: the targets, or ``logit_0`` and so on."""
        return tuple(f"logit_{place}" for place in range(len(self.classes))) or self.targets

    @property
    def truth_columns(self) -> tuple[str, ...]:
        """Columns of predictions that hold the labels; a class is held as its number."""
        return tuple(f"truth_{target}" for target in self.targets)

    def __str__(self) -> str:
        """Return what is predicted, in words."""
        ends = zip(self.targets, self.ranges, strict=False)
        return " or ".join(self.classes) or " and ".join(f"{name} in [{low:g}, {high:g}]" for name, (low, high) in ends)

    @property
    def unit(self) -> Literal["frame", "clip"]:
        """What is scored."""
        return "clip" if self.classes else "frame"


def affect(**ranges: tuple[float, float]) -> Task:
    """Make a task of continuous targets, by their names and ranges.

    >>> affect(valence=(-1, 1), arousal=(-1, 1)).targets
    ('valence', 'arousal')

    Raises
    ------
    ParameterError
        If there is no target, or a range is empty.
    """
    if not ranges or any(low >= high for low, high in ranges.values()):
        raise ParameterError(f"a task of affect needs targets with a lower and a larger upper end, not {ranges}")
    return Task("affect", tuple(ranges), tuple((float(low), float(high)) for low, high in ranges.values()))


def classification(*classes: str) -> Task:
    """Make a task of classes, by their names.

    >>> classification("benign", "malignant").outputs
    2

    Raises
    ------
    ParameterError
        If there are fewer than two classes, two of one name, or one without a name, which stands for no label.
    """
    if len(classes) < 2 or len(set(classes) - {""}) < len(classes):
        raise ParameterError(f"a classification needs at least two classes of different names, not {classes}")
    return Task("classification", (CLASS,), classes=tuple(classes))


VALENCE_AROUSAL = affect(valence=(-1, 1), arousal=(-1, 1))
