"""Claims on datasets of other tasks, and those of the paper where its datasets are absent."""

import pytest

from hocbench.claims.evidence import evidence_table
from hocbench.claims.results import read_results
from hocbench.claims.schema import Test as Asked
from hocbench.claims.schema import load_claims
from hocbench.claims.verdicts import verdict_table
from hocbench.evaluation.files import read_table
from hocbench.reporting.claims import write_claims
from tests.evaluation.conftest import Writer, evaluate_written

BETTER = {"statistic": "difference", "datasets": ("lesions",), "method": "joint", "reference": "frames"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classification")
    write = Writer(folder / "runs")
    paths = [write("lesions", method, noise=noise) for method, noise in (("frames", 0.5), ("joint", 0.1))]
    evaluate_written(paths, folder / "evaluation", replicates=400)
    return folder


def claiming(*tests):
    claims = load_claims()
    return claims.model_copy(update={"claims": (claims.claims[0].model_copy(update={"tests": tests}),)})


@pytest.mark.parametrize(
    ("at_least", "verdict"), [(0.0, "holds on synthetic data"), (0.9, "does not hold on synthetic data")]
)
def test_a_claim_about_the_auc_is_judged_by_the_difference_of_the_class(folder, at_least, verdict):
    claims = claiming(Asked(**BETTER, metric="auc", at_least=at_least))
    evidence = evidence_table(claims, read_results(folder / "evaluation", folder))
    (row,) = evidence.to_dict("records")
    expected = read_table(folder / "evaluation/differences.csv").query("metric == 'auc' and method == 'joint'").iloc[0]
    assert (row["target"], row["value"], row["low"]) == ("class", expected["difference"], expected["low"])
    found = verdict_table(claims, evidence).iloc[0]
    assert found["verdict"] == verdict and ("class AUC" in found["reason"]) == (at_least > 0)


def test_the_papers_claims_about_absent_datasets_are_not_run(folder):
    write_claims(folder / "evaluation", folder, folder / "claims")
    table = read_table(folder / "claims/claims.csv")
    about_data = table[table["dataset"].fillna("") != ""]
    assert len(about_data) > 5 and set(about_data["verdict"]) == {"not run"}


@pytest.mark.parametrize(
    ("metric", "message"),
    [("f1", "no metric 'f1'; choose from rmse, sagr, pcc, ccc, auc"), ("brier", "judged by ccc or auc")],
)
def test_a_metric_that_cannot_be_judged_is_named(metric, message):
    with pytest.raises(ValueError, match=message):
        Asked(**BETTER, metric=metric, at_least=0.0)
