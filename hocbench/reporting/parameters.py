"""Parameter counts at the paper's size beside the published ones."""

from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
import torch

from hocbench.nn import FactorizedConv, ResNet, convolutions, parameter_count, resnet18

PAPER_WIDTH = 64
# Names of published/parameters.csv by (order, kind).
LASSO_PREFIX = "ResNet-18 CP 3D, LASSO "
PUBLISHED = {(2, "cp"): "ResNet-18 2D CP", (3, "cp"): "ResNet-18 CP 3D after transduction"}


@cache
def build(order: int, kind: str) -> ResNet:
    """Build a network of the paper's size without memory for its weights."""
    with torch.device("meta"):
        return resnet18(order=order, kind=kind, width=PAPER_WIDTH, rank="same")


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
        block = name.rsplit(".", 1)[0] if "." in name else name
        # λ itself counts as one parameter of a component.
        size = 1 + sum(factor.shape[0] for factor in layer.factors.values())
        gone = round(zero_share.get(block, 0.0) * layer.rank)
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
    with (files("hocbench.published") / "parameters.csv").open(encoding="utf-8") as file:
        published = pd.read_csv(file).set_index("network")
    label = str(sparsity["label"].iloc[0]) if len(sparsity) else ""
    rows: list[dict[str, Any]] = []
    for order, kind, name in ((2, "dense", "dense 2-D"), (2, "cp", "CP 2-D"), (3, "cp", "CP 3-D, transducted")):
        key = PUBLISHED.get((order, kind))
        rows.append({"network": name, "parameters": parameter_count(build(order, kind))} | _published(published, key))
    rows += _lasso_rows(sparsity, published)
    rows.append(
        {"network": "dense 3-D", "parameters": parameter_count(build(3, "dense"))}
        | _published(published, "dense 3D ResNet-18")
    )
    rows.append({"network": "(2+1)-D, published only"} | _published(published, "(2+1)D ResNet-18"))
    columns = [
        "network", "lasso", "parameters", "published_millions", "status", "removed_share", "removed_factorized",
        "zero_share",
    ]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=columns).assign(label=label)


def _lasso_rows(sparsity: pd.DataFrame, published: pd.DataFrame) -> list[dict[str, Any]]:
    """Make a row for every LASSO weight that was swept or published."""
    network = build(3, "cp")
    total = parameter_count(network)
    ranks = sum(layer.rank for _, layer in convolutions(network) if isinstance(layer, FactorizedConv))
    swept = {float(str(lasso)): rows for lasso, rows in sparsity[sparsity["lasso"] > 0].groupby("lasso")}
    names = [str(name) for name in published.index]
    known = [float(name.removeprefix(LASSO_PREFIX)) for name in names if name.startswith(LASSO_PREFIX)]
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


def _published(table: pd.DataFrame, name: str | None) -> dict[str, Any]:
    if name is None or name not in table.index:
        return {"published_millions": float("nan"), "status": ""}
    row: Any = table.loc[name]
    return {"published_millions": float(row["published_millions"]), "status": str(row["status"])}
