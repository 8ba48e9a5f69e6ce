"""When two laboratories say the same, and when one contradicts the others."""

import pytest

from hocbench.errors import VerifyError
from hocbench.verify.conclusions import compare_differences, compare_verdicts
from hocbench.verify.tables import CLAIM_KEYS, DIFFERENCE_KEYS

YES, NO, OPEN, NOT_RUN = "holds on synthetic data", "does not hold on synthetic data", "inconclusive", "not run"


def claims(*verdicts):
    return [
        dict(zip(CLAIM_KEYS, (f"C{number}", "sewa"), strict=True)) | {"verdict": verdict}
        for number, verdict in enumerate(verdicts)
    ]


@pytest.mark.parametrize(
    ("there", "here", "outcome", "agrees"),
    [
        ([YES], YES, "same", True),
        ([YES], OPEN, "undecided", True),
        ([OPEN], NO, "undecided", True),
        ([YES], NO, "contrary", False),
        ([NO, NO], YES, "contrary", False),
        ([YES, OPEN], NO, "undecided", True),  # the laboratories do not agree themselves
        ([YES, OPEN], OPEN, "same", True),
        ([YES, NO], NO, "same", True),
        ([YES], NOT_RUN, "missing", False),
        ([NOT_RUN], NOT_RUN, "same", True),
        ([NOT_RUN], YES, "not in the reference", True),
        (["better than published"], "reproduced", "same", True),
        (["reproduced"], "not reproduced", "contrary", False),
    ],
)
def test_a_verdict(there, here, outcome, agrees):
    (found,) = compare_verdicts([claims(each) for each in there], claims(here))
    assert (found.outcome, found.agrees) == (outcome, agrees)
    assert (found.what, found.reference, found.here) == ("C0 on sewa", there[0], here)


def test_verdicts_that_one_side_lacks():
    found = compare_verdicts([claims(YES, YES)], claims(YES))
    assert [each.outcome for each in found] == ["same", "missing"]
    assert [each.outcome for each in compare_verdicts([claims(YES)], claims(YES, NO))] == [
        "same",
        "not in the reference",
    ]
    assert compare_verdicts([[]], []) == []


def differences(low, high):
    return [dict.fromkeys(DIFFERENCE_KEYS, "x") | {"low": str(low), "high": str(high)}]


@pytest.mark.parametrize(
    ("there", "here", "outcome", "agrees"),
    [
        ([(0.1, 0.2)], (0.05, 0.3), "same", True),
        ([(0.1, 0.2)], (-0.05, 0.3), "undecided", True),
        ([(-0.1, 0.2)], (0.01, 0.3), "undecided", True),
        ([(-0.1, 0.2)], (-0.2, 0.1), "same", True),
        ([(0.1, 0.2)], (-0.2, -0.1), "contrary", False),
        ([(0.1, 0.2), (-0.1, 0.2)], (-0.2, -0.05), "undecided", True),
        ([(0.1, 0.2), (-0.1, 0.2)], (-0.4, -0.2), "apart", False),
        ([(-0.1, 0.1)], (0.2, 0.3), "apart", False),
        ([(0.1, 0.2)], (0.3, 0.4), "same", True),  # further on the same side: that is a matter of the scores
        ([(0, 0)], (0.2, 0.3), "undecided", True),  # equal outputs have no interval
        ([("nan", "nan")], ("", ""), "same", True),
    ],
)
def test_a_difference(there, here, outcome, agrees):
    (found,) = compare_differences([differences(*each) for each in there], differences(*here))
    assert (found.outcome, found.agrees) == (outcome, agrees)


def test_a_difference_that_one_side_lacks():
    (found,) = compare_differences([differences(0.1, 0.2)], [])
    assert (found.outcome, found.agrees, found.reference, found.here) == ("missing", False, "above zero", "")
    (found,) = compare_differences([[]], differences(0.1, 0.2))
    assert (found.outcome, found.agrees) == ("not in the reference", True)


def test_a_table_without_verdicts_is_named():
    with pytest.raises(VerifyError, match=r"^claims\.csv has no column verdict; write it again"):
        compare_verdicts([claims(YES)], [dict(zip(CLAIM_KEYS, ("C0", "sewa"), strict=True))])
