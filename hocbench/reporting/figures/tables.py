"""What all figures are drawn from: the tables of an evaluation, each read once, and the names of their rows."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.evaluation.files import check_table, read_table
from hocbench.experiment.description import KEY_COLUMNS, RowKey, read_description
from hocbench.experiment.methods import CLIPS, IMAGES, METHODS
from hocbench.experiment.records import Dataset
from hocbench.experiment.tasks import VALENCE_AROUSAL
from hocbench.metrics.records import primary
from hocbench.reporting.style import data_label, look
from hocbench.reporting.text import row_name

# Colour (number in `COLOURS`) and marker of a dot beside the name of a row, by order of a factorized network.
FACTORIZED, DENSE, OWN = {2: (0, "o"), 3: (2, "^")}, (1, "s"), (6, "D")


class Tables:
    """An evaluation.

    Parameters
    ----------
    folder : Path
        Folder written by `hocbench.evaluation.evaluate`.

    Attributes
    ----------
    description : Description
        Datasets, methods and the main rank.

    Raises
    ------
    EvaluationError
        If there is no evaluation in the folder; a table that is missing or damaged is an error when it is read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description = read_description(folder)
        self._tables: dict[str, pd.DataFrame] = {}

    def load(self, name: str) -> pd.DataFrame:
        """Read a CSV table, named without ".csv"; all callers get the same one, so they must not change it."""
        if name not in self._tables:
            self._tables[name] = read_table(self.folder / f"{name}.csv")
        return self._tables[name]

    def load_frames(self, name: str) -> pd.DataFrame:
        """Read a Parquet table, named without ".parquet"."""
        path = self.folder / f"{name}.parquet"
        check_table(path)
        return pd.read_parquet(path)

    def main(self, table: pd.DataFrame, *, ablated: bool = False) -> pd.DataFrame:
        """Select the rows that stand for the paper's: of the main rank or of none, and of no ablation.

        Parameters
        ----------
        table : DataFrame
            With all columns of a key.
        ablated : bool
            Whether the ablations are selected too.
        """
        keys = [RowKey(*key) for key in table[list(KEY_COLUMNS)].itertuples(index=False)]
        shown = [self.description.is_main(replace(key, ablation="") if ablated else key) for key in keys]
        return table[pd.Series(shown, index=table.index, dtype=bool)]

    def primary_scores(self) -> pd.DataFrame:
        """Return the primary scores of all test frames with their intervals, a row per network and target."""
        table = self.primary(self.load("intervals"))
        return table[table["pooling"] == "pooled"]

    def primary(self, table: pd.DataFrame) -> pd.DataFrame:
        """Select the rows of the primary metric of each dataset's task, of which more is better."""
        metrics = {name: primary(dataset.task.kind).id for name, dataset in self.description.datasets.items()}
        return table[table["metric"] == table["dataset"].map(metrics)]

    def targets_of(self, table: pd.DataFrame) -> dict[str, str]:
        """List the targets of the datasets of a table, each with the title of its primary metric."""
        tasks = [self.description.datasets[name].task for name in self.datasets_of(table)]
        return {target: primary(task.kind).title for task in tasks for target in task.targets}

    def metric_words(self, table: pd.DataFrame) -> str:
        """Name the primary metrics of the datasets of a table: "CCC", or "CCC or AUC"."""
        return " or ".join(dict.fromkeys(self.targets_of(table).values()))

    def without_plane(self) -> str:
        """Name the datasets that a figure of valence and arousal has to leave out, as a sentence; "" for none."""
        others = [each.title for each in self.description.datasets.values() if each.task != VALENCE_AROUSAL]
        if not others:
            return ""
        return f" Left out, having no valence and arousal: {', '.join(others)}."

    def with_costs(self, scores: pd.DataFrame, costs: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        """Add mean costs of each network; one that averages the outputs of another costs as much as that.

        Parameters
        ----------
        scores, costs : DataFrame
            With all columns of a key.
        columns : sequence of str
            Columns of costs.
        """
        keys = ["network", *(column for column in KEY_COLUMNS if column != "method")]
        sources = {method.id: method.averages or method.id for method in self.description.methods.values()}
        sizes = costs.assign(network=costs["method"]).groupby(keys)[list(columns)].mean().reset_index()
        return scores.assign(network=scores["method"].map(sources)).merge(sizes, on=keys, how="left")

    @property
    def clips_shown(self) -> Dataset | None:
        """The dataset of the figures that show one of clips: the first that is no control."""
        datasets = self.description.datasets.values()
        return next((each for each in datasets if each.role == CLIPS and not each.control_of), None)

    def of_images(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows of datasets of images."""
        return table["dataset"].isin([each.name for each in self.description.datasets.values() if each.role == IMAGES])

    def datasets_of(self, table: pd.DataFrame) -> list[str]:
        """Datasets of a table in the order in which they are shown."""
        return [name for name in self.description.datasets if name in set(table["dataset"])]

    def dataset_title(self, name: str) -> str:
        """Return what people read for a dataset."""
        return self.description.datasets[name].title

    def method_title(self, method: str) -> str:
        """Return what people read for a method of the main factorization."""
        return self.description.methods[method].named(self.description.factorization)

    def name(self, row: Any, several_ranks: bool, *, ablated: bool = True) -> str:
        """Name a network by its method and what tells it from others: LASSO weight, rank, ablation.

        Parameters
        ----------
        row : row of a table
            With all columns of a key.
        several_ranks : bool
            Whether the rank has to be said.
        ablated : bool
            Whether the ablation has to be said.
        """
        key = RowKey.read(row)
        return row_name(key if ablated else replace(key, ablation=""), self.description, several_ranks=several_ranks)

    def place(self, method: str) -> int:
        """Place of a method in the order of legends."""
        return list(self.description.methods).index(method)

    def look(self, method: str) -> dict[str, Any]:
        """Colour, marker and dash of a method, as arguments of a drawing call."""
        return look(self.description.methods[method])

    def family(self, method: str) -> tuple[int, str]:
        """Colour (number in `COLOURS`) and marker of what a method is: 2-D, 3-D, dense, or a network of the user's."""
        record = self.description.methods[method]
        if record.is_factorized:
            return FACTORIZED[record.order]
        return DENSE if method in METHODS else OWN

    def label_of(self, datasets: Iterable[str] = ()) -> str:
        """Say what kind of data some datasets hold, by default all."""
        costs = self.load("costs")
        own = costs[costs["dataset"].isin(list(datasets))]
        labels = set((own if len(own) else costs)["label"])
        return " and ".join(label for label in ("synthetic", "real") if label in labels)

    def heading(self, rows: pd.DataFrame) -> str:
        """Name the dataset of some rows and say what kind of data it holds."""
        return f"{self.dataset_title(rows['dataset'].iloc[0])}, {data_label(str(rows['label'].iloc[0]))}"

    def panel_title(self, rows: pd.DataFrame, panels: int) -> str:
        """Write a heading for a panel; on two lines where panels are narrow."""
        heading, name = self.heading(rows), self.dataset_title(rows["dataset"].iloc[0])
        narrow = panels > 3 or (panels == 3 and " " in name)
        return heading.replace(f"{name}, ", f"{name},\n", 1) if narrow else heading

    def sample(self, rows: pd.DataFrame, part: str | None = "test") -> str:
        """Say from how many frames, clusters and seeds a figure is drawn, and whether they are synthetic.

        Parameters
        ----------
        rows : DataFrame
            What is drawn: columns dataset, and seed or n_seeds.
        part : {"test", "validation"}, optional
            Part of the data; None where only what was trained is drawn, not what was predicted.

        Returns
        -------
        str
            For example "SEWA, SYNTHETIC data: 1280 test frames of 40 subjects, 2 seeds."
        """
        counts, intervals = self.load("counts"), self.load("intervals")
        words = []
        for name in self.datasets_of(rows):
            dataset, own = self.description.datasets[name], counts[counts["dataset"] == name]
            text = f"{self.heading(own)}: "
            if part:
                networks = own[own["part"] == part].groupby([*KEY_COLUMNS, "seed"])
                text += f"{networks['scored'].sum().max()} {part} {dataset.frames}"
                clusters = intervals.loc[intervals["dataset"] == name, "n_clusters"].max()
                has_clusters = part == "test" and dataset.cluster != "image"
                text += f" of {clusters} {dataset.cluster}s, " if has_clusters else ", "
            folds = own["fold"].nunique()
            words.append(text + _seeds(rows[rows["dataset"] == name]) + (f", {folds} folds" if folds > 1 else ""))
        return "; ".join(words) + "."

    def interval_words(self, rows: pd.DataFrame) -> str:
        """Say what the 95 % intervals of a table are over: "subjects", or "subjects and seeds (AffectNet: images)"."""
        kinds = {name: " or ".join(sorted(set(own["interval"]) - {""})) for name, own in rows.groupby("dataset")}
        images = {name for name in kinds if self.description.datasets[str(name)].cluster == "image"}
        others = sorted({kind for name, kind in kinds.items() if name not in images and kind})
        if not others:
            return f"95 % intervals are over {' or '.join(sorted(set(kinds.values()))) or 'subjects'}"
        exceptions = [f"{self.dataset_title(name)}: {kinds[name]}" for name in self.datasets_of(rows) if name in images]
        return f"95 % intervals are over {' or '.join(others)}" + (f" ({'; '.join(exceptions)})" if exceptions else "")


def several_ranks(table: pd.DataFrame) -> bool:
    """Whether the networks of a table have different ranks."""
    return bool(table.loc[table["rank"] != "", "rank"].nunique() > 1)


def rank_order(rank: str) -> float:
    """Sort ranks by their size; "same" is a multiple of one."""
    return 1.0 if rank == "same" else float(rank)


def _seeds(rows: pd.DataFrame) -> str:
    if "n_seeds" in rows:
        low, high = int(rows["n_seeds"].min()), int(rows["n_seeds"].max())
    else:
        low = high = rows["seed"].nunique()
    return f"{low if low == high else f'{low} to {high}'} seed{'' if high == 1 else 's'}"
