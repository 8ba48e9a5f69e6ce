"""Parameter counts at the paper's size beside the published ones."""

from typing import Any

import pandas as pd

from hocbench.counting.conventions import CP_2D, CP_3D, DENSE, build, read_published
from hocbench.nn import FactorizedConv, ResNet, convolutions, parameter_count
from hocbench.nn.rank_selection import block_of, component_size
from hocbench.reporting.markdown import STATUS_NOTE, markdown_table, records

# Names of published/parameters.csv by (order, kind).
LASSO_PREFIX = "ResNet-18 CP 3D, LASSO "
PUBLISHED = {(2, "cp"): CP_2D, (3, "cp"): CP_3D}


def removed_parameters(network: ResNet, zero_share: dict[str, float]) -> tuple[int, int, int]:
    """Project shares of zero λ per residual block onto a network.

    Parameters
    ----------
    network : ResNet
        Factorized.
    zero_share : dict
        Share of zero λ by block ("stem", "layer1.0", ...).

    Returns
    -------
    removed, factorized, components : int
        Parameters that go, all parameters of factorized layers, components that go.
    """
    removed = factorized = components = 0
    for name, layer in convolutions(network):
        if not isinstance(layer, FactorizedConv):
            continue
        size = component_size(layer)
        gone = round(zero_share.get(block_of(name), 0.0) * layer.rank)
        removed += gone * size
        components += gone
        factorized += layer.rank * size
    return removed, factorized, components


def parameter_table(sparsity: pd.DataFrame) -> pd.DataFrame:
    """Put our counts beside the published ones.

    Parameters
    ----------
    sparsity : DataFrame
        ``sparsity.csv`` of an evaluation.

    Returns
    -------
    DataFrame
        Columns network, lasso, parameters, published_millions, status, removed_share, removed_factorized, zero_share,
        label; NaN where a number does not exist.
    """
    published = read_published()
    label = str(sparsity["label"].iloc[0]) if len(sparsity) else ""
    rows: list[dict[str, Any]] = []
    for order, kind, name in ((2, "dense", "dense 2-D"), (2, "cp", "CP 2-D"), (3, "cp", "CP 3-D, transducted")):
        key = PUBLISHED.get((order, kind))
        rows.append({"network": name, "parameters": parameter_count(build(order, kind))} | _published(published, key))
    rows += _lasso_rows(sparsity, published)
    for kind, (name, key) in DENSE.items():
        rows.append({"network": name, "parameters": parameter_count(build(3, kind))} | _published(published, key))
    columns = [
        "network", "lasso", "parameters", "published_millions", "status", "removed_share", "removed_factorized",
        "zero_share",
    ]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=columns).assign(label=label)


def _lasso_rows(sparsity: pd.DataFrame, published: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Make a row for every LASSO weight that was swept or published."""
    network = build(3, "cp")
    total = parameter_count(network)
    ranks = sum(layer.rank for _, layer in convolutions(network) if isinstance(layer, FactorizedConv))
    swept = {float(str(lasso)): rows for lasso, rows in sparsity[sparsity["lasso"] > 0].groupby("lasso")}
    known = [float(name.removeprefix(LASSO_PREFIX)) for name in published if name.startswith(LASSO_PREFIX)]
    rows = []
    for lasso in sorted({*swept, *known}):
        row: dict[str, Any] = {"network": "CP 3-D, published only", "lasso": lasso}
        if lasso in swept:
            sums = swept[lasso].groupby("block")[["zeros", "components"]].sum()
            zero_shares = sums["zeros"] / sums["components"]
            shares = {str(block): float(share) for block, share in zero_shares.items()}
            removed, factorized, components = removed_parameters(network, shares)
            row |= {"network": "CP 3-D, projected from measured sparsity", "parameters": total - removed}
            row |= {"removed_share": removed / total, "removed_factorized": removed / factorized}
            row |= {"zero_share": components / ranks}
        rows.append(row | _published(published, f"{LASSO_PREFIX}{lasso:g}"))
    return rows


def _published(published: dict[str, dict[str, Any]], name: str | None) -> dict[str, Any]:
    row = published.get(name or "", {"published_millions": float("nan"), "status": ""})
    return {column: row[column] for column in ("published_millions", "status")}


def parameter_page(table: pd.DataFrame, setting: dict[str, Any]) -> str:
    """Write the parameter counts in Markdown."""
    caption = (
        "Counts at width 64 and rank `same` with two outputs, whatever the profile trains: factors, λ, BatchNorm and "
        "head; 1×1 shortcuts dense; temporal kernel 3. Rows with a LASSO value are **projections**: the share of zero "
        f"λ measured per residual block in profile {setting['profile']} (width {setting['width']}"
        + (", SYNTHETIC data" if (table["label"] == "synthetic").any() else "")
        + ") applied to the ranks of the large network. LASSO weights of different implementations are not "
        "commensurate."
    )
    header = [
        "network", "LASSO", "ours, millions", "published, millions", "removed, % of all parameters",
        "removed, % of factorized", "zero λ, %",
    ]  # fmt: skip
    lines = [
        [
            row["network"],
            "-" if pd.isna(row["lasso"]) else f"{row['lasso']:g}",
            "-" if pd.isna(row["parameters"]) else f"{row['parameters'] / 1e6:.3f}",
            "-" if pd.isna(row["published_millions"]) else f"{row['published_millions']:g} {row['status']}",
            *(
                "-" if pd.isna(v) else f"{100 * v:.1f}"
                for v in (row["removed_share"], row["removed_factorized"], row["zero_share"])
            ),
        ]
        for row in records(table)
    ]
    return "\n\n".join(["# Parameters", caption, markdown_table(header, lines), STATUS_NOTE]) + "\n"
