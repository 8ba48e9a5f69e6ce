import shutil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.transforms import Bbox

from hocbench.errors import EvaluationError
from hocbench.evaluation import TARGETS, read_table
from hocbench.evaluation.files import write_csv
from hocbench.paths import FIGURES as NAMES
from hocbench.reporting.figures import FIGURES, draw_figure
from hocbench.reporting.style import place, use_style
from tests.reporting.conftest import CP, DENSE, FRAMES, JOINT, SIZES, SMOOTHED, TEMPORAL

LEVEL = "level of the transducted 2-D network"
NOTHING = {
    "sparsity": "No run with LASSO, real data",
    "learning_curves": "AffectNet, real data",
    "score_parameters": "No score on SEWA, real data",
    "timelines": "No test clip of SEWA to draw, real data",
}


@pytest.fixture
def draw():
    """Draw one figure as it is saved, with all places settled."""

    def drawn(name, evaluation):
        use_style()
        figure = FIGURES[name](evaluation)
        figure.canvas.draw()
        return figure

    yield drawn
    plt.close("all")


def title_of(figure):
    return " ".join([figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]).strip()


def tick_labels(axis):
    low, high = sorted(axis.get_view_interval())
    slack = 1e-6 * (high - low)
    return [tick.label1 for tick in axis.get_major_ticks() if low - slack <= tick.get_loc() <= high + slack]


def legend_texts(figure):
    return [text for legend in figure.legends for text in legend.get_texts()]


def texts_of(figure):
    """Every text that is drawn."""
    found = [*figure.texts, *legend_texts(figure)]
    for axes in figure.axes:
        found += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        found += tick_labels(axes.xaxis) + tick_labels(axes.yaxis)
    return [text for text in dict.fromkeys(found) if text.get_visible() and text.get_text()]


def overlap(first, second):
    both = Bbox.intersection(first, second)
    return both is not None and both.width > 1 and both.height > 1


def assert_legible(figure):
    """No text is cut off or lies on another or, from the legend, on a panel; the page is wide enough."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(figure)]
    page = figure.bbox
    for text, box in boxes:
        inside = (box.x0 > -1, box.y0 > -1, box.x1 < page.x1 + 1, box.y1 < page.y1 + 1)
        assert all(inside), (text, box)
        assert box.height > 0.06 * figure.dpi, text
    for i, (text, box) in enumerate(boxes):
        for other, second in boxes[:i]:
            assert not overlap(box, second), (text, other)
    for legend in figure.legends:
        for axes in figure.axes:
            assert not overlap(legend.get_window_extent(), axes.get_window_extent())
    assert figure.get_size_inches()[0] == 7
    assert figure.get_tightbbox().width < 7.05


def labelled_lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def copy_with(evaluation, folder, **changes):
    """Copy an evaluation, passing some of its tables through functions."""
    shutil.copytree(evaluation, folder)
    (folder / "files.json").unlink()
    for name, change in changes.items():
        path = folder / f"{name}.csv"
        write_csv(change(read_table(path)), path)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_each_figure_is_drawn_as_png_and_pdf_with_the_same_bytes_each_time(evaluation, tmp_path, name):
    for folder in ("first", "second"):
        draw_figure(name, evaluation, tmp_path / folder / name)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == [f"{name}.pdf", f"{name}.png"]
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    pdf = (tmp_path / "first" / f"{name}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf
    assert plt.get_fignums() == []
    assert 1350 < plt.imread(tmp_path / "first" / f"{name}.png").shape[1] < 1450


def test_the_figures_are_those_of_the_workflow():
    assert tuple(FIGURES) == NAMES


def test_an_unknown_figure_is_an_error_that_names_the_known_ones(evaluation, tmp_path):
    with pytest.raises(EvaluationError, match="no figure 'sparsty'; choose from sparsity, learning_curves"):
        draw_figure("sparsty", evaluation, tmp_path / "x")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_evaluation_is_an_error_that_says_what_to_run(tmp_path, name):
    with pytest.raises(EvaluationError, match=rf"No result table at {tmp_path}/.* Run `hocbench evaluate` first"):
        draw_figure(name, tmp_path, tmp_path / "figure")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_synthetic_data_are_named_in_each_title_and_real_data_never(draw, evaluation, real, name):
    assert "SYNTHETIC data" in title_of(draw(name, evaluation))
    title = title_of(draw(name, real))
    assert "real data" in title
    assert "SYNTHETIC" not in title


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_cut_off_or_covered(draw, evaluation, real, scanty, name):
    for folder in (evaluation, real, scanty):
        assert_legible(draw(name, folder))


@pytest.mark.parametrize("name", NAMES)
def test_stills_alone_without_lasso_still_give_a_figure_that_says_so(draw, scanty, tmp_path, name):
    assert title_of(draw(name, scanty)) == NOTHING[name]
    draw_figure(name, scanty, tmp_path / name)
    assert (tmp_path / f"{name}.png").stat().st_size > 2000


def test_a_history_without_training_is_said_to_be_empty(draw, evaluation, tmp_path):
    folder = copy_with(evaluation, tmp_path / "e", history=lambda table: table[table["epoch"] == 0])
    assert title_of(draw("learning_curves", folder)) == "No network was trained, SYNTHETIC data"


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
    table = read_table(evaluation / "history.csv").query("lasso == 0")
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
    assert labels == sorted({label for lines in everywhere for label in lines}, key=place)
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
    table = read_table(evaluation / "intervals.csv").query("dataset == 'sewa' and metric == 'ccc'")
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
    table = pd.read_parquet(evaluation / "timelines.parquet")
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
        runs("affectnet", "static", "dense")
        runs("sewa", "static", epochs=0)
        runs("sewa", "temporal")

    folder = write_evaluation("single", plan=plan)
    curves = draw("learning_curves", folder)
    assert [list(labelled_lines(axes)) for axes in curves.axes] == [[DENSE], [TEMPORAL, LEVEL]]
    scores = draw("score_parameters", folder)
    assert [text.get_text() for text in scores.axes[0].get_yticklabels()] == [CP, SMOOTHED, TEMPORAL]
    for figure in (curves, scores, draw("timelines", folder)):
        assert_legible(figure)
