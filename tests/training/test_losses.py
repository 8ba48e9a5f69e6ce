import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hocbench.config.training import LossWeights
from hocbench.metrics.affect import ccc, pcc, rmse
from hocbench.training.losses import affect_loss

EQUAL = LossWeights()


def draw(seed, shape=(50, 2)):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-1, 1, shape)
    return torch.from_numpy(0.6 * truth + 0.1 + rng.normal(0, 0.3, shape)), torch.from_numpy(truth)


def by_metrics(prediction, truth, weights):
    columns = [(truth[:, k].numpy(), prediction[:, k].numpy()) for k in range(2)]
    terms = [
        weights.rmse * rmse(*pair) + weights.pcc * (1 - pcc(*pair)) + weights.ccc * (1 - ccc(*pair)) for pair in columns
    ]
    return sum(terms) / 2


@given(st.integers(0, 10**6), *[st.floats(0, 3) for _ in range(3)])
@settings(max_examples=30, deadline=None)
def test_the_loss_is_the_weighted_sum_of_the_metrics_averaged_over_targets(seed, a, b, c):
    weights = LossWeights(rmse=a, pcc=b, ccc=c)
    pair = draw(seed)
    # The metrics have no guard against constant batches, hence the tolerance.
    assert affect_loss(*pair, weights).item() == pytest.approx(by_metrics(*pair, weights), abs=1e-5)


@pytest.mark.parametrize("term", ["rmse", "pcc", "ccc"])
def test_each_term_stands_alone_when_the_others_weigh_nothing(term):
    weights = LossWeights(**(dict.fromkeys(LossWeights.model_fields, 0.0) | {term: 1.0}))
    pair = draw(1)
    whole = affect_loss(*pair, EQUAL).item()
    alone = affect_loss(*pair, weights).item()
    assert alone == pytest.approx(by_metrics(*pair, weights), abs=1e-6)
    assert 0 < alone < whole


def test_both_targets_count_the_same():
    prediction, truth = draw(2)
    assert affect_loss(prediction.flip(1), truth.flip(1), EQUAL) == affect_loss(prediction, truth, EQUAL)
    only_valence = torch.stack([prediction[:, 0], prediction[:, 0]], 1), torch.stack([truth[:, 0], truth[:, 0]], 1)
    only_arousal = torch.stack([prediction[:, 1], prediction[:, 1]], 1), torch.stack([truth[:, 1], truth[:, 1]], 1)
    mean = (affect_loss(*only_valence, EQUAL) + affect_loss(*only_arousal, EQUAL)) / 2
    assert affect_loss(prediction, truth, EQUAL).item() == pytest.approx(mean.item())


def test_frames_of_clips_count_as_one_sample():
    prediction, truth = draw(3, (24, 2))
    clips = prediction.reshape(4, 6, 2), truth.reshape(4, 6, 2)
    assert affect_loss(*clips, EQUAL) == affect_loss(prediction, truth, EQUAL)


def test_perfect_predictions_cost_nothing_but_the_guard_against_zero():
    _, truth = draw(4)
    assert affect_loss(truth, truth, EQUAL).item() == pytest.approx(0, abs=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", ["prediction", "truth", "both", "equal", "single"])
def test_constant_batches_have_a_finite_loss_and_gradient(dtype, case):
    prediction, truth = (tensor.to(dtype) for tensor in draw(5))
    if case in ("prediction", "both", "equal"):
        prediction = torch.full_like(prediction, 0.2)
    if case in ("truth", "both", "equal"):
        truth = torch.full_like(truth, 0.2 if case == "equal" else -0.4)
    if case == "single":
        prediction, truth = prediction[:1], truth[:1]
    prediction.requires_grad_()
    loss = affect_loss(prediction, truth, EQUAL)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(prediction.grad).all()
    if case != "single":
        assert loss.item() >= 2 - 1e-3  # nothing is correlated


def test_a_gradient_step_lowers_the_loss():
    prediction, truth = draw(6)
    prediction.requires_grad_()
    before = affect_loss(prediction, truth, EQUAL)
    before.backward()
    after = affect_loss(prediction.detach() - 0.1 * prediction.grad, truth, EQUAL)
    assert after < before
