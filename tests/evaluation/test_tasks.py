"""Runs of other tasks than valence and arousal, from predictions to pages: a classification, and one target, joy."""

import numpy as np
import pandas as pd
import pytest

from hocbench.errors import EvaluationError
from hocbench.evaluation.files import read_table
from hocbench.metrics.affect import ccc
from hocbench.metrics.classification import accuracy, auc, balanced_accuracy, brier, probabilities
from hocbench.reporting.tables import write_tables
from tests.evaluation.conftest import Writer, evaluate_written

FUNCTIONS = {"auc": auc, "balanced_accuracy": balanced_accuracy, "accuracy": accuracy, "brier": brier}
# Joint and static are compared with frames; where outputs are smoothed, so are both smoothed, and joint with these.
PAIRS = {"lesions": 2, "joy": 6}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Runs in which joint is really better than frames, on two datasets of other tasks and on SEWA."""
    folder = tmp_path_factory.mktemp("others")
    write = Writer(folder / "runs")
    for dataset in ("sewa", "lesions", "joy"):
        for seed in (0, 1):
            for method, noise in (("static", 0.6), ("frames", 0.5), ("joint", 0.1)):
                write(dataset, method, noise=noise, seed=seed)
    evaluate_written(write.paths, folder / "out", replicates=400)
    write_tables(folder / "out", folder / "tables")
    return write.paths, folder


def units_of(path):
    """Truth and probabilities of the test clips, by a slow loop over frames with a crop."""
    table = pd.read_parquet(path / "predictions.parquet").query("part == 'test' and status != 'no_crop'")
    truth, logits = [], []
    for _, frames in table.groupby("clip"):
        truth.append(frames["truth_class"].iloc[0])
        logits.append(frames[["logit_0", "logit_1"]].to_numpy(float).mean(axis=0))
    return np.array(truth), probabilities(np.array(logits))


def test_clips_of_a_classification_are_scored_by_the_mean_logits_of_their_frames_with_a_crop(others):
    paths, folder = others
    (path,) = [
        path for path in paths if path.parent.name == "lesions" and path.name.startswith("frames-cp-same-0.0-0-1")
    ]
    scores = read_table(folder / "out/scores.csv").query("dataset == 'lesions' and method == 'frames' and seed == 1")
    assert set(scores["target"]) == {"class"} and set(scores["pooling"]) == {"pooled"}
    assert (scores["n_clusters"] == 40).all() and (scores["n_frames"] == 800).all()
    for metric, function in FUNCTIONS.items():
        (value,) = scores.loc[scores["metric"] == metric, "value"]
        assert value == pytest.approx(function(*units_of(path)), abs=1e-9)


def test_a_method_that_is_better_is_so_in_sign_interval_and_p(others):
    table = read_table(others[1] / "out/differences.csv").query("method == 'joint' and reference == 'frames'")
    for dataset, metric, sign in (
        ("lesions", "auc", 1),
        ("lesions", "brier", -1),
        ("joy", "ccc", 1),
        ("joy", "rmse", -1),
    ):
        (row,) = table[(table["dataset"] == dataset) & (table["metric"] == metric)].to_dict("records")
        assert sign * row["difference"] > 0 and min(sign * row["low"], sign * row["high"]) > 0
        assert row["p"] < 0.01 and row["p_holm"] < 0.05 and row["n_comparisons"] == PAIRS[dataset]
    found = read_table(others[1] / "out/seed_differences.csv").query("dataset == 'lesions'")
    assert set(found["metric"]) == {"auc"} and set(found["seed"]) == {0, 1}


def test_outputs_are_smoothed_where_frames_are_scored_only(others):
    scores, windows = (read_table(others[1] / f"out/{name}.csv") for name in ("scores", "windows"))
    smoothed = scores[scores["method"].str.endswith("smoothed")]
    assert set(smoothed["dataset"]) == set(windows["dataset"]) == {"joy", "sewa"}
    assert {"ccc_valence", "ccc_arousal", "ccc_joy"} <= set(windows.columns)
    assert windows.loc[windows["dataset"] == "joy", "ccc_joy"].notna().all()


def test_a_free_target_is_scored_frame_by_frame(others):
    paths, folder = others
    (path,) = [path for path in paths if path.parent.name == "joy" and path.name.startswith("joint-cp-same-0.0-0-0")]
    frames = (
        pd.read_parquet(path / "predictions.parquet").query("part == 'test'").astype({"joy": float, "truth_joy": float})
    )
    rows = read_table(folder / "out/scores.csv").query("dataset == 'joy' and method == 'joint' and seed == 0")
    (value,) = rows.query("metric == 'ccc' and pooling == 'pooled'")["value"]
    assert value == pytest.approx(ccc(frames["truth_joy"], frames["joy"]), abs=1e-9)
    assert len(rows) == 8 and set(rows["target"]) == {"joy"}


def test_each_dataset_has_a_page_with_the_scores_of_its_task(others):
    _, folder = others
    page = (folder / "tables/lesions.md").read_text()
    assert "class AUC | class balanced accuracy | class accuracy | class Brier score" in page and "valence" not in page
    assert "Brier score: small is good; AUC, balanced accuracy, accuracy: large is good." in page
    assert "All test clips, each by the mean logits of its frames" in page and "left out" in page
    intervals = read_table(folder / "out/intervals.csv").query("dataset == 'lesions' and method == 'joint'")
    row = intervals.set_index("metric").loc["auc"]
    assert 0.8 < row["low"] < row["mean"] <= row["high"] <= 1
    assert f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in page
    assert "joy RMSE | joy SAGR | joy PCC | joy CCC" in (folder / "tables/joy.md").read_text()
    differences = (folder / "tables/differences.md").read_text()
    assert "Shown: CCC or AUC." in differences and "| class | AUC |" in differences and "| joy | CCC |" in differences


def test_a_class_without_test_clips_is_noted_and_no_crash(write_run, tmp_path):
    paths = [
        write_run(
            "lesions",
            method,
            noise=noise,
            edit=lambda table: table[(table["part"] != "test") | (table["truth_class"] == 1)],
        )
        for method, noise in (("frames", 0.5), ("joint", 0.1))
    ]
    evaluate_written(paths, tmp_path / "out")
    write_tables(tmp_path / "out", tmp_path / "tables")
    row = read_table(tmp_path / "out/intervals.csv").query("metric == 'auc' and method == 'joint'").iloc[0]
    assert np.isnan(row["mean"]) and row["note"] == "units of a single class"
    differences = read_table(tmp_path / "out/differences.csv").set_index("metric")
    assert differences.loc["auc", ["difference", "p", "p_holm"]].isna().all() and differences.loc["brier", "p"] < 0.05
    assert "failed (units of a single class)" in (tmp_path / "tables/lesions.md").read_text()


def test_a_clip_of_two_classes_is_refused(write_run, tmp_path):
    def mix(table):
        return table.assign(truth_class=table["truth_class"].where(table.index != 3, 1 - table["truth_class"]))

    with pytest.raises(
        EvaluationError, match=r"Clip test0-00-0 of .* has frames of two classes. Index the dataset again"
    ):
        evaluate_written([write_run("lesions", "frames", edit=mix)], tmp_path / "out")


def test_runs_scored_on_other_classes_are_not_compared(write_run, tmp_path):
    def flip(table):
        return table.assign(truth_class=1 - table["truth_class"])

    paths = [write_run("lesions", "frames"), write_run("lesions", "joint", edit=flip)]
    with pytest.raises(EvaluationError, match="not scored on the same subjects, frames and labels"):
        evaluate_written(paths, tmp_path / "out")
