"""What LASSO left in the networks as trained."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from hocbench.experiment.description import Description
from hocbench.reporting.markdown import escape, records
from hocbench.reporting.pages import Page, Table
from hocbench.reporting.text import synthetic_mark

RANK_COLUMNS = [
    *("dataset", "rank", "lasso", "block", "components", "effective_rank", "layers", "removed", "removed_of_all"),
    *("removed_of_factorized", "zero_share", "seeds", "label"),
]


def rank_report(sparsity: pd.DataFrame) -> pd.DataFrame:
    """Say what LASSO left of each residual block of the networks as trained, and of each network.

    Parameters
    ----------
    sparsity : DataFrame
        ``sparsity.csv`` of an evaluation.

    Returns
    -------
    DataFrame
        `RANK_COLUMNS`, a row per dataset, rank, LASSO weight and block, and one for "all". Numbers are means
        over seeds: components and effective_rank (those with λ ≠ 0); layers, "effective/components" of each layer of
        the block; removed, the parameters of the rest; removed_of_all and removed_of_factorized, as a share of all
        parameters of the network and of the block's factorized ones; zero_share, of the block's λ.
    """
    rows: list[dict[str, Any]] = []
    swept = sparsity[sparsity["lasso"] > 0]
    key = ["dataset", "rank", "lasso"]
    for values, network in swept.groupby(key):
        shared = dict(zip(key, values, strict=True)) | {"label": network["label"].iloc[0]}
        for block, rows_of_block in network.groupby("block", sort=False):
            rows.append(shared | {"block": block, "layers": _layer_text(rows_of_block)} | _means(rows_of_block))
        per_seed = network.groupby("seed")
        whole = per_seed[["components", "zeros", "parameters", "removed"]].sum()
        whole["network_parameters"] = per_seed["network_parameters"].first()
        rows.append(shared | {"block": "all", "layers": ""} | _means(whole))
    table = pd.DataFrame(rows, columns=RANK_COLUMNS)
    place = table["block"].map(lambda block: (block == "all") - (block == "stem"))
    table = table.assign(place=place).sort_values([*key, "place", "block"], ignore_index=True)
    return table[RANK_COLUMNS]


def _means(seeds: pd.DataFrame) -> dict[str, float]:
    """Average over the rows of one block, a row per seed."""
    components, zeros, parameters, removed, everything = (
        float(seeds[column].mean()) for column in ("components", "zeros", "parameters", "removed", "network_parameters")
    )
    means = {"components": components, "effective_rank": components - zeros, "removed": removed, "seeds": len(seeds)}
    return means | {
        "removed_of_all": removed / everything,
        "removed_of_factorized": removed / parameters,
        "zero_share": zeros / components,
    }


def _layer_text(seeds: pd.DataFrame) -> str:
    ranks, effective = (
        [[float(part) for part in str(text).split("+")] for text in seeds[column]]
        for column in ("layer_ranks", "layer_effective_ranks")
    )
    return " + ".join(
        f"{_mean(left):g}/{_mean(all_of_it):g}"
        for left, all_of_it in zip(zip(*effective, strict=True), zip(*ranks, strict=True), strict=True)
    )


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 1)


def rank_page(table: pd.DataFrame, description: Description) -> Page:
    """Write the effective ranks."""
    title = "Ranks that LASSO selected"
    if table.empty:
        return Page(title, ["No run with LASSO is finished."])
    caption = (
        f"{synthetic_mark(table)}Networks as trained in profile "
        f"{escape(description.profile)} (width {description.width}), means over {int(table['seeds'].max())} training "
        "seed(s). "
        "Effective rank: components with λ ≠ 0, of the block and as effective/all of each of its layers. A component "
        "counts its λ, a column of each factor and two parameters of an inner BatchNorm if there is one. The paper "
        "does not state the denominator of its 8 to 15 %, so each is shown: all parameters of the network, the "
        'factorized parameters of the row, the λ of the row. The row "all" is the whole network.'
    )
    header = [
        "dataset", "rank", "LASSO", "block", "components", "effective rank", "by layer",
        "removed parameters", "% of all parameters", "% of factorized", "% of λ",
    ]  # fmt: skip
    lines = [
        [
            *(row[key] for key in ("dataset", "rank")),
            f"{row['lasso']:g}",
            row["block"],
            *(f"{round(row[key], 1):g}" for key in ("components", "effective_rank")),
            row["layers"] or "-",
            f"{row['removed']:.0f}",
            *(f"{100 * row[key]:.1f}" for key in ("removed_of_all", "removed_of_factorized", "zero_share")),
        ]
        for row in records(table)
    ]
    return Page(title, [caption, Table(header, lines)])
