import numpy as np
import pytest
import torch
from accelerate import Accelerator

from hocbench.errors import RunError
from hocbench.nn import resnet18
from hocbench.training.loop import Setting, Training
from hocbench.training.optimizers import make_optimizers
from hocbench.training.predict import main_score, predict, score
from hocbench.training.samples import Samples
from tests.training.conftest import whole, write_store
from tests.training.specs import make_spec, penalty

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Eight clips to learn from and four to choose on."""
    samples = whole(write_store(tmp_path_factory.mktemp("store") / "sewa", [10] * 12))
    return [Samples(samples.store, np.concatenate(clips), clips) for clips in (samples.clips[:8], samples.clips[8:])]


def make_setting(order=2, static_level=None, **changes):
    return Setting(make_spec(order, **changes), static_level)


def network(order=2):
    torch.manual_seed(0)
    return resnet18(order=order, width=8, rank=0.3, stem="small")


def train(*arguments):
    return Training(*arguments).run()


def levels(history):
    return [(row["validation_ccc_valence"] + row["validation_ccc_arousal"]) / 2 for row in history]


def state_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.fixture(scope="module")
def learned(parts):
    """One longer run on a task that can be learned: the colour of a crop."""
    trained, rows = network(), []
    setting = Setting(make_spec(epochs=8, learning_rate=0.01, batch_size=16), log=rows.append)
    return trained, train(trained, *parts, setting, Accelerator()), rows


def test_the_loss_falls_and_the_scores_rise_on_a_task_that_can_be_learned(learned):
    history = learned[1].history
    assert history[-1]["train_loss"] < 0.7 * history[1]["train_loss"]
    assert max(levels(history)) > levels(history)[0] + 0.2


def test_history_has_a_row_per_epoch_and_one_before_them(learned):
    _, outcome, rows = learned
    assert [row["epoch"] for row in outcome.history] == list(range(9))
    assert rows == outcome.history
    assert np.isnan(outcome.history[0]["train_loss"])
    assert all(np.isfinite(row["train_loss"]) for row in outcome.history[1:])
    assert all(np.isfinite(row["validation_loss"]) for row in outcome.history)
    rates = [row["learning_rate"] for row in outcome.history]
    assert rates[0] == 0
    assert rates[1] < max(rates) <= 0.01
    assert rates[-1] < 0.001
    assert outcome.samples == 8 * 80
    assert outcome.wall_s > 0


def test_the_state_of_the_best_epoch_is_kept(learned, parts):
    trained, outcome, _ = learned
    kept = [row["kept"] for row in outcome.history]
    assert kept.count(1) == 1
    assert kept.count(0) == 8
    assert kept.index(1) == int(np.argmax(levels(outcome.history)))
    scores = score(predict(trained, parts[1], 2, 4, CPU), parts[1])
    assert main_score(scores) == levels(outcome.history)[kept.index(1)]
    assert scores == {name: outcome.history[kept.index(1)][name] for name in scores}


def test_training_that_only_does_harm_leaves_the_network_as_it_was(learned, parts):
    trained = network()
    trained.load_state_dict(learned[0].state_dict())
    before = state_of(trained)
    outcome = train(trained, *parts, make_setting(epochs=2, learning_rate=0.5, batch_size=16), Accelerator())
    assert [row["kept"] for row in outcome.history] == [1, 0, 0]
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_no_epochs_leave_the_network_as_it_was(parts):
    untrained = network()
    before = state_of(untrained)
    outcome = train(untrained, *parts, make_setting(epochs=0, steps=None), Accelerator())
    assert [(row["epoch"], row["kept"]) for row in outcome.history] == [(0, 1)]
    assert outcome.samples == 0
    assert all(torch.equal(value, before[name]) for name, value in untrained.state_dict().items())


def test_frozen_parameters_do_not_move(parts):
    frozen = network(order=3)
    for name, parameter in frozen.named_parameters():
        parameter.requires_grad = name.endswith("factors.time")
    before = state_of(frozen)
    setting = make_setting(order=3, epochs=3, learning_rate=0.02, batch_size=4)
    outcome = train(frozen, *parts, setting, Accelerator())
    assert outcome.history[0]["kept"] == 0  # what follows is about a trained state
    moved = {name for name, value in frozen.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {name for name, _ in frozen.named_parameters() if name.endswith("factors.time")}


def test_lasso_keeps_the_last_epoch_and_moves_weights_by_proximal_steps_only(parts):
    sparse = network()
    lasso = penalty(1e-12, gradient_limit=1e-12)
    setting = make_setting(lasso=lasso, epochs=3, batch_size=16, learning_rate=0.001)
    outcome = train(sparse, *parts, setting, Accelerator())
    assert [row["kept"] for row in outcome.history] == [0, 0, 0, 1]
    scores = score(predict(sparse, parts[1], 2, 4, CPU), parts[1])
    assert scores == {name: outcome.history[-1][name] for name in scores}
    # Without gradients, equal weights stay equal: AdamW has not touched them.
    weights = [value for name, value in sparse.named_parameters() if name.endswith(".weights")]
    assert all(torch.allclose(value, torch.ones_like(value), atol=1e-4) for value in weights)


@pytest.mark.parametrize(("level", "rows", "recovered"), [(-1.0, 1, 0), (2.0, 4, None)])
def test_training_stops_at_the_static_level(parts, level, rows, recovered):
    setting = make_setting(epochs=3, batch_size=16, stop_at_static=True, static_level=level)
    outcome = train(network(), *parts, setting, Accelerator())
    assert len(outcome.history) == rows
    assert outcome.recovered_epoch == recovered
    assert {row["static_level"] for row in outcome.history} == {level}


@pytest.mark.parametrize("stop", [True, False])
def test_the_first_epoch_that_reaches_the_static_level_is_recorded(learned, parts, stop):
    reached = levels(learned[1].history)
    level = max(reached[:4])
    epoch = reached.index(level)
    assert 0 < epoch < 8
    changes = {"epochs": 8, "learning_rate": 0.01, "batch_size": 16, "stop_at_static": stop}
    outcome = train(network(), *parts, make_setting(static_level=level, **changes), Accelerator())
    assert outcome.recovered_epoch == epoch
    assert levels(outcome.history) == reached[: epoch + 1 if stop else None]


def test_a_loss_that_is_not_finite_ends_the_run_with_advice(tmp_path, parts):
    samples = whole(write_store(tmp_path / "sewa", [10] * 12))
    samples.store.frames["valence"] = np.nan
    with pytest.raises(RunError, match=r"run static-1234: the loss is nan in epoch 1; lower learning_rate"):
        train(network(), samples, parts[1], make_setting(epochs=1), Accelerator())


def test_a_network_that_breaks_in_its_last_step_ends_the_run_with_advice(parts):
    setting = make_setting(epochs=1, batch_size=80, learning_rate=1e38)
    with pytest.raises(RunError, match=r"run static-1234: predictions are not finite after epoch 1; lower learning"):
        train(network(), *parts, setting, Accelerator())


@pytest.mark.parametrize("lasso", [None, penalty(0.1), penalty(0.1, "subgradient")])
def test_vectors_get_no_weight_decay_and_weights_moved_by_proximal_steps_no_adamw(lasso):
    trained = network()
    trained.head.bias.requires_grad = False
    training = make_spec(lasso=lasso).training
    optimizer, _, moving = make_optimizers(trained, training, training.steps, 3)
    decay = {id(value): group["weight_decay"] for group in optimizer.param_groups for value in group["params"]}
    for name, value in trained.named_parameters():
        if name == "head.bias" or (lasso and lasso.method == "proximal" and name.endswith(".weights")):
            assert id(value) not in decay, name
        else:
            assert decay[id(value)] == (0.01 if value.ndim > 1 else 0.0), name
    assert (moving is not None) == bool(lasso)


def test_the_published_penalty_trains_the_weights_and_empties_the_small_ones_after_the_last_step(parts):
    sparse, threshold = network(), 0.99
    setting = make_setting(lasso=penalty(0.1, "subgradient", threshold=threshold), epochs=2, batch_size=16)
    outcome = train(sparse, *parts, setting, Accelerator())
    assert [row["kept"] for row in outcome.history] == [0, 0, 1]
    scores = score(predict(sparse, parts[1], 2, 4, CPU), parts[1])
    assert scores == {name: outcome.history[-1][name] for name in scores}  # of the network without those components
    weights = [value.detach() for name, value in sparse.named_parameters() if name.endswith(".weights")]
    left = torch.cat([value[value != 0] for value in weights])
    assert 0 < len(left) < sum(map(len, weights))
    assert len(left.unique()) > 1
    untouched = network()
    setting = make_setting(lasso=penalty(0.1, "subgradient", threshold=1e-9), epochs=2, batch_size=16)
    train(untouched, *parts, setting, Accelerator())
    whole_weights = [value.detach() for name, value in untouched.named_parameters() if name.endswith(".weights")]
    for emptied, before in zip(weights, whole_weights, strict=True):
        small = before.abs() <= threshold * before.square().mean().sqrt()
        assert torch.equal(emptied, before.masked_fill(small, 0))
