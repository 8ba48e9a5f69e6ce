import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from hocbench.evaluation.files import read_table
from hocbench.reporting.figures import FIGURES, Tables
from hocbench.runs.finished import TARGETS
from tests.reporting.conftest import FRAMES, JOINT, SMOOTHED
from tests.reporting.drawing import assert_legible, copy_with, labelled_lines, legend_texts, titled

HEADINGS = ("AffectNet, SYNTHETIC data", "SEWA, SYNTHETIC data", "AFEW-VA, SYNTHETIC data")


def row_labels(axes):
    return {round(tick.get_loc()): tick.label1.get_text() for tick in axes.yaxis.get_major_ticks()}


def dots(axes, y):
    """What is drawn in a row: place and filling of each marker."""
    lines = [line for line in axes.get_lines() if len(line.get_ydata()) == 1 and line.get_ydata()[0] == y]
    return [(line.get_xdata()[0], to_hex(line.get_color())) for line in lines]


def test_a_forest_has_each_difference_once_and_fills_the_significant(draw, evaluation, tmp_path):
    def plant(table):
        return table.assign(p_holm=np.where(np.arange(len(table)) % 3, 0.05, 0.049))

    folder = copy_with(evaluation, tmp_path / "e", differences=plant)
    figure = draw("forest", folder)
    table = read_table(folder / "differences.csv").query("metric == 'ccc'")
    assert 0 < (table["p_holm"] < 0.05).sum() < len(table)
    headings = [text.get_text() for text in figure.axes[0].texts]
    assert all(any(heading.startswith(start) for heading in headings) for start in HEADINGS)
    for axes, target in zip(figure.axes, TARGETS, strict=True):
        mine = table[table["target"] == target]
        found = [dot for y in row_labels(figure.axes[0]) for dot in dots(axes, y)]
        assert sorted(x for x, _ in found) == pytest.approx(sorted(mine["difference"]))
        filled = [x for x, colour in found if colour != "#ffffff"]
        assert sorted(filled) == pytest.approx(sorted(mine.loc[mine["p_holm"] < 0.05, "difference"]))
        bars = [segment[:, 0] for lines in axes.collections for segment in lines.get_segments()]
        np.testing.assert_allclose(sorted(map(tuple, bars)), sorted(map(tuple, mine[["low", "high"]].to_numpy())))
        assert any(line.get_xdata() == [0, 0] for line in axes.get_lines() if len(line.get_xdata()) == 2)


def test_rows_of_a_forest_stand_below_their_reference(draw, evaluation):
    axes = draw("forest", evaluation).axes[0]
    labels = row_labels(axes)
    starts = {round(text.get_position()[1]): text.get_text() for text in axes.texts}
    table = read_table(evaluation / "differences.csv").query("metric == 'ccc' and target == 'valence'")
    table = titled(titled(table), "reference")
    for y, label in labels.items():
        heading = starts[max(start for start in starts if start < y)]
        dataset = {"AffectNet": "affectnet", "SEWA": "sewa", "AFEW-VA": "afew_va"}[heading.split(",")[0]]
        reference = heading.split("against ")[1]
        mine = table[(table["dataset"] == dataset) & (table["reference"] == reference)]
        ((x, _),) = dots(axes, y)
        row = mine.iloc[(mine["difference"] - x).abs().argmin()]
        assert label.startswith(row["method"].removesuffix(", LASSO"))
    assert any(FRAMES in heading for heading in starts.values())


def test_ablations_have_rows_and_headings_of_their_own(draw, evaluation, tmp_path):
    def add(table):
        rows = table[(table["method"] == "joint") & (table["lasso"] == 0)].assign(ablation="kernel_size-5")
        return pd.concat([table, rows.assign(reference="joint", reference_ablation="init-centre")], ignore_index=True)

    figure = draw("forest", copy_with(evaluation, tmp_path / "e", differences=add))
    assert f"{JOINT}, kernel_size-5" in row_labels(figure.axes[0]).values()
    assert any(text.get_text().endswith(f"{JOINT}, init-centre") for text in figure.axes[0].texts)
    assert_legible(figure)


def test_a_forest_longer_than_a_page_shows_the_default_networks_and_says_so(evaluation, tmp_path):
    ranks = [str(k / 100) for k in range(30, 90)]

    def add(table):
        rows = table[table["rank"] != ""]
        return pd.concat([table, *(rows.assign(rank=rank) for rank in ranks)], ignore_index=True)

    folder = copy_with(evaluation, tmp_path / "e", differences=add)
    pairs = read_table(folder / "differences.csv").query("metric == 'ccc' and target == 'valence'")
    left_out = int(pairs["rank"].isin(ranks).sum())
    picture, usual = FIGURES["forest"](Tables(folder)), FIGURES["forest"](Tables(evaluation))
    assert (
        f"{left_out} of {len(pairs)} pairs, of other ranks and ablations, are in differences.csv only."
        in picture.caption
    )
    assert row_labels(picture.figure.axes[0]) == row_labels(usual.figure.axes[0])
    assert "pairs" not in usual.caption


def test_quadrants_show_the_mean_over_seeds_in_each(draw, evaluation):
    figure = draw("quadrants", evaluation)
    table = read_table(evaluation / "quadrants.csv")
    axes = figure.axes[0]
    labels = row_labels(axes)
    starts = {round(text.get_position()[1]): text.get_text() for text in axes.texts}
    sewa = next(y for y, text in starts.items() if text.startswith("SEWA"))
    y = next(y for y, label in labels.items() if label == SMOOTHED and y > sewa)
    mine = table.query("dataset == 'sewa' and method == 'static_smoothed'")
    for panel, target in zip(figure.axes, TARGETS, strict=True):
        means = mine.groupby("quadrant")[f"rmse_{target}"].mean()
        assert sorted(x for x, _ in dots(panel, y)) == pytest.approx(sorted(means))
    frames = mine[mine["seed"] == 0].set_index("quadrant")["n_frames"]
    assert f"V+ A+ {frames['V+ A+']}, V− A+ {frames['V- A+']}" in starts[sewa]
    assert [text.get_text() for text in legend_texts(figure)] == ["V+ A+", "V− A+", "V− A−", "V+ A−"]


def test_the_plane_shows_ways_with_their_start_and_means_of_all_clips(draw, evaluation):
    figure = draw("circumplex", evaluation)
    table = pd.read_parquet(evaluation / "circumplex.parquet")
    for row, dataset in enumerate(("sewa", "afew_va")):
        mine = table[table["dataset"] == dataset]
        first, *ways = figure.axes[4 * row : 4 * row + 4]
        means = mine.groupby("clip")[["truth_valence", "truth_arousal", "valence", "arousal"]].mean()
        np.testing.assert_allclose(labelled_lines(first)["mean label"].get_xydata(), means.iloc[:, :2])
        np.testing.assert_allclose(labelled_lines(first)["mean prediction"].get_xydata(), means.iloc[:, 2:])
        for axes, (_, clip) in zip(ways, mine[mine["trajectory"]].groupby("clip"), strict=True):
            lines = labelled_lines(axes)
            truth, output = clip[["truth_valence", "truth_arousal"]], clip[["valence", "arousal"]]
            np.testing.assert_allclose(lines["label"].get_xydata(), truth)
            np.testing.assert_allclose(lines[JOINT].get_xydata(), output)
            np.testing.assert_allclose(lines["start of the label"].get_xydata()[0], truth.iloc[0])
            np.testing.assert_allclose(lines["start of the prediction"].get_xydata()[0], output.iloc[0])
            assert [text.get_text() for text in axes.texts] == ["V− A+", "V+ A+", "V− A−", "V+ A−"]
            circle = axes.get_lines()[0].get_xydata()
            np.testing.assert_allclose(np.hypot(*circle.T), 1)
            assert axes.get_aspect() == 1
    distance = np.hypot(mine["valence"] - mine["truth_valence"], mine["arousal"] - mine["truth_arousal"]).mean()
    assert (
        f"AFEW-VA, 24 clips: predictions lie {distance:.2f} from the labels"
        in FIGURES["circumplex"](Tables(evaluation)).alt
    )


def test_the_plane_grows_with_outputs_that_leave_it(draw, evaluation, tmp_path):
    folder = copy_with(evaluation, tmp_path / "e")
    table = pd.read_parquet(folder / "circumplex.parquet")
    drawn = table["trajectory"].to_numpy()
    table.loc[drawn, "valence"] += 2
    table.to_parquet(folder / "circumplex.parquet")
    figure = draw("circumplex", folder)
    for axes in figure.axes:
        assert axes.get_xlim() == axes.get_ylim()
        assert table.loc[drawn, "valence"].max() < axes.get_xlim()[1] < 4
    assert_legible(figure)


def test_temporal_factors_stand_beside_their_start(draw, evaluation, tmp_path):
    def add(table):
        longer = table[table["dataset"] == "sewa"].assign(ablation="kernel_size-5", kernel_size=5)
        outer = longer[longer["tap"] != 0].assign(tap=lambda rows: 2 * rows["tap"])
        clips = table.assign(ablation="clips-80")
        return pd.concat([table, longer, outer, clips], ignore_index=True)

    figure = draw("temporal_factors", copy_with(evaluation, tmp_path / "e", factors=add))
    assert len(figure.axes) == 6  # SEWA, its ablation, AFEW-VA; two stages
    names = [text.get_text() for text in legend_texts(figure)]
    assert names == ["tap −2", "tap −1", "tap 0 (present frame)", "tap +1", "tap +2", "start"]
    table = read_table(evaluation / "factors.csv").query("dataset == 'sewa' and lasso == 0")
    for axes, method in zip(figure.axes[:2], ("temporal", "joint"), strict=True):
        for tap, name in ((-1, "tap −1"), (0, "tap 0 (present frame)"), (1, "tap +1")):
            means = table[(table["method"] == method) & (table["tap"] == tap)].groupby("layer")["mean"].mean()
            np.testing.assert_allclose(labelled_lines(axes)[name].get_ydata(), means)
        starts = [segment[:, 1] for lines in axes.collections[1::2] for segment in lines.get_segments()]
        np.testing.assert_allclose(starts, 1)
    assert_legible(figure)


def test_the_stem_is_the_first_layer(draw, evaluation, tmp_path):
    def rename(table):
        return table.assign(layer=table["layer"].replace("conv1", "stem"))

    figure = draw("temporal_factors", copy_with(evaluation, tmp_path / "e", factors=rename))
    names = [tick.get_text() for tick in figure.axes[-1].get_xticklabels()]
    assert names == ["stem", "layer1.0.conv1", "layer1.0.conv2"]


def test_a_stage_that_was_not_trained_is_said_to_be_absent(draw, evaluation, tmp_path):
    def drop(table):
        return table[(table["dataset"] != "afew_va") | (table["method"] == "temporal")]

    figure = draw("temporal_factors", copy_with(evaluation, tmp_path / "e", factors=drop))
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [[], [], [], ["not trained"]]
