"""Published parameter counts beside ours under each way to count."""

import itertools
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
import torch

from hocbench.nn import FactorizedConv, ResNet, convolutions, parameter_count, resnet18
from hocbench.reporting.markdown import records
from hocbench.reporting.pages import Block, Heading, Page, Table

PAPER_WIDTH = 64
CP_2D, CP_3D = "ResNet-18 2D CP", "ResNet-18 CP 3D after transduction"
DENSE = {"dense": ("dense 3-D", "dense 3D ResNet-18"), "2plus1d": ("(2+1)-D", "(2+1)D ResNet-18")}
COUNTED, NOT_COUNTED = "counted", "not counted"
FACTORIZED, DENSE_LAYER = "factorized", "dense"


@cache
def build(order: int, kind: str, **options: Any) -> ResNet:
    """Build a network of the paper's size without memory for its weights."""
    with torch.device("meta"):
        return resnet18(order=order, kind=kind, width=PAPER_WIDTH, rank="same", **options)


def read_published() -> dict[str, dict[str, Any]]:
    """Read the published counts by network: published_millions, as_published (its text), status and note."""
    with (files("hocbench.published") / "parameters.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype={"published_millions": str})
    table = table.assign(as_published=table["published_millions"]).astype({"published_millions": float})
    return {row["network"]: row for row in records(table)}


def count(network: ResNet, weights: bool, inner_norm: bool) -> int:
    """Count parameters, with or without λ and inner BatchNorm (Ψ)."""

    def is_counted(name: str) -> bool:
        return (weights or not name.endswith(".weights")) and (inner_norm or ".inner_norm." not in name)

    return sum(parameter.numel() for name, parameter in network.named_parameters() if is_counted(name))


def convention_table() -> pd.DataFrame:
    """Count the CP networks under each convention, the one closest to the published 2-D count first.

    Returns
    -------
    DataFrame
        Columns weights (λ) and inner_norm (Ψ), "counted" or "not counted"; stem and shortcuts, "factorized" or
        "dense"; parameters_2d; difference_2d, from the published count; parameters_3d, with a temporal kernel of 3;
        difference_3d; kernels_rounded and kernels_cut, the temporal kernels with which the 3-D count is the published
        one after rounding to its one decimal, or after cutting the other digits off. A network without Ψ counts what
        one with Ψ does when Ψ is not counted.
    """
    published = read_published()
    flat, clip = (published[name]["published_millions"] for name in (CP_2D, CP_3D))
    rows = []
    for stem, shortcuts in itertools.product((True, False), (False, True)):
        options = {"inner_activation": True, "factorize_stem": stem, "factorize_shortcuts": shortcuts}
        image, clip_network = build(2, "cp", **options), build(3, "cp", **options)
        for weights, inner_norm in itertools.product((True, False), (False, True)):
            flat_count, clip_count = (count(network, weights, inner_norm) for network in (image, clip_network))
            row: dict[str, Any] = {"weights": COUNTED if weights else NOT_COUNTED}
            row |= {"inner_norm": COUNTED if inner_norm else NOT_COUNTED}
            row |= {"stem": FACTORIZED if stem else DENSE_LAYER, "shortcuts": FACTORIZED if shortcuts else DENSE_LAYER}
            row |= {"parameters_2d": flat_count, "difference_2d": abs(flat_count - round(flat * 1e6))}
            row |= {"parameters_3d": clip_count, "difference_3d": abs(clip_count - round(clip * 1e6))}
            series = _odd_kernels(clip_network, clip_count, clip)
            for name, tenths in (("kernels_rounded", _rounded), ("kernels_cut", _cut)):
                row[name] = " ".join(str(k) for k, total in series.items() if tenths(total) == round(clip * 10))
            rows.append(row)
    return pd.DataFrame(rows).sort_values(["difference_2d", "difference_3d"], kind="stable", ignore_index=True)


def _odd_kernels(network: ResNet, total: int, millions: float) -> dict[int, int]:
    """Count with kernels of 1, 3, 5 ... as long as some rounding can give ``millions``."""
    taps = network.config.temporal_kernel
    # One more tap adds a number per component, and to a dense stem one more slice.
    per_tap = sum(
        layer.rank if isinstance(layer, FactorizedConv) else layer.weight.numel() // taps
        for _, layer in convolutions(network)
    )
    counts, kernel = {}, 1
    while (parameters := total + (kernel - taps) * per_tap) <= millions * 1e6 + 1e5:
        counts[kernel] = parameters
        kernel += 2
    return counts


def _rounded(total: int) -> int:
    return (total + 50_000) // 100_000


def _cut(total: int) -> int:
    return total // 100_000


def dense_table() -> pd.DataFrame:
    """Count the dense video networks with the head of this project and with that of Kinetics-400.

    Returns
    -------
    DataFrame
        Columns network, outputs, parameters, published_millions, status.
    """
    published = read_published()
    rows = []
    for kind, (name, key) in DENSE.items():
        for outputs in (2, 400):
            parameters = parameter_count(build(3, kind, outputs=outputs))
            row = {"network": name, "outputs": outputs, "parameters": parameters}
            rows.append(row | {column: published[key][column] for column in ("published_millions", "status")})
    return pd.DataFrame(rows)


def convention_page(table: pd.DataFrame, dense: pd.DataFrame) -> Page:
    """Write both tables, and what they say about the published numbers."""
    published = read_published()
    flat, clip = (f"{published[name]['published_millions']:g}" for name in (CP_2D, CP_3D))
    statuses = sorted({published[name]["status"] for name in (CP_2D, CP_3D)})
    caption = (
        "The paper does not say what its counts count. Counts of ResNet-18 at width 64, rank `same`, two outputs, no "
        "data needed: λ (the CP weights) and Ψ (the inner BatchNorm) counted or not, stem and 1×1 shortcuts factorized "
        "or dense. A network without Ψ counts as one whose Ψ is not counted. Everywhere else in this report λ is "
        "counted, the stem is factorized, the shortcuts are dense, and there is no Ψ unless a profile asks for it."
    )
    header = [
        "λ", "Ψ", "stem", "shortcuts", "2-D CP, millions", f"off {flat} by", "2-D becomes " + flat + " by",
        "3-D CP, kernel 3, millions", f"off {clip} by", f"kernels that round to {clip}", f"kernels that cut to {clip}",
    ]  # fmt: skip
    lines = [
        [
            *(row[key] for key in ("weights", "inner_norm", "stem", "shortcuts")),
            f"{row['parameters_2d'] / 1e6:.3f}",
            f"{row['difference_2d'] / 1e6:.3f}",
            _way(row["parameters_2d"], float(flat)),
            f"{row['parameters_3d'] / 1e6:.3f}",
            f"{row['difference_3d'] / 1e6:.3f}",
            row["kernels_rounded"].replace(" ", ", ") or "none",
            row["kernels_cut"].replace(" ", ", ") or "none",
        ]
        for row in records(table)
    ]
    ways = [_way(total, float(flat)) for total in table["parameters_2d"]]
    reading = (
        f"Of {len(ways)} conventions {ways.count('rounding')} round to {flat} M in 2-D and {ways.count('cutting')} "
        f"become {flat} M when further digits are cut off. Kernel sizes are odd; for the published {clip} M read the "
        f"column that fits the 2-D number. Published counts: {flat} and {clip} M, status {', '.join(statuses)}."
    )
    rows = [
        [
            row["network"],
            str(row["outputs"]),
            f"{row['parameters']:,}",
            f"{row['published_millions']:g} {row['status']}",
            f"{abs(row['parameters'] / 1e6 - row['published_millions']):.3f}",
        ]
        for row in records(dense)
    ]
    dense_rows = Table(["network", "outputs", "ours", "published, millions", "off by, millions"], rows)
    note = "With 400 outputs these are the sizes of torchvision's r3d_18 and r2plus1d_18."
    blocks: list[Block] = [caption, Table(header, lines), reading, Heading("Dense video networks"), dense_rows, note]
    return Page("Ways to count", blocks)


def _way(total: int, millions: float) -> str:
    """Return how a count becomes a published number of one decimal."""
    wanted = round(millions * 10)
    return "rounding" if _rounded(total) == wanted else "cutting" if _cut(total) == wanted else "neither"
