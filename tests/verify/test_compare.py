"""Cells compared with their tolerances, on small tables written by hand."""

import math

import pytest

from hocbench.errors import VerifyError
from hocbench.evaluation import collect, differences, pictures, records, scores, trends, verdicts
from hocbench.paths import EVALUATION_FILES
from hocbench.verify.cells import by_key, read_rows
from hocbench.verify.compare import compare_rows, judge, unknown_spread
from hocbench.verify.spread import measure, spread_of
from hocbench.verify.tables import EXEMPT, OPTIONAL, SEALS, TABLES

BY_NAME = {table.name: table for table in TABLES}
METHOD = {"dataset": "sewa", "method": "CP", "rank": "0.5", "lasso": "0"}
CELL = {"target": "valence", "metric": "ccc", "pooling": "pooled"}
KEYS = METHOD | {"seed": "0", "fold": "0"} | CELL


def score(value, **changes):
    return KEYS | {"value": value, "n_frames": "90"} | changes


def interval(sd, seeds=5, **changes):
    return METHOD | CELL | {"seed_sd": f"{sd}", "n_seeds": f"{seeds}"} | changes


def compared(name, reference, here, intervals=()):
    table = BY_NAME[name]
    return compare_rows(table, reference, here, measure(table, reference, intervals))


@pytest.mark.parametrize(
    ("reference", "here", "tolerance", "outcome"),
    [
        ("0.5", "0.5", None, "identical"),
        ("0.5", "0.50", None, "identical"),
        ("", "", None, "identical"),
        ("nan", "nan", 0.1, "identical"),
        ("0.5", "0.500000000001", 1e-9, "within tolerance"),
        ("0.5", "0.8", 0.3, "different"),  # 0.8 - 0.5 is a little more than 0.3
        ("0.5", "0.75", 0.25, "within tolerance"),
        ("0.5", "0.500000000001", None, "different"),
        ("0.5", "0.500000000001", 0.0, "different"),
        ("0.5", "", 1.0, "different"),
        ("0.5", "nan", 1.0, "different"),
        ("0.5", "inf", 1.0, "different"),
        ("inf", "-inf", math.inf, "within tolerance"),
        ("synthetic", "real", 1.0, "different"),
    ],
)
def test_a_pair_of_cells(reference, here, tolerance, outcome):
    assert judge(reference, here, tolerance)[0] == outcome
    assert judge(here, reference, tolerance)[0] == outcome


@pytest.mark.parametrize(
    ("moved", "outcome"), [(1e-12, "within tolerance"), (0.01, "within tolerance"), (0.031, "different")]
)
def test_a_score_may_move_by_three_seed_spreads(moved, outcome):
    cells = compared("scores", [score("0.5")], [score(f"{0.5 + moved:.15g}")], [interval(0.01)])
    assert [(cell.column, cell.outcome) for cell in cells] == [("value", outcome), ("n_frames", "identical")]
    assert cells[0].difference == pytest.approx(moved)
    assert cells[0].tolerance == pytest.approx(0.03)
    assert cells[0].basis == "seed spread of the method"


def test_with_one_seed_the_largest_spread_of_the_other_methods_counts():
    others = [interval(0.01, method="A"), interval(0.02, method="B"), interval(9, method="C", target="arousal")]
    own = interval("", seeds=1)
    cell, _ = compared("scores", [score("0.5")], [score("0.56")], [own, *others])
    assert (cell.tolerance, cell.outcome) == (pytest.approx(0.06), "different")  # 0.56 - 0.5 is above 0.06
    assert cell.basis == "one seed: largest seed spread of other methods"


def test_with_few_seeds_a_spread_near_zero_by_chance_is_not_taken_at_its_word():
    few = [interval(0.0001, seeds=2), interval(0.01, seeds=2, method="A"), interval(0.03, seeds=2, method="B")]
    cell, _ = compared("scores", [score("0.5")], [score("0.52")], few)
    assert (cell.tolerance, cell.outcome) == (pytest.approx(0.03), "within tolerance")
    assert cell.basis == "2 seeds: median seed spread of all methods"
    many = [interval(0.0001), *few[1:]]
    cell, _ = compared("scores", [score("0.5")], [score("0.52")], many)
    assert (cell.tolerance, cell.outcome) == (pytest.approx(0.0003), "different")


def test_without_any_spread_only_equality_counts():
    for intervals in ([], [interval("", seeds=1)], [interval(0.01, target="arousal")]):
        cells = compared("scores", [score("0.5")], [score("0.500000000001")], intervals)
        assert (cells[0].outcome, cells[0].basis, cells[0].tolerance) == ("different", "no spread known", None)
        assert [unknown_spread(cell) for cell in cells] == [True, False]
        assert compared("scores", [score("0.5")], [score("0.5")], intervals)[0].outcome == "identical"


def test_a_dataset_of_one_seed_borrows_the_largest_spread_of_the_others():
    others = [interval(0.01, dataset="afew_va"), interval(0.02, dataset="sewa_control", method="A")]
    cell, _ = compared("scores", [score("0.5")], [score("0.55")], others)
    assert (cell.tolerance, cell.outcome) == (pytest.approx(0.06), "within tolerance")
    assert cell.basis == "one seed: largest seed spread of other data sets"


def test_what_is_no_score_has_to_be_equal():
    cells = compared("scores", [score("0.5")], [score("0.5", n_frames="91")], [interval(0.01)])
    assert [(cell.outcome, cell.basis) for cell in cells[1:]] == [("different", "has to be equal")]


def test_a_difference_has_the_spread_of_both_methods():
    row = METHOD | {"reference": "R", "target": "valence", "metric": "ccc", "difference": "0.1"}
    spreads = measure(BY_NAME["differences"], [row], [interval(0.03), interval(0.04, method="R", rank="", seeds=9)])
    assert spread_of(BY_NAME["differences"], spreads, row, "difference").sd == pytest.approx(0.05)
    alone = measure(BY_NAME["differences"], [row], [])
    assert spread_of(BY_NAME["differences"], alone, row, "difference").sd is None


def differing(**changes):
    row = METHOD | {"reference": "R", "target": "valence", "metric": "ccc"}
    row |= {"difference": "0.1", "effect_size": "2", "p": "0.01", "p_holm": "0.04"}
    intervals = [interval(0.03), interval(0.04, method="R")]
    return {cell.column: cell for cell in compared("differences", [row], [row | changes], intervals)}


@pytest.mark.parametrize(("p", "outcome"), [("0.04", "within tolerance"), ("0.05", "different"), ("", "different")])
def test_of_p_values_the_side_of_the_level_counts(p, outcome):
    cell = differing(p=p)["p"]
    assert (cell.outcome, cell.basis) == (outcome, "same side of 0.05")
    assert differing()["p"].outcome == "identical"


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "identical"),
        ({"difference": "0.11"}, "identical"),
        ({"difference": "0.11", "effect_size": "2.2"}, "within tolerance"),
        ({"difference": "0.9", "effect_size": "9"}, "different"),
        ({"effect_size": "2.2"}, "different"),
    ],
)
def test_an_effect_size_goes_with_its_difference(changes, outcome):
    assert differing(**changes)["effect_size"].outcome == outcome


def test_a_column_or_a_row_that_is_on_one_side_only():
    more = score("0.5", note="x")
    cells = compared("scores", [score("0.5")], [more, score("0.4", seed="1")])
    assert [(cell.column, cell.outcome) for cell in cells] == [
        *(("value", "identical"), ("n_frames", "identical"), ("note", "extra")),
        *(("value", "extra"), ("n_frames", "extra")),
    ]
    cells = compared("scores", [more], [])
    assert {cell.outcome for cell in cells} == {"missing"}
    assert (cells[0].reference, cells[0].value) == ("0.5", None)


def test_an_absent_column_of_variants_means_the_default_network():
    cells = compared("scores", [score("0.5")], [score("0.5", variant=""), score("0.1", variant="kernel-5")])
    assert [(cell.column, cell.outcome) for cell in cells[:2]] == [("value", "identical"), ("n_frames", "identical")]
    assert {cell.outcome for cell in cells[2:]} == {"extra"}


def test_tables_without_targets_take_the_spread_of_their_own_seeds():
    def row(seed, value, method="A", chosen="1"):
        keys = METHOD | {"method": method, "seed": seed, "fold": "0", "window": "3"}
        return keys | {"ccc_valence": value, "mean_ccc": value, "chosen": chosen}

    reference = [row("0", "0.5"), row("1", "0.52"), row("0", "0.5", "B")]
    here = [row("0", "0.51", chosen="0"), row("1", "0.9", chosen="0"), row("0", "0.52", "B")]
    cells = [cell for cell in compared("windows", reference, here) if cell.column in ("ccc_valence", "chosen")]
    tolerance = pytest.approx(3 * 0.02 / math.sqrt(2))
    assert [cell.tolerance for cell in cells[::2]] == [tolerance] * 3
    assert cells[4].basis == "one seed: largest seed spread of other methods"
    assert [cell.outcome for cell in cells] == [
        *("within tolerance", "within tolerance", "different", "different", "within tolerance", "identical"),
    ]


def test_a_trend_has_the_largest_spread_along_its_axis():
    row = METHOD | {"lasso": "", "axis": "lasso", "target": "valence", "metric": "ccc", "slope": "0.1", "p": "0.2"}
    intervals = [interval(0.01), interval(0.02, lasso="0.05"), interval(0.5, rank="1"), interval(0.6, method="A")]
    cell, p = compared("trends", [row], [row | {"slope": "0.15", "p": "0.06"}], intervals)
    assert (cell.tolerance, cell.outcome) == (pytest.approx(0.06), "within tolerance")
    assert (cell.basis, p.outcome) == ("seed spread of the method", "within tolerance")


def test_of_a_claim_the_verdict_counts():
    row = {"claim": "C1", "dataset": "sewa", "verdict": "inconclusive", "reason": "0.5", "label": "synthetic"}
    cells = compared("claims", [row], [row | {"reason": "0.6"}])
    assert [(cell.column, cell.outcome) for cell in cells] == [("verdict", "identical"), ("label", "identical")]
    cells = compared("claims", [row], [row | {"verdict": "holds on synthetic data"}])
    assert [cell.outcome for cell in cells] == ["different", "identical"]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("scores", scores.SCORE_COLUMNS),
        ("intervals", scores.INTERVAL_COLUMNS),
        ("differences", differences.COLUMNS),
        ("trends", trends.COLUMNS),
        ("sparsity", records.SPARSITY_COLUMNS),
        ("windows", collect.WINDOW_COLUMNS),
        ("counts", records.COUNT_COLUMNS),
        ("factors", pictures.FACTOR_COLUMNS),
        ("quadrants", pictures.QUADRANT_COLUMNS),
        ("claims", verdicts.CLAIM_COLUMNS),
    ],
)
def test_what_is_said_of_a_table_fits_the_one_that_is_written(name, columns):
    table = BY_NAME[name]
    assert {*table.keys, *table.scored, *table.follows, *table.conclusions} - {*columns} <= {*OPTIONAL}


def test_every_table_of_the_evaluation_is_compared_or_exempt():
    written = {name.removesuffix(".csv") for name in EVALUATION_FILES if name.endswith(".csv")}
    assert written <= {*BY_NAME, *EXEMPT}
    assert {table.folder for table in TABLES} == set(SEALS)


def test_a_learning_curve_is_compared_by_its_validation_scores():
    rows = [
        METHOD | {"seed": seed, "fold": "0", "epoch": "1", "validation_rmse_valence": value, "train_loss": value}
        for seed, value in (("0", "0.3"), ("1", "0.4"))
    ]
    cells = compared("history", rows, [rows[0] | {"validation_rmse_valence": "0.35", "train_loss": "9"}, rows[1]])
    assert [(cell.column, cell.outcome) for cell in cells] == [
        ("validation_rmse_valence", "within tolerance"),
        ("validation_rmse_valence", "identical"),
    ]


def test_two_rows_of_the_same_keys_are_named():
    rows = [score("0.5"), score("0.4", seed="1"), score("0.6")]
    with pytest.raises(VerifyError) as error:
        compared("scores", rows, rows[:1])
    assert str(error.value) == (
        "scores.csv of the reference has two rows (data rows 1 and 3) of dataset=sewa; method=CP; rank=0.5; lasso=0; "
        "seed=0; fold=0; target=valence; metric=ccc; pooling=pooled; one of them is too many, so write the table again"
    )


def test_a_table_without_its_keys_is_named():
    with pytest.raises(VerifyError, match=r"^scores\.csv has no column method, fold; write it again"):
        by_key([{"dataset": "sewa", "rank": ""}], ("dataset", "method", "rank", "variant", "fold"), "scores.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no header of distinct columns; write t.csv again"),
        (b"a,a\n1,2\n", "has no header of distinct columns; write t.csv again"),
        (
            b"a,b\n1,2\n3",
            ", line 3: 1 cells where the header has 2; the file was cut off or edited; write t.csv again",
        ),
        (b'a,b\n1,"2', " cannot be read as CSV (unexpected end of data); write t.csv again"),
        (b"a,b\n\xff,2\n", " cannot be read as CSV ('utf-8' codec can't decode byte 0xff in position 4: invalid start"),
    ],
)
def test_files_that_are_no_tables(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(VerifyError) as error:
        read_rows(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(VerifyError, match=r"none\.csv cannot be read as CSV"):
        read_rows(tmp_path / "none.csv")
