import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hocbench.errors import EvaluationError
from hocbench.evaluation.files import read_table
from hocbench.evaluation.scores import evaluate
from hocbench.experiment.methods import METHODS
from hocbench.metrics import affect as metrics
from hocbench.runs.finished import TARGETS, read_runs
from tests.evaluation.conftest import description_of, evaluate_written, write_plan

FILES = (
    *("scores.csv", "intervals.csv", "differences.csv", "trends.csv", "sparsity.csv", "history.csv", "costs.csv"),
    *("counts.csv", "windows.csv", "factors.csv", "quadrants.csv", "timelines.parquet", "circumplex.parquet"),
    *("seed_intervals.csv", "seed_differences.csv", "metrics.json", "meta.json", "files.json"),
)


def run(paths, out, windows=(1, 5, 9), replicates=200):
    return evaluate_written(paths, out, replicates, windows=windows)


def table(out, name, **wanted):
    result = read_table(out / f"{name}.csv")
    for column, value in wanted.items():
        result = result[result[column] == value]
    return result.reset_index(drop=True)


def test_all_tables_are_written_and_are_the_same_bytes_for_any_order_of_runs(experiment, tmp_path):
    paths, first = experiment
    second = tmp_path / "out"
    evaluate(paths[::-1], second, description_of(paths), replicates=200, seed=7, windows=[1, 5, 9])
    assert sorted(path.name for path in first.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_scores_are_those_of_the_metric_functions(write_run, tmp_path):
    path = write_run(seed=3)
    out = run([path], tmp_path / "out")
    frames = read_runs([path])[0].predictions()
    frames = frames[frames["part"] == "test"].astype({name: float for name in (*TARGETS, "truth_valence")})
    scores = table(out, "scores", method="static").set_index(["target", "metric", "pooling"])["value"]
    for target in TARGETS:
        for metric in ("rmse", "sagr", "pcc", "ccc"):
            function = getattr(metrics, metric)
            pooled = function(frames[f"truth_{target}"], frames[target])
            clips = [function(clip[f"truth_{target}"], clip[target]) for _, clip in frames.groupby("clip")]
            assert scores[target, metric, "pooled"] == pytest.approx(pooled, abs=1e-9)
            assert scores[target, metric, "per_video"] == pytest.approx(np.mean(clips), abs=1e-9)


def test_intervals_pool_folds_and_average_seeds(experiment):
    _, out = experiment
    wanted = {"dataset": "afew_va", "method": "joint", "target": "valence", "metric": "rmse", "pooling": "pooled"}
    row = table(out, "intervals", lasso=0, **wanted).iloc[0]
    assert (row["n_seeds"], row["n_folds"], row["n_clusters"]) == (2, 2, 12)
    by_run = table(out, "scores", lasso=0, **wanted)
    assert len(by_run) == 4
    # Folds of equal length: the pooled square error is the mean of the folds' square errors.
    seeds = [np.sqrt((group["value"] ** 2).mean()) for _, group in by_run.groupby("seed")]
    assert row["mean"] == pytest.approx(np.mean(seeds))
    assert row["seed_sd"] == pytest.approx(np.std(seeds, ddof=1))
    assert row["low"] < row["mean"] < row["high"]


def test_still_images_have_no_scores_per_video(experiment):
    _, out = experiment
    scores = table(out, "scores", dataset="affectnet")
    assert set(scores["pooling"]) == {"pooled"}
    assert set(scores["n_clusters"]) == {30}
    assert set(table(out, "scores", dataset="sewa")["pooling"]) == {"pooled", "per_video"}


def test_the_smoothed_method_uses_the_window_chosen_on_validation(write_run, tmp_path):
    def spoil_test(predictions):
        # On the test part every output is exact, so only validation can ask for a long window.
        for target in TARGETS:
            exact = predictions["part"] == "test"
            predictions.loc[exact, target] = predictions.loc[exact, f"truth_{target}"]
        return predictions

    out = run([write_run(noise=0.8, edit=spoil_test)], tmp_path / "out")
    windows = table(out, "windows", method="static_smoothed")
    assert windows["window"].tolist() == [1, 5, 9]
    chosen = windows[windows["chosen"] == 1].iloc[0]
    assert chosen["window"] > 1
    assert chosen["mean_ccc"] == windows["mean_ccc"].max()
    scores = table(out, "scores", metric="ccc", target="valence", pooling="pooled").set_index("method")["value"]
    assert scores["static"] == pytest.approx(1)
    assert scores["static_smoothed"] < 1


def test_sparsity_is_by_block_and_counts_factorized_layers_only(experiment):
    _, out = experiment
    sparsity = table(out, "sparsity")
    assert set(sparsity["dataset"]) == {"affectnet"}
    assert set(sparsity["block"]) == {"stem", "layer1.0"}
    row = sparsity[(sparsity["lasso"] == 0.05) & (sparsity["block"] == "layer1.0")].iloc[0]
    assert (row["components"], row["zeros"], row["zero_share"]) == (40, 10, 0.25)
    assert (row["layer_ranks"], row["layer_effective_ranks"]) == ("20+20", "15+15")
    # A component: λ, 8 + 8 channels, 3 + 3 kernel positions.
    assert (row["parameters"], row["removed"], row["network_parameters"]) == (40 * 23, 10 * 23, 1234)
    assert (sparsity.loc[sparsity["lasso"] == 0, "zeros"] == 0).all()


def test_components_count_time_and_two_parameters_of_an_inner_batchnorm(write_run, tmp_path):
    path = write_run("affectnet", "lasso", lasso=0.05)
    network = json.loads((path / "network.json").read_text())
    network["config"]["inner_activation"] = True
    network["layers"][0]["kernel_size"] = [5, 3, 3]
    (path / "network.json").write_text(json.dumps(network))
    write_run.reseal(path)
    rows = table(run([path], tmp_path / "out"), "sparsity").set_index("block")
    assert rows.loc["stem", ["parameters", "removed"]].tolist() == [20 * (23 + 5 + 2), 5 * (23 + 5 + 2)]
    assert rows.loc["layer1.0", "parameters"] == 40 * (23 + 2)


def test_histories_costs_and_counts_carry_the_axes(experiment):
    paths, out = experiment
    assert len(table(out, "history")) == 3 * len(paths)
    costs = table(out, "costs")
    assert len(costs) == len(paths)
    assert set(costs["parameters"]) == {1234}
    assert set(costs["attempts"]) == {1}
    assert set(costs["parent"]) == {""}
    counts = table(out, "counts", dataset="sewa", part="test")
    assert (counts["frames"] == 12 * 40).all()
    assert (counts["scored"] == counts["frames"]).all()


def test_costs_name_the_run_that_a_run_started_from_and_how_often_it_was_started(write_run, tmp_path):
    first, second = write_run("affectnet"), write_run("sewa")
    write_run.respecify(second, parent=first.name)
    write_run.relabel(second, attempts=3)
    costs = table(run([first, second], tmp_path / "out"), "costs").set_index("dataset")
    assert costs["parent"].to_dict() == {"affectnet": "", "sewa": first.name}
    assert costs["attempts"].to_dict() == {"affectnet": 1, "sewa": 3}


def test_frames_without_label_or_picture_are_counted_but_not_scored(write_run, tmp_path):
    def drop(predictions):
        predictions.loc[3, ["truth_valence", "status"]] = [np.nan, "label_missing"]
        predictions.loc[5, ["valence", "arousal", "status"]] = [np.nan, np.nan, "frame_missing"]
        return predictions

    out = run([write_run(edit=drop)], tmp_path / "out")
    counts = table(out, "counts", part="test").set_index("status")
    assert counts.loc["label_missing", ["frames", "scored"]].tolist() == [1, 0]
    assert counts.loc["frame_missing", ["frames", "scored"]].tolist() == [1, 0]
    assert set(table(out, "scores")["n_frames"]) == {12 * 40 - 2}


def test_a_diverged_run_is_named(write_run, tmp_path):
    path = write_run(edit=lambda predictions: predictions.assign(valence=np.nan))
    with pytest.raises(EvaluationError, match=rf"{path}/predictions.parquet has no finite prediction for 480 frames"):
        run([path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_timelines_hold_the_three_most_varied_clips_of_sewa(experiment):
    paths, out = experiment
    frames = pd.read_parquet(out / "timelines.parquet")
    assert set(frames["method"]) == {"static", "static_smoothed", "joint"}
    assert (set(frames["dataset"]), set(frames["seed"])) == ({"sewa"}, {0})
    static = next(r for r in read_runs(paths) if r.key.dataset == "sewa" and r.key.method == "static")
    labels = static.predictions().query("part == 'test'")
    spread = labels.groupby("clip")[["truth_valence", "truth_arousal"]].var(ddof=0).sum(axis=1)
    assert set(frames["clip"]) == set(spread.nlargest(3).index)
    assert len(frames) == 3 * 3 * 40 * 2


def test_metrics_are_flat_and_equal_the_intervals(experiment):
    _, out = experiment
    numbers = json.loads((out / "metrics.json").read_text())
    row = table(out, "intervals", dataset="sewa", method="joint", lasso=0.05, target="arousal", metric="ccc")
    row = row[row["pooling"] == "pooled"]
    assert numbers["sewa.joint_lasso0.05.arousal.ccc"] == pytest.approx(row["mean"].iloc[0])
    names = {name.split(".")[1] for name in numbers}
    assert {"static", "static_dense", "untrained", "static_smoothed", "inflated"} <= names


def test_one_seed_no_lasso_and_no_afew_va_is_enough(write_run, tmp_path):
    out = run(write_plan(write_run, seeds=(0,), afew=False, lassos=(0.0,)), tmp_path / "out", windows=[1])
    intervals = table(out, "intervals")
    assert set(intervals["dataset"]) == {"affectnet", "sewa"}
    assert intervals["seed_sd"].isna().all()
    assert set(table(out, "sparsity")["lasso"]) == {0}


def test_images_alone_are_enough(write_run, tmp_path):
    out = run([write_run("affectnet")], tmp_path / "out")
    assert len(table(out, "windows")) == len(table(out, "differences")) == 0
    frames = pd.read_parquet(out / "timelines.parquet")
    assert len(frames) == 0
    assert list(frames.columns)[:3] == ["dataset", "method", "seed"]


def test_a_single_subject_has_no_interval(write_run, tmp_path):
    out = run([write_run(edit=lambda predictions: predictions.assign(subject="only"))], tmp_path / "out")
    intervals = table(out, "intervals")
    assert intervals[["low", "high"]].isna().all(axis=None)
    assert intervals["mean"].notna().all()


def test_seeds_that_lack_a_fold_enter_no_interval(write_run, tmp_path, caplog):
    paths = [write_run("afew_va", seed=seed, fold=fold) for seed, fold in ((0, 0), (0, 1), (1, 0))]
    out = run(paths, tmp_path / "out")
    assert set(table(out, "intervals")["n_seeds"]) == {1}
    assert len(table(out, "scores", method="static", metric="ccc", target="valence", pooling="pooled")) == 3
    assert "seeds [1] lack folds" in caplog.text


def test_nothing_to_evaluate_is_an_error(tmp_path):
    with pytest.raises(EvaluationError, match="no run directories"):
        run([], tmp_path / "out")
    with pytest.raises(EvaluationError, match="window of 4"):
        run([], tmp_path / "out", windows=[4])


def test_synthetic_and_real_runs_are_not_mixed(write_run, tmp_path):
    paths = [write_run(seed=0), write_run(seed=1)]
    write_run.relabel(paths[1], label="real")
    with pytest.raises(EvaluationError, match=r"synthetic data and .* of real data, both called sewa"):
        run(paths, tmp_path / "out")


def test_runs_of_different_parameters_are_not_mixed(write_run, tmp_path):
    first, second = write_run("sewa", "frames"), write_run("sewa", "joint")
    write_run.respecify(first, profile="embedded")
    write_run.respecify(second, profile="paper")
    with pytest.raises(EvaluationError, match=r"is of profile 'embedded' and .* of 'paper': .* Evaluate each profile"):
        run([first, second], tmp_path / "out")


@pytest.mark.parametrize(("dataset", "method"), [("afew_va", "static"), ("sewa", "inflated")])
def test_a_run_that_the_experiment_does_not_have_is_refused_by_name(write_run, tmp_path, dataset, method):
    paths = [write_run("sewa"), write_run(dataset, method)]
    methods = {name: known for name, known in METHODS.items() if name != "inflated"}
    description = replace(description_of(paths[:1]), methods=methods)
    with pytest.raises(EvaluationError, match=rf"{paths[1]} is of {method} on {dataset}, which is no part of this exp"):
        evaluate(paths, tmp_path / "out", description, 20, 7, [1])
    assert not (tmp_path / "out").exists()


def test_methods_with_other_subjects_are_refused(write_run, tmp_path):
    def renamed(predictions):
        return predictions.assign(subject="x" + predictions["subject"])

    paths = [write_run("sewa", "frames"), write_run("sewa", "joint", edit=renamed)]
    with pytest.raises(EvaluationError, match="were not scored on the same subjects, frames and labels"):
        run(paths, tmp_path / "out")


def test_the_same_cell_twice_is_refused(write_run, tmp_path):
    paths = [write_run(epochs=3), write_run(epochs=4)]
    with pytest.raises(EvaluationError, match="are the same method, seed and fold"):
        run(paths, tmp_path / "out")


def test_seeds_scored_on_other_frames_are_refused(write_run, tmp_path):
    paths = [write_run(seed=0), write_run(seed=1, edit=lambda predictions: predictions.drop(index=4))]
    with pytest.raises(EvaluationError, match=r"479 scored test frames.*\(480\) were not scored on the same"):
        run(paths, tmp_path / "out")


def test_a_clip_tested_in_two_folds_is_refused(write_run, tmp_path):
    paths = [write_run("afew_va", fold=0), write_run("afew_va", fold=1)]
    run(paths, tmp_path / "out")

    def rename(predictions):
        return predictions.assign(clip=predictions["clip"].str.replace("test2", "test0"))

    paths.append(write_run("afew_va", fold=2, edit=rename))
    with pytest.raises(EvaluationError, match="is tested in two folds"):
        run(paths, tmp_path / "out")


def test_a_table_that_is_not_there_says_what_to_run(tmp_path):
    with pytest.raises(EvaluationError, match=r"scores.csv. Run `hocbench evaluate` first"):
        read_table(tmp_path / "scores.csv")
