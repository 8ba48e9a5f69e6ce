"""Small finished reproductions, written by hand: result tables and the manifests of their runs."""

import copy
import csv
import hashlib
import io
import json
import random
from pathlib import Path

from hocbench.evaluation.files import write_seal
from hocbench.experiment import methods, records
from hocbench.experiment.description import KEY_COLUMNS, META, Description, RowKey
from hocbench.files.checksums import sealed

METHODS = STATIC, JOINT = ("static", "joint")
SMOOTHED = "static_smoothed"
TARGETS = ("valence", "arousal")
# Spread over the two seeds of sewa; afew_va has one seed, and affectnet nothing but sparsity.
SD = {STATIC: 0.01, JOINT: 0.03}
NOISE = 0.005  # between machines
MOVING = {
    **{"scores": ["value"], "intervals": ["mean"], "differences": ["difference", "low", "high"]},
    **{"windows": ["ccc_valence"], "history": ["validation_ccc_valence", "train_loss"]},
}
MANIFEST = {
    "label": "synthetic",
    "inputs": {"crops.json": "a" * 64, "parent": None, "parent_weights": None},
    "code": "0123456789abcdef",
    "environment": {
        "python": "3.11.7",
        "processor": "AMD EPYC",
        "machine": "x86_64",
        "torch": {"version": "2.13.0+cpu", "cpu_capability": "AVX2"},
    },
    "processors": ["AMD EPYC"],
    "device": "cpu",
    "threads": 1,
    "processes": 1,
    "attempts": 1,
    "deterministic": True,
    "nondeterministic": [],
}


NETWORK = {"factorization": "cp", "rank": "0.5", "lasso": "0", "ablation": ""}
DESCRIPTION = Description(
    profile="tiny",
    width=8,
    rank="0.5",
    factorization="cp",
    ranks=("0.5",),
    crop_size={},
    datasets=records.BUILT_IN,
    methods=methods.METHODS,
    rows=tuple(RowKey(dataset, method, "cp", "0.5") for dataset in ("sewa", "afew_va") for method in METHODS),
)


def row_of(dataset, method, **changes):
    """Return the key of a row, in the order of the columns."""
    row = {"dataset": dataset, "method": method} | NETWORK | changes
    return {name: row[name] for name in KEY_COLUMNS}


def text_of(rows):
    """Write rows as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


class Reproduction:
    """A finished results folder.

    Keyword arguments are parameters, by their key in a run's resolved slice; ``without`` names runs to leave out.
    """

    def __init__(self, folder: Path, without=(), **parameters):
        self.folder, self.description = folder, DESCRIPTION
        self.runs = {}  # (dataset, method, seed) -> directory
        spec = {"profile": "tiny", "root_seed": 7, "threads": 1, "processes": 1, "training": {"learning_rate": 0.1}}
        for key, value in parameters.items():
            *way, last = key.split(".")
            place = spec
            for part in way:
                place = place[part]
            place[last] = value
        for dataset, seeds in (("sewa", (0, 1)), ("afew_va", (0,))):
            for seed in seeds:
                for method in METHODS:
                    if (dataset, method, seed) not in without:
                        self._run(dataset, method, seed, copy.deepcopy(spec))
        self.tables = self._tables()
        self.write()

    def _run(self, dataset, method, seed, spec):
        key = {"dataset": dataset, "method": method, "factorization": "cp", "rank": 0.5, "lasso": 0.0, "ablation": ""}
        spec |= {"key": key | {"fold": 0, "seed": seed}, "parent": None}
        run = f"{method}-seed{seed}-{hashlib.sha256(json.dumps(spec).encode()).hexdigest()[:8]}"
        path = self.folder / "runs" / dataset / run
        path.mkdir(parents=True)
        self.runs[dataset, method, seed] = path
        manifest = copy.deepcopy(MANIFEST) | {"run": run, "spec": spec | {"run": run}}
        (path / "manifest.json").write_text(json.dumps(manifest))
        self.outputs(path)

    def outputs(self, path, content="same"):
        """Give a run its outputs, and its manifest their hashes."""
        names = ("weights.safetensors", "predictions.parquet", "cost.json")
        for name in names:
            (path / name).write_text(content)
        digest = hashlib.sha256(content.encode()).hexdigest()
        self.change(path, files=dict.fromkeys(names, digest))

    def change(self, path, **values):
        """Change the manifest of a run; a dot in a key is written as two underscores."""
        manifest = json.loads((path / "manifest.json").read_text())
        for key, value in values.items():
            *way, last = key.split("__")
            place = manifest
            for part in way:
                place = place[part]
            place[last] = value
        (path / "manifest.json").write_text(sealed(manifest))

    def _tables(self):
        tables = {name: [] for name in ("costs", "scores", "intervals", "differences", "history", "windows")}
        for (dataset, method, seed), path in self.runs.items():
            row = row_of(dataset, method)
            run = row | {"seed": str(seed), "fold": "0"}
            tables["costs"].append(run | {"run": path.name, "training_cpu_s": "1.5"})
            names = (method, SMOOTHED) if method == STATIC else (method,)
            for name in names:
                tables["scores"] += [run | {"method": name} | cell | {"label": "synthetic"} for cell in _scores(seed)]
            tables["history"].append(run | {"epoch": "1", "validation_ccc_valence": f"{0.4 + 0.02 * seed:g}"})
            tables["history"][-1] |= {"train_loss": f"{0.7 - 0.01 * seed:g}", "learning_rate": "0.1"}
            if method == STATIC:
                run |= {"method": SMOOTHED}
                for window in (1, 3):
                    score = f"{0.1 * window + 0.01 * seed:g}"
                    tables["windows"].append(run | {"window": str(window), "ccc_valence": score})
                    tables["windows"][-1] |= {"chosen": str(int(window == 3)), "label": "synthetic"}
            if seed == 0:
                spread = f"{SD[method]:g}" if dataset == "sewa" else ""
                shared = row | {"seed_sd": spread, "n_seeds": "2" if spread else "1", "label": "synthetic"}
                tables["intervals"] += [{**shared, **cell, "mean": cell["value"]} for cell in _scores(0)]
                [each.pop("value", None) for each in tables["intervals"]]
        tables["differences"] = [_difference("sewa"), _difference("afew_va")]
        tables["sparsity"] = [_sparsity(seed) for seed in (0, 1)]
        return tables

    def write(self):
        """Write the tables and their seal."""
        folder = self.folder / "evaluation"
        folder.mkdir(exist_ok=True)
        for name, rows in self.tables.items():
            if rows:
                (folder / f"{name}.csv").write_text(text_of(rows))
        (folder / META).write_text(self.description.text() + "\n")
        write_seal([META, *(f"{name}.csv" for name, rows in self.tables.items() if rows)], folder)
        (self.folder / "tables").mkdir(exist_ok=True)
        for name in ("sewa", "cost"):
            (self.folder / "tables" / f"{name}.md").write_text(f"# {name}\n")

    def put(self, table, column, value, number=0):
        """Plant a value into a row of a table."""
        self.tables[table][number][column] = value
        self.write()


def _scores(seed):
    return [
        {"target": target, "metric": "ccc", "pooling": "pooled", "value": f"{0.5 + 0.01 * seed:g}", "n_frames": "90"}
        for target in TARGETS
    ]


def _difference(dataset):
    row = row_of(dataset, JOINT) | {"reference": STATIC, "reference_ablation": ""}
    row |= {"target": "valence", "metric": "ccc", "difference": "0.1", "low": "0.05", "high": "0.15"}
    return row | {"effect_size": "2", "p": "0.01", "p_holm": "0.02", "n_clusters": "9", "label": "synthetic"}


def _sparsity(seed):
    row = {"dataset": "affectnet", "lasso": "0.05", "rank": "0.5", "seed": str(seed), "block": "layer1.0"}
    return row | {"components": "20", "zeros": str(10 + 2 * seed), "layer_effective_ranks": f"{10 - 2 * seed}"}


def laboratory(folder, number, **parameters):
    """A reproduction on another machine: its own bytes, and every score a little off."""
    made = Reproduction(folder, **parameters)
    for path in made.runs.values():
        processor = f"CPU {number}"
        made.change(path, environment__processor=processor, processors=[processor])
        made.outputs(path, f"bytes of {number}")
    rng = random.Random(number)
    for name, columns in MOVING.items():
        for row in made.tables[name]:
            for column in columns:
                row[column] = f"{float(row[column]) + rng.gauss(0, NOISE):.10g}"
    made.write()
    return made


def off(cells):
    """Rows of cells that are not identical."""
    return [tuple(row) for row in cells.loc[cells["outcome"] != "identical", ["table", "column", "outcome"]].values]
