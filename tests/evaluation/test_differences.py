import numpy as np
import pytest

from hocbench.errors import EvaluationError
from hocbench.evaluation.files import read_table
from hocbench.evaluation.significance import holm
from tests.evaluation.conftest import evaluate_written


@pytest.fixture
def differences(experiment):
    return read_table(experiment[1] / "differences.csv")


def pairs(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    return set(zip(table["method"], table["reference"], strict=True))


def test_video_methods_are_compared_with_the_fine_tuned_frames(differences):
    found = pairs(differences, dataset="sewa", reference="frames")
    assert {method for method, _ in found} == {
        *("static", "static_smoothed", "frames_smoothed", "untrained", "temporal", "joint"),
        *("inflated", "scratch_dense", "scratch"),
    }
    lassos = differences[(differences["method"] == "joint") & (differences["reference"] == "frames")]["lasso"]
    assert set(lassos) == {0, 0.05}


def test_joint_is_also_compared_with_scratch_and_with_smoothing(differences):
    found = {reference for method, reference in pairs(differences, dataset="sewa", lasso=0) if method == "joint"}
    assert found == {"frames", "scratch_dense", "scratch", "static_smoothed", "frames_smoothed"}


def test_image_methods_are_compared_as_on_still_images(differences):
    assert pairs(differences, dataset="affectnet") == {
        ("static", "static_dense"),
        ("lasso", "static"),
    }


def test_a_difference_is_method_minus_reference(differences, experiment):
    wanted = {"dataset": "afew_va", "target": "arousal", "metric": "ccc", "lasso": 0}
    table = differences[(differences["method"] == "joint") & (differences["reference"] == "frames")]
    for column, value in wanted.items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    intervals = read_table(experiment[1] / "intervals.csv").query("dataset == 'afew_va' and target == 'arousal'")
    intervals = intervals.query("metric == 'ccc' and pooling == 'pooled' and lasso == 0").set_index("method")["mean"]
    assert row["difference"] == pytest.approx(intervals["joint"] - intervals["frames"])
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert row["p"] < 0.01 and (row["n_seeds"], row["n_clusters"]) == (2, 12)


def test_holm_runs_over_dataset_and_metric(differences):
    for _, family in differences.groupby(["dataset", "metric"]):
        assert set(family["n_comparisons"]) == {len(family)}
        np.testing.assert_allclose(family["p_holm"], holm(family["p"].to_numpy()))
    assert (differences["p_holm"] >= differences["p"]).all()


def test_a_row_does_not_depend_on_the_other_rows(write_run, tmp_path):
    paths = [write_run("sewa", "frames"), write_run("sewa", "joint", noise=0.1)]
    evaluate_written(paths, tmp_path / "two")
    paths.append(write_run("sewa", "temporal", noise=0.2))
    evaluate_written(paths, tmp_path / "three")
    columns = ["method", "reference", "target", "metric", "difference", "low", "high", "p"]
    two, three = (read_table(tmp_path / name / "differences.csv")[columns] for name in ("two", "three"))
    assert two.merge(three, how="inner").shape == two.shape


def test_each_rank_is_compared_with_its_own_reference_and_rankless_ones_with_the_default(write_run, tmp_path):
    paths = [write_run("sewa", method, rank=rank) for method in ("frames", "joint") for rank in ("same", 8)]
    paths.append(write_run("sewa", "scratch_dense", noise=0.5))
    evaluate_written(paths, tmp_path / "out")
    table = read_table(tmp_path / "out/differences.csv").query("metric == 'ccc' and target == 'valence'")
    found = table[table["reference"] == "frames"].groupby(["method", "rank"]).size().to_dict()
    assert found["joint", "8"] == found["joint", "same"] == found["scratch_dense", ""] == 1


def test_only_common_seeds_and_folds_are_paired(write_run, tmp_path):
    paths = [write_run("afew_va", "frames", seed=seed, fold=fold) for seed in (0, 1, 2) for fold in (0, 1)]
    paths += [write_run("afew_va", "scratch_dense", seed=seed, fold=fold) for seed, fold in ((0, 0), (0, 1), (1, 1))]
    evaluate_written(paths, tmp_path / "out")
    table = read_table(tmp_path / "out/differences.csv").query("method == 'scratch_dense'")
    assert (set(table["n_seeds"]), set(table["n_clusters"])) == ({1}, {12})


def test_methods_scored_on_other_frames_are_refused(write_run, tmp_path):
    paths = [write_run("sewa", "frames"), write_run("sewa", "joint", edit=lambda table: table.drop(index=4))]
    with pytest.raises(EvaluationError, match=r"joint-cp\S* \(479 scored test frames\).*cannot be compared"):
        evaluate_written(paths, tmp_path / "out")
