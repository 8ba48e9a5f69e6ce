import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from hocbench.errors import RunError
from hocbench.evaluation.figure_data import (
    CIRCUMPLEX_COLUMNS,
    FACTOR_COLUMNS,
    QUADRANT_COLUMNS,
    QUADRANTS,
    circumplex,
    factors,
    quadrant_sums,
)
from hocbench.evaluation.files import read_table
from hocbench.runs.finished import TARGETS, read_runs
from tests.evaluation.conftest import description_of, evaluate_written


def test_factors_are_summed_up_over_the_components_that_were_not_removed(experiment):
    paths, out = experiment
    table = read_table(out / "factors.csv")
    assert list(table.columns) == FACTOR_COLUMNS
    run = next(r for r in read_runs(paths) if (r.key.method, r.key.lasso, r.key.seed) == ("joint", 0.05, 1))
    weights = load_file(run.path / "weights.safetensors")
    mine = table.query("method == 'joint' and lasso == 0.05 and seed == 1 and fold == @run.key.fold")
    mine = mine[mine["dataset"] == run.key.dataset]
    assert sorted(mine["layer"].unique()) == ["conv1", "layer1.0.conv1", "layer1.0.conv2"]
    for layer, rows in mine.groupby("layer"):
        alive = weights[f"{layer}.factors.time"][:, weights[f"{layer}.weights"] != 0]
        assert alive.shape == (3, 15)
        assert rows["tap"].tolist() == [-1, 0, 1]
        np.testing.assert_allclose(rows["mean"], alive.mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(rows["q10"], np.quantile(alive, 0.1, axis=1), rtol=1e-6)
        np.testing.assert_allclose(rows["q90"], np.quantile(alive, 0.9, axis=1), rtol=1e-6)
    assert table["q90"].max() < 2  # the removed ones are 99


def test_only_trained_networks_that_were_transducted_have_factors(experiment):
    table = read_table(experiment[1] / "factors.csv")
    assert set(table["method"]) == {"temporal", "joint"}


@pytest.mark.parametrize(
    ("init", "starts"),
    [("ones", [1, 1, 1]), ("average", [1 / 3] * 3), ("centre", [0, 1, 0]), (None, [np.nan] * 3)],
)
def test_the_start_is_that_of_the_parameters(write_run, init, starts):
    path = write_run(method="temporal")
    write_run.respecify(path, temporal={"kernel_size": 3, "init": init} if init else None)
    table = factors(read_runs([path])).query("layer == 'conv1'")
    np.testing.assert_allclose(table["init"], starts)


def test_the_start_of_a_joint_network_is_that_of_its_temporal_stage(write_run):
    first, second = write_run(method="temporal"), write_run(method="joint")
    write_run.respecify(first, temporal={"kernel_size": 3, "init": "centre"})
    write_run.respecify(second, temporal=None, parent=first.name)
    table = factors(read_runs([first, second])).query("layer == 'conv1' and method == 'joint'")
    np.testing.assert_allclose(table["init"], [0, 1, 0])


def test_starts_agree_with_those_of_transduction():
    from hocbench.evaluation.figure_data import _start
    from hocbench.nn.conversion import INITS, temporal_taps

    for init in INITS:
        for size in (1, 3, 5):
            ours = [_start(init, size, tap) for tap in range(-(size // 2), size // 2 + 1)]
            np.testing.assert_allclose(ours, temporal_taps(size, init).numpy())


def test_a_layer_without_components_is_left_out(write_run):
    path = write_run(method="joint", lasso=0.2)
    assert factors(read_runs([path])).empty


def test_a_trained_video_network_without_weights_is_named(write_run):
    path = write_run(method="joint")
    (path / "weights.safetensors").unlink()
    write_run.reseal(path)
    with pytest.raises(RunError, match=r"weights.safetensors is absent: .* Fit the run again"):
        factors(read_runs([path]))


def test_errors_by_quadrant_are_those_of_the_frames(experiment):
    paths, out = experiment
    table = read_table(out / "quadrants.csv")
    assert list(table.columns) == QUADRANT_COLUMNS
    parts = [
        run.predictions().query("part == 'test'")
        for run in read_runs(paths)
        if (run.key.dataset, run.key.method, run.key.lasso, run.key.seed) == ("afew_va", "joint", 0.0, 0)
    ]
    assert len(parts) == 2  # folds
    frames = pd.concat(parts).astype({column: "f8" for column in (*TARGETS, "truth_valence", "truth_arousal")})
    mine = table.query("dataset == 'afew_va' and method == 'joint' and lasso == 0 and seed == 0").set_index("quadrant")
    assert mine["n_frames"].sum() == len(frames)
    for quadrant in QUADRANTS:
        right, up = quadrant[1] == "+", quadrant[4] == "+"
        inside = frames[((frames["truth_valence"] >= 0) == right) & ((frames["truth_arousal"] >= 0) == up)]
        assert mine.loc[quadrant, "n_frames"] == len(inside)
        for target in TARGETS:
            error = np.sqrt(((inside[target] - inside[f"truth_{target}"]) ** 2).mean())
            assert mine.loc[quadrant, f"rmse_{target}"] == pytest.approx(error)


def test_moving_averages_have_smaller_errors_in_every_quadrant(experiment):
    table = read_table(experiment[1] / "quadrants.csv").query("dataset == 'sewa' and seed == 0")
    by_method = table.set_index(["method", "quadrant"])["rmse_valence"]
    assert (by_method["static_smoothed"] < by_method["static"]).all()


def test_labels_of_zero_count_as_positive_and_empty_quadrants_are_absent(write_run, tmp_path):
    frames = pd.DataFrame({"truth_valence": [0.0, -0.5], "truth_arousal": [0.0, 0.0], "valence": 0.5, "arousal": 0.1})
    np.testing.assert_allclose(quadrant_sums(frames)[:, 0], [1, 1, 0, 0])
    np.testing.assert_allclose(quadrant_sums(frames)[:2, 1:], [[0.25, 0.01], [1.0, 0.01]])
    path = write_run(edit=lambda table: table.assign(truth_arousal=table["truth_arousal"].abs()))
    evaluate_written([path], tmp_path / "out", replicates=20)
    assert set(read_table(tmp_path / "out" / "quadrants.csv")["quadrant"]) == {"V+ A+", "V- A+"}


def test_the_plane_holds_all_test_frames_of_the_fine_tuned_network_of_the_first_seed(experiment):
    paths, out = experiment
    table = pd.read_parquet(out / "circumplex.parquet")
    assert list(table.columns) == CIRCUMPLEX_COLUMNS
    assert set(table["method"]) == {"joint"}
    assert set(table["seed"]) == {0}
    assert table.groupby("dataset")["clip"].nunique().to_dict() == {"afew_va": 24, "sewa": 12}
    drawn = table[table["trajectory"]]
    assert drawn.groupby("dataset")["clip"].nunique().to_dict() == {"afew_va": 3, "sewa": 3}
    spread = table.groupby(["dataset", "clip"])[["truth_valence", "truth_arousal"]].var(ddof=0).sum(axis=1)
    assert set(drawn.query("dataset == 'sewa'")["clip"]) == set(spread["sewa"].nlargest(3).index)
    run = next(r for r in read_runs(paths) if r.key.method == "joint")
    frames = run.predictions().query("part == 'test'")
    mine = table[table["dataset"] == run.key.dataset]
    mine = mine[mine["clip"].isin(frames["clip"])].reset_index(drop=True)
    np.testing.assert_allclose(mine["valence"], frames["valence"])
    np.testing.assert_allclose(mine["truth_arousal"], frames["truth_arousal"])


def test_the_main_rank_and_the_network_without_lasso_are_drawn(write_run):
    paths = [write_run(method="joint", rank=rank, lasso=lasso) for rank in (0.5, "same") for lasso in (0.0, 0.05)]
    chosen = circumplex(read_runs([*paths, write_run(method="inflated")]), description_of(paths))
    expected = read_runs([paths[2]])[0].predictions().query("part == 'test'")
    np.testing.assert_allclose(chosen["valence"], expected["valence"])


def test_without_video_networks_the_tables_are_empty_but_there(write_run, tmp_path):
    evaluate_written([write_run("affectnet")], tmp_path / "out", replicates=20)
    assert len(read_table(tmp_path / "out" / "factors.csv")) == 0
    assert list(pd.read_parquet(tmp_path / "out" / "circumplex.parquet").columns) == CIRCUMPLEX_COLUMNS
    assert set(read_table(tmp_path / "out" / "quadrants.csv")["dataset"]) == {"affectnet"}
