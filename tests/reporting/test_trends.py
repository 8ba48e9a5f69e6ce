import pandas as pd

from hocbench.reporting.trends import trend_page

ROW = {
    "dataset": "sewa", "method": "CP 3-D, temporal then joint", "variant": "", "axis": "lasso", "levels": "0;0.02;0.05",
    "target": "valence", "metric": "ccc", "slope": -0.0412, "low": -0.062, "high": -0.0199, "p_holm": 0.0002,
    "n_seeds": 2, "n_clusters": 40, "label": "synthetic",
}  # fmt: skip


def page(*rows):
    return trend_page(pd.DataFrame(rows, columns=list(ROW)), {"profile": "embedded"})


def test_a_trend_is_written_with_its_levels_interval_and_p_value():
    text = page(ROW, ROW | {"metric": "rmse"})
    assert "SYNTHETIC" in text
    assert "| LASSO weight | 0, 0.02, 0.05 | valence | -0.041 [-0.062, -0.020] | < 0.001 | 2 |" in text
    assert text.count("CP 3-D, temporal then joint") == 1


def test_a_trend_without_interval_and_a_variant_are_written_too():
    missing = {"low": float("nan"), "high": float("nan"), "p_holm": 0.25, "label": "real", "variant": "kernel-5"}
    text = page(ROW | missing)
    assert "| kernel-5 | LASSO weight |" in text and "| -0.041 | 0.250 |" in text and "SYNTHETIC" not in text


def test_a_sweep_of_one_level_has_no_trend():
    assert "no trend to test" in page()
