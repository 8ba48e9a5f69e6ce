"""The work of planning grows as the number of runs: what is costly is done once for each, and records are made once."""

from collections import Counter

import pytest

from hocbench.config.load import parse_params
from hocbench.experiment import plan as module
from hocbench.experiment.plan import make_plan
from tests.workflow.leaves import merged


@pytest.fixture
def calls(monkeypatch):
    """How often each of these is called; all of them do their work."""
    counts = Counter()

    def counted(name):
        function = getattr(module, name)

        def call(*arguments):
            counts[name] += 1
            return function(*arguments)

        return call

    for name in ("make_spec", "make_catalog", "own_networks"):
        monkeypatch.setattr(module, name, counted(name))
    return counts


def swept(ranks, weights, warm_start):
    change = {
        "sweep": {"rank": [round(0.01 * (1 + place), 2) for place in range(ranks)], "lasso": weights},
        "training": {"stages": {"lasso": {"warm_start": warm_start}}},
        "ablations": [],
    }
    return parse_params(merged(change))


@pytest.mark.parametrize("warm_start", [False, True])
def test_each_run_is_made_once_and_records_once(calls, warm_start):
    # With warm starts, a run descends from those of all smaller weights.
    weights = [round(0.01 * place, 2) for place in range(8)]
    sizes = []
    for ranks in (3, 12):
        calls.clear()
        runs = make_plan(swept(ranks, weights, warm_start))
        assert calls == {"make_spec": len(runs), "make_catalog": 1, "own_networks": 1}
        sizes.append(len(runs))
    assert sizes[1] > 3 * sizes[0] > 300


def test_ablations_make_their_own_runs_and_no_records(calls):
    ablations = [{"change": {"training.clips": 40 + place}, "methods": ["joint"]} for place in range(1, 9)]
    plain = len(make_plan(parse_params(merged({"ablations": []}))))
    calls.clear()
    runs = make_plan(parse_params(merged({"ablations": ablations})))
    assert (calls["make_catalog"], calls["own_networks"]) == (1, 1)
    # Of each ablation: what it shares with the sweep is made to see that it is the same, and what it adds twice.
    added = len(runs) - plain
    assert added > 16
    assert calls["make_spec"] <= plain + 4 * added
