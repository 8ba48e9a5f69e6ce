import numpy as np
import pytest
from scipy import stats

from hocbench.errors import EvaluationError
from hocbench.metrics.affect import ccc, pcc, rmse, sagr


@pytest.fixture
def pair():
    generator = np.random.default_rng(3)
    truth = generator.normal(0.2, 0.4, 200)
    return truth, 0.6 * truth + generator.normal(-0.1, 0.2, 200)


def test_rmse_of_known_errors():
    assert rmse([0, 0, 0, 0], [1, -1, 3, 1]) == pytest.approx(np.sqrt(3))


def test_sagr_counts_equal_signs_and_zero_is_a_sign():
    assert sagr([0.1, -0.2, 0.0, 0.0, 0.5], [0.9, 0.1, 0.0, 0.3, -0.1]) == pytest.approx(2 / 5)


def test_pcc_is_scipys(pair):
    assert pcc(*pair) == pytest.approx(stats.pearsonr(*pair).statistic, abs=1e-12)


def test_ccc_uses_population_deviations(pair):
    truth, prediction = pair
    covariance = np.cov(truth, prediction, bias=True)
    expected = 2 * covariance[0, 1] / (np.trace(covariance) + (truth.mean() - prediction.mean()) ** 2)
    assert ccc(truth, prediction) == pytest.approx(expected, abs=1e-12)
    # With sample deviations two points (0, 1) against (0, 2) would give 2 / (0.5 + 2 + 0.25).
    assert ccc([0, 1], [0, 2]) == pytest.approx(2 * 0.5 / (0.25 + 1 + 0.25))


def test_ccc_punishes_shift_and_scale_that_pcc_ignores(pair):
    truth, _ = pair
    assert pcc(truth, 2 * truth + 1) == pytest.approx(1)
    assert ccc(truth, 2 * truth + 1) < 0.5
    assert ccc(truth, truth) == pytest.approx(1)


@pytest.mark.parametrize("metric", [pcc, ccc])
@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_constant_arrays_correlate_with_nothing(metric, constant, pair):
    flat = np.full(200, constant)
    assert metric(pair[0], flat) == 0
    assert metric(flat, pair[0]) == 0
    assert metric(flat, flat) == 0


@pytest.mark.parametrize("metric", [rmse, sagr, pcc, ccc])
def test_results_are_python_floats(metric, pair):
    assert type(metric(*pair)) is float


@pytest.mark.parametrize("metric", [rmse, sagr, pcc, ccc])
def test_a_nan_is_named_by_array_and_row(metric):
    with pytest.raises(EvaluationError, match=r"prediction in row 1 is nan \(1 of 3 rows"):
        metric([0, 1, 2], [0, np.nan, 2])
    with pytest.raises(EvaluationError, match="truth in row 2 is inf"):
        metric([0, 1, np.inf], [0, 1, 2])


def test_shapes_are_checked():
    with pytest.raises(EvaluationError, match=r"truth has shape \(2,\) and prediction \(3,\)"):
        rmse([0, 1], [0, 1, 2])
    with pytest.raises(EvaluationError, match="one target"):
        ccc(np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(EvaluationError, match="no frames"):
        pcc([], [])
