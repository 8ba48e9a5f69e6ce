"""Tables behind pictures: learned temporal factors, errors by quadrant, labels and outputs in the circumplex plane."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import safe_open

from hocbench.errors import RunError
from hocbench.evaluation.clip_tables import scored_frames
from hocbench.evaluation.files import sorted_table
from hocbench.evaluation.run_tables import choose_clips
from hocbench.experiment.description import KEY_COLUMNS, Description, RowKey
from hocbench.experiment.tasks import VALENCE_AROUSAL
from hocbench.runs.finished import TARGETS, Run

FACTOR_COLUMNS = [
    *(*KEY_COLUMNS, "seed", "fold", "layer", "kernel_size", "tap", "init", "mean", "q10", "q90", "label"),
]
QUADRANT_COLUMNS = [*KEY_COLUMNS, "seed", "quadrant", "n_frames", "rmse_valence", "rmse_arousal", "label"]
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
    known = {run.name: run for run in runs}
    for run in runs:
        if run.key.factorization == "cp" and run.key.method in ("temporal", "joint"):
            rows += _factor_rows(run, _init_of(run, known))
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


def quadrants(sums: Mapping[tuple[RowKey, int], NDArray[np.float64]], labels: Mapping[str, str]) -> pd.DataFrame:
    """Lay out the errors by quadrant of the labels.

    Parameters
    ----------
    sums : mapping of (RowKey, seed) to ndarray
        From `quadrant_sums`, folds added up.
    labels : mapping of str to str
        Label of each dataset.

    Returns
    -------
    DataFrame
        `QUADRANT_COLUMNS`, a row per method, seed and quadrant in which there are test frames.
    """
    rows = []
    for (key, seed), table in sums.items():
        for quadrant, (count, *errors) in zip(QUADRANTS, table, strict=True):
            if count:
                names = {"seed": seed, "quadrant": quadrant, "n_frames": int(count), "label": labels[key.dataset]}
                roots = np.sqrt(np.array(errors) / count)
                rows.append(vars(key) | names | dict(zip(("rmse_valence", "rmse_arousal"), roots, strict=True)))
    return sorted_table(rows, QUADRANT_COLUMNS)


def circumplex(runs: Sequence[Run], description: Description, clips: int = 3) -> pd.DataFrame:
    """Lay out labels and outputs of the fine-tuned video network, for each video dataset of valence and arousal.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs; of each dataset the jointly fine-tuned network without LASSO, of the main rank and the smallest
        seed, is taken, with all folds.
    description : Description
        The main rank.
    clips : int
        Number of clips whose way through the plane is drawn: those whose labels vary most.

    Returns
    -------
    DataFrame
        `CIRCUMPLEX_COLUMNS`, a row per scored test frame; no rows without such a network.
    """
    parts = []
    for chosen in _drawn(runs, description).values():
        table = pd.concat([scored_frames(run, "test") for run in chosen], ignore_index=True)
        key = chosen[0].key
        numbers = [*(f"truth_{target}" for target in TARGETS), *TARGETS]
        table[numbers] = table[numbers].astype(np.float64)
        table["trajectory"] = table["clip"].isin(choose_clips(table, clips))
        parts.append(table.assign(dataset=key.dataset, method=key.method, seed=key.seed)[CIRCUMPLEX_COLUMNS])
    if not parts:
        return pd.DataFrame(columns=CIRCUMPLEX_COLUMNS)
    return pd.concat(parts).sort_values(["dataset", "clip", "frame"], kind="stable", ignore_index=True)


def _factor_rows(run: Run, init: str | None) -> list[dict[str, Any]]:
    path = run.path / "weights.safetensors"
    if not path.is_file():
        raise RunError(f"{path} is absent: its temporal factors cannot be read. Fit the run again.")
    shared = vars(run.row) | {"seed": run.key.seed, "fold": run.key.fold, "label": run.label}
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


def _init_of(run: Run, known: Mapping[str, Run]) -> str | None:
    """Find how the temporal factors of a run began, which its temporal stage was told."""
    while run.spec.temporal is None and (parent := known.get(run.spec.parent or "")) is not None:
        run = parent
    return run.spec.temporal.init if run.spec.temporal else None


def _drawn(runs: Sequence[Run], description: Description) -> dict[str, list[Run]]:
    """Find the runs to be drawn by dataset: the main rank and one seed, all folds."""
    drawn: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.key.seed, run.key.fold)):
        row = run.row
        is_drawn = row.method == "joint" and row.lasso == 0 and run.spec.task == VALENCE_AROUSAL
        if is_drawn and description.is_main(row):
            chosen = drawn.setdefault(row.dataset, [])
            if not chosen or chosen[0].key.seed == run.key.seed:
                chosen.append(run)
    return drawn
