"""A metric that nobody has heard of, added by one record, is in all tables."""

import numpy as np
import pandas as pd
import pytest

from hocbench.evaluation.files import read_table
from hocbench.evaluation.intervals import resample
from hocbench.evaluation.statistics import Pooled, bootstrap_weights, cluster_sums, columns_of
from hocbench.metrics.record import mean_metric
from hocbench.metrics.records import METRICS
from hocbench.metrics.scales import LOG
from hocbench.reporting.tables import write_tables
from tests.evaluation.conftest import evaluate_written


def mae(truth, prediction):
    return float(np.mean(np.abs(prediction - truth)))


MAE = mean_metric("mae", "MAE", "low", LOG, mae, lambda truth, prediction: np.abs(prediction - truth))


@pytest.fixture
def with_mae(monkeypatch):
    monkeypatch.setitem(METRICS, "affect", (*METRICS["affect"], MAE))


def test_its_standard_error_is_that_of_the_jackknife_over_clusters(with_mae):
    draws = np.random.default_rng(0)
    cluster = np.repeat(np.arange(40), draws.integers(5, 30, 40))
    truth = draws.normal(size=cluster.size)
    output = truth + draws.normal(0, 0.3, cluster.size) + draws.normal(0, 0.3, 40)[cluster]
    columns = columns_of(METRICS["affect"], truth, output)
    statistic = Pooled(METRICS["affect"], tuple(columns))
    sums = cluster_sums(columns, cluster, 40)[None, None]
    weights = bootstrap_weights(np.zeros(40, int), 10, draws)
    found = resample(sums, np.ones(1), weights, np.zeros(40, int), statistic)
    left_out = [mae(truth[cluster != c], output[cluster != c]) for c in range(40)]
    error = np.sqrt(39 / 40 * ((left_out - np.mean(left_out)) ** 2).sum())
    assert found.estimate[-1] == pytest.approx(mae(truth, output))
    assert found.cluster_error[-1] == pytest.approx(error, rel=0.05)


def test_it_stands_in_tables_beside_scores_that_stay(with_mae, monkeypatch, write_run, tmp_path):
    paths = [write_run("sewa", "frames", noise=0.4), write_run("sewa", "joint", noise=0.1)]
    evaluate_written(paths, tmp_path / "out")
    frames = pd.read_parquet(paths[1] / "predictions.parquet").query("part == 'test'").astype({"truth_valence": "f8"})
    found = read_table(tmp_path / "out/intervals.csv").query("metric == 'mae' and target == 'valence'")
    row = found.query("method == 'joint' and pooling == 'pooled'").iloc[0]
    assert row["mean"] == pytest.approx(mae(frames["truth_valence"], frames["valence"].astype("f8")))
    assert 0 < row["low"] < row["mean"] < row["high"]
    pairs = read_table(tmp_path / "out/differences.csv").query("metric == 'mae' and method == 'joint'")
    assert (pairs["difference"] < 0).all() and (pairs["high"] < 0).all() and (pairs["p"] < 0.05).all()
    write_tables(tmp_path / "out", tmp_path / "tables")
    page = (tmp_path / "tables/sewa.md").read_text()
    assert "valence MAE" in page and "RMSE, MAE: small is good" in page and f"{row['mean']:.3f}" in page
    assert r"MAE\,$\downarrow$" in (tmp_path / "tables/sewa.tex").read_text()
    monkeypatch.setitem(METRICS, "affect", METRICS["affect"][:-1])
    evaluate_written(paths, tmp_path / "without")
    for name in ("scores", "intervals", "differences"):
        rows = read_table(tmp_path / f"out/{name}.csv").query("metric != 'mae'").reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, read_table(tmp_path / f"without/{name}.csv"), rtol=1e-9)
