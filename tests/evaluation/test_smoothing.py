import itertools

import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.columns import NO_CROP
from hocbench.errors import EvaluationError
from hocbench.evaluation.smoothing import best_window, moving_average, score_windows, smooth

TARGETS = ("valence", "arousal")


def make_table(noise=0.5, clips=("a", "b"), length=120):
    generator = np.random.default_rng(0)
    parts = []
    for clip in clips:
        truth = np.sin(np.arange(length) / 15)
        output = truth + generator.normal(0, noise, length) if noise else truth
        values = {"truth_valence": truth, "truth_arousal": -truth, "valence": output, "arousal": -output}
        parts.append(pd.DataFrame({"clip": clip, "frame": np.arange(length), "status": "ok"} | values))
    return pd.concat(parts, ignore_index=True)


def test_moving_average_is_centred_and_shortened_at_the_edges():
    values = np.array([[0.0], [3.0], [6.0], [0.0], [3.0]])
    found = moving_average(values, np.arange(5), 3)
    np.testing.assert_allclose(found[:, 0], [1.5, 3, 3, 3, 1.5])
    np.testing.assert_allclose(moving_average(values, np.arange(5), 1), values)


def test_moving_average_agrees_with_a_plain_loop_that_stops_at_gaps():
    generator = np.random.default_rng(1)
    frames = np.sort(generator.choice(60, 50, replace=False))
    values = generator.normal(5, 1, (50, 2))
    found = moving_average(values, frames, 7)
    there = dict(zip(frames.tolist(), values, strict=True))
    for place, frame in enumerate(frames.tolist()):
        near = [frame]
        for way in (-1, 1):
            near += itertools.takewhile(there.__contains__, range(frame + way, frame + 4 * way, way))
        np.testing.assert_allclose(found[place], np.mean([there[each] for each in near], axis=0))


def test_a_frame_without_a_crop_is_a_gap_as_it_is_to_the_networks():
    table = make_table(noise=0, clips=("a",), length=9).assign(valence=1.0, arousal=-1.0)
    table.loc[4, ["valence", "arousal", "status"]] = [0.2, 0.2, NO_CROP]
    table.loc[8, "valence"] = 5.0
    result = smooth(table, TARGETS, 3)
    assert result["valence"].tolist() == [1, 1, 1, 1, 0.2, 1, 1, 7 / 3, 3]
    assert result["arousal"].tolist() == [-1] * 4 + [0.2] + [-1] * 4


def test_smoothing_never_mixes_clips_and_leaves_labels_alone():
    table = make_table(noise=0, length=10)
    table.loc[table["clip"] == "a", "valence"] = 0.0
    table.loc[table["clip"] == "b", "valence"] = 1.0
    result = smooth(table, TARGETS, 9)
    assert set(result.loc[result["clip"] == "a", "valence"]) == {0.0}
    assert set(result.loc[result["clip"] == "b", "valence"]) == {1.0}
    pd.testing.assert_series_equal(result["truth_valence"], table["truth_valence"])


def test_noisy_outputs_choose_a_long_window_and_exact_ones_none():
    windows = [25, 1, 9]
    assert [score.window for score in score_windows(make_table(), TARGETS, windows)] == [1, 9, 25]
    assert best_window(score_windows(make_table(), TARGETS, windows)) > 1
    assert best_window(score_windows(make_table(noise=0), TARGETS, windows)) == 1


def test_of_equal_windows_the_shortest_is_chosen():
    table = make_table(length=3)
    assert best_window(score_windows(table, TARGETS, [7, 5, 9])) == 5  # all cover the whole clip


@pytest.mark.parametrize("windows, message", [([], "empty"), ([3, 4], "window of 4 frames"), ([-1], "window of -1")])
def test_windows_without_a_centre_are_refused(windows, message):
    with pytest.raises(EvaluationError, match=message):
        score_windows(make_table(), TARGETS, windows)


def test_without_validation_frames_no_window_is_chosen():
    with pytest.raises(EvaluationError, match="validation part"):
        score_windows(make_table().iloc[:0], TARGETS, [1])
