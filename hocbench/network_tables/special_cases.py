"""How far bottleneck and inverted-residual blocks are from factorized convolutions (claim C8)."""

import statistics
from typing import Any

import pandas as pd

from hocbench.network_tables.block_distance import block_distance
from hocbench.reporting.markdown import records
from hocbench.reporting.pages import Page, Table
from hocbench.seeds import derive_seed

LABEL = "random input"
DRAWS = 10
# Two ways to compute the same in float64 agree far better than this.
EXACT = 1e-12
KEPT = {"none": "none", "first": "first (BatchNorm, {})", "both": "both (BatchNorm, {})"}


def special_case_table(seed: int) -> pd.DataFrame:
    """Compare blocks with the factorized convolutions that have their weights; no data are needed.

    ``seed`` is the root of the `DRAWS` seeds of weights and inputs.

    Returns
    -------
    DataFrame
        Columns block, activations_kept, factorized_as, rank, difference_mean, difference_sd (over the draws, n - 1),
        draws, verdict ("exact" or "not equal") and label. See `hocbench.network_tables.block_distance.block_distance`.
    """
    seeds = [derive_seed(seed, use="special_cases", draw=draw) for draw in range(DRAWS)]
    rows = []
    for block, scheme, activation in (("bottleneck", "Tucker", "ReLU"), ("inverted residual", "CP", "ReLU6")):
        for kept, psi in (("none", False), ("first", True), ("both", False), ("both", True)):
            distance = block_distance(block, kept, psi, seeds)
            row: dict[str, Any] = {"block": block, "activations_kept": KEPT[kept].format(activation)}
            row |= {"factorized_as": f"{scheme} with Ψ" if psi else scheme, "rank": _rank_text(distance.rank)}
            row |= {"difference_mean": statistics.mean(distance.differences)}
            row |= {"difference_sd": statistics.stdev(distance.differences), "draws": DRAWS}
            row |= {"verdict": "exact" if max(distance.differences) < EXACT else "not equal", "label": LABEL}
            rows.append(row)
    return pd.DataFrame(rows)


def _rank_text(rank: int | tuple[int, ...]) -> str:
    return " × ".join(map(str, rank)) if isinstance(rank, tuple) else str(rank)


def special_case_page(table: pd.DataFrame) -> Page:
    """Write the comparison."""
    caption = (
        "**Random input: arithmetic on Gaussian images with He-initialised weights; no data are needed.** The weights "
        "of three convolutions (bottleneck: 256 to 64, 3×3, 64 to 256 channels; inverted residual of MobileNet-v2: 24 "
        "to 144, 3×3 depthwise, 144 to 24) are copied into one factorized convolution of the rank shown: Tucker ranks "
        "are out × in × height × width; CP needs a component for each rank-one term of a depthwise filter, at most 3 "
        "per filter. Ψ is the inner activation, BatchNorm and ReLU after the first projection."
    )
    header = ["block", "activations it keeps", "factorized as", "rank", "relative difference", "verdict"]
    lines = [
        [
            row["block"],
            row["activations_kept"],
            row["factorized_as"],
            row["rank"],
            f"{row['difference_mean']:.3f} ± {row['difference_sd']:.3f}" if row["verdict"] != "exact" else "< 1e-12",
            row["verdict"],
        ]
        for row in records(table)
    ]
    note = (
        f"Difference: ‖y - ŷ‖ / ‖y‖, mean ± standard deviation over {table['draws'].iloc[0]} draws of weights and "
        "inputs, after the BatchNorm that follows either form in a network and takes scale and shift of each channel "
        "away; unrelated outputs differ by 1.414. BatchNorm has the statistics of the batch. Ψ stands for ReLU6 "
        "exactly while no normalised value exceeds 6."
    )
    return Page("Blocks as special cases", [caption, Table(header, lines), note])
