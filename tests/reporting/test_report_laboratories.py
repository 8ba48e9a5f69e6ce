"""The report's section about other laboratories."""

import re
import shutil
from dataclasses import replace

import pytest

from hocbench.files.checksums import hashes_of, read_sealed, sealed
from hocbench.reporting.html.inputs import Inputs
from hocbench.reporting.html.write import write_report
from hocbench.verify import record
from tests.reporting.report_folder import Reader
from tests.verify.reproductions import DESCRIPTION, JOINT
from tests.verify.test_merge import CLAIM, VERDICT, Laboratories

TITLE = DESCRIPTION.methods[JOINT].named("cp")


class Report:
    """A reproduction, a reference with a laboratory in it, and the report on the former."""

    def __init__(self, hocbench, folder):
        self._folder = folder
        self.laboratories = Laboratories(hocbench, folder)
        self.reference = folder / "reference"
        self.here = self.laboratories.results("here", 0.1, "inconclusive")
        record(self.laboratories.results("reference").folder, self.reference, "reference")
        self.add("intel", self.laboratories.results("intel", 0.02))

    def add(self, name, results):
        """Record a laboratory into the reference."""
        folder = self.reference / "laboratories" / name
        record(results.folder, folder, name)
        return folder

    def read(self, here=None):
        """Write the report; return what is missing, and the text of the section."""
        here = here or self.here
        for path in here.runs.values():
            for name in ("network.json", "history.csv"):
                (path / name).write_text("")
        none = self._folder / "none"
        out = self._folder / "report.html"
        found = write_report(Inputs(here.folder, none, none, none, (), self.reference), out)
        text = " ".join(Reader(out.read_text()).section("laboratories").split())
        return [gap.why for gap in found.gaps if gap.what == "Laboratories"], text


@pytest.fixture
def report(hocbench, tmp_path):
    return Report(hocbench, tmp_path)


def test_scores_name_their_rank_where_the_sweep_has_several(report):
    assert "CCC of all frames, without LASSO" in report.read()[1]
    other = replace(DESCRIPTION, ranks=("0.5", "8"))
    for folder in (report.reference, report.reference / "laboratories" / "intel"):
        (folder / "evaluation" / "meta.json").write_text(other.text())
        manifests = folder / "manifests.json"
        values = read_sealed(manifests)
        values["copies"] |= hashes_of(folder, ["evaluation/meta.json"])
        manifests.write_text(sealed(values))
    assert "CCC of all frames at rank 0.5, without LASSO" in report.read()[1]


def test_laboratories_stand_beside_this_run(report):
    gaps, text = report.read()
    assert gaps == []
    assert "2 laboratories reach the same verdict on 1 of 1 claims and data sets." in text
    assert "Of the 1 verdicts that they share, this run reaches 0." in text
    assert f"C2 {CLAIM['title']} SEWA ? inconclusive ✔ {VERDICT}" in text
    # This run, then mean and range of the laboratories, the spread between them and between seeds, and tau.
    assert f"SEWA {TITLE} valence 0.600 0.510 [0.500, 0.520] 0.0141 0.0086 0.0141 -" in text
    assert "Two laboratories tell whether their verdicts agree, and hardly how far" in text


def test_without_laboratories_it_is_said_how_to_have_one(report):
    shutil.rmtree(report.reference)
    gaps, text = report.read()
    assert gaps == []
    assert f"No laboratory is recorded in {report.reference}. To have one: send the folder that hocbench record" in text


def test_laboratories_of_other_parameters_are_not_shown(report):
    other = report.laboratories.results("other", **{"training.learning_rate": 0.2})
    gaps, text = report.read(other)
    assert gaps == []
    assert (
        f"The laboratories in {report.reference} are of other parameters (training.learning_rate: 0.1 → 0.2). To have"
        in text
    )


def test_another_commit_and_other_code_are_said_first(report):
    for path in report.here.runs.values():
        report.here.change(path, code="feedfeedfeedfeed", revision={"commit": "3" * 40, "dirty": False, "diff": None})
    _, text = report.read()
    first = (
        "Laboratories the runs of this report were trained by other code (feedfeedfeedfeed) than the laboratories "
        "(0123456789abcdef) the runs of this report are of another commit (333333333333)"
    )
    assert text.startswith(first)


def test_a_damaged_laboratory_is_named_and_the_rest_is_reported(report):
    path = report.reference / "laboratories" / "intel" / "evaluation" / "scores.csv"
    path.write_text(path.read_text().replace("0.518", "0.618"))
    gaps, text = report.read()
    assert len(gaps) == 1 and gaps[0].startswith(f"laboratory intel: {path} is not the one that was recorded")
    assert re.search(r"What is recorded in \S+ cannot be shown; see what is missing\.", text)


def test_a_run_that_is_not_finished_does_not_hide_the_laboratories(report):
    (report.here.runs["sewa", JOINT, 1] / "manifest.json").unlink()
    assert "2 laboratories reach the same verdict" in report.read()[1]
