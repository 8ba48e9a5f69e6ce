"""A short kill grid; `make kill-grid` runs the full one."""

import pytest

from tests.system.kill_grid import Bench, control, run_stage

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("kills"))
    yield bench
    bench.driver.end()


def test_a_run_killed_at_random_moments_is_the_run_that_was_left_alone(bench):
    moments = ("first step", "step", "validation", "between", "predictions", "run files", "removal")
    rows = run_stage(bench, "static", moments, seed=1)
    assert {row["moment"] for row in rows} == {*moments}
    assert [row["differences"] for row in rows] == [""] * len(moments)


@pytest.mark.parametrize("broken", ["optimizer", "position"])
def test_a_restart_that_forgets_something_is_found_out(bench, broken):
    assert "weights.safetensors" in control(bench, "static", broken)
