from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hocbench.experiment.description import Description, RowKey
from hocbench.experiment.methods import METHODS
from hocbench.experiment.records import BUILT_IN
from hocbench.reporting.cost import ALL_RUNS, cost_page, cost_table, show_hours

NUMBERS = 10
CP = ("cp", "same")
EXPECTED = (
    RowKey("affectnet", "static", *CP),
    RowKey("sewa", "static", *CP),
    RowKey("sewa", "static_smoothed", *CP),
    RowKey("sewa", "joint", *CP),
)
JOINT = METHODS["joint"].named("cp")


def ran(run, dataset, method, parent="", seed=0, cpu_h=1.0, **changes):
    """One row of costs.csv."""
    values = vars(RowKey(dataset, method, *CP)) | {"seed": seed, "run": run}
    values |= {"training_cpu_s": 3600 * cpu_h, "gpu_s": 0.0, "steps_s": 100.0, "waiting_s": 5.0, "attempts": 1}
    values |= {"peak_memory_mib": 500.0, "peak_gpu_memory_mib": 0.0, "samples_per_s": 40.0, "parameters": 165_000}
    return values | {"parent": parent, "label": "synthetic"} | changes


def chain(**changes):
    """Two seeds of a network for images; one of them goes on to video in two steps."""
    rows = [
        ran("image0", "affectnet", "static", cpu_h=2, **changes),
        ran(
            "image1", "affectnet", "static", seed=1, cpu_h=4, samples_per_s=60.0, peak_memory_mib=800.0, waiting_s=15.0
        ),
        ran("test0", "sewa", "static", "image0", cpu_h=0.01, steps_s=0.0, waiting_s=0.0, samples_per_s=0.0),
        ran("joint0", "sewa", "joint", "test0", cpu_h=0.5),
    ]
    return pd.DataFrame(rows)


def described(*rows):
    """Describe an experiment with some rows more."""
    return Description("written", 16, "same", "cp", ("same",), {}, BUILT_IN, METHODS, EXPECTED + rows)


PLAIN = described()


def cells(table, dataset, method):
    (found,) = table[(table["dataset"] == dataset) & (table["method"] == method)].to_dict("records")
    return found


def lines(page):
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in page.splitlines() if line[:1] == "|"]


def test_a_cell_sums_its_seeds_and_takes_the_largest_memory():
    found = cells(cost_table(chain(), PLAIN), "affectnet", "static")
    assert (found["runs"], found["cpu_h"], found["cpu_h_with_start"]) == (2, 6, 6)
    assert (found["peak_memory_mib"], found["samples_per_s"], found["waiting_share"]) == (800, 50, 0.1)
    assert (found["gpu_h"], found["parameters"], found["label"]) == (0, 165_000, "synthetic")


def test_a_run_is_charged_with_all_that_it_starts_from():
    found = cells(cost_table(chain(), PLAIN), "sewa", "joint")
    assert found["cpu_h"] == pytest.approx(0.5)
    assert found["cpu_h_with_start"] == pytest.approx(0.5 + 0.01 + 2)


def test_an_ablation_has_a_row_of_its_own_and_a_column_only_where_there_is_any():
    plain = cost_table(chain(), PLAIN)
    assert "ablation" not in lines(cost_page(chain(), plain, PLAIN).markdown())[0]
    costs = pd.concat([chain(), pd.DataFrame([ran("k5", "sewa", "joint", ablation="kernel|5")])])
    description = described(RowKey("sewa", "joint", *CP, ablation="kernel|5"))
    table = cost_table(costs, description)
    own = table[(table["dataset"] == "sewa") & (table["method"] == "joint")]
    assert list(zip(own["ablation"], own["runs"], strict=True)) == [("", 1), ("kernel|5", 1)]
    header, _, *rows = lines(cost_page(costs, table, description).markdown())
    assert [cells[header.index("ablation")] for cells in rows if cells[1] == JOINT] == ["-", r"kernel\|5"]


def test_the_total_counts_each_run_once():
    table = cost_table(chain(), PLAIN)
    total = table.iloc[-1]
    assert (total["dataset"], total["runs"]) == (ALL_RUNS, 4)
    assert total["cpu_h"] == total["cpu_h_with_start"] == pytest.approx(6.51)
    assert table["cpu_h_with_start"].iloc[:-1].sum() > total["cpu_h"]


def test_seeds_that_share_an_ancestor_count_it_once_in_a_row():
    shared = [
        ran("a", "affectnet", "static", cpu_h=2),
        ran("b", "sewa", "joint", "a"),
        ran("c", "sewa", "joint", "a", seed=1),
    ]
    found = cells(cost_table(pd.DataFrame(shared), PLAIN), "sewa", "joint")
    assert found["cpu_h_with_start"] == pytest.approx(4)


def test_an_ancestor_that_was_not_evaluated_leaves_the_sum_open():
    found = cells(cost_table(chain().query("run != 'image0'"), PLAIN), "sewa", "joint")
    assert found["cpu_h"] == pytest.approx(0.5)
    assert np.isnan(found["cpu_h_with_start"])


def test_a_moving_average_shows_the_runs_that_it_averages_and_adds_nothing():
    table = cost_table(chain(), PLAIN)
    averaged, plain = cells(table, "sewa", "static_smoothed"), cells(table, "sewa", "static")
    assert averaged | {"method": "static"} == pytest.approx(plain, nan_ok=True)
    assert cost_table(chain(), replace(PLAIN, rows=()))["runs"].iloc[:-1].sum() == 4


def test_a_row_without_training_has_no_throughput():
    found = cells(cost_table(chain(), PLAIN), "sewa", "static")
    assert np.isnan(found["samples_per_s"])
    assert np.isnan(found["waiting_share"])


def test_the_page_prints_missing_cells_units_and_small_hours():
    description = described(RowKey("afew_va", "joint", *CP, lasso=0.05))
    costs = chain()
    page = cost_page(costs, cost_table(costs, description), description).markdown()
    header, _, *rows = lines(page)
    assert header[5] == "CPU, h"
    assert [cells[4:] for cells in rows if cells[0] == "afew_va"] == [["missing"] * NUMBERS]
    joint = next(cells for cells in rows if cells[1] == JOINT and cells[0] == "sewa")
    assert joint[4:] == ["1", "0.5", "2.5", "0", "0", "500", "-", "40", "5.0", "165,000"]
    assert rows[-1][:6] == [ALL_RUNS, "-", "-", "-", "4", "6.5"]
    assert "**SYNTHETIC data: affectnet, sewa.**" in page
    assert "nan" not in page


def test_real_data_are_not_called_synthetic_and_stopped_runs_are_counted():
    costs = chain(attempts=2).assign(label="real")
    page = cost_page(costs, cost_table(costs, PLAIN), PLAIN).markdown()
    assert "SYNTHETIC" not in page
    assert "1 run(s) were stopped and went on" in page


@pytest.mark.parametrize(
    ("hours", "text"), [(0, "0"), (0.000278, "0.00028"), (0.5, "0.5"), (9.96, "10.0"), (1234.56, "1,234.6")]
)
def test_hours_keep_two_digits(hours, text):
    assert show_hours(hours) == text


def test_unknown_hours_are_a_dash():
    assert show_hours(float("nan")) == "-"
