import json
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hocbench.config.training import Augmentation
from hocbench.errors import RunError
from hocbench.nn import resnet18
from hocbench.training import data
from hocbench.training.data import (
    evaluation_batches,
    overlapping_windows,
    training_batches,
    training_windows,
)
from hocbench.training.predict import best_answer, predict, prediction_table
from hocbench.training.samples import Samples, select
from tests.training.conftest import UNUSABLE, make_runs, whole, write_store
from tests.training.specs import KEY, make_spec

CPU = torch.device("cpu")
OTHERS = [{"root_seed": 8}, {"stage": "temporal"}]
OTHERS += [{"key": KEY.model_copy(update=change)} for change in ({"dataset": "afew_va"}, {"fold": 1}, {"seed": 1})]
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "sewa", [10] * 11 + [3], unusable=UNUSABLE)


@pytest.fixture(scope="module")
def splits(store):
    clips = store.frames["clip"].unique()
    tables = [
        pd.DataFrame(
            {"fold": fold, "clip": clips, "part": np.roll(["train"] * 6 + ["validation"] * 3 + ["test"] * 3, 4 * fold)}
        )
        for fold in (0, 1)
    ]
    return pd.concat(tables, ignore_index=True)


def clips_of(lengths):
    edges = np.cumsum([5, *lengths])  # the first rows of the store belong to another part
    clips = [np.arange(start, end) for start, end in pairwise(edges)]
    return Samples(None, np.concatenate(clips), clips)


def read(batches):
    return [(x.numpy(), y.numpy()) for x, y in batches]


def batches(store, order=3, batch_size=4, epoch=1, other=None, **changes):
    spec = make_spec(order, batch_size=batch_size, **changes).model_copy(update=other or {})
    return read(training_batches(whole(store), spec, epoch))


def pixels(store, rows):
    """Normalise as the networks want it, channels first."""
    return (store.crops[rows].astype(np.float32) - 127.5) / 63.75


def rows_of(store, labels):
    """Find the store rows of labels, which no two frames share."""
    known = store.frames[["valence", "arousal"]].to_numpy(np.float32)
    return np.array([int(np.flatnonzero((known == label).all(1)).item()) for label in labels.reshape(-1, 2)])


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_holds_the_usable_frames_of_its_clips(store, splits, fold, part):
    samples = select(store, splits, fold, part)
    clips = set(splits.query("fold == @fold and part == @part")["clip"])
    expected = [row for row, clip in enumerate(store.frames["clip"]) if clip in clips and row not in UNUSABLE]
    assert samples.rows.tolist() == expected
    assert np.concatenate(samples.clips).tolist() == expected
    lost = [row for row, clip in enumerate(store.frames["clip"]) if clip in clips and row in UNUSABLE]
    assert samples.lost.tolist() == lost
    assert [store.frames["clip"][rows].unique().tolist() for rows in samples.clips] == [
        [clip] for clip in sorted(clips)
    ]


def test_a_part_without_usable_frames_is_refused_by_name(store, splits):
    with pytest.raises(RunError, match=r"fold 5 has no usable frame in its train part; see ledger\.csv"):
        select(store, splits, 5, "train")


@given(LENGTHS, st.integers(1, 20), st.integers(0, 10**6))
@settings(deadline=None)
def test_training_windows_stay_within_their_clip_and_do_not_overlap(lengths, length, seed):
    samples = clips_of(lengths)
    windows = training_windows(samples, length, np.random.default_rng(seed))
    assert [len(window) for window in windows] == [length] * sum(max(1, n // length) for n in lengths)
    for clip in samples.clips:
        inside = [window for window in windows if np.isin(window, clip).any()]
        places = np.concatenate(inside) - clip[0]
        if len(clip) < length:
            assert places.tolist() == [*range(len(clip)), *[len(clip) - 1] * (length - len(clip))]
        else:
            assert places.tolist() == list(range(places[0], places[0] + len(clip) // length * length))
            assert 0 <= places[0] <= places[-1] < len(clip)


def test_every_start_of_a_training_window_occurs():
    samples = clips_of([10])
    rng = np.random.default_rng(0)
    starts = {int(training_windows(samples, 4, rng)[0][0]) - 5 for _ in range(100)}
    assert starts == {0, 1, 2}


@given(st.integers(1, 60), st.integers(1, 20))
@settings(deadline=None)
def test_windows_cover_every_frame_and_no_frame_is_seen_at_an_edge_only(count, length):
    clip = np.arange(100, 100 + count)
    windows = overlapping_windows(clip, length)
    assert all(len(window) == length for window in windows)
    assert sorted(set(np.concatenate(windows))) == clip.tolist()
    assert windows[-1][-1] == clip[-1]
    if count < length:
        assert windows[0].tolist() == [*clip, *[clip[-1]] * (length - count)]
        return
    assert (np.diff(np.stack(windows), axis=1) == 1).all()
    for frame in clip:
        margin = max(min(frame - window[0], window[-1] - frame) for window in windows if frame in window)
        assert margin >= min(frame - clip[0], clip[-1] - frame, length // 4 - 1)


@pytest.mark.parametrize(
    ("order", "inputs", "labels"), [(2, (8, 3, 16, 16), (8, 2)), (3, (8, 3, 4, 16, 16), (8, 4, 2))]
)
def test_batches_are_full_and_have_the_shapes_of_the_networks(store, order, inputs, labels):
    found = batches(store, order, batch_size=8)
    assert {x.shape for x, _ in found} == {inputs}
    assert {y.shape for _, y in found} == {labels}
    # 111 images, or two windows of each long clip and one of the short one.
    assert len(found) == (111 // 8 if order == 2 else 23 // 8)


def test_fewer_samples_than_a_batch_make_one_smaller_batch(store):
    assert [len(x) for x, _ in batches(store, batch_size=23)] == [23]
    assert [len(x) for x, _ in batches(store, batch_size=64)] == [23]


def test_no_image_comes_twice_in_an_epoch(store):
    rows = np.concatenate([rows_of(store, y) for _, y in batches(store, order=2, batch_size=37)])
    assert sorted(rows) == whole(store).rows.tolist()
    assert rows.tolist() != sorted(rows)


@pytest.mark.parametrize("order", [2, 3])
def test_batches_depend_on_the_seeds_and_the_epoch_only(store, order):
    first = batches(store, order)
    torch.manual_seed(1234)
    np.random.seed(5)
    again = batches(store, order)
    assert all((a == b).all() and (p == q).all() for (a, p), (b, q) in zip(first, again, strict=True))
    for change in ({"epoch": 2}, *({"other": other} for other in OTHERS)):
        other = batches(store, order, **change)
        assert any((p != q).any() for (_, p), (_, q) in zip(first, other, strict=True)), change


@pytest.mark.parametrize("warm_start", [False, True])
def test_no_run_sees_the_batches_of_one_that_it_starts_from(tmp_path, warm_start):
    stages = {"stages": {"lasso": {"warm_start": warm_start}}}
    changes = {"sweep": {"lasso": [0, 0.5, 1.0]}, "training": stages, "datasets": {"afew_va": {"folds": [0, 1]}}}
    chains = 0
    for run in make_runs(tmp_path, changes):
        seen, link = [], run
        while link is not None:
            seen += [link.spec.batch_axes] if link.spec.training.epochs else []
            link = link.parent
        chains += len(seen) > 2
        assert all(a != b for a, b in combinations(seen, 2)), run.id
    assert chains > 3


def test_networks_that_are_compared_see_the_same_batches_and_folds_others(tmp_path):
    runs = make_runs(tmp_path, {"datasets": {"afew_va": {"folds": [0, 1], "baselines": ["inflated"]}}})
    joint = [run.spec for run in runs if run.spec.stage == "joint" and run.spec.training.epochs]
    drawn = {}
    for spec in joint:
        drawn.setdefault(json.dumps(spec.batch_axes), []).append((spec.key.dataset, spec.key.fold))
    assert all(len(set(places)) == 1 for places in drawn.values())
    assert {places[0] for places in drawn.values()} == {("sewa", 0), ("afew_va", 0), ("afew_va", 1)}
    methods = {(spec.key.method, spec.key.lasso) for spec in joint if spec.key.dataset == "sewa"}
    assert methods >= {("joint", 1), ("inflated", 0)}


@pytest.mark.parametrize("order", [2, 3])
def test_labels_belong_to_their_pixels_and_a_clip_is_mirrored_as_a_whole(store, order):
    mirrored = []
    for x, y in batches(store, order):
        for sample, labels in zip(np.moveaxis(x, 1, -1), y, strict=True):
            expected = pixels(store, rows_of(store, labels)).reshape(sample.shape)
            turned = bool((sample == expected[..., ::-1, :]).all())
            assert turned != bool((sample == expected).all())
            mirrored.append(turned)
    assert 0.2 < np.mean(mirrored) < 0.8


def test_nothing_is_mirrored_unless_asked_for(store):
    for x, y in batches(store, mirror=False):
        assert (np.moveaxis(x, 1, -1) == pixels(store, rows_of(store, y)).reshape(4, 4, 16, 16, 3)).all()


class Colours(nn.Module):
    """Tells the colour of each frame."""

    def forward(self, x):
        return x.mean((-2, -1))[:, [0, 2]].movedim(1, -1)


class Places(nn.Module):
    """Tells at which place of its window a frame stands."""

    def forward(self, x):
        places = torch.arange(x.shape[2], dtype=torch.float32)
        return places[None, :, None].expand(len(x), -1, 2)


@pytest.mark.parametrize("order", [2, 3])
def test_every_frame_is_predicted_once_from_its_own_pixels(store, order):
    samples = whole(store)
    prediction = predict(Colours(), samples, order, 4, CPU)
    assert prediction.shape == (111, 2)
    assert prediction.dtype == np.float32
    expected = pixels(store, samples.rows).mean((1, 2))[:, [0, 2]]
    np.testing.assert_allclose(prediction, expected, atol=1e-5)


def test_frames_of_overlapping_windows_get_the_mean(store):
    clip = whole(store).clips[1]
    samples = Samples(store, clip, [clip])
    # Windows start at 0, 2, 4 and 6 of ten frames: all but two frames at each end are seen at two places.
    twice = [(2 + 0) / 2, (3 + 1) / 2]
    expected = [0, 1, *twice, *twice, *twice, 2, 3]
    assert predict(Places(), samples, 3, 4, CPU).tolist() == [[value, value] for value in expected]


def test_the_repeated_last_frame_of_a_short_clip_gets_the_mean_over_its_places(store):
    clip = whole(store).clips[-1]
    assert predict(Places(), Samples(store, clip, [clip]), 3, 5, CPU)[:, 0].tolist() == [0, 1, (2 + 3 + 4) / 3]


@pytest.mark.parametrize("order", [2, 3])
def test_predictions_do_not_depend_on_the_batch_size(store, order, monkeypatch):
    torch.manual_seed(0)
    network = resnet18(order=order, width=8, stem="small")
    large = predict(network, whole(store), order, 4, CPU)
    monkeypatch.setattr(data, "EVALUATION_IMAGES", 12)
    assert max(len(x) for x, _ in evaluation_batches(whole(store), order, 4)) == (12 if order == 2 else 3)
    np.testing.assert_allclose(predict(network, whole(store), order, 4, CPU), large, atol=1e-5)


def test_images_are_predicted_as_by_the_network_itself(store):
    torch.manual_seed(0)
    network = resnet18(order=2, width=8, stem="small").train()
    samples = whole(store)
    prediction = predict(network, samples, 2, 4, CPU)
    images = torch.from_numpy(pixels(store, samples.rows)).movedim(-1, 1)
    with torch.no_grad():
        expected = network.eval()(images).numpy()
    np.testing.assert_allclose(prediction, expected, atol=1e-5)
    assert prediction.std() > 1e-3


@given(LENGTHS, st.integers(1, 8), st.integers(1, 5), st.integers(0, 10**6))
@settings(deadline=None)
def test_windows_at_a_step_take_every_so_many_frames_of_one_clip(lengths, length, step, seed):
    samples = clips_of(lengths)
    for windows in (
        training_windows(samples, length, np.random.default_rng(seed), step),
        [window for clip in samples.clips for window in overlapping_windows(clip, length, step)],
    ):
        for window in windows:
            (clip,) = [clip for clip in samples.clips if np.isin(window, clip).any()]
            assert np.isin(window, clip).all()
            # A short clip repeats its last frame.
            assert set(np.diff(window)) <= {step, 0}
            assert (np.diff(np.diff(window)) <= 0).all()


@given(LENGTHS, st.integers(1, 8), st.integers(1, 5))
@settings(deadline=None)
def test_windows_at_a_step_still_cover_every_frame(lengths, length, step):
    for clip in clips_of(lengths).clips:
        covered = np.concatenate(overlapping_windows(clip, length, step))
        assert sorted(set(covered)) == clip.tolist()


@pytest.mark.parametrize("order", [2, 3])
def test_batches_do_not_depend_on_the_number_of_workers(store, order):
    spec = make_spec(order, batch_size=8, augmentation=Augmentation(rotation_degrees=10.0, contrast=0.2))
    alone, others = (read(training_batches(whole(store), spec, 1, workers=n)) for n in (0, 2))
    assert len(alone) > 1
    assert all((a == b).all() and (p == q).all() for (a, p), (b, q) in zip(alone, others, strict=True))


def test_augmented_batches_keep_their_labels_and_do_not_depend_on_the_batch_size(store):
    changes = {"augmentation": Augmentation(rotation_degrees=10.0, brightness=0.2)}
    plain = batches(store, 2, batch_size=37, mirror=False)
    small, large = (batches(store, 2, batch_size=size, mirror=False, **changes) for size in (1, 37))
    pixels, labels = (np.concatenate(parts) for parts in zip(*large, strict=True))
    assert (np.concatenate([x for x, _ in small]) == pixels).all()
    assert (labels == np.concatenate([y for _, y in plain])).all()
    moved = [(a != b).any() for a, b in zip(pixels, np.concatenate([x for x, _ in plain]), strict=True)]
    assert np.mean(moved) > 0.95


def test_frames_without_crop_are_answered_with_the_mean_label_of_training(store, splits):
    parts = {part: select(store, splits, 0, part) for part in ("train", "validation", "test")}
    train = parts["train"]
    answer = best_answer(train)
    np.testing.assert_allclose(answer, store.frames.iloc[train.rows][["valence", "arousal"]].mean(), rtol=1e-6)
    outputs = {part: (samples, predict(Colours(), samples, 3, 4, CPU)) for part, samples in parts.items()}
    table = prediction_table(outputs, answer)
    lost = table[table["status"] == "no_crop"]
    expected = store.frames.iloc[[*UNUSABLE]]
    assert len(lost) == len(expected) > 0
    assert sorted(lost["clip"] + lost["frame"].astype(str)) == sorted(expected["clip"] + expected["frame"].astype(str))
    assert (lost[["valence", "arousal"]].to_numpy() == answer).all()
    assert len(table) == sum(len(each.rows) + len(each.lost) for each in parts.values())
    assert table[["truth_valence", "truth_arousal"]].notna().all(axis=None)
