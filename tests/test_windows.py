"""Windows never join frames from both sides of a gap, and without gaps they are what they always were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hocbench.config.training import LossWeights
from hocbench.errors import RunError
from hocbench.experiment.spec import TrainingSpec
from hocbench.training.data import overlapping_windows, steps_per_epoch, training_windows
from hocbench.training.samples import Samples, select
from hocbench.windows import count_trained, covering_windows, cut_runs, trained_runs, trained_windows
from tests.training.conftest import write_store

FRAMES = st.sets(st.integers(0, 80), min_size=1, max_size=60).map(lambda found: np.array(sorted(found)))
LENGTHS, STEPS = st.integers(1, 20), st.integers(1, 5)


def is_one_piece(frames, step):
    """Whether frames are ``step`` apart but for a repeated last one."""
    apart = np.diff(frames)
    moving = int(np.sum(apart != 0))
    return (apart[:moving] == step).all() and (apart[moving:] == 0).all()


@given(FRAMES, LENGTHS, STEPS)
@settings(deadline=None)
def test_every_frame_is_covered_and_no_window_joins_what_is_not_a_step_apart(frames, length, step):
    windows = covering_windows(frames, length, step)
    assert set(np.concatenate(windows).tolist()) == set(range(len(frames)))
    assert all(len(window) == length and is_one_piece(frames[window], step) for window in windows)


@given(FRAMES, LENGTHS, STEPS, st.integers(0, 10**6))
@settings(deadline=None)
def test_training_joins_nothing_across_a_gap_and_mostly_shows_motion(frames, length, step, seed):
    windows = trained_windows(frames, length, np.random.default_rng(seed), step)
    assert len(windows) == count_trained(frames, length, step)
    assert all(len(window) == length and is_one_piece(frames[window], step) for window in windows)
    for runs in cut_runs(frames, step):
        own = [len(set(window.tolist())) for window in windows if np.isin(window, np.concatenate(runs)).all()]
        longest = max(map(len, runs))
        assert all(2 * shown >= min(length, 2 * longest) for shown in own)
        # Only one window of a clip without a run of half a window.
        assert len(own) == 1 or 2 * longest >= length


@given(st.integers(1, 60), LENGTHS, STEPS, st.integers(0, 100), st.integers(0, 10**6))
@settings(deadline=None)
def test_without_gaps_windows_are_as_by_rows(count, length, step, first, seed):
    clip, frames = np.arange(500, 500 + count), np.arange(first, first + count)
    samples = Samples(None, clip, [clip], numbers=[frames])
    drawn, covering, rng = [], [], np.random.default_rng(seed)
    for start in range(min(step, count)):
        part = clip[start::step]
        number = max(1, len(part) // length)
        begin = int(rng.integers(0, max(1, len(part) - number * length + 1)))
        for k in range(number):
            places = range(begin + k * length, begin + (k + 1) * length)
            drawn.append([int(part[min(place, len(part) - 1)]) for place in places])
        begins = [*range(0, len(part) - length, max(1, length // 2)), max(0, len(part) - length)]
        covering += [[int(part[min(b + k, len(part) - 1)]) for k in range(length)] for b in begins]
    found = training_windows(samples, length, np.random.default_rng(seed), step)
    assert [window.tolist() for window in found] == drawn
    assert [window.tolist() for window in overlapping_windows(clip, length, step, frames)] == covering
    assert [window.tolist() for window in overlapping_windows(clip, length, step)] == covering


def test_runs_of_less_than_half_a_window_are_left_out_of_training_beside_longer_ones():
    frames = np.array([0, 1, 2, 3, 10, 20, 21, 22])
    assert [frames[run].tolist() for run in trained_runs(frames, 8)] == [[0, 1, 2, 3]]
    assert [frames[run].tolist() for run in trained_runs(frames, 6)] == [[0, 1, 2, 3], [20, 21, 22]]
    # Nothing is as long as half a window: the first of the longest.
    short = np.array([3, 5, 6, 9, 10])
    assert [short[run].tolist() for run in trained_runs(short, 16)] == [[5, 6]]


def test_a_step_skips_a_missing_frame_that_it_would_not_show():
    frames = np.array([0, 1, 2, 4, 6, 7, 8])
    assert [[frames[run].tolist() for run in runs] for runs in cut_runs(frames, 2)] == [[[0, 2, 4, 6, 8]], [[1], [7]]]


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store", [24, 24], unusable=(9, 10, 30))


def everything(store):
    splits = store.frames[["clip"]].drop_duplicates().assign(fold=0, part="train")
    return select(store, splits, 0, "train")


def test_frames_that_are_not_in_the_store_are_gaps_too(tmp_path):
    whole = write_store(tmp_path / "store", [20])
    whole.frames["frame"] += (whole.frames["frame"] >= 7) * 5
    samples = everything(whole)
    windows = [window for rows, frames in samples.numbered() for window in overlapping_windows(rows, 4, 1, frames)]
    assert set(np.concatenate(windows).tolist()) == set(range(20))
    assert not any({6, 7} <= set(window.tolist()) for window in windows)


def test_unusable_frames_are_gaps_in_training_and_in_prediction(store):
    samples = everything(store)
    for windows in (
        training_windows(samples, 8, np.random.default_rng(0)),
        [window for clip in samples.clips for window in overlapping_windows(clip, 8)],
    ):
        assert all(is_one_piece(store.frames["frame"].to_numpy()[window], 1) for window in windows)
        assert all(store.frames["clip"][window].nunique() == 1 for window in windows)
    # Runs of 9, 13, 6 and 17 frames.
    assert len(training_windows(samples, 8, np.random.default_rng(0))) == 1 + 1 + 1 + 2


def test_a_step_that_would_show_stills_only_is_refused_with_the_one_that_fits(tmp_path):
    sparse = write_store(tmp_path / "store", [24, 24], unusable=range(1, 48, 2))
    clips = TrainingSpec(epochs=0, loss_weights=LossWeights(), batch_size=2, clip_length=4, frame_step=1)
    with pytest.raises(RunError, match=r"are 1 apart, as training\.frame_step asks .* set training\.frame_step to 2"):
        steps_per_epoch(everything(sparse), clips)
    assert steps_per_epoch(everything(sparse), clips.model_copy(update={"frame_step": 2})) == 3
    assert steps_per_epoch(everything(sparse), clips.model_copy(update={"clip_length": None})) == 12
