"""All figures of an experiment with datasets of other tasks than valence and arousal."""

import json

import pytest

from hocbench.evaluation.files import read_table
from hocbench.reporting.figures import FIGURES, Tables, draw_figures
from hocbench.reporting.figures.validation import trained_networks
from tests.evaluation.conftest import Writer, evaluate_written

WITH_PLANE = ("circumplex", "quadrants", "timelines")


def evaluation_of(folder, datasets):
    write = Writer(folder / "runs")
    for dataset in datasets:
        for method, noise in (("static", 0.6), ("frames", 0.5), ("temporal", 0.3), ("joint", 0.1)):
            write(dataset, method, noise=noise)
        write(dataset, "joint", noise=0.2, lasso=0.05)
    return evaluate_written(write.paths, folder / "out", replicates=60)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    return evaluation_of(tmp_path_factory.mktemp("mixed"), ("sewa", "joy", "lesions"))


def words_of(folder):
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in FIGURES}


def test_figures_show_each_dataset_by_the_primary_score_of_its_task(mixed, tmp_path):
    draw_figures(mixed, tmp_path)
    words = words_of(tmp_path)
    assert words["forest"]["title"] == "Paired differences of CCC or AUC"
    assert "Lesions, class: 4 differences" in words["forest"]["alt"]
    assert "Lesions" in words["learning_curves"]["caption"]
    assert "CCC (mean of valence and arousal) or CCC or AUC" in words["learning_curves"]["caption"]
    assert "class " in words["lasso_path"]["alt"] and "joy " in words["lasso_path"]["alt"]
    for name in WITH_PLANE:
        assert "Left out, having no valence and arousal: Joy, Lesions." in words[name]["caption"], name
    row = (
        read_table(mixed / "intervals.csv").query("dataset == 'lesions' and metric == 'auc' and lasso == 0.05").iloc[0]
    )
    assert f"class {row['mean']:.2f}" in words["lasso_path"]["alt"]


def test_figures_of_a_classification_alone(tmp_path):
    draw_figures(evaluation_of(tmp_path, ("lesions",)), tmp_path / "figures")
    words = words_of(tmp_path / "figures")
    assert (
        "Class: AUC from" in words["score_parameters"]["alt"] and "Class against Parameters" in words["pareto"]["alt"]
    )
    assert words["score_parameters"]["caption"].startswith(
        "Parameters as trained, and test AUC of each method on Lesions."
    )
    for name in WITH_PLANE:
        assert words[name]["caption"].startswith("Nothing to draw"), name


def test_the_score_of_an_epoch_is_the_mean_of_its_targets_or_the_auc(mixed):
    table = trained_networks(Tables(mixed))
    last = table[table["epoch"] == 2].groupby("dataset")["score"].first()
    assert last["joy"] == last["lesions"] == 0.3
