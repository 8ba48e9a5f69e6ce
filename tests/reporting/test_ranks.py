import pandas as pd
import pytest

from hocbench.experiment.description import Description
from hocbench.experiment.methods import METHODS
from hocbench.experiment.records import BUILT_IN
from hocbench.reporting.pages import Page
from hocbench.reporting.ranks import rank_page, rank_report

DESCRIPTION = Description("writ_ten", 16, "same", "cp", ("same", "0.5"), {}, BUILT_IN, METHODS, ())


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


def test_each_lasso_weight_and_rank_has_its_own_rows():
    both = pd.concat([trained(lasso=0.05), trained(lasso=0.01), trained().assign(rank="same")])
    table = rank_report(both)
    assert list(zip(table["rank"], table["lasso"], strict=True))[::3] == [("0.5", 0.01), ("0.5", 0.05), ("same", 0.05)]
    assert len(table) == 9


@pytest.mark.parametrize("label", ["synthetic", "real"])
def test_the_rank_page_states_the_denominators_and_the_data(label):
    page = rank_page(rank_report(trained(label=label)), DESCRIPTION).markdown()
    assert ("SYNTHETIC" in page.split("\n\n")[1]) is (label == "synthetic")
    assert r"in profile writ\_ten (width 16), means over 2 training seed(s)" in page
    for denominator in ("all parameters of the network", "factorized parameters of the row", "the λ of the row"):
        assert denominator in " ".join(page.split())
    last = page.splitlines()[-1].strip("| ").split(" | ")
    assert last == ["affectnet", "0.5", "0.05", "all", "48", "35.5", "-", "298", "3.0", "25.7", "26.0"]


def test_an_evaluation_without_lasso_says_so():
    without = trained().query("lasso == 0")
    for sparsity in (without, without.iloc[:0]):
        table = rank_report(sparsity)
        assert table.empty
        assert rank_page(table, DESCRIPTION) == Page("Ranks that LASSO selected", ["No run with LASSO is finished."])
