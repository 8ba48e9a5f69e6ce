"""Tasks other than valence and arousal: labels, losses, scores and predictions, against loops over frames and clips."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from hocbench.config.training import LossWeights
from hocbench.errors import RunError
from hocbench.experiment.tasks import affect, classification
from hocbench.faces.store import CropStore
from hocbench.metrics import affect as metrics
from hocbench.nn import resnet18
from hocbench.training.data import evaluation_batches, training_batches
from hocbench.training.loop import Setting, Training
from hocbench.training.losses import affect_loss, class_loss, task_loss
from hocbench.training.predict import best_answer, main_score, predict, prediction_table, score, scored_units, spell
from hocbench.training.samples import Samples, check_classes, select
from tests.training.conftest import UNUSABLE, whole, write_store
from tests.training.specs import make_spec

CPU = torch.device("cpu")
MOODS = classification("calm", "moved", "excited")
ONE, THREE = affect(joy=(0, 10)), affect(joy=(0, 10), fear=(-5, 5), anger=(0, 1))
PARTS = ["train", "validation", "test"]
SPLITS = pd.DataFrame({"fold": 0, "clip": [f"C{n:03d}" for n in range(12)], "part": PARTS * 4})


def relabelled(folder, labels, lengths=(10,) * 12):
    """Write a store whose labels are others: a function of the table of its frames makes them."""
    frames = write_store(folder, lengths, unusable=UNUSABLE).frames
    columns = labels(frames)
    frames[[*columns]] = pd.DataFrame(columns, index=frames.index)
    frames.drop(columns=["valence", "arousal"]).to_parquet(folder / "frames.parquet", index=False)
    return CropStore(folder)


def moods(frames):
    number = frames["clip"].str[1:].astype(int)
    return {"class": np.array(MOODS.classes)[(number // 3 + number) % 3]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Clips of three classes, two of them with a frame that has no crop."""
    return relabelled(tmp_path_factory.mktemp("moods") / "sewa", moods)


def part(store, name="train", task=MOODS):
    return select(store, SPLITS, 0, name, task=task)


class Colours(nn.Module):
    """Predicts as many mean colours as there are outputs, for each frame from its own pixels."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, x):
        values = x.mean((-2, -1)).movedim(1, -1)
        return values.repeat(*[1] * (values.ndim - 1), 3)[..., : self.outputs]


def test_labels_of_classes_are_their_numbers_in_the_order_of_the_task(store):
    samples = part(store)
    assert samples.labels().tolist() == [MOODS.classes.index(name) for name in store.frames["class"]]
    assert samples.labels().dtype == np.int64


@pytest.mark.parametrize("order", [2, 3])
def test_batches_of_classes_hold_the_number_of_each_frame(store, order):
    spec = make_spec(order, batch_size=4).model_copy(update={"task": MOODS})
    batches = list(training_batches(part(store), spec, 1))
    assert batches
    known = {
        image.tobytes(): name
        for crop, name in zip(store.crops, store.frames["class"], strict=True)
        for image in (crop, crop[:, ::-1])
    }
    for x, y in batches:
        pixels = (x * 63.75 + 127.5).round().to(torch.uint8).movedim(1, -1).reshape(-1, *store.crops.shape[1:])
        names = [known[image.numpy().tobytes()] for image in pixels]
        assert [MOODS.classes[number] for number in y.ravel().tolist()] == names
        assert y.shape == ((4,) if order == 2 else (4, 4))


def test_the_loss_of_a_window_is_the_cross_entropy_of_its_mean_logits():
    rng = np.random.default_rng(0)
    logits, classes = rng.normal(size=(5, 4, 3)), rng.integers(0, 3, 5)
    expected = []
    for window, number in zip(logits, classes, strict=True):
        means = [sum(frame[column] for frame in window) / 4 for column in range(3)]
        expected.append(math.log(sum(math.exp(value) for value in means)) - means[number])
    labels = torch.from_numpy(classes)
    loss = class_loss(torch.from_numpy(logits), labels[:, None].expand(-1, 4))
    assert loss.item() == pytest.approx(sum(expected) / 5, rel=1e-12)
    images = class_loss(torch.from_numpy(logits.mean(1)), labels)
    assert images.item() == pytest.approx(loss.item(), rel=1e-12)
    assert task_loss(MOODS, torch.from_numpy(logits), labels[:, None].expand(-1, 4), None) == loss


@pytest.mark.parametrize("task", [ONE, THREE])
def test_the_loss_of_other_targets_is_the_mean_of_theirs(task):
    rng = np.random.default_rng(1)
    truth, prediction = (rng.uniform(0, 1, (6, 4, task.outputs)) for _ in range(2))
    alone = [
        metrics.rmse(*pair) + (1 - metrics.pcc(*pair)) + (1 - metrics.ccc(*pair))
        for pair in ((truth[..., c].ravel(), prediction[..., c].ravel()) for c in range(task.outputs))
    ]
    tensors = torch.from_numpy(prediction), torch.from_numpy(truth)
    assert task_loss(task, *tensors, LossWeights()).item() == pytest.approx(np.mean(alone), abs=1e-5)
    assert affect_loss(*tensors, LossWeights()) == task_loss(task, *tensors, LossWeights())


@pytest.mark.parametrize("order", [2, 3])
def test_a_clip_is_scored_by_the_mean_logits_of_its_frames(store, order):
    samples = part(store)
    prediction = predict(Colours(3), samples, order, 4, CPU)
    truth, outputs = scored_units(prediction, samples)
    row_of = {row: place for place, row in enumerate(samples.rows)}
    for clip, number, logits in zip(samples.clips, truth, outputs, strict=True):
        assert MOODS.classes[number] == store.frames["class"][clip[0]]
        frames = [prediction[row_of[row]] for row in clip]
        np.testing.assert_allclose(logits, [math.fsum(frame[c] for frame in frames) / len(frames) for c in range(3)])
    scores = score(prediction, samples)
    assert list(scores) == ["validation_auc", "validation_balanced_accuracy"]
    assert scores["validation_auc"] == pytest.approx(slow_auc(truth, outputs))
    assert main_score(scores) == scores["validation_auc"]
    assert spell(scores).startswith(f"AUC {scores['validation_auc']:.3f}, balanced accuracy ")


def slow_auc(truth, outputs):
    chances = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    areas = []
    for number in range(3):
        wins = [
            (a > b) + (a == b) / 2 for a in chances[truth == number, number] for b in chances[truth != number, number]
        ]
        areas.append(sum(wins) / len(wins))
    return sum(areas) / 3


def test_mean_logits_of_clips_do_not_depend_on_the_order_of_windows(store, monkeypatch):
    samples = part(store)

    def reversed_batches(*arguments):
        return reversed(list(evaluation_batches(*arguments)))

    torch.manual_seed(0)
    network = resnet18(order=3, width=4, stem="small", outputs=3)
    forward = scored_units(predict(network, samples, 3, 4, CPU), samples)[1]
    monkeypatch.setattr("hocbench.training.data.EVALUATION_IMAGES", 8)
    monkeypatch.setattr("hocbench.training.predict.evaluation_batches", reversed_batches)
    backward = scored_units(predict(network, samples, 3, 4, CPU), samples)[1]
    np.testing.assert_allclose(backward, forward, atol=1e-6)
    assert np.ptp(forward, axis=0).min() > 1e-4


def test_predictions_of_classes_hold_numbers_and_logits(store):
    samples = {name: part(store, name) for name in ("validation", "test")}
    train = part(store)
    answer = best_answer(train)
    counts = [sum(store.frames["class"][row] == name for row in train.rows) for name in MOODS.classes]
    np.testing.assert_allclose(answer, [math.log(count / len(train.rows)) for count in counts], rtol=1e-6)
    outputs = {name: (each, predict(Colours(3), each, 3, 4, CPU)) for name, each in samples.items()}
    table = prediction_table(outputs, answer)
    assert list(table) == ["subject", "clip", "frame", "part", "truth_class", "logit_0", "logit_1", "logit_2", "status"]
    assert table["truth_class"].dtype == np.int64
    assert {str(kind) for kind in table[["logit_0", "logit_1", "logit_2"]].dtypes} == {"float32"}
    names = store.frames.set_index(["clip", "frame"])["class"]
    assert [MOODS.classes[n] for n in table["truth_class"]] == [
        names[key] for key in zip(table["clip"], table["frame"], strict=True)
    ]
    lost = table[table["status"] == "no_crop"]
    assert lost["clip"].tolist() == ["C005"]
    assert (lost[["logit_0", "logit_1", "logit_2"]].to_numpy() == answer).all()


@pytest.mark.parametrize("task", [ONE, THREE])
def test_other_targets_pass_through_training_and_prediction(tmp_path, task):
    rng = np.random.default_rng(0)

    def labels(frames):
        colours = np.stack([frames["valence"], frames["arousal"], rng.uniform(-0.5, 0.5, len(frames))])
        scaled = zip(task.targets, task.ranges, colours, strict=False)
        return {name: low + (high - low) * (values + 1) / 2 for name, (low, high), values in scaled}

    samples = part(relabelled(tmp_path / "sewa", labels), task=task)
    spec = make_spec(epochs=2, batch_size=8).model_copy(update={"task": task})
    torch.manual_seed(0)
    network = resnet18(order=2, width=4, stem="small", outputs=task.outputs)
    outcome = Training(network, samples, samples, Setting(spec), Accelerator()).run()
    prediction = predict(network, samples, 2, 1, CPU)
    assert prediction.shape == (len(samples.rows), task.outputs)
    row = next(row for row in outcome.history if row["kept"])
    truth = samples.store.frames.iloc[samples.rows]
    for column, name in enumerate(task.targets):
        assert row[f"validation_ccc_{name}"] == metrics.ccc(truth[name], prediction[:, column])
    table = prediction_table({"test": (samples, prediction)}, best_answer(samples))
    assert list(table) == ["subject", "clip", "frame", "part", *task.truth_columns, *task.targets, "status"]


def test_crops_of_another_task_are_refused(store):
    with pytest.raises(RunError, match=r"labelled with class, and the run predicts joy in \[0, 10\]; delete the index"):
        part(store, task=ONE)
    with pytest.raises(RunError, match=r"labelled with moved, and the run predicts calm or excited; delete the index"):
        part(store, task=classification("calm", "excited"))


def test_a_class_that_is_never_shown_and_a_part_without_a_choice_are_refused(store):
    parts = {name: part(store, name) for name in ("train", "validation")}
    check_classes(parts, 0)

    def without(samples, *names):
        clips = [rows for rows in samples.clips if store.frames["class"][rows[0]] not in names]
        return replace(samples, rows=np.concatenate(clips), clips=clips)

    with pytest.raises(RunError, match="fold 0 has no usable frame of class moved in its train part; change split"):
        check_classes(parts | {"train": without(parts["train"], "moved")}, 0)
    with pytest.raises(RunError, match="fold 3 has clips of class excited only in its validation part, on "):
        check_classes(parts | {"validation": without(parts["validation"], "calm", "moved")}, 3)


def test_classes_that_can_be_seen_are_learned(tmp_path):
    task = classification("blue", "red")

    def colour(frames):
        means = frames.groupby("clip")["valence"].transform("mean")
        return {"class": np.where(means > means.median(), "red", "blue")}

    samples = whole(relabelled(tmp_path / "sewa", colour, [8] * 24))
    halves = (samples.clips[:16], samples.clips[16:])
    parts = [Samples(samples.store, np.concatenate(clips), clips, task=task) for clips in halves]
    spec = make_spec(2, epochs=6, batch_size=8, learning_rate=0.015, loss_weights=None)
    torch.manual_seed(0)
    network = resnet18(order=2, width=8, rank=0.4, stem="small", outputs=2)
    outcome = Training(network, *parts, Setting(spec.model_copy(update={"task": task})), Accelerator()).run()
    kept = next(row for row in outcome.history if row["kept"])
    best = max(row["validation_auc"] for row in outcome.history)
    assert kept["validation_auc"] == best > 0.9
    # Of epochs with the same AUC that with the smaller loss.
    assert kept["validation_loss"] == min(r["validation_loss"] for r in outcome.history if r["validation_auc"] == best)
    assert kept["epoch"] > 0
    assert kept["validation_balanced_accuracy"] > 0.9
