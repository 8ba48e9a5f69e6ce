"""Which result tables are compared, and how the columns of each are judged; a new table is one more entry."""

from dataclasses import dataclass

# A row of the evaluation belongs to a method by these; a table of one row per run has seed and fold besides.
METHOD = ("dataset", "method", "rank", "lasso", "variant")
RUN = (*METHOD, "seed", "fold")
# Tables written before these columns existed mean "" by their absence.
OPTIONAL = ("variant", "reference_variant")
# They name a run or a method in other words, or say what it was trained with.
NAMES = ("run", "kind", "stage", "order", "parent")
INTERVALS = "intervals"


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
        Numbers that training makes: their tolerance comes from the spread over seeds.
    spread : "intervals", "seeds" or ""
        Where that spread is found: ``seed_sd`` of intervals.csv, or the table's own rows of several seeds.
    peers : tuple of str
        Columns in which another method must agree to lend its spread to a row of one seed.
    follows : tuple of str
        Choices and ratios that follow from the scored columns of their row, and are judged with them.
    conclusions : tuple of str
        p values: what counts is the side of 0.05.
    exempt : tuple of str
        Columns that are not compared. Every other column has to be equal.
    """

    name: str
    keys: tuple[str, ...]
    scored: tuple[str, ...] = ()
    spread: str = ""
    peers: tuple[str, ...] = ("dataset",)
    follows: tuple[str, ...] = ()
    conclusions: tuple[str, ...] = ()
    exempt: tuple[str, ...] = NAMES
    folder: str = "evaluation"

    @property
    def path(self) -> str:
        """Where it lies below the results."""
        return f"{self.folder}/{self.name}.csv"


CELL = ("target", "metric", "pooling")
CELL_PEERS = ("dataset", *CELL)
P_VALUES = ("p", "p_holm")
VALIDATION = tuple(f"validation_{metric}_{target}" for metric in ("ccc", "rmse") for target in ("valence", "arousal"))

TABLES = (
    Table("scores", (*RUN, *CELL), ("value",), INTERVALS, CELL_PEERS),
    Table("intervals", (*METHOD, *CELL), ("mean", "low", "high", "seed_sd"), INTERVALS, CELL_PEERS),
    Table(
        "differences",
        (*METHOD, "reference", "reference_variant", "target", "metric"),
        ("difference", "low", "high"),
        INTERVALS,
        CELL_PEERS,
        follows=("effect_size",),
        conclusions=P_VALUES,
    ),
    Table(
        "trends",
        (*METHOD, "axis", "target", "metric"),
        ("slope", "low", "high"),
        INTERVALS,
        CELL_PEERS,
        conclusions=P_VALUES,
    ),
    Table(
        "sparsity",
        ("dataset", "rank", "lasso", "variant", "seed", "block"),
        ("zeros", "zero_share", "removed"),
        "seeds",
        ("dataset", "lasso"),
        follows=("layer_effective_ranks",),
    ),
    Table(
        "history",
        (*RUN, "epoch"),
        VALIDATION,
        "seeds",
        # Losses have no unit that is comparable between stages, and which epoch is kept follows from the scores.
        exempt=(*NAMES, "train_loss", "validation_loss", "kept", "static_level"),
    ),
    Table(
        "windows",
        (*RUN, "window"),
        ("ccc_valence", "ccc_arousal", "mean_ccc"),
        "seeds",
        follows=("chosen",),
    ),
    Table("quadrants", (*METHOD, "seed", "quadrant"), ("rmse_valence", "rmse_arousal"), "seeds"),
    Table("factors", (*RUN, "layer", "tap"), ("mean", "q10", "q90"), "seeds"),
    Table("counts", (*RUN, "part", "status")),
    # Their words quote numbers, which the other tables are there for.
    Table(
        "claims",
        ("claim", "dataset"),
        exempt=("title", "statement", "reason", "would_change", "protocol", "source"),
        folder="claims",
    ),
)
# What tells whether the tables of a folder are as they were written.
SEALS = {"evaluation": "files.json", "claims": "claims.json"}
# The table of costs and the page made of it: never the same twice (the fourth rule of evidence).
EXEMPT = ("costs", "cost")
