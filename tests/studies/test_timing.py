import time

import pytest
import torch

from studies.speed.timing import Setting, interleave, ratios, spread, spread_text

CPU = torch.device("cpu")


def recorded(sizes, rounds):
    """Time candidates that count so far; return their order and how often each was timed."""
    calls = []

    def candidate(name, size):
        return lambda: (calls.append(name), sum(range(size)))

    times = interleave({name: candidate(*pair) for name, pair in zip(sizes, sizes.items(), strict=True)}, CPU, rounds)
    return "".join(calls), {name: len(values) for name, values in times.items()}


def test_candidates_run_in_turn_so_often():
    order, counts = recorded({"A": 300_000, "B": 300_000, "C": 300_000}, 4)
    assert order == "ABC" * 4
    assert counts == {"A": 4, "B": 4, "C": 4}


def test_what_is_hopeless_against_the_first_candidate_runs_once_and_the_first_one_always():
    order, counts = recorded({"A": 200_000, "B": 10_000_000, "C": 1000}, 3)
    assert order == "ABCACAC"
    assert counts == {"A": 3, "B": 1, "C": 3}
    order, _ = recorded({"A": 1_000_000, "B": 1000}, 2)
    assert order == "ABAB"


def test_cpu_time_is_taken_of_work_and_not_of_waiting():
    times = interleave({"work": lambda: sum(range(300_000)), "wait": lambda: time.sleep(0.2)}, CPU, 1)
    assert times["work"][0] > 0
    assert times["wait"][0] < 0.2


def test_a_spread_is_the_median_between_the_quartiles():
    assert spread([5, 1, 4, 2, 3]) == (3, 2, 4)
    assert spread([7]) == (7, 7, 7)


def test_ratios_are_taken_round_by_round_as_far_as_both_go():
    assert ratios([2, 30], [1, 10]) == [2, 3]
    assert ratios([2], [1, 10]) == [2]


def test_a_setting_holds_inside_and_is_undone_even_after_an_error():
    before = torch.get_num_threads()
    with Setting(2, "cpu").active():
        assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError), Setting(2, "cpu").active():
        raise RuntimeError
    assert torch.get_num_threads() == before


def test_bfloat16_is_computed_under_autocast_and_float32_without():
    a = torch.ones(2, 2)
    with Setting(1, "cpu", "bfloat16").autocast():
        assert (a @ a).dtype == torch.bfloat16
    with Setting(1, "cpu").autocast():
        assert (a @ a).dtype == torch.float32


def test_a_setting_names_what_matters():
    assert str(Setting(1, "cpu")) == "cpu, 1 thread, float32"
    assert str(Setting(2, "cpu", "bfloat16")) == "cpu, 2 threads, bfloat16"
    assert str(Setting(2, "cuda", "bfloat16")) == "cuda, bfloat16"


def test_a_spread_is_written_with_its_quartiles_where_it_has_some():
    assert spread_text(spread([1.25, 1.5, 2.0, 1.5, 1.75])) == "1.50 (1.50–1.75)"
    assert spread_text(spread([1234.0]), 0) == "1,234"
