import pytest

from studies.speed.bars import Bar, evaluate_bars, outcome_table, read_bars
from studies.speed.compaction import SHARES
from studies.speed.layers import DENSE, MEASURED, OWN, TLTORCH, TWO_PLUS_ONE
from studies.speed.measurements import DIFFERENCE, KEPT, TIME
from studies.speed.timing import Setting
from tests.studies.conftest import ONE, row

SMALL, LARGE = "2×4×8×8", "2×8×4×4"
TWO = Setting(2, "cpu")


def bar(rival=("A", "B"), pick="each", over="sum", quantity=TIME, direction="at least", number=1.5):
    return Bar("id", "what", "layers 2-D", "224 px", "own", tuple(rival), pick, over, quantity, direction, number)


def judge(bar, rows, setting=ONE):
    (outcome,) = evaluate_bars([bar], rows, [setting])
    return outcome


ROWS = [
    row("own", (1, 2), SMALL),
    row("own", (3, 2), LARGE),
    row("A", (2, 4), SMALL),
    row("A", (10, 12), LARGE),
    row("B", (6, 6), SMALL),
    row("B", (4, 4), LARGE),
]


def test_the_best_single_rival_has_the_smallest_total():
    outcome = judge(bar(pick="single"), ROWS)
    # B: (6 + 4) / (1 + 3) and (6 + 4) / (2 + 2); A takes 12 and 16.
    assert outcome.value == (2.5, 2.5, 2.5)
    assert (outcome.status, outcome.detail) == ("cleared", "B")


def test_the_best_rival_per_layer_is_put_together_from_all():
    outcome = judge(bar(pick="each"), ROWS)
    # A on the small one, B on the large one: 2 + 4 and 4 + 4 by 4 and 4.
    assert outcome.value == (1.75, 1.625, 1.875)
    assert outcome.detail == "A / B"


def test_the_worst_layer_counts_where_that_is_asked_for():
    outcome = judge(bar(over="worst"), ROWS)
    # Small: 2 and 2; large: 4/3 and 2.
    assert outcome.value.median == pytest.approx((4 / 3 + 2) / 2)
    assert (outcome.status, outcome.detail) == ("cleared", f"A / B, {LARGE}")
    outcome = judge(bar(over="worst", direction="at most", number=1), ROWS)
    assert outcome.value.median == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert outcome.detail == f"A / B, {LARGE}"


@pytest.mark.parametrize(
    ("direction", "number", "status"),
    [
        ("at least", 1.75, "cleared"),
        ("at least", 1.76, "missed"),
        ("at most", 4 / 7, "cleared"),
        ("at most", 0.56, "missed"),
    ],
)
def test_the_median_decides(direction, number, status):
    rows = [row("own", (4, 4, 4)), row("A", (7, 70, 0.7))]
    assert judge(bar("A", direction=direction, number=number), rows).status == status


def test_a_hopeless_rival_that_was_timed_once_does_not_disturb_the_others():
    rows = [*ROWS, row("C", (50,), SMALL), row("C", (3, 3), LARGE)]
    outcome = judge(bar(("A", "B", "C")), rows)
    assert outcome.value == (1.5, 1.375, 1.625)
    assert outcome.detail == "A / C"
    assert judge(bar("C"), rows).value.median == 53 / 4


def test_memory_is_judged_as_time_is():
    rows = [row("own", (130,), quantity=KEPT), row("A", (100,), quantity=KEPT)]
    outcome = judge(bar("A", quantity=KEPT, direction="at most", number=1.3), rows)
    assert (outcome.value.median, outcome.status) == (1.3, "cleared")


def test_a_difference_needs_no_rival_and_the_largest_one_counts():
    rows = [row("own", (1e-12,), SMALL, quantity=DIFFERENCE), row("own", (1e-5,), LARGE, quantity=DIFFERENCE)]
    outcome = judge(bar((), quantity=DIFFERENCE, over="worst", direction="at most", number=1e-6), rows)
    assert (outcome.value.median, outcome.status) == (1e-5, "missed")
    rows = [row("own", (float("nan"),), quantity=DIFFERENCE)]
    assert judge(bar((), quantity=DIFFERENCE, direction="at most", number=1), rows).status == "missed"


@pytest.mark.parametrize("lost", range(len(ROWS)))
def test_a_bar_with_a_missing_measurement_is_not_measured(lost):
    rows = [r for number, r in enumerate(ROWS) if number != lost]
    outcome = judge(bar(), rows)
    assert (outcome.status, outcome.value, outcome.detail) == ("not measured", None, "")


def test_measurements_of_another_setting_group_case_or_quantity_do_not_count():
    for change in ({"setting": TWO}, {"group": "layers 3-D"}, {"case": "112 px"}, {"quantity": KEPT}):
        others = [row("own", (1,), **change), row("A", (2,), **change)]
        assert judge(bar("A"), others).status == "not measured"


def test_each_setting_is_judged_by_itself():
    rows = [row("own", (1,)), row("A", (2,)), row("own", (1,), setting=TWO), row("A", (1,), setting=TWO)]
    outcomes = evaluate_bars([bar("A")], rows, [ONE, TWO])
    assert [(outcome.setting, outcome.status) for outcome in outcomes] == [(ONE, "cleared"), (TWO, "missed")]


def test_the_table_has_a_row_per_bar_and_setting_and_leaves_unknown_numbers_empty():
    table = outcome_table(evaluate_bars([bar()], ROWS, [ONE, TWO]))
    assert list(table["status"]) == ["cleared", "not measured"]
    assert list(table["threads"]) == [1, 2]
    assert table["median"].isna().tolist() == [False, True]


def test_the_shipped_bars_are_those_of_the_written_table():
    bars = {b.id: (b.direction, b.bar) for b in read_bars()}
    assert len(bars) == len(read_bars())
    least = {
        "2d-tltorch-single": 1.2,
        "2d-tltorch-each": 1.05,
        "2d-dense": 0.8,
        **{
            f"3d-{pixels}-{name}": number
            for pixels in (224, 112)
            for name, number in (
                ("tltorch-single", 2.2),
                ("tltorch-each", 1.5),
                ("dense", 1.5),
                ("2plus1d", 1.8),
                ("worst", 1),
            )
        },
        "temporal-own": 1.3,
        "temporal-tltorch": 3.5,
        **{f"compaction-30-{mode}": 1.2 for mode in ("training", "inference")},
        **{f"compaction-50-{mode}": 1.5 for mode in ("training", "inference")},
        "export-tltorch": 1.5,
        "export-dense": 1.2,
    }
    most = {
        "temporal-gradients": 1e-9,
        **{f"compaction-{share}-outputs": 1e-6 for share in SHARES},
        "memory-dense": 1.3,
        "memory-tltorch": 1 / 8,
        "memory-time": 1.7,
        **{f"path-{name}": 1.15 for name in ("2d-224", "3d-224", "3d-112")},
    }
    expected = {name: ("at least", number) for name, number in least.items()}
    assert bars == expected | {name: ("at most", number) for name, number in most.items()}


def test_the_shipped_bars_name_methods_that_are_measured():
    known = {MEASURED, TWO_PLUS_ONE, *OWN.values(), *TLTORCH.values(), *DENSE.values()}
    for b in read_bars():
        assert b.pick in ("single", "each", ""), b.id
        assert b.over in ("sum", "worst"), b.id
        if b.group.startswith("layers"):
            assert {b.ours, *b.rival} <= known, b.id
