import pandas as pd

from hocbench.experiment.description import Description
from hocbench.experiment.methods import METHODS
from hocbench.experiment.records import BUILT_IN
from hocbench.reporting.trends import trend_page

ROW = {
    "dataset": "sewa", "method": "joint", "factorization": "cp", "rank": "same", "lasso": float("nan"), "ablation": "",
    "axis": "lasso", "levels": "0;0.02;0.05", "target": "valence", "metric": "ccc", "slope": -0.0412, "low": -0.062,
    "high": -0.0199, "p_holm": 0.0002, "n_seeds": 2, "n_clusters": 40, "label": "synthetic",
}  # fmt: skip


def page(*rows, ranks=("same",)):
    description = Description("embed_ded", 16, ranks[0], "cp", ranks, {}, BUILT_IN, METHODS, ())
    return trend_page(pd.DataFrame(rows, columns=list(ROW)), description).markdown()


def test_a_trend_is_written_with_its_levels_interval_and_p_value():
    text = page(ROW, ROW | {"metric": "rmse"})
    assert "SYNTHETIC" in text and r"Profile embed\_ded" in text and "from resampling subjects." in text
    assert "| LASSO weight | 0, 0.02, 0.05 | valence | -0.041 [-0.062, -0.020] | < 0.001 | 2 |" in text
    assert text.count("CP 3-D, temporal then joint") == 1


def test_a_trend_without_interval_and_an_ablation_are_written_too():
    missing = {"low": float("nan"), "high": float("nan"), "p_holm": 0.25, "label": "real", "ablation": "kernel-5"}
    text = page(ROW | missing)
    assert "| kernel-5 | LASSO weight |" in text and "| -0.041 | 0.250 |" in text and "SYNTHETIC" not in text


def test_ranks_tell_rows_apart_where_the_sweep_has_several():
    along = {"axis": "rank", "levels": "0.25;0.5", "rank": "", "lasso": 0.0}
    text = page(ROW | {"dataset": "affectnet", "rank": "0.25"}, ROW | along, ranks=("0.25", "0.5"))
    assert "| dataset | method | rank | along |" in text
    assert "| CP 3-D, temporal then joint | 0.25 | LASSO weight | 0, 0.02, 0.05 |" in text
    assert "| CP 3-D, temporal then joint | - | rank | 0.25, 0.5 |" in text
    assert "from resampling subjects (images on AffectNet)" in text


def test_a_sweep_of_one_level_has_no_trend():
    assert "no trend to test" in page()
