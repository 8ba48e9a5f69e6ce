"""Validation scores of all trainings by epoch."""

from typing import Any

import pandas as pd

from hocbench.reporting.figures.parts import FILLS, WIDTH, Picture, legend, nothing
from hocbench.reporting.figures.tables import Tables, rank_order, several_ranks
from hocbench.reporting.figures.validation import draw_level, finish, score_label, score_words, trained_networks
from hocbench.reporting.style import subplots

TITLE = "Learning curves"
NETWORK = ["method", "factorization", "rank"]


def draw(tables: Tables) -> Picture:
    """Draw validation scores by epoch, a panel per dataset; mean over seeds and folds."""
    table = trained_networks(tables)
    table = table[table["ablation"] == ""]
    names = tables.datasets_of(table)
    if not names:
        return nothing("No network was trained", tables, TITLE)
    figure, panels = subplots(1, len(names), figsize=(WIDTH, 3.3), sharey=True, squeeze=False, layout="constrained")
    networks, words = _networks(tables, table), []
    for axes, name in zip(panels[0], names, strict=True):
        rows = table[table["dataset"] == name]
        curves, ends = dict(list(rows.groupby(NETWORK))), {}
        for network, (label, style) in networks.items():
            if network in curves:
                curve = curves[network].groupby("epoch")["score"].mean()
                axes.plot(curve.index, curve, markersize=4, label=label, **style)
                ends[label] = curve.iloc[-1]
        draw_level(axes, rows)
        finish(axes, tables.panel_title(rows, len(names)), "Epoch")
        best = max(ends, key=lambda label: ends[label])
        words.append(
            f"{tables.dataset_title(name)}: {len(ends)} networks end between {min(ends.values()):.2f} and "
            f"{ends[best]:.2f}, highest {best}."
        )
    panels[0][0].set_ylabel(score_label(tables, table))
    order = [label for label, _ in networks.values()]
    legend(figure, panels[0], lambda label: order.index(label) if label in order else len(order))
    caption = (
        f"Validation {score_words(tables, table)} by epoch; epoch 0 is the network before training. Lines are "
        "means over seeds and folds; the grey line is the level of the 2-D network that was transducted. "
        + tables.sample(table, "validation")
    )
    return Picture(figure, TITLE, caption, "Curves by epoch. " + " ".join(words), tables.label_of(names))


def _networks(tables: Tables, table: pd.DataFrame) -> dict[tuple[str, str, str], tuple[str, dict[str, Any]]]:
    """Label and look of each network in the order of the legend; ranks differ by the filling of their markers."""
    several, main = several_ranks(table), tables.description.factorization
    factorized = table.loc[table["rank"] != "", ["factorization", "rank"]].itertuples(index=False, name=None)
    fillings = sorted(set(factorized), key=lambda pair: (pair[0] != main, pair[0], rank_order(pair[1])))
    rows = table.drop_duplicates(NETWORK)
    networks = {}
    for _, row in rows.iterrows():
        network = (row["method"], row["factorization"], row["rank"])
        filling = fillings.index(network[1:]) if row["rank"] else 0
        style = tables.look(row["method"]) | {"fillstyle": FILLS[filling % len(FILLS)]}
        networks[network] = (tables.place(row["method"]), filling, tables.name(row, several), style)
    ordered = sorted(networks.items(), key=lambda item: item[1][:2])
    return {network: (label, style) for network, (_, _, label, style) in ordered}
