import itertools
import math

import pytest
import torch

from hocbench.network_tables.conventions import build, convention_page, convention_table, dense_table
from hocbench.nn import parameter_count, resnet18
from tests.network_tables.test_parameters import counted, spatial_layers

SHORTCUTS = ((64, 128), (128, 256), (256, 512))


@pytest.fixture(scope="module")
def table():
    return convention_table()


@pytest.fixture(scope="module")
def page(table):
    return convention_page(table, dense_table()).markdown()


def by_hand(weights, inner_norm, stem, shortcuts, taps):
    """Count by arithmetic; no taps stand for the 2-D network."""
    total = 512 * 2 + 2 + sum(2 * outputs for _, _, outputs, _ in spatial_layers())
    total += sum(2 * outputs for _, outputs in SHORTCUTS)
    layers = [(inputs, outputs, size, block != "stem" or stem) for block, inputs, outputs, size in spatial_layers()]
    layers += [(inputs, outputs, 1, shortcuts) for inputs, outputs in SHORTCUTS]
    for inputs, outputs, size, factorized in layers:
        time = min(taps, 1) if size == 1 else taps
        dense = inputs * outputs * size**2
        rank = round(dense / (inputs + outputs + 2 * size))
        each = inputs + outputs + 2 * size + time + weights + 2 * inner_norm
        total += rank * each if factorized else dense * max(1, time)
    return total


def conventions(table):
    for row in table.itertuples():
        flags = (row.weights == "counted", row.inner_norm == "counted")
        yield row, (*flags, row.stem == "factorized", row.shortcuts == "factorized")


def test_every_convention_stands_there_once_with_its_counts(table):
    assert {flags for _, flags in conventions(table)} == set(itertools.product((True, False), repeat=4))
    assert len(table) == 16
    for row, flags in conventions(table):
        assert row.parameters_2d == by_hand(*flags, taps=0)
        assert row.parameters_3d == by_hand(*flags, taps=3)
        assert row.difference_2d == abs(row.parameters_2d - 11_100_000)
        assert row.difference_3d == abs(row.parameters_3d - 11_300_000)


def test_the_closest_to_the_published_2d_count_comes_first(table):
    assert table["difference_2d"].is_monotonic_increasing
    assert table["difference_2d"].iloc[0] < table["difference_2d"].iloc[-1]


def test_kernels_are_all_those_that_give_the_published_count(table):
    for row, flags in conventions(table):
        counts = {taps: by_hand(*flags, taps=taps) / 1e6 for taps in range(1, 60, 2)}
        rounded = [taps for taps, millions in counts.items() if round(millions, 1) == 11.3]
        cut = [taps for taps, millions in counts.items() if math.floor(millions * 10) == 113]
        assert row.kernels_rounded == " ".join(map(str, rounded))
        assert row.kernels_cut == " ".join(map(str, cut))
        assert rounded
        assert cut


@pytest.mark.parametrize("taps", [1, 5, 7])
def test_the_arithmetic_is_that_of_networks_with_other_kernels(taps):
    assert by_hand(True, False, True, False, taps) == parameter_count(build(3, "cp", temporal_kernel=taps))
    options = {"factorize_stem": False, "factorize_shortcuts": True, "inner_activation": True}
    network = build(3, "cp", temporal_kernel=taps, **options)
    assert by_hand(True, True, False, True, taps) == parameter_count(network)


def test_the_convention_of_the_parameter_table_is_among_them(table):
    ours = next(row for row, flags in conventions(table) if flags == (True, False, True, False))
    assert (ours.parameters_2d, ours.parameters_3d) == (counted(2, "cp"), counted(3, "cp"))


def test_networks_without_an_inner_batchnorm_count_like_those_in_which_it_is_not_counted(table):
    row = next(row for row, flags in conventions(table) if flags == (True, False, False, True))
    with torch.device("meta"):
        network = resnet18(order=2, factorize_stem=False, factorize_shortcuts=True, inner_activation=False)
    assert parameter_count(network) == row.parameters_2d


def test_dense_video_networks_count_what_everyone_counts():
    table = dense_table()
    assert list(zip(table["network"], table["outputs"], table["parameters"], strict=True)) == [
        ("dense 3-D", 2, 33_167_298),
        ("dense 3-D", 400, 33_371_472),
        ("(2+1)-D", 2, 31_301_151),
        ("(2+1)-D", 400, 31_505_325),
    ]
    assert list(zip(table["published_millions"], table["status"], strict=True)) == [(33, "S")] * 2 + [(31, "S")] * 2


def test_the_page_says_how_the_2d_count_becomes_the_published_one(table, page):
    cut = sum(math.floor(count / 1e5) == 111 for count in table["parameters_2d"])
    rounded = sum(round(count / 1e6, 1) == 11.1 for count in table["parameters_2d"])
    assert (rounded, cut) == (0, 8)
    assert "Of 16 conventions 0 round to 11.1 M in 2-D and 8 become 11.1 M when further digits are cut off" in page
    ways = [line.strip("| ").split(" | ")[6] for line in page.splitlines() if line.startswith(("| counted", "| not"))]
    assert ways == ["cutting" if count < 11_200_000 else "neither" for count in table["parameters_2d"]]
    assert "| dense 3-D | 2 | 33,167,298 | 33 S | 0.167 |" in page
    assert "status P" in page
