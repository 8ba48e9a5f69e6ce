"""Two ranks in one experiment: claims are judged at the main one."""

import pytest
from pandas.testing import assert_frame_equal

from hocbench.claims.by_seed import by_seed
from hocbench.claims.evidence import evidence_table
from hocbench.claims.results import read_results
from hocbench.claims.schema import load_claims
from hocbench.claims.verdicts import verdict_table


@pytest.mark.parametrize("main", ["0.22", "0.1"])
def test_claims_rest_on_rows_of_the_main_rank_alone(ranked, main, tmp_path):
    claims = load_claims()
    results = [read_results(folder, tmp_path) for folder in ranked[main]]
    both, alone = (evidence_table(claims, each).drop(columns="p_holm") for each in results)
    measured = both[both["value"].notna() & both["label"].isin(["synthetic"])]
    assert {"difference", "removed_share", "sparsity_step", "time_ratio", "memory_ratio"} <= set(measured["statistic"])
    assert set(both["rank"]) == {"", main}
    assert_frame_equal(both, alone)
    verdicts = verdict_table(claims, both)
    assert_frame_equal(verdicts, verdict_table(claims, alone))
    assert by_seed(claims, results[0], verdicts) == by_seed(claims, results[1], verdicts)


def test_another_main_rank_is_other_evidence_under_the_same_titles(ranked, tmp_path):
    first, second = (
        evidence_table(load_claims(), read_results(ranked[main][0], tmp_path)).set_index(["claim", "test", "dataset"])
        for main in ("0.22", "0.1")
    )
    # The joint network of rank 0.1 has less noise.
    better = ("C4", 1, "sewa")
    assert (second.loc[better, "value"] > first.loc[better, "value"]).all()
    assert set(first.loc[better, "title"]) == {"CP 3-D, temporal then joint"}
    assert set(first.loc[better, "reference_title"]) == {"dense 3-D from scratch"}
    assert first["title"].equals(second["title"])
