"""Parameter counts at the paper's size beside the published ones."""

from typing import Any

import pandas as pd

from hocbench.experiment.description import Description
from hocbench.network_tables.conventions import build, read_published
from hocbench.nn import FactorizedConv, ResNet, convolutions, parameter_count
from hocbench.nn.layers import block_of, component_size
from hocbench.reporting import latex
from hocbench.reporting.layout import read_layout
from hocbench.reporting.markdown import STATUS_NOTE, escape, records
from hocbench.reporting.pages import Bullets, Page, Table
from hocbench.reporting.text import number

CP_IMAGE, CP_VIDEO, TEMPORAL = "CP 2-D", "CP 3-D, transducted", "temporal factors alone"
# Order and kind of our networks.
NETWORKS = {
    CP_IMAGE: (2, "cp"),
    CP_VIDEO: (3, "cp"),
    "dense 2-D": (2, "dense"),
    "dense 3-D": (3, "dense"),
    "(2+1)-D": (3, "2plus1d"),
}
PROJECTED_SHORT = "CP 3-D, projected"
PROJECTED, PUBLISHED_ONLY = f"{PROJECTED_SHORT} from measured sparsity", "CP 3-D, published only"
COLUMNS = [
    *("row", "network", "lasso", "parameters", "published_millions", "status"),
    *("removed_share", "removed_factorized", "zero_share"),
]


def removed_parameters(network: ResNet, zero_share: dict[str, float]) -> tuple[int, int, int]:
    """Project shares of zero λ by residual block ("stem", "layer1.0", ...) onto a factorized network.

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
    """Put our counts beside the published ones, in the paper's layout, given ``sparsity.csv`` of one rank.

    Returns
    -------
    DataFrame
        Columns row (the paper's), network (ours), lasso, parameters, published_millions, status, removed_share,
        removed_factorized, zero_share, label; NaN and "" where a number or name does not exist. The paper's rows come
        first, then our other networks and LASSO weights. What synthetic data suggest never shares a row with a
        published number.
    """
    published = read_published()
    # Several datasets are pooled; "synthetic" is the last of their labels.
    label = str(sparsity["label"].max()) if len(sparsity) else ""
    counts = {name: parameter_count(build(order, kind)) for name, (order, kind) in NETWORKS.items()}
    counts[TEMPORAL] = counts[CP_VIDEO] - counts[CP_IMAGE]
    further: dict[tuple[str, float], dict[str, Any]] = {
        (name, 0.0): {"network": name, "parameters": total} for name, total in counts.items()
    }
    further |= {(CP_VIDEO, row["lasso"]): row for row in _projections(sparsity)}
    rows: list[dict[str, Any]] = []
    for entry in read_layout("parameters"):
        key = entry["method"], float(entry["lasso"])
        row: dict[str, Any] = {"network": PUBLISHED_ONLY, "lasso": key[1]}
        if key in further and not (key[1] and label == "synthetic"):
            row = further.pop(key)
        numbers = {column: published[entry["row"]][column] for column in ("published_millions", "status")}
        rows.append({"row": entry["row"]} | row | numbers)
    table = pd.DataFrame([*rows, *further.values()]).reindex(columns=COLUMNS).assign(label=label)
    return table.fillna({"row": "", "status": ""})


def _projections(sparsity: pd.DataFrame) -> list[dict[str, Any]]:
    """Apply the sparsity measured at each LASSO weight to the large network."""
    network = build(*NETWORKS[CP_VIDEO])
    total = parameter_count(network)
    ranks = sum(layer.rank for _, layer in convolutions(network) if isinstance(layer, FactorizedConv))
    rows = []
    for lasso, swept in sparsity[sparsity["lasso"] > 0].groupby("lasso"):
        sums = swept.groupby("block")[["zeros", "components"]].sum()
        zero_shares = sums["zeros"] / sums["components"]
        shares = {str(block): float(share) for block, share in zero_shares.items()}
        removed, factorized, components = removed_parameters(network, shares)
        row: dict[str, Any] = {"network": PROJECTED, "lasso": float(str(lasso)), "parameters": total - removed}
        row |= {"removed_share": removed / total, "removed_factorized": removed / factorized}
        rows.append(row | {"zero_share": components / ranks})
    return rows


def parameter_page(table: pd.DataFrame, description: Description) -> Page:
    """Write the parameter counts."""
    synthetic = (table["label"] == "synthetic").any()
    caption = (
        "Counts at width 64 and rank `same` with two outputs, whatever the profile trains: factors, λ, BatchNorm and "
        "head; 1×1 shortcuts dense; temporal kernel 3. Rows with a LASSO value are **projections**: the share of zero "
        f"λ measured per residual block in profile {escape(description.profile)} (width {description.width}"
        + (", SYNTHETIC data" if synthetic else "")
        + ") applied to the ranks of the large network"
        + (", and never stand in the row of a published number" if synthetic else "")
        + ". LASSO weights of different implementations are not commensurate."
    )
    header = [
        "row", "network", "LASSO", "ours, millions", "published, millions", "removed, % of all parameters",
        "removed, % of factorized", "zero λ, %",
    ]  # fmt: skip
    published = read_published()
    lines = [
        [
            row["row"] or "-",
            row["network"],
            *_numbers(row),
            f"{published[row['row']]['as_published']} {row['status']}" if row["row"] else "-",
            *_percentages(row),
        ]
        for row in records(table)
    ]
    notes = Bullets([f"{name}: {row['note']}." for name, row in published.items()])
    return Page("Parameters", [caption, Table(header, lines), STATUS_NOTE, "About the published numbers:", notes])


def _numbers(row: dict[str, Any]) -> list[str]:
    return [number(row["lasso"], "g"), number(row["parameters"] / 1e6, ".3f")]


def _percentages(row: dict[str, Any]) -> list[str]:
    return [number(100 * row[share], ".1f") for share in ("removed_share", "removed_factorized", "zero_share")]


def parameter_latex(table: pd.DataFrame, description: Description) -> str:
    """Write the parameter counts as a table for a two-column paper."""
    labels = set(table["label"])
    data = r", \textbf{SYNTHETIC data}" if "synthetic" in labels else ", real data" if "real" in labels else ""
    caption = (
        "Parameters, in the layout of the paper. Ours: counts at width 64 and matched rank with two outputs; factors, "
        r"$\lambda$, BatchNorm and head; $1\times1$ shortcuts dense; temporal kernel 3. Ours with a LASSO weight are "
        rf"projections: the share of zero $\lambda$ measured per residual block in profile "
        f"{latex.escape(description.profile)} (width {description.width}{data}), applied to the ranks of the large "
        "network. LASSO weights of different implementations are not commensurate."
    )
    groups = [
        rf"\multicolumn{{{n}}}{{c}}{{{title}}}"
        for n, title in ((2, "Millions"), (2, r"Removed, \% of"), (1, r"Zero $\lambda$"))
    ]
    header = [
        latex.line(["", "", "", *groups]),
        r"\cmidrule(lr){4-5}\cmidrule(lr){6-7}",
        latex.line(["Row", "Our network", "LASSO", "published", "ours", "all", "factorized", r"\%"]),
    ]
    published = read_published()
    lines = []
    for row in records(table):
        lasso, ours = _numbers(row)
        theirs = (
            published[row["row"]]["as_published"] + latex.hanging(latex.MARKS[row["status"]]) if row["row"] else "-"
        )
        cells = [lasso, theirs, ours, *_percentages(row)]
        # The caption says from what they are projected.
        network = PROJECTED_SHORT if row["network"] == PROJECTED else row["network"]
        names = [latex.escape(name) or "--" for name in (row["row"], network)]
        lines.append(latex.line([*names, *("--" if cell == "-" else cell for cell in cells)]))
    statuses = sorted(set(table["status"]) - {""})
    legend = latex.paragraph("Published numbers: " + "; ".join(latex.MARK_NOTES[status] for status in statuses) + ".")
    return latex.table_star("parameters", caption, [latex.tabular("llcccccc", header, lines), legend])
