"""Tables behind pictures: learned temporal factors, errors by quadrant, labels and outputs in the circumplex plane."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import safe_open

from hocbench.errors import RunError
from hocbench.evaluation.files import sorted_table
from hocbench.evaluation.pooling import Method, scored_frames
from hocbench.evaluation.run_tables import choose_clips
from hocbench.files.checksums import read_sealed
from hocbench.runs.finished import TARGETS, Run, default_rank

METHOD_COLUMNS = ["dataset", "method", "kind", "stage", "rank", "lasso", "variant"]
FACTOR_COLUMNS = [
    *(*METHOD_COLUMNS, "seed", "fold", "layer", "kernel_size", "tap", "init", "mean", "q10", "q90", "label"),
]
QUADRANT_COLUMNS = [*METHOD_COLUMNS, "seed", "quadrant", "n_frames", "rmse_valence", "rmse_arousal", "label"]
CIRCUMPLEX_COLUMNS = [
    *("dataset", "method", "seed", "clip", "frame", "truth_valence", "truth_arousal", "valence", "arousal"),
    "trajectory",
]
QUADRANTS = ("V+ A+", "V- A+", "V- A-", "V+ A-")  # counter-clockwise, as in the plane
TIME = ".factors.time"  # ending of the name of a temporal factor


def factors(runs: Sequence[Run]) -> pd.DataFrame:
    """Summarise the temporal factors of the trained, transducted CP networks.

    Networks trained from scratch are left out: without a common start, signs and scales of their factors say nothing.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs.

    Returns
    -------
    DataFrame
        `FACTOR_COLUMNS`, a row per run, layer and tap. `tap` is the distance in frames from the present one; `mean`,
        `q10` and `q90` are over the components whose λ is not zero; `init` is NaN where the run does not say it.

    Raises
    ------
    RunError
        If a run has no weights, or none of its layers a temporal factor.
    """
    rows: list[dict[str, Any]] = []
    for run in runs:
        axes = run.axes
        if axes.kind == "cp" and axes.stage in ("temporal", "joint") and axes.epochs:
            rows += _factor_rows(run)
    return sorted_table(rows, FACTOR_COLUMNS)


def quadrant_sums(frames: pd.DataFrame) -> NDArray[np.float64]:
    """Sum the squared errors of frames by quadrant of their labels.

    Parameters
    ----------
    frames : DataFrame
        Scored frames with labels and outputs. A label of zero counts as positive.

    Returns
    -------
    ndarray, (quadrants, 1 + targets)
        Number of frames, then the sum of squared errors of each target; quadrants as in `QUADRANTS`.
    """
    truth = frames[[f"truth_{target}" for target in TARGETS]].to_numpy(np.float64)
    squares = (frames[list(TARGETS)].to_numpy(np.float64) - truth) ** 2
    right, up = truth[:, 0] >= 0, truth[:, 1] >= 0
    inside = (right & up, ~right & up, ~right & ~up, right & ~up)
    return np.array([[mask.sum(), *squares[mask].sum(axis=0)] for mask in inside], dtype=np.float64)


def quadrants(sums: Mapping[tuple[Method, int], NDArray[np.float64]], labels: Mapping[str, str]) -> pd.DataFrame:
    """Lay out the errors by quadrant of the labels.

    Parameters
    ----------
    sums : mapping of (Method, seed) to ndarray
        From `quadrant_sums`, folds added up.
    labels : mapping of str to str
        Label of each dataset.

    Returns
    -------
    DataFrame
        `QUADRANT_COLUMNS`, a row per method, seed and quadrant in which there are test frames.
    """
    rows = []
    for (method, seed), table in sums.items():
        for quadrant, (count, *errors) in zip(QUADRANTS, table, strict=True):
            if count:
                names = {"seed": seed, "quadrant": quadrant, "n_frames": int(count), "label": labels[method.dataset]}
                roots = np.sqrt(np.array(errors) / count)
                rows.append(vars(method) | names | dict(zip(("rmse_valence", "rmse_arousal"), roots, strict=True)))
    return sorted_table(rows, QUADRANT_COLUMNS)


def circumplex(runs: Sequence[Run], clips: int = 3) -> pd.DataFrame:
    """Lay out labels and outputs of the fine-tuned video network, for each video dataset.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs; of each dataset the CP network of stage ``joint`` without LASSO, of the default rank and
        the smallest seed, is taken, with all folds.
    clips : int
        Number of clips whose way through the plane is drawn: those whose labels vary most.

    Returns
    -------
    DataFrame
        `CIRCUMPLEX_COLUMNS`, a row per scored test frame; no rows without such a network.
    """
    parts = []
    for chosen in _drawn(runs).values():
        table = pd.concat([scored_frames(run, "test") for run in chosen], ignore_index=True)
        axes = chosen[0].axes
        numbers = [*(f"truth_{target}" for target in TARGETS), *TARGETS]
        table[numbers] = table[numbers].astype(np.float64)
        table["trajectory"] = table["clip"].isin(choose_clips(table, clips))
        parts.append(table.assign(dataset=axes.dataset, method=axes.method, seed=axes.seed)[CIRCUMPLEX_COLUMNS])
    if not parts:
        return pd.DataFrame(columns=CIRCUMPLEX_COLUMNS)
    return pd.concat(parts).sort_values(["dataset", "clip", "frame"], kind="stable", ignore_index=True)


def _factor_rows(run: Run) -> list[dict[str, Any]]:
    path = run.path / "weights.safetensors"
    if not path.is_file():
        raise RunError(f"{path} is absent: its temporal factors cannot be read. Fit the run again.")
    spec = read_sealed(run.path / "manifest.json")["spec"]
    init = spec.get("temporal", {}).get("init")
    shared = vars(Method.of(run)) | {"seed": run.axes.seed, "fold": run.axes.fold, "label": run.label}
    rows = []
    with safe_open(path, framework="numpy") as weights:
        layers = [name.removesuffix(TIME) for name in weights.keys() if name.endswith(TIME)]  # noqa: SIM118 - no dict
        if not layers:
            raise RunError(f"{path} has no temporal factor (no name ends in {TIME}). Fit the run again.")
        for layer in layers:
            factor = weights.get_tensor(layer + TIME).astype(np.float64)
            alive = factor[:, weights.get_tensor(f"{layer}.weights") != 0]
            size = len(factor)
            for position, values in enumerate(alive if alive.size else ()):
                low, high = np.quantile(values, (0.1, 0.9))
                numbers = {"mean": values.mean(), "q10": low, "q90": high}
                tap = position - size // 2
                where = {"layer": layer, "kernel_size": size, "tap": tap, "init": _start(init, size, tap)}
                rows.append(shared | where | numbers)
    return rows


def _start(init: str | None, size: int, tap: int) -> float:
    """Value of a tap before training: a constant of one as published, one over the size, or the present frame only."""
    values = {"ones": 1.0, "average": 1 / size, "centre": float(tap == 0)}
    return values.get(init or "", float("nan"))


def _drawn(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Find the runs to be drawn by dataset: one rank and seed, all folds."""
    found: dict[str, list[Run]] = {}
    rank = default_rank(run.axes.rank for run in runs)
    for run in sorted(runs, key=lambda run: (run.axes.rank != rank, run.axes)):
        axes = run.axes
        if (axes.kind, axes.stage, axes.lasso, axes.variant) != ("cp", "joint", 0.0, ""):
            continue
        mine = found.setdefault(axes.dataset, [run])
        first = mine[0].axes
        if run is not mine[0] and (axes.rank, axes.seed) == (first.rank, first.seed):
            mine.append(run)
    return found
