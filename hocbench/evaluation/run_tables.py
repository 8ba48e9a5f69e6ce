"""Tables that carry over what the runs recorded: histories, costs, sparsity, frame counts, timelines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hocbench.evaluation.files import share, sorted_table
from hocbench.experiment.description import KEY_COLUMNS, Description
from hocbench.experiment.methods import CLIPS
from hocbench.experiment.tasks import VALENCE_AROUSAL
from hocbench.runs.finished import TARGETS, Run

AXES_COLUMNS = [*KEY_COLUMNS, "seed", "fold", "run", "label"]
SPARSITY_COLUMNS = [
    *("dataset", "lasso", "rank", "seed", "block", "components", "zeros", "zero_share", "label"),
    *("layer_ranks", "layer_effective_ranks", "parameters", "removed", "network_parameters"),
]
COUNT_COLUMNS = [*AXES_COLUMNS, "part", "status", "frames", "scored"]
TIMELINE_COLUMNS = ["dataset", "method", "seed", "clip", "frame", "target", "truth", "prediction"]
COST_COLUMNS = [
    *("parameters", "multiply_adds", "training_cpu_s", "gpu_s", "peak_memory_mib", "samples_per_s", "epochs"),
    *("wall_s", "steps_s", "waiting_s", "peak_gpu_memory_mib", "attempts", "parent"),
]


def axes_of(run: Run) -> dict[str, Any]:
    """Spell out what distinguishes a run, one value per column of `AXES_COLUMNS`."""
    return vars(run.row) | {"seed": run.key.seed, "fold": run.key.fold, "run": run.name, "label": run.label}


def histories(runs: Sequence[Run]) -> pd.DataFrame:
    """Join the histories of all runs: `AXES_COLUMNS`, then a run's own columns; a row per run and epoch."""
    parts = []
    for run in runs:
        history = run.history
        for column, value in reversed(axes_of(run).items()):
            history.insert(0, column, value)
        parts.append(history)
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values([*AXES_COLUMNS, "epoch"], kind="stable", ignore_index=True)


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """Join the costs of all runs: `AXES_COLUMNS` and `COST_COLUMNS`; a row per run, with the id of its parent."""
    rows = []
    for run in runs:
        known = {"attempts": run.attempts, "parent": run.spec.parent or ""}
        rows.append(axes_of(run) | {column: run.cost.get(column) for column in COST_COLUMNS} | known)
    return sorted_table(rows, AXES_COLUMNS + COST_COLUMNS)


def frame_counts(runs: Sequence[Run]) -> pd.DataFrame:
    """Count frames by run, part and status.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs.

    Returns
    -------
    DataFrame
        `COUNT_COLUMNS`: `frames` were predicted or given up, `scored` of them enter the scores.
    """
    rows = []
    for run in runs:
        table, task = run.predictions(), run.spec.task
        values = table[[*task.output_columns, *task.truth_columns]].to_numpy(np.float64)
        table["scored"] = np.isfinite(values).all(axis=1)
        for (part, status), group in table.groupby(["part", "status"]):
            counts = {"part": part, "status": status, "frames": len(group), "scored": int(group["scored"].sum())}
            rows.append(axes_of(run) | counts)
    return sorted_table(rows, COUNT_COLUMNS)


def sparsity(runs: Sequence[Run]) -> pd.DataFrame:
    """Count the CP components whose weight λ is exactly zero, by residual block.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs; the factorized LASSO runs are used, and the static ones on images as LASSO 0, no ablations.

    Returns
    -------
    DataFrame
        `SPARSITY_COLUMNS`. Of several folds the first is shown. layer_ranks and layer_effective_ranks are those of
        the block's layers, joined by "+"; parameters are those of its factorized layers, removed those of its zero
        components, network_parameters those of the whole network.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    first_folds: dict[tuple[Any, ...], int] = {}
    for run in runs:
        row_key = run.row
        # On clips, a static run only tests a network that was trained on images.
        trained = row_key.method == "lasso" or (row_key.method == "static" and run.spec.training.epochs)
        if row_key.factorization != "cp" or row_key.ablation or not trained:
            continue
        key = (row_key.dataset, row_key.lasso, row_key.rank, run.key.seed)
        if first_folds.setdefault(key, run.key.fold) != run.key.fold:
            continue
        for layer in run.network["layers"]:
            if layer["kind"] != "cp":
                continue
            names = dict(zip(("dataset", "lasso", "rank", "seed"), key, strict=True))
            empty = names | dict.fromkeys(("components", "zeros", "parameters", "removed"), 0)
            empty |= {"block": str(layer["block"]), "label": run.label, "layer_ranks": "", "layer_effective_ranks": ""}
            empty["network_parameters"] = run.cost["parameters"]
            row = rows.setdefault((*key, layer["block"]), empty)
            _add_layer(row, layer, _component_size(layer, run.network["config"]))
    for row in rows.values():
        row["zero_share"] = share(row["zeros"], row["components"])
    return sorted_table(list(rows.values()), SPARSITY_COLUMNS)


def _component_size(layer: dict[str, Any], config: dict[str, Any]) -> int:
    """Count the parameters of one component: its λ, a column of each factor, two of an inner BatchNorm."""
    size = 1 + layer["in_channels"] + layer["out_channels"] + sum(layer["kernel_size"])
    return int(size + (2 if config.get("inner_activation") else 0))


def _add_layer(row: dict[str, Any], layer: dict[str, Any], size: int) -> None:
    rank, zeros = int(layer["rank"]), int(layer["zeros"])
    for column, number in (("layer_ranks", rank), ("layer_effective_ranks", rank - zeros)):
        row[column] += f"{'+' if row[column] else ''}{number}"
    sums = {"components": rank, "zeros": zeros, "parameters": rank * size, "removed": zeros * size}
    for column, number in sums.items():
        row[column] += number


def choose_clips(frames: pd.DataFrame, count: int) -> list[str]:
    """Choose the clips whose labels vary most, of equals the first by name.

    Parameters
    ----------
    frames : DataFrame
        Scored frames with clip and both labels.
    count : int
        Number of clips.

    Returns
    -------
    list of str
        At most `count` names, sorted.
    """
    variances = frames.groupby("clip")[[f"truth_{target}" for target in TARGETS]].var(ddof=0).sum(axis=1)
    ranked = sorted(variances.items(), key=lambda item: (-item[1], str(item[0])))
    return sorted(str(clip) for clip, _ in ranked[:count])


def timelines(outputs: Sequence[tuple[str, Run, pd.DataFrame]], clips: int = 3) -> pd.DataFrame:
    """Lay out labels and outputs of a few clips frame by frame.

    Parameters
    ----------
    outputs : sequence of (str, Run, DataFrame)
        Method id, run and its scored test frames; all of one dataset, fold and seed.
    clips : int
        Number of clips.

    Returns
    -------
    DataFrame
        `TIMELINE_COLUMNS`, a row per method, clip, frame and target; no rows without outputs.
    """
    parts = []
    chosen = choose_clips(outputs[0][2], clips) if outputs else []
    for method, run, frames in outputs:
        frames = frames[frames["clip"].isin(chosen)]
        for target in TARGETS:
            part = frames[["clip", "frame"]].assign(
                dataset=run.key.dataset,
                method=method,
                seed=run.key.seed,
                target=target,
                truth=frames[f"truth_{target}"].astype(np.float64),
                prediction=frames[target].astype(np.float64),
            )
            parts.append(part[TIMELINE_COLUMNS])
    if not parts:
        return pd.DataFrame(columns=TIMELINE_COLUMNS)
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values(TIMELINE_COLUMNS[:6], kind="stable", ignore_index=True)


def timeline_runs(runs: Sequence[Run], description: Description) -> list[Run]:
    """Find the runs whose outputs are drawn: a static network on clips, and the jointly fine-tuned one.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs.
    description : Description
        Datasets and main rank.

    Returns
    -------
    list of Run
        Of the first dataset of clips with valence and arousal that is no control, of the main rank, and of the
        smallest seed and fold; none if there is no static run.
    """
    datasets = [each for each in description.datasets.values() if each.task == VALENCE_AROUSAL]
    videos = [each.name for each in datasets if each.role == CLIPS and not each.control_of]
    drawn = [run for run in runs if run.row.lasso == 0 and run.row.factorization and description.is_main(run.row)]
    static = [run for run in drawn if run.key.method == "static" and run.key.dataset in videos]
    if not static:
        return []
    first = min(static, key=lambda run: (videos.index(run.key.dataset), run.key.seed, run.key.fold))
    place = (first.key.dataset, first.key.seed, first.key.fold)
    joint = [run for run in drawn if run.key.method == "joint"]
    return [first, *(run for run in joint if (run.key.dataset, run.key.seed, run.key.fold) == place)]
