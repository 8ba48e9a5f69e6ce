import math
import re

import pandas as pd
import pytest

from hocbench.evaluation.files import read_table
from hocbench.network_tables.conventions import build, read_published
from hocbench.network_tables.parameters import (
    PROJECTED,
    PUBLISHED_ONLY,
    TEMPORAL,
    parameter_page,
    parameter_table,
    removed_parameters,
)
from hocbench.nn import parameter_count
from tests.reporting.pages import description_of, tables_of


def spatial_layers():
    """Channels and kernel of the stem and of all 3×3 layers of a ResNet-18 of width 64, block by block."""
    layers = [("stem", 3, 64, 7)]
    inputs = 64
    for stage, outputs in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            layers += [(f"layer{stage}.{block}", inputs, outputs, 3), (f"layer{stage}.{block}", outputs, outputs, 3)]
            inputs = outputs
    return layers


def counted(order, kind):
    """Parameters by arithmetic alone."""
    total = 512 * 2 + 2
    total += sum(2 * outputs for _, _, outputs, _ in spatial_layers())  # BatchNorm after each of them
    total += sum(inputs * outputs + 2 * outputs for inputs, outputs in ((64, 128), (128, 256), (256, 512)))
    for _, inputs, outputs, size in spatial_layers():
        dense = inputs * outputs * size**2
        rank = round(dense / (inputs + outputs + 2 * size))
        taps = 3 if order == 3 else 0
        total += rank * (inputs + outputs + 2 * size + taps + 1) if kind == "cp" else dense * max(1, taps)
    return total


def sparse(shares, lasso=0.05, rank="same", label="real", components=100):
    rows = [
        {"lasso": lasso, "rank": rank, "block": block, "components": components, "zeros": round(components * share)}
        for block, share in shares.items()
    ]
    return pd.DataFrame(rows).assign(label=label)


def blocks():
    return list(dict.fromkeys(block for block, *_ in spatial_layers()))


@pytest.mark.parametrize(
    ("order", "kind", "millions"), [(2, "dense", 11.178), (2, "cp", 11.195), (3, "cp", 11.243), (3, "dense", 33.167)]
)
def test_the_counts_are_those_of_arithmetic(order, kind, millions):
    assert parameter_count(build(order, kind)) == counted(order, kind)
    assert counted(order, kind) / 1e6 == pytest.approx(millions, abs=6e-4)


def test_the_dense_networks_count_what_everyone_counts():
    assert counted(2, "dense") == 11_177_538
    assert counted(3, "dense") == 33_167_298


def test_the_table_holds_each_network_once_and_a_projection_per_weight(evaluation):
    table = parameter_table(read_table(evaluation / "sparsity.csv")).set_index("network")
    assert list(table.index) == [
        *("CP 2-D", "CP 3-D, transducted", PUBLISHED_ONLY, PUBLISHED_ONLY, TEMPORAL, "dense 3-D", "(2+1)-D"),
        *("dense 2-D", PROJECTED, PROJECTED),
    ]
    assert table.loc[PROJECTED, "lasso"].tolist() == [0.01, 0.05]
    assert table.loc[["dense 2-D", "CP 2-D", "CP 3-D, transducted", "dense 3-D"], "parameters"].tolist() == [
        counted(order, kind) for order, kind in ((2, "dense"), (2, "cp"), (3, "cp"), (3, "dense"))
    ]
    assert table.loc["(2+1)-D", "parameters"] == 31_301_151
    assert table.loc[TEMPORAL, "parameters"] == counted(3, "cp") - counted(2, "cp")


def test_rows_are_those_of_the_paper_then_ours(evaluation):
    table = parameter_table(read_table(evaluation / "sparsity.csv"))
    assert table["row"].tolist() == [*read_published(), "", "", ""]


def test_published_numbers_carry_their_status_and_no_other_row_has_one(evaluation):
    table = parameter_table(read_table(evaluation / "sparsity.csv"))
    shown = table.dropna(subset="published_millions")
    assert list(zip(shown["published_millions"], shown["status"], strict=True)) == [
        (11.1, "P"), (11.3, "P"), (10.6, "P"), (10.0, "P"), (0.2, "P"), (33.0, "S"), (31.0, "S"),
    ]  # fmt: skip
    assert set(table.loc[table["published_millions"].isna(), "status"]) == {""}


@pytest.mark.parametrize("label", ["real", "synthetic"])
def test_only_what_real_data_suggest_shares_a_row_with_a_published_count(label):
    table = parameter_table(sparse({"stem": 0.5}, lasso=0.01, label=label))
    (row,) = table[table["network"] == PROJECTED].itertuples()
    assert row.row == ("ResNet-18 CP 3D, LASSO 0.01" if label == "real" else "")
    assert (row.published_millions == 10.6) == (label == "real")
    assert set(read_published()) <= set(table["row"])


def test_what_synthetic_data_have_a_part_in_is_called_synthetic():
    shares = {"stem": 0.5}
    table = parameter_table(pd.concat([sparse(shares, label="real"), sparse(shares, label="synthetic")]))
    assert set(table["label"]) == {"synthetic"}
    assert set(table.loc[table["network"] == PROJECTED, "row"]) == {""}


def test_removed_parameters_follow_from_the_shares_of_each_block():
    shares = {"stem": 0.5, "layer2.0": 0.25, "layer4.1": 0.9}
    removed = components = factorized = 0
    for block, inputs, outputs, size in spatial_layers():
        rank = round(inputs * outputs * size**2 / (inputs + outputs + 2 * size))
        gone = round(shares.get(block, 0) * rank)
        each = inputs + outputs + 2 * size + 3 + 1
        removed, components, factorized = removed + gone * each, components + gone, factorized + rank * each
    assert removed_parameters(build(3, "cp"), shares) == (removed, factorized, components)


def test_projected_counts_agree_with_the_removed_shares(evaluation):
    table = parameter_table(read_table(evaluation / "sparsity.csv"))
    total = counted(3, "cp")
    rows = table[table["network"] == PROJECTED]
    for row in rows.itertuples():
        assert row.parameters == pytest.approx(total * (1 - row.removed_share), abs=1e-3)
        assert 0 < row.removed_share < row.removed_factorized < row.zero_share
    assert rows["parameters"].is_monotonic_decreasing
    assert table.loc[table["network"] != PROJECTED, "removed_share"].isna().all()


def test_a_network_without_any_component_left_has_only_what_is_not_factorized():
    table = parameter_table(sparse(dict.fromkeys(blocks(), 1.0)))
    (row,) = table[table["network"] == PROJECTED].itertuples()
    assert (row.zero_share, row.removed_factorized) == (1, 1)
    norms = sum(2 * outputs for _, _, outputs, _ in spatial_layers())
    shortcuts = sum(a * b + 2 * b for a, b in ((64, 128), (128, 256), (256, 512)))
    assert row.parameters == norms + shortcuts + 512 * 2 + 2


def test_seeds_are_pooled_by_their_components():
    first, second = sparse({"layer1.0": 0.2}), sparse({"layer1.0": 0.6}, components=300)
    table = parameter_table(pd.concat([first, second]))
    alone = parameter_table(sparse({"layer1.0": 0.5}))
    pd.testing.assert_frame_equal(table, alone)


def test_without_lasso_there_is_no_projection_and_no_claim_about_data(scanty):
    sparsity = read_table(scanty / "sparsity.csv")
    table = parameter_table(sparsity)
    assert PROJECTED not in set(table["network"])
    assert set(table["label"]) == {"real"}
    nothing = parameter_table(sparsity.iloc[:0])
    # Published counts stay, whether or not their weight was swept.
    assert nothing.loc[nothing["network"] == "CP 3-D, published only", "lasso"].tolist() == [0.01, 0.05]
    assert len(nothing) == 8
    assert "SYNTHETIC" not in parameter_page(nothing, description_of(scanty)).markdown()


def test_a_weight_that_nobody_published_has_no_published_number():
    table = parameter_table(sparse({"stem": 0.5}, lasso=0.02))
    (row,) = table[table["network"] == PROJECTED].itertuples()
    assert math.isnan(row.published_millions)


def test_the_page_prints_dashes_for_what_does_not_exist(evaluation):
    table = parameter_table(read_table(evaluation / "sparsity.csv"))
    page = parameter_page(table, description_of(evaluation)).markdown()
    (table,) = tables_of(page)
    lines = {cells[1]: cells[1:] for cells in table}
    assert lines["(2+1)-D"][1:] == ["-", "31.301", "31 S", "-", "-", "-"]
    assert lines["dense 2-D"][1:] == ["-", "11.178", "-", "-", "-", "-"]
    assert lines["CP 2-D"][1:] == ["-", "11.195", "11.1 P", "-", "-", "-"]
    assert lines[PROJECTED][1] == "0.05"
    assert all(re.fullmatch(r"\d+\.\d", cell) for cell in lines[PROJECTED][4:])
    assert "nan" not in page
    assert "in profile written (width 16, SYNTHETIC data)" in page
