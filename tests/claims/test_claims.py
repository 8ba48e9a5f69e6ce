"""Claims as data, and verdicts on planted effects."""

import numpy as np
import pandas as pd
import pytest
import yaml

from hocbench.claims.evidence import EMPTY, EVIDENCE_COLUMNS, evidence_table, place_of
from hocbench.claims.quantities import over_seeds
from hocbench.claims.results import check_statuses, read_results
from hocbench.claims.schema import load_claims
from hocbench.claims.verdicts import judge, verdict_table
from hocbench.errors import EvaluationError


@pytest.fixture
def results(experiment, tmp_path):
    return read_results(experiment[1], tmp_path)


def evidence(*outcomes, **columns):
    columns |= {"title": columns.get("method", ""), "reference_title": columns.get("reference", "")}
    rows = [EMPTY | {"judged": 1, "outcome": outcome, "statistic": "difference"} | columns for outcome in outcomes]
    table = pd.DataFrame(rows, columns=EVIDENCE_COLUMNS)
    return table.astype({"n_seeds": int}) if "n_seeds" in columns else table


# The confusion table: what was planted, by what the data are and how many seeds there were.
PLANTED = [
    (["inside"], "real", 5, "reproduced"),
    (["inside"], "real", 4, "inconclusive"),
    (["inside"], "synthetic", 5, "holds on synthetic data"),
    (["inside"], "synthetic", 2, "holds on synthetic data"),
    (["outside below"], "real", 5, "not reproduced"),
    (["outside below"], "real", 2, "inconclusive"),
    (["outside below"], "synthetic", 5, "does not hold on synthetic data"),
    (["on the edge"], "real", 5, "inconclusive"),
    (["on the edge"], "synthetic", 5, "inconclusive"),
    (["inside", "on the edge"], "real", 5, "inconclusive"),
    (["inside", "outside above"], "real", 5, "not reproduced"),
    (["on the edge", "outside below"], "synthetic", 5, "does not hold on synthetic data"),
    (["inside", "missing"], "real", 5, "inconclusive"),
    (["missing", "missing"], "real", 5, "not run"),
    (["no interval"], "real", 5, "inconclusive"),
    (["inside"], "none", 0, "reproduced"),
    (["outside above"], "none", 0, "not reproduced"),
]


@pytest.mark.parametrize(("outcomes", "label", "seeds", "verdict"), PLANTED)
def test_verdicts_of_planted_outcomes(outcomes, label, seeds, verdict):
    assert judge(evidence(*outcomes, n_seeds=seeds), label, combine="all", seeds_needed=5)[0] == verdict


@pytest.mark.parametrize("outcome", ["inside", "outside above", "outside below", "on the edge", "missing"])
@pytest.mark.parametrize("combine", ["all", "any"])
def test_synthetic_data_never_reproduce_anything(outcome, combine):
    verdict, _ = judge(evidence(outcome, n_seeds=9), "synthetic", combine=combine, seeds_needed=5)
    assert "reproduced" not in verdict and "published" not in verdict


@pytest.mark.parametrize(
    ("metric", "outcome", "verdict"),
    [
        ("ccc", "outside above", "better than published"),
        ("ccc", "outside below", "not reproduced"),
        ("rmse", "outside below", "better than published"),
        ("rmse", "outside above", "not reproduced"),
    ],
)
def test_a_score_beyond_the_published_one_is_better_on_its_good_side_only(metric, outcome, verdict):
    rows = evidence(outcome, n_seeds=5, statistic="score", metric=metric)
    assert judge(rows, "real", combine="all", seeds_needed=5)[0] == verdict


def test_of_any_one_weight_is_enough():
    rows = pd.concat([evidence("inside", "inside", lasso=0.02), evidence("inside", "outside below", lasso=0.05)])
    verdict, reason = judge(rows, "synthetic", combine="any", seeds_needed=5)
    assert verdict == "holds on synthetic data"
    assert reason.startswith("one LASSO weight is enough, and every range is met by 0.02; 3 of 4 comparisons inside")
    assert judge(rows, "synthetic", combine="all", seeds_needed=5)[0] == "does not hold on synthetic data"
    rows = pd.concat([evidence("on the edge", lasso=0.02), evidence("outside below", lasso=0.05)])
    verdict, reason = judge(rows, "synthetic", combine="any", seeds_needed=5)
    assert verdict == "inconclusive"
    assert reason.startswith("one LASSO weight would be enough, and none meets every range; 0 of 2 comparisons")


def test_the_reason_counts_and_names_what_decides_and_what_stands_beside():
    rows = pd.concat(
        [
            evidence("inside", method="ours", reference="theirs"),
            evidence("on the edge", method="ours", reference="others", target="arousal", metric="ccc", value=0.01,
                     low=-0.01, high=0.03),
            evidence("shown", method="ours", reference="smoothed", note="the control", judged=0, target="valence",
                     metric="ccc", value=-0.003, low=-0.01, high=0.01),
        ]
    )  # fmt: skip
    _, reason = judge(rows, "synthetic", combine="all", seeds_needed=5)
    assert reason == (
        "1 of 2 comparisons inside their range. On the edge: ours against others, arousal CCC 0.01 [-0.01, 0.03]. "
        "Beside it, the control: ours against smoothed, valence CCC -0.003 [-0.01, 0.01]"
    )


@pytest.mark.parametrize(
    ("interval", "place"),
    [
        ((0.1, 0.2), "inside"),
        ((0.0, 0.3), "inside"),
        ((-0.1, 0.2), "on the edge"),
        ((0.2, 0.4), "on the edge"),
        ((0.31, 0.4), "outside above"),
        ((-0.4, -0.01), "outside below"),
        ((np.nan, np.nan), "no interval"),
    ],
)
def test_where_an_interval_lies(interval, place):
    assert place_of(*interval, 0.0, 0.3) == place


def test_every_claim_is_judged_on_planted_runs(results):
    claims = load_claims()
    rows = evidence_table(claims, results)
    verdicts = verdict_table(claims, rows).set_index(["claim", "dataset"])["verdict"]
    # Noise 0.1 of the joint network, 0.4 of the reference, 0.7 to 0.8 from scratch; there are no counts.
    assert verdicts["C2", "sewa"] == verdicts["C3", "sewa"] == verdicts["C3", "afew_va"] == "holds on synthetic data"
    assert verdicts["C5", ""] == verdicts["C8", ""] == verdicts["N1", "sewa_control"] == "not run"
    assert verdicts["C7", "affectnet"] == "holds on synthetic data"
    # No (2+1)-D network was trained: what is there is judged, what is not is named.
    assert verdicts["C4", "sewa"] == "inconclusive"
    missing = rows[(rows["claim"] == "C4") & (rows["dataset"] == "sewa") & (rows["outcome"] == "missing")]
    assert set(missing["reference"]) == {"scratch_2plus1d"}


def test_published_scores_are_not_compared_with_synthetic_ones(results):
    rows = evidence_table(load_claims(), results)
    published = rows[rows["statistic"] == "score"]
    assert set(published["outcome"]) == {"real data only"} and set(published["judged"]) == {0}
    assert published[["low", "high"]].isna().all(axis=None)


def test_values_of_few_seeds_have_a_range_and_of_many_students_interval():
    few = over_seeds(pd.Series([1.0, 2.0, 4.0]))
    assert (few["low"], few["high"], few["note"]) == (1, 4, "range over seeds")
    many = over_seeds(pd.Series([1.0, 2.0, 3.0, 4.0, 5.0]))
    # Student's quantile of 4 degrees of freedom is 2.776.
    assert (many["low"], many["high"]) == pytest.approx((3 - 2.776 * 0.7071, 3 + 2.776 * 0.7071), abs=1e-3)


def edited(tmp_path, edit):
    values = yaml.safe_load(yaml.safe_dump(load_claims().model_dump(mode="json")))
    edit(values)
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v: v["claims"][0].update(staus="S"), r"C1\.staus: Extra inputs"),
        (lambda v: v["claims"][3]["tests"][0].update(statistic="guess"), r"C4\.tests\.0\.statistic: Input should be"),
        (lambda v: v["claims"][0].update(status="X"), r"C1\.status: Input should be 'P', 'S' or 'U'"),
        (lambda v: v["claims"][1].update(id="C1"), "C1 is there twice"),
        (lambda v: v["claims"][0]["tests"][0].update(metric="pcc"), r"C1\.tests\.0: .*differences are judged by ccc"),
        (lambda v: v["claims"][0]["tests"][0].update(at_most=-1), r"C1\.tests\.0: .*nothing lies in this range"),
        (lambda v: v["claims"][0].pop("since"), r"C1\.since: Field required"),
        (lambda v: v["claims"][0]["tests"][0].update(shown="why"), r"C1\.tests\.0: .*or shown"),
        (lambda v: v.pop("seeds_needed"), "seeds_needed: Field required"),
    ],
)
def test_wrong_claims_are_named(tmp_path, edit, message):
    with pytest.raises(EvaluationError, match=message):
        load_claims(edited(tmp_path, edit))


def test_an_unknown_published_row_is_named(results, tmp_path):
    claims = load_claims(edited(tmp_path, lambda v: v["claims"][0]["tests"][1].update(published="VGG")))
    with pytest.raises(EvaluationError, match=r"compares with 'VGG', valence ccc on affectnet, which results.csv"):
        evidence_table(claims, results)


def test_a_published_number_without_a_known_status_is_named():
    table = pd.DataFrame({"method": ["a", "b"], "status": ["P", "?"]})
    with pytest.raises(EvaluationError, match=r"results.csv, line 3: status '\?'; choose from P, S, U"):
        check_statuses(table, "results.csv")


def test_claims_that_are_no_yaml_are_refused(tmp_path):
    (tmp_path / "claims.yaml").write_text("claims: [")
    with pytest.raises(EvaluationError, match="cannot be read as claims"):
        load_claims(tmp_path / "claims.yaml")
