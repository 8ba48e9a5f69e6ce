import numpy as np
import pandas as pd
import pytest

from hocbench.evaluation.files import read_table
from hocbench.reporting.figures import FIGURES, Tables
from hocbench.reporting.figures.pareto import pareto_front
from hocbench.reporting.figures.parts import t_interval
from hocbench.runs.finished import TARGETS
from tests.reporting.conftest import JOINT, SIZES
from tests.reporting.drawing import assert_legible, copy_with, labelled_lines, legend_texts, title_of

LEVEL = "level of the transducted 2-D network"


def pooled(evaluation, **wanted):
    table = read_table(evaluation / "intervals.csv").query("metric == 'ccc' and pooling == 'pooled'")
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def more(*, ablation="", rank="same", only="joint", shift=0.0, **changes):
    """Add rows of one more network, copied from the plain one and moved."""

    def change(table):
        added = table[(table["method"] == only) & (table["lasso"] == 0) & (table["ablation"] == "")]
        added = added[added["rank"] == "same"].assign(ablation=ablation, rank=rank, **changes)
        for column in {"mean", "low", "high"} & set(table.columns):
            added[column] += shift
        if "run" in table:
            added["run"] += ablation + rank
        return pd.concat([table, added], ignore_index=True)

    return change


def chain(*functions):
    def change(table):
        for function in functions:
            table = function(table)
        return table

    return change


def test_intervals_of_sparsity_are_t_intervals_over_seeds_within_0_and_100(draw, evaluation, tmp_path):
    def spread(table):
        return table.assign(zero_share=np.where(table["lasso"] > 0, 0.1 + 0.02 * table["seed"], 0))

    (axes,) = draw("sparsity", copy_with(evaluation, tmp_path / "e", sparsity=spread)).axes
    # Two seeds, t = 12.706 with one degree of freedom; half of the difference is the standard error.
    for lines in axes.collections:
        for segment in lines.get_segments():
            assert segment[:, 1] == pytest.approx([0.0, 11 + 12.7062 * 1])
    assert "t intervals" in axes.get_title()


def test_a_t_interval_is_that_of_scipy_and_absent_for_one_value():
    low, high = t_interval([1.0, 2.0, 4.0])
    assert (low, high) == pytest.approx((-1.46125, 6.12792), abs=1e-4)
    assert np.isnan(t_interval([1.0])).all()


def test_the_lasso_path_shows_scores_with_intervals_and_what_is_left(draw, evaluation):
    figure = draw("lasso_path", evaluation)
    columns = len(figure.axes) // 2
    names = [axes.get_title().split(",")[0] for axes in figure.axes[:columns]]
    assert names == ["AffectNet", "SEWA", "AFEW-VA"]
    removed = read_table(evaluation / "sparsity.csv").groupby("lasso")["removed"].sum() / 2  # seeds
    for k, dataset in enumerate(("affectnet", "sewa", "afew_va")):
        upper, lower = figure.axes[k], figure.axes[columns + k]
        table = pooled(evaluation, dataset=dataset)
        table = table[table["method"].isin(["static", "lasso"] if k == 0 else ["joint"])].sort_values("lasso")
        for target, name in (("valence", "Valence"), ("arousal", "Arousal")):
            mine = table[table["target"] == target]
            np.testing.assert_allclose(labelled_lines(upper)[name].get_ydata(), mine["mean"])
        bars = np.concatenate([[s[:, 1] for s in lines.get_segments()] for lines in upper.collections])
        np.testing.assert_allclose(
            bars, table.sort_values(["target", "lasso"], ascending=[False, True])[["low", "high"]]
        )
        whole = SIZES["cp", 2 if k == 0 else 3]
        left = [whole - (removed[lasso] if k == 0 else 0) for lasso in (0.0, 0.01, 0.05)]
        np.testing.assert_allclose(lower.get_lines()[0].get_ydata(), left)
        assert [tick.get_text() for tick in lower.get_xticklabels()] == ["0", "0.01", "0.05"]


def test_ranks_stand_in_the_order_of_their_size(draw, evaluation, tmp_path):
    ranks = chain(more(rank="0.5", shift=-0.1), more(rank="2.0", shift=0.05))
    sizes = chain(more(rank="0.5", parameters=90_000), more(rank="2.0", parameters=330_000))
    folder = copy_with(evaluation, tmp_path / "e", intervals=ranks, costs=sizes)
    figure = draw("rank_sweep", folder)
    assert [axes.get_title().split(",")[0] for axes in figure.axes[:2]] == ["SEWA", "AFEW-VA"]
    lower = figure.axes[2]
    assert [tick.get_text() for tick in lower.get_xticklabels()] == ["0.5", "same", "2.0"]
    np.testing.assert_allclose(lower.get_lines()[0].get_ydata(), [90_000, SIZES["cp", 3], 330_000])
    means = labelled_lines(figure.axes[0])["Valence"].get_ydata()
    assert means - means[1] == pytest.approx([-0.1, 0, 0.05])
    assert_legible(figure)
    assert len(draw("lasso_path", folder).axes) == 6


def test_recovery_goes_from_the_untrained_network_and_has_the_level(draw, evaluation, tmp_path):
    ablations = chain(more(ablation="init-centre", only="temporal"), more(ablation="clips-80", only="temporal"))
    figure = draw("recovery", copy_with(evaluation, tmp_path / "e", history=ablations))
    assert [text.get_text() for text in legend_texts(figure)] == ["temporal factors trained", "init-centre", LEVEL]
    table = read_table(evaluation / "history.csv").query("method == 'temporal' and lasso == 0")
    for axes, dataset in zip(figure.axes, ("sewa", "afew_va"), strict=True):
        rows = table[table["dataset"] == dataset]
        curve = rows.groupby("epoch")[[f"validation_ccc_{target}" for target in TARGETS]].mean().mean(axis=1)
        line = labelled_lines(axes)["temporal factors trained"]
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
        np.testing.assert_allclose(line.get_ydata(), curve)
        assert labelled_lines(axes)[LEVEL].get_ydata() == pytest.approx([0.72, 0.72])
        assert len(axes.get_lines()) == 2 * rows["run"].nunique() + 3
    assert_legible(figure)


def test_scores_by_clips_end_with_all_and_keep_longer_trainings_apart(draw, evaluation, tmp_path):
    ablations = chain(
        more(ablation="clips-80", shift=-0.2),
        more(ablation="clips-160", shift=-0.1),
        more(ablation="clips-80+epochs-x4", shift=-0.15),
    )

    def sewa(table):
        return table[(table["ablation"] == "") | (table["dataset"] == "sewa")]

    folder = copy_with(evaluation, tmp_path / "e", intervals=chain(ablations, sewa))
    figure = draw("clips", folder)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["80", "160", "all"]
    for axes, target in zip(figure.axes, TARGETS, strict=True):
        whole = pooled(evaluation, dataset="sewa", method="joint", lasso=0, target=target)["mean"].iloc[0]
        lines = labelled_lines(axes)
        assert list(lines) == [JOINT, f"{JOINT}, more epochs"]
        np.testing.assert_allclose(lines[JOINT].get_ydata(), [whole - 0.2, whole - 0.1, whole])
        np.testing.assert_allclose(lines[f"{JOINT}, more epochs"].get_ydata(), [whole - 0.15, whole])
        assert [line.get_fillstyle() for line in lines.values()] == ["full", "none"]
    assert title_of(figure).startswith("SEWA, SYNTHETIC data")
    assert "SEWA, SYNTHETIC data: 480 test frames of 6 subjects, 2 seeds" in FIGURES["clips"](Tables(folder)).caption
    assert_legible(figure)


def test_the_front_is_what_none_other_is_cheaper_and_better_than():
    costs, scores = np.array([3.0, 1.0, 2.0, 2.0, 4.0, np.nan]), np.array([0.5, 0.3, 0.2, 0.5, 0.6, 0.9])
    assert pareto_front(costs, scores) == [1, 3, 4]
    rng = np.random.default_rng(3)
    costs, scores = rng.integers(0, 9, 40).astype(float), rng.integers(0, 9, 40).astype(float)
    front = pareto_front(costs, scores)
    for i in range(40):
        better = (costs <= costs[i]) & (scores >= scores[i]) & ((costs < costs[i]) | (scores > scores[i]))
        if better.any():
            assert i not in front
        else:
            assert any((costs[i], scores[i]) == (costs[j], scores[j]) for j in front)


def test_training_time_includes_what_a_network_was_started_from(draw, evaluation, tmp_path):
    def chained(table):
        static = table.loc[(table["dataset"] == "sewa") & (table["method"] == "static"), "run"].iloc[0]
        joint = (table["method"] == "joint") & (table["dataset"] == "sewa")
        return table.assign(training_cpu_s=10.0, parent=np.where(joint, static, ""))

    figure = draw("pareto", copy_with(evaluation, tmp_path / "e", costs=chained))
    drawn = pooled(evaluation, dataset="sewa", target="valence").set_index(["method", "lasso"])["mean"]
    points = {
        (line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[2].get_lines() if line.get_xdata().size
    }
    assert (20.0, drawn["joint", 0.0]) in points
    assert (10.0, drawn["temporal", 0.0]) in points
    assert figure.axes[5].get_xlabel() == "Training, CPU s"
    assert_legible(figure)


def test_a_card_is_timed_by_its_seconds(draw, evaluation, tmp_path):
    folder = copy_with(evaluation, tmp_path / "e", costs=lambda table: table.assign(gpu_s=7.0))
    assert draw("pareto", folder).axes[5].get_xlabel() == "Training, GPU s"


def test_a_sample_names_frames_subjects_seeds_and_folds(evaluation):
    rows = read_table(evaluation / "intervals.csv")
    assert Tables(evaluation).sample(rows[rows["dataset"] == "afew_va"]) == (
        "AFEW-VA, SYNTHETIC data: 960 test frames of 12 subjects, 2 seeds, 2 folds."
    )
    seeds = read_table(evaluation / "scores.csv").query("dataset == 'affectnet' and seed == 0")
    assert Tables(evaluation).sample(seeds) == "AffectNet, SYNTHETIC data: 30 test images, 1 seed."
