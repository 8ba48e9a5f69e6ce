from importlib.resources import files

import pandas as pd
import pytest


@pytest.fixture
def results():
    return pd.read_csv(files("hocbench") / "published/results.csv")


def test_every_published_method_has_all_eight_scores_once(results):
    counts = results.groupby(["dataset", "method"]).size()
    assert set(counts) == {8}
    assert not results.duplicated(["dataset", "method", "target", "metric"]).any()
    assert counts.groupby("dataset").size().to_dict() == {"affectnet": 3, "afew_va": 6, "sewa": 6}


def test_only_the_cells_with_a_secondary_source_have_its_status(results):
    sourced = results[results["status"] == "S"]
    assert len(sourced) == 7
    assert set(results["status"]) == {"S", "U"}
    doubtful = sourced[sourced["dataset"] != "affectnet"]
    assert (doubtful["metric"] == "pcc").all()
    assert doubtful["note"].str.contains("calls it CCC").all()


def test_a_known_cell(results):
    row = results[(results["dataset"] == "sewa") & (results["method"] == "HO-CPConv transduction")]
    value = row.set_index(["target", "metric"])["value"]
    assert (value["valence", "pcc"], value["arousal", "ccc"]) == (0.84, 0.52)


def test_parameter_counts_have_a_status():
    table = pd.read_csv(files("hocbench") / "published/parameters.csv").set_index("network")
    assert table.loc["ResNet-18 2D CP", "published_millions"] == 11.1
    assert set(table["status"]) == {"P", "S"}
