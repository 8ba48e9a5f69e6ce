import numpy as np
import pandas as pd
import pytest

from hocbench.evaluation.files import read_table
from hocbench.experiment.methods import METHODS
from hocbench.runs.finished import TARGETS
from tests.reporting.conftest import CP, DENSE, FRAMES, JOINT, SIZES, SMOOTHED, TEMPORAL
from tests.reporting.drawing import (
    assert_legible,
    copy_with,
    labelled_lines,
    legend_texts,
    tick_labels,
    title_of,
    titled,
)

LEVEL = "level of the transducted 2-D network"


def test_bars_are_as_high_as_the_shares_and_dots_are_seeds(draw, evaluation):
    (axes,) = draw("sparsity", evaluation).axes
    table = read_table(evaluation / "sparsity.csv").query("lasso > 0")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["stem", "layer1.0"]
    assert [bars.get_label() for bars in axes.containers] == ["LASSO 0.01", "LASSO 0.05"]
    for bars, lasso in zip(axes.containers, (0.01, 0.05), strict=True):
        means = table[table["lasso"] == lasso].groupby("block")["zero_share"].mean()
        heights = [bar.get_height() for bar in bars]
        assert heights == pytest.approx([100 * means["stem"], 100 * means["layer1.0"]])
        for bar, block in zip(bars, ("stem", "layer1.0"), strict=True):
            assert abs(bar.get_x() + bar.get_width() / 2 - ["stem", "layer1.0"].index(block)) < 0.5
    seeds = np.concatenate([line.get_ydata() for line in axes.get_lines()])
    assert sorted(seeds) == pytest.approx(sorted(100 * table["zero_share"]))


def test_many_weights_and_ranks_are_told_apart_by_legend_and_look(draw, write_evaluation):
    def plan(runs):
        for k in range(1, 5):
            for rank in ("same", 0.5):
                runs("affectnet", "lasso", lasso=k / 100, rank=rank)

    figure = draw("sparsity", write_evaluation("many", plan=plan))
    labels = [text.get_text() for text in legend_texts(figure)]
    assert labels == [f"LASSO {k / 100:g}, rank {rank}" for rank in ("0.5", "same") for k in range(1, 5)]
    bars = [container[0] for container in figure.axes[0].containers]
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in bars}) == 8
    assert [bar.get_height() for bar in bars] == pytest.approx([5, 10, 15, 20] * 2)
    assert_legible(figure)


def test_weights_that_removed_nothing_still_have_an_axis(draw, evaluation, tmp_path):
    folder = copy_with(evaluation, tmp_path / "e", sparsity=lambda table: table.assign(zero_share=0.0))
    (axes,) = draw("sparsity", folder).axes
    assert axes.get_ylim() == (0, 5)


def test_learning_curves_are_the_means_over_seeds_of_what_was_trained(draw, evaluation):
    figure = draw("learning_curves", evaluation)
    table = titled(read_table(evaluation / "history.csv").query("lasso == 0"))
    assert [axes.get_title().split(",")[0] for axes in figure.axes] == ["AffectNet", "SEWA", "AFEW-VA"]
    for axes, dataset in zip(figure.axes, ("affectnet", "sewa", "afew_va"), strict=True):
        lines = labelled_lines(axes)
        rows = table[table["dataset"] == dataset]
        trained = {m for m, run in rows.groupby("method") if run["epoch"].max() > 0}
        assert set(lines) - {LEVEL} == trained
        assert (LEVEL in lines) == (dataset != "affectnet")
        for method in trained:
            curve = rows[rows["method"] == method].groupby("epoch")[[f"validation_ccc_{t}" for t in TARGETS]].mean()
            np.testing.assert_allclose(lines[method].get_ydata(), curve.mean(axis=1))
            np.testing.assert_array_equal(lines[method].get_xdata(), curve.index)
    assert lines[LEVEL].get_ydata() == pytest.approx([0.72, 0.72])


def test_learning_curves_share_one_legend_in_which_each_method_has_one_look(draw, evaluation):
    figure = draw("learning_curves", evaluation)
    assert [axes.get_legend() for axes in figure.axes] == [None] * 3
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    everywhere = [labelled_lines(axes) for axes in figure.axes]
    order = [*(method.named("cp") for method in METHODS.values()), LEVEL]
    assert labels == sorted({label for lines in everywhere for label in lines}, key=order.index)
    looks = {}
    for lines in everywhere:
        for label, line in lines.items():
            own = (line.get_color(), line.get_marker(), line.get_linestyle())
            assert looks.setdefault(label, own) == own
        assert len({line.get_color() for line in lines.values()}) == len(lines)
    assert len(set(looks.values())) == len(looks) == 9


def test_scores_stand_beside_the_parameters_of_their_network(draw, evaluation):
    figure = draw("score_parameters", evaluation)
    sizes, *scores = figure.axes
    names = [label.get_text() for label in sizes.get_yticklabels()]
    table = titled(read_table(evaluation / "intervals.csv").query("dataset == 'sewa' and metric == 'ccc'"))
    table = table[table["pooling"] == "pooled"]
    table["name"] = table["method"] + [f", LASSO {v:g}" if v else "" for v in table["lasso"]]
    assert sorted(names) == sorted(table["name"].unique())
    assert names[:4] == [CP, SMOOTHED, FRAMES, "CP 2-D, fine-tuned on frames + moving average"]
    counts = [line.get_xdata()[0] for line in sizes.get_lines()]
    assert counts == sorted(counts)
    assert dict(zip(names, counts, strict=True))[SMOOTHED] == SIZES["cp", 2]
    assert dict(zip(names, counts, strict=True))[f"{JOINT}, LASSO 0.05"] == SIZES["cp", 3]
    assert counts[-1] == SIZES["dense", 3]
    for axes, target in zip(scores, TARGETS, strict=True):
        assert target in axes.get_xlabel()
        truth = table[table["target"] == target].set_index("name").loc[names]
        bars, dots = axes.get_lines()[0::2], axes.get_lines()[1::2]
        np.testing.assert_allclose([line.get_xdata()[0] for line in dots], truth["mean"])
        np.testing.assert_allclose([line.get_xdata() for line in bars], truth[["low", "high"]])
        assert [line.get_ydata()[0] for line in dots] == list(range(len(names)))


@pytest.mark.parametrize("factor", [0.63, 2, 7, 70])
def test_parameters_of_any_size_have_at_least_two_ticks(draw, evaluation, tmp_path, factor):
    def scale(table):
        return table.assign(parameters=(factor * table["parameters"]).round())

    figure = draw("score_parameters", copy_with(evaluation, tmp_path / "e", costs=scale))
    assert len(tick_labels(figure.axes[0].xaxis)) >= 2
    assert_legible(figure)


def test_timelines_draw_truth_and_each_method_once_per_clip_and_target(draw, evaluation):
    figure = draw("timelines", evaluation)
    table = titled(pd.read_parquet(evaluation / "timelines.parquet"))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["truth", CP, SMOOTHED, JOINT]
    clips = list(dict.fromkeys(table["clip"]))
    for number, axes in enumerate(figure.axes):
        rows = table[(table["clip"] == clips[number % 3]) & (table["target"] == TARGETS[number // 3])]
        lines = labelled_lines(axes)
        assert list(lines) == labels
        for method in labels[1:]:
            own = rows[rows["method"] == method]
            np.testing.assert_array_equal(lines[method].get_xdata(), own["frame"])
            np.testing.assert_array_equal(lines[method].get_ydata(), own["prediction"])
        np.testing.assert_array_equal(lines["truth"].get_ydata(), own["truth"])
        assert len({(line.get_color(), line.get_linestyle()) for line in lines.values()}) == 4


@pytest.mark.parametrize("name", ["timelines", "score_parameters", "learning_curves"])
def test_synthetic_stills_do_not_make_real_video_synthetic(draw, evaluation, tmp_path, name):
    def relabel(table):
        return table.assign(label=np.where(table["dataset"] == "sewa", "real", table["label"]))

    folder = copy_with(evaluation, tmp_path / "e", intervals=relabel, costs=relabel, history=relabel)
    title = title_of(draw(name, folder))
    assert "SEWA, real data" in title
    assert ("AffectNet, SYNTHETIC data" in title) == (name == "learning_curves")


def test_a_single_dataset_and_seed_is_enough(draw, write_evaluation):
    def plan(runs):
        runs("affectnet", "static_dense")
        runs("sewa", "static")
        runs("sewa", "temporal")

    folder = write_evaluation("single", plan=plan)
    curves = draw("learning_curves", folder)
    assert [list(labelled_lines(axes)) for axes in curves.axes] == [[DENSE], [TEMPORAL, LEVEL]]
    scores = draw("score_parameters", folder)
    assert [text.get_text() for text in scores.axes[0].get_yticklabels()] == [CP, SMOOTHED, TEMPORAL]
    for figure in (curves, scores, draw("timelines", folder)):
        assert_legible(figure)


def test_the_dataset_of_clips_is_the_first_that_is_no_control(draw, write_evaluation):
    def plan(runs):
        for dataset in ("afew_va", "sewa_control"):
            runs(dataset, "static")
            runs(dataset, "joint")

    folder = write_evaluation("other", plan=plan)
    for name in ("timelines", "score_parameters", "pareto"):
        assert title_of(draw(name, folder)).startswith("AFEW-VA, SYNTHETIC data")
    assert "SEWA control, SYNTHETIC data" in title_of(draw("learning_curves", folder))
