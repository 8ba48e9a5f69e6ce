import pandas as pd
import pytest

from hocbench.reporting.ranks import rank_page, rank_report
from tests.reporting.conftest import SETTING


def block_row(block, seed, ranks, left, size, *, lasso=0.05, label="real", everything=10_000):
    """One row of sparsity.csv as the evaluation writes it, for layers whose components have ``size`` parameters."""
    components, zeros = sum(ranks), sum(ranks) - sum(left)
    row = {"dataset": "affectnet", "lasso": lasso, "rank": "0.5", "seed": seed, "block": block, "label": label}
    row |= {"components": components, "zeros": zeros, "zero_share": zeros / components}
    row |= {"layer_ranks": "+".join(map(str, ranks)), "layer_effective_ranks": "+".join(map(str, left))}
    return row | {"parameters": components * size, "removed": zeros * size, "network_parameters": everything}


def trained(**options):
    """Two seeds, two blocks; nothing was removed from the network without LASSO."""
    return pd.DataFrame(
        [
            block_row("layer1.0", 0, (20, 20), (10, 20), 23, **options),
            block_row("layer1.0", 1, (20, 20), (15, 13), 23, **options),
            block_row("stem", 0, (8,), (8,), 30, **options),
            block_row("stem", 1, (8,), (5,), 30, **options),
            block_row("stem", 0, (8,), (8,), 30, **options | {"lasso": 0.0}),
        ]
    )


def test_ranks_are_means_over_seeds_by_block_and_for_the_whole_network():
    table = rank_report(trained())
    assert table["block"].tolist() == ["stem", "layer1.0", "all"]
    assert table["components"].tolist() == [8, 40, 48]
    assert table["effective_rank"].tolist() == [6.5, 29, 35.5]
    assert table["layers"].tolist() == ["6.5/8", "12.5/20 + 16.5/20", ""]
    assert set(table["seeds"]) == {2}
    removed = [1.5 * 30, 11 * 23, 1.5 * 30 + 11 * 23]
    assert table["removed"].tolist() == removed
    assert table["removed_of_all"].tolist() == pytest.approx([each / 10_000 for each in removed])
    factorized = [8 * 30, 40 * 23, 8 * 30 + 40 * 23]
    assert table["removed_of_factorized"].tolist() == pytest.approx(
        [a / b for a, b in zip(removed, factorized, strict=True)]
    )
    assert table["zero_share"].tolist() == pytest.approx([1.5 / 8, 11 / 40, 12.5 / 48])


def test_variants_have_rows_of_their_own_and_a_column_only_where_there_are_any():
    assert "variant" not in rank_page(rank_report(trained().assign(variant="")), SETTING)
    table = rank_report(pd.concat([trained().assign(variant=""), trained().assign(variant="a|b")]))
    assert table["variant"].tolist() == [""] * 3 + ["a|b"] * 3
    assert set(table["seeds"]) == {2}
    assert r"| variant | block |" in rank_page(table, SETTING)
    assert r"| a\|b | stem |" in rank_page(table, SETTING)


def test_each_lasso_weight_and_rank_has_its_own_rows():
    both = pd.concat([trained(lasso=0.05), trained(lasso=0.01), trained().assign(rank="same")])
    table = rank_report(both)
    assert list(zip(table["rank"], table["lasso"], strict=True))[::3] == [("0.5", 0.01), ("0.5", 0.05), ("same", 0.05)]
    assert len(table) == 9


@pytest.mark.parametrize("label", ["synthetic", "real"])
def test_the_rank_page_states_the_denominators_and_the_data(label):
    page = rank_page(rank_report(trained(label=label)), SETTING)
    assert ("SYNTHETIC" in page.split("\n\n")[1]) is (label == "synthetic")
    assert "means over 2 training seed(s)" in page
    for denominator in ("all parameters of the network", "factorized parameters of the row", "the λ of the row"):
        assert denominator in " ".join(page.split())
    last = page.splitlines()[-1].strip("| ").split(" | ")
    assert last == ["affectnet", "0.5", "0.05", "all", "48", "35.5", "-", "298", "3.0", "25.7", "26.0"]


def test_an_evaluation_without_lasso_or_without_sizes_says_what_to_run():
    old = trained().drop(columns=["parameters", "layer_ranks"])
    without = trained().query("lasso == 0")
    for sparsity in (old, without, without.iloc[:0]):
        table = rank_report(sparsity)
        assert table.empty
        assert "run `hocbench evaluate` again" in rank_page(table, SETTING)
