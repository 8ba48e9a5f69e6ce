"""Cells compared with their tolerances, on small tables written by hand."""

import math

import pytest

from hocbench.claims import verdicts
from hocbench.errors import VerifyError
from hocbench.evaluation import accumulate, differences, figure_data, run_tables, scores, trends
from hocbench.experiment.description import Description
from hocbench.paths import EVALUATION_FILES
from hocbench.verify.cells import by_key, read_rows
from hocbench.verify.compare import Expected, check_choices, compare_rows, judge, rows_by_key, settle
from hocbench.verify.spread import Spreads
from hocbench.verify.tables import CLAIMS, EXEMPT, SEALS, TABLES

BY_NAME = {table.name: table for table in (*TABLES, CLAIMS)}
METHOD = {"dataset": "sewa", "method": "static", "factorization": "cp", "rank": "0.5", "lasso": "0", "ablation": ""}
CELL = {"target": "valence", "metric": "ccc", "pooling": "pooled"}
KEYS = METHOD | {"seed": "0", "fold": "0"} | CELL


def score(value, **changes):
    return KEYS | {"value": value, "n_frames": "90"} | changes


def compared(name, laboratories, here, same=None):
    """Compare rows with those of laboratories; ``same`` is the one whose outputs are those here."""
    table = BY_NAME[name]
    there = [rows_by_key(table, rows, "") for rows in laboratories]
    names = [f"lab{number}" for number in range(len(there))]
    spreads = Spreads(table, laboratories)
    expected = Expected(table, names, there, spreads, lambda key: same, level=0.05, headline_level=0.01)
    return settle(expected, compare_rows(expected, rows_by_key(table, here, "")))


@pytest.mark.parametrize(
    ("reference", "here", "outcome"),
    [
        ("0.5", "0.5", "identical"),
        ("0.5", "0.50", "identical"),
        ("", "", "identical"),
        ("nan", "nan", "identical"),
        ("0.5", "0.500000000001", "different"),
        ("0.5", "", "different"),
        ("0.5", "nan", "different"),
        ("inf", "-inf", "different"),
        ("synthetic", "real", "different"),
    ],
)
def test_a_pair_of_texts(reference, here, outcome):
    assert judge(reference, here)[0] == outcome
    assert judge(here, reference)[0] == outcome


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("0.5", "identical"),
        ("0.56", "within tolerance"),
        ("1.6", "within tolerance"),  # t with one degree of freedom: 12.7 × 0.0707 × √1.5 = 1.10 around 0.55
        ("1.7", "different"),
        ("nan", "different"),
        ("inf", "different"),
        ("", "different"),
    ],
)
def test_a_score_may_be_where_one_more_laboratory_is_expected(value, outcome):
    cells = compared("scores", [[score("0.5")], [score("0.6")]], [score(value)])
    assert [(cell.column, cell.outcome) for cell in cells] == [("value", outcome), ("n_frames", "identical")]
    assert cells[0].tolerance == pytest.approx(12.706 * 0.1 / math.sqrt(2) * math.sqrt(1.5), rel=1e-3)
    assert cells[0].basis == "spread between laboratories"
    if value and math.isfinite(float(value)):
        assert cells[0].difference == pytest.approx(float(value) - 0.55)


def test_a_chosen_window_has_the_largest_score_of_its_own_table():
    def rows(chosen):
        keys = METHOD | {"seed": "0", "fold": "0"}
        scores = {"1": "0.5", "3": "0.6", "5": "0.6"}
        return [keys | {"window": w, "mean_ccc": s, "chosen": str(int(w == chosen))} for w, s in scores.items()]

    def outcome(chosen):
        here = rows(chosen)
        cells = check_choices(compared("windows", [rows("3"), rows("3")], here), here)
        return {cell.basis for cell in cells if cell.column == "chosen" and cell.outcome == "different"}

    assert outcome("3") == set()  # of equals the shortest
    for chosen in ("1", "5"):
        assert "has to be the window of the largest mean CCC" in outcome(chosen)


def test_limits_that_cannot_be_had_are_unusual():
    row = METHOD | CELL | {"mean": "0.5", "low": "0.4", "high": "0.6", "seed_sd": "0.1"}
    second = row | {"mean": "0.51", "low": "0.41", "high": "0.61", "seed_sd": "0.11"}
    cells = {cell.column: cell.outcome for cell in compared("intervals", [[row], [second]], [row | {"low": ""}])}
    assert cells == {"mean": "identical", "low": "unusual", "high": "identical", "seed_sd": "identical"}


def test_one_cell_of_many_may_be_unusual_but_not_most_of_a_method():
    rows = [score(f"{0.5 + seed / 100:g}", seed=str(seed)) for seed in range(5)]
    other = [score(f"{0.51 + seed / 100:g}", seed=str(seed)) for seed in range(5)]

    def outcomes(count):
        here = [row | {"value": "0.9"} if place < count else row for place, row in enumerate(rows)]
        rival = score("0.5", method="rival")
        cells = compared("scores", [[*rows, rival], [*other, rival | {"value": "0.51"}]], [*here, rival])
        return [cell.outcome for cell in cells if cell.column == "value"]

    assert outcomes(2) == ["unusual"] * 2 + ["identical"] * 4
    assert outcomes(3) == ["different"] * 3 + ["identical"] * 3


def test_a_mean_score_counts_by_itself():
    def row(value, **changes):
        return METHOD | CELL | {"mean": value} | changes

    first = [row("0.5"), *(row("0.3", metric=metric) for metric in ("pcc", "rmse", "sagr"))]
    second = [each | {"mean": f"{float(each['mean']) + 0.01:g}"} for each in first]
    (cell, *others) = compared("intervals", [first, second], [row("3"), *first[1:]])
    assert (cell.outcome, {each.outcome for each in others}) == ("different", {"identical"})
    cells = compared("intervals", [first, second], [first[0], row("3", metric="pcc"), *first[2:]])
    assert [each.outcome for each in cells] == ["identical", "unusual", "identical", "identical"]


def test_of_one_laboratory_alone_only_equality_counts():
    cells = compared("scores", [[score("0.5")]], [score("0.500000000001")])
    found = (cells[0].outcome, cells[0].basis, cells[0].tolerance)
    assert found == ("different", "no spread between laboratories known", None)
    assert [cell.is_of_unknown_spread for cell in cells] == [True, False]
    assert compared("scores", [[score("0.5")]], [score("0.5")])[0].outcome == "identical"


def test_where_all_laboratories_agree_so_has_this_one():
    cell, _ = compared("scores", [[score("0.5")], [score("0.5")]], [score("0.51")])
    assert (cell.outcome, cell.basis, cell.tolerance) == ("different", "the same in all laboratories", 0.0)


@pytest.mark.parametrize(
    ("value", "outcome"), [("0.6", "within tolerance"), ("0.60000001", "within tolerance"), ("0.601", "different")]
)
def test_the_same_predictions_have_the_same_scores(value, outcome):
    cells = compared("scores", [[score("0.5")], [score("0.6")]], [score(value)], same=1)
    assert cells[0].outcome == outcome
    assert cells[0].basis == "the same predictions as in lab1, so equal but for rounding"
    assert cells[0].reference == "0.5"
    own = compared("scores", [[score("0.5")], [score("0.6")]], [score("0.5")], same=0)
    assert {cell.outcome for cell in own} == {"identical"}


def test_what_is_no_score_has_to_be_equal():
    cells = compared("scores", [[score("0.5")], [score("0.6")]], [score("0.5", n_frames="91")])
    assert [(cell.outcome, cell.basis) for cell in cells[1:]] == [("different", "has to be equal")]


def differing(**changes):
    row = METHOD | {"reference": "R", "reference_ablation": "", "target": "valence", "metric": "ccc"}
    row |= {"difference": "0.1", "effect_size": "2", "p": "0.01", "p_holm": "0.04"}
    laboratories = [[row], [row | {"difference": "0.12", "effect_size": "2.4", "p": "0.02"}]]
    return {cell.column: cell for cell in compared("differences", laboratories, [row | changes])}


@pytest.mark.parametrize("follower", ["effect_size", "p"])
@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "identical"),
        ({"difference": "0.11"}, "identical"),
        ({"difference": "0.11", "effect_size": "2.2", "p": "0.06"}, "within tolerance"),
        ({"difference": "9", "effect_size": "9", "p": "0.001"}, "within tolerance"),  # the difference itself is counted
        ({"difference": "nan", "effect_size": "9", "p": "0.001"}, "within tolerance"),
        ({"effect_size": "2.2", "p": "0.06"}, "different"),
    ],
)
def test_an_effect_size_and_a_p_value_go_with_their_difference(follower, changes, outcome):
    assert differing(**changes)[follower].outcome == outcome


def test_a_column_or_a_row_that_is_on_one_side_only():
    more = score("0.5", note="x")
    cells = compared("scores", [[score("0.5")]], [more, score("0.4", seed="1")])
    assert [(cell.column, cell.outcome) for cell in cells] == [
        *(("value", "identical"), ("n_frames", "identical"), ("note", "extra")),
        *(("value", "extra"), ("n_frames", "extra")),
    ]
    cells = compared("scores", [[more]], [])
    assert {cell.outcome for cell in cells} == {"missing"}
    assert (cells[0].reference, cells[0].value) == ("0.5", None)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("scores", scores.SCORE_COLUMNS),
        ("intervals", scores.INTERVAL_COLUMNS),
        ("differences", differences.COLUMNS),
        ("seed_intervals", scores.SEED_INTERVAL_COLUMNS),
        ("seed_differences", differences.SEED_COLUMNS),
        ("trends", trends.COLUMNS),
        ("sparsity", run_tables.SPARSITY_COLUMNS),
        ("windows", accumulate.window_columns(Description("", 1, "", "", (), {}, {}, {}, ()))),
        ("counts", run_tables.COUNT_COLUMNS),
        ("factors", figure_data.FACTOR_COLUMNS),
        ("quadrants", figure_data.QUADRANT_COLUMNS),
        ("claims", verdicts.CLAIM_COLUMNS),
    ],
)
def test_what_is_said_of_a_table_fits_the_one_that_is_written(name, columns):
    table = BY_NAME[name]
    assert {*table.keys, *table.scored, *table.follows} <= {*columns}
    assert all(any(column.startswith(prefix) for column in columns) for prefix in table.scored_like)


def test_every_table_of_the_evaluation_is_compared_or_exempt():
    written = {name.removesuffix(".csv") for name in EVALUATION_FILES if name.endswith(".csv")}
    assert written <= {*BY_NAME, *EXEMPT}
    assert {table.folder for table in (*TABLES, CLAIMS)} == set(SEALS)


def test_a_learning_curve_is_compared_by_its_end():
    def curve(*values, seed="0"):
        keys = METHOD | {"seed": seed, "fold": "0"}
        return [
            keys | {"epoch": str(epoch), "validation_rmse_valence": value, "kept": value}
            for epoch, value in enumerate(values, 8)
        ]

    laboratories = [curve("0.9", "0.5", "0.3") + curve("0.2", seed="1"), curve("0.8", "0.4", "0.31")]
    cells = compared("history", laboratories, curve("0.1", "0.1", "0.32") + curve("0.2", seed="1"))
    assert [(cell.keys[-1], cell.column, cell.outcome) for cell in cells] == [
        ("10", "validation_rmse_valence", "within tolerance"),
        ("8", "validation_rmse_valence", "identical"),
    ]


def test_two_rows_of_the_same_keys_are_named():
    rows = [score("0.5"), score("0.4", seed="1"), score("0.6")]
    with pytest.raises(VerifyError) as error:
        rows_by_key(BY_NAME["scores"], rows, " of the reference")
    assert str(error.value) == (
        "scores.csv of the reference has two rows (data rows 1 and 3) of dataset=sewa; method=static; "
        "factorization=cp; rank=0.5; lasso=0; "
        "seed=0; fold=0; target=valence; metric=ccc; pooling=pooled; one of them is too many, so write the table again"
    )


def test_a_table_without_its_keys_is_named():
    with pytest.raises(VerifyError, match=r"^scores\.csv has no column method, fold; write it again"):
        by_key([{"dataset": "sewa", "rank": ""}], ("dataset", "method", "rank", "fold"), "scores.csv")


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
