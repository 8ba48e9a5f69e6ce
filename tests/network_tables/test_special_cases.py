import pandas as pd
import pytest

from hocbench.network_tables.block_distance import block_distance
from hocbench.network_tables.special_cases import DRAWS, special_case_page, special_case_table
from hocbench.seeds import derive_seed


@pytest.fixture(scope="module")
def table():
    return special_case_table(0)


def test_both_blocks_are_exact_without_their_second_activation_and_not_with_it(table):
    blocks = table.groupby("block", sort=False)
    assert list(blocks.groups) == ["bottleneck", "inverted residual"]
    for _, rows in blocks:
        assert rows["verdict"].tolist() == ["exact", "exact", "not equal", "not equal"]
        assert [text.split()[0] for text in rows["activations_kept"]] == ["none", "first", "both", "both"]
        assert rows["factorized_as"].str.endswith("with Ψ").tolist() == [False, True, False, True]
        assert rows["difference_mean"].iloc[:2].max() < 1e-12
        assert rows["difference_mean"].iloc[2] > rows["difference_mean"].iloc[3] > 0.3
    assert set(table["label"]) == {"random input"}


def test_the_rank_is_that_which_is_needed(table):
    assert table.groupby("block")["rank"].unique().map(list).to_dict() == {
        "bottleneck": ["64 × 64 × 3 × 3"],
        "inverted residual": ["432"],
    }


def test_means_and_spreads_are_those_of_at_least_ten_draws(table):
    seeds = [derive_seed(0, use="special_cases", draw=draw) for draw in range(DRAWS)]
    differences = pd.Series(block_distance("bottleneck", "both", True, seeds).differences)
    row = table[(table["factorized_as"] == "Tucker with Ψ") & (table["verdict"] == "not equal")].iloc[0]
    assert row["draws"] == len(differences) >= 10
    assert row["difference_mean"] == pytest.approx(differences.mean(), rel=1e-12)
    assert row["difference_sd"] == pytest.approx(differences.std(), rel=1e-9)


def test_the_same_seed_gives_the_same_table_and_another_seed_another(table):
    pd.testing.assert_frame_equal(special_case_table(0), table, check_exact=True)
    other = special_case_table(1)
    assert other["verdict"].tolist() == table["verdict"].tolist()
    assert other["difference_mean"].tolist() != table["difference_mean"].tolist()


def test_the_page_says_random_input_and_prints_no_rounding_noise(table):
    page = special_case_page(table).markdown()
    assert page.split("\n\n")[1].startswith("**Random input: arithmetic on Gaussian images")
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][2:]
    assert [row[4] for row in cells if row[5] == "exact"] == ["< 1e-12"] * 4
    shown = [row[4] for row in cells if row[5] == "not equal"]
    wanted = table[table["verdict"] == "not equal"]
    assert shown == [f"{r.difference_mean:.3f} ± {r.difference_sd:.3f}" for r in wanted.itertuples()]
    assert "e-1" not in page.replace("< 1e-12", "")
