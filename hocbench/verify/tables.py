"""Which result tables are compared, and how the columns of each are judged; a new table is one more entry."""

from collections.abc import Sequence
from dataclasses import dataclass

from hocbench.experiment.description import KEY_COLUMNS
from hocbench.metrics.records import PRIMARY

# A row of the evaluation belongs to a method by these; a table of one row per run has seed and fold besides.
PAIR = ("reference", "reference_ablation")
METHOD = KEY_COLUMNS
RUN = (*METHOD, "seed", "fold")
# They name a run in other words.
NAMES = ("run", "parent")


@dataclass(frozen=True)
class Table:
    """How one table is compared.

    Attributes
    ----------
    name, folder : str
        Name of the CSV file, and where below the results it lies.
    keys : tuple of str
        Columns that tell its rows apart.
    scored : tuple of str
        Numbers that training makes: their tolerance comes from the spread between laboratories.
    scored_like : tuple of str
        Beginnings of the names of further such columns, of which there are as many as a task has targets.
    like : tuple of str
        Keys in which cells of one column must agree to be like each other, so that their spreads are pooled.
    follows : tuple of str
        Choices, ratios and p values that follow from the scored columns of their row, and are judged with them.
    last : str
        Of a learning curve, the key whose largest value alone is compared: on the way, machines drift apart and meet
        again.
    exempt : tuple of str
        Columns that are not compared. Every other column has to be equal.
    """

    name: str
    keys: tuple[str, ...]
    scored: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    last: str = ""
    exempt: tuple[str, ...] = NAMES
    scored_like: tuple[str, ...] = ()
    folder: str = "evaluation"

    def is_scored(self, column: str) -> bool:
        """Whether a column holds numbers that training makes."""
        return column in self.scored or column.startswith(self.scored_like)

    def named(self, key: Sequence[str]) -> dict[str, str]:
        """Return the key of a row by the names of its columns."""
        return dict(zip(self.keys, key, strict=True))

    def block(self, key: Sequence[str]) -> tuple[str, ...]:
        """Name the method, or the pair of methods, that a row is of."""
        return tuple(text for name, text in self.named(key).items() if name in (*METHOD, *PAIR))

    @property
    def path(self) -> str:
        """Where it lies below the results."""
        return f"{self.folder}/{self.name}.csv"


CELL = ("target", "metric", "pooling")
DIFFERENCE_KEYS = (*METHOD, *PAIR, "target", "metric")
CLAIM_KEYS = ("claim", "dataset")
HOLM = "p_holm"  # it follows from all rows of a table
LOSSES = ("train_loss", "validation_loss")  # another loss may well lead to the same scores

TABLES = (
    Table("scores", (*RUN, *CELL), ("value",), (*METHOD, "metric")),
    Table("intervals", (*METHOD, *CELL), ("mean", "low", "high", "seed_sd"), (*METHOD, "metric")),
    Table(
        "differences",
        DIFFERENCE_KEYS,
        ("difference", "low", "high"),
        (*METHOD, *PAIR, "metric"),
        follows=("effect_size", "p"),
        exempt=(*NAMES, HOLM),
    ),
    # Numbers that differ follow from the scores of the same seed, which stand above; the rows have to be the same.
    Table("seed_intervals", (*METHOD, "seed", *CELL), exempt=(*NAMES, "mean", "low", "high", "note")),
    Table("seed_differences", (*DIFFERENCE_KEYS, "seed"), exempt=(*NAMES, "difference", "low", "high", "effect_size")),
    Table(
        "trends",
        (*METHOD, "axis", "target", "metric"),
        ("slope", "low", "high"),
        (*METHOD, "axis", "metric"),
        follows=("p",),
        exempt=(*NAMES, HOLM),
    ),
    Table(
        "sparsity",
        ("dataset", "rank", "lasso", "seed", "block"),
        ("zeros", "zero_share", "removed"),
        ("dataset", "rank", "lasso", "block"),
        exempt=(*NAMES, "layer_effective_ranks"),  # how the zeros of a block are shared by its layers
    ),
    Table(
        "history",
        (*RUN, "epoch"),
        LOSSES,
        METHOD,
        last="epoch",
        exempt=(*NAMES, "kept", "static_level"),  # which epoch is kept follows from the scores
        scored_like=("validation_",),
    ),
    Table("windows", (*RUN, "window"), ("mean_ccc",), METHOD, follows=("chosen",), scored_like=("ccc_",)),
    Table("quadrants", (*METHOD, "seed", "quadrant"), (), METHOD, scored_like=("rmse_",)),
    Table("factors", (*RUN, "layer", "tap"), ("mean", "q10", "q90"), (*METHOD, "layer")),
    Table("counts", (*RUN, "part", "status")),
)
CLAIMS = Table("claims", CLAIM_KEYS, folder="claims")  # judged as conclusions, not cell by cell
# What tells whether the tables of a folder are as they were written.
SEALS = {"evaluation": "files.json", "claims": "claims.json"}
# The table of costs and the page made of it: never the same twice (the fourth rule of evidence).
EXEMPT = ("costs", "cost")


def is_headline(table: Table, key: Sequence[str], column: str) -> bool:
    """Whether a cell counts by itself: a mean primary score, which claims and tables show, or the last loss."""
    keys = table.named(key)
    mean = (table.name, column, keys.get("pooling")) == ("intervals", "mean", "pooled")
    return (mean and keys["metric"] in PRIMARY.values()) or (table.name, column) == ("history", LOSSES[0])
