"""`hocbench verify` on small folders: outcomes, causes and exit codes."""

import pytest

from hocbench.arithmetic import PORTABLE
from hocbench.files.checksums import hashes_of, read_sealed, sealed
from hocbench.verify import record
from tests.verify.reproductions import JOINT, SMOOTHED, STATIC, Reproduction, laboratory, off, row_of, text_of


def test_the_same_reproduction_is_identical(pair, verify, tmp_path):
    code, printed, cells = verify(pair[1].folder)
    assert code == 0
    assert set(cells["outcome"]) == {"identical"}
    assert set(cells["table"]) == {"scores", "intervals", "differences", "sparsity", "history", "windows"}
    assert "The reference holds 1 laboratory: reference." in printed
    lines = [
        "Data: not compared, because their hashes are not recorded on both sides.",
        "Conclusions: the same: no verdicts to compare; of 2 differences between methods, 0 contradict all "
        "laboratories.",
        f"Scores: consistent: of {len(cells)} cells, {len(cells)} are identical, 0 such as another machine would give "
        "them, 0 unusual, 0 different and 0 missing.",
        "This machine reproduces the reference.",
    ]
    assert " ".join(lines) in printed
    assert (
        "Bytes: have to be the same (CPU type AMD EPYC; CPU instructions AVX2; arithmetic native; device cpu; threads "
        "1; processes 1; torch 2.13.0+cpu). 14 of 14 files and runs are." in printed
    )
    assert "SYNTHETIC data" in printed
    assert "Not compared: costs and times" in printed
    page = (tmp_path / "out" / "verify.md").read_text()
    assert "This machine reproduces the reference" in page and "SYNTHETIC data" in page
    assert read_sealed(tmp_path / "out" / "verify.json")["files"].keys() >= {"verify.md", "verify.csv"}


def test_by_default_the_folders_are_those_of_the_workflow(pair, hocbench, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "reference").rename(tmp_path / "results" / "reference")
    monkeypatch.chdir(tmp_path)
    assert hocbench("verify", pair[1].folder)[0] == 0
    assert (tmp_path / "results" / "verify" / "verify.md").is_file()


@pytest.mark.parametrize(
    ("value", "code", "outcome"),
    [("0.5000000001", 0, "within tolerance"), ("0.501", 3, "different"), ("nan", 3, "different")],
)
def test_a_score_of_the_same_predictions_has_to_be_equal(laboratories, pair, verify, tmp_path, value, code, outcome):
    here = pair[1]
    here.put("scores", "value", value)
    found, printed, cells = verify(here.folder)
    assert (found, off(cells)) == (code, [("scores", "value", outcome)])
    row = cells[cells["outcome"] == outcome].iloc[0]
    assert row["keys"] == (
        f"dataset=sewa; method={STATIC}; factorization=cp; rank=0.5; lasso=0; seed=0; fold=0; target=valence; "
        "metric=ccc; pooling=pooled"
    )
    assert row["basis"] == "the same predictions as in reference, so equal but for rounding"
    # The predictions behind it are the same, so no run is to blame.
    assert "the runs gave the same predictions: their evaluation was another one" in printed.replace("│ ", "")
    assert "Other bytes: evaluation/scores.csv." in printed
    assert "| 1 | the runs gave the same predictions" in (tmp_path / "out" / "verify.md").read_text()


@pytest.mark.parametrize("number", range(4, 10))
def test_one_more_laboratory_reproduces_the_reference(laboratories, verify, tmp_path, number):
    here = laboratory(tmp_path / "new", number)
    code, printed, cells = verify(here.folder)
    assert code == 0
    assert set(cells["outcome"]) <= {"identical", "within tolerance", "unusual"}
    assert "The reference holds 4 laboratories: reference, lab1, lab2 and lab3." in printed
    assert "Scores: consistent: " in printed and "This machine reproduces the reference." in printed
    assert f"Bytes: not comparable. CPU type: AMD EPYC in the reference, CPU {number} here." in printed
    assert f"machine (processor AMD EPYC → CPU {number})" in printed
    moved = cells[cells["outcome"] == "within tolerance"]
    assert (moved["difference"].astype(float).abs() <= moved["tolerance"].astype(float)).all()


def test_one_more_laboratory_with_a_fault_does_not(laboratories, verify, tmp_path):
    here = laboratory(tmp_path / "new", 4)
    for place, row in enumerate(here.tables["scores"]):
        if (row["dataset"], row["method"]) == ("sewa", JOINT):
            here.put("scores", "value", f"{float(row['value']) - 0.2:g}", place)
    code, printed, cells = verify(here.folder)
    assert code == 3
    assert set(off(cells)) >= {("scores", "value", "different")}
    assert set(cells.loc[cells["outcome"] == "different", "basis"]) == {"spread between laboratories"}
    assert "This machine does not reproduce the reference: scores differ." in printed


def test_of_one_laboratory_alone_no_spread_is_known(pair, verify, tmp_path):
    here = laboratory(tmp_path / "new", 4)
    code, printed, cells = verify(here.folder)
    assert code == 3
    assert "differ where no spread is known, because the reference has one laboratory alone" in printed
    assert set(cells.loc[cells["outcome"] == "different", "basis"]) <= {
        "no spread between laboratories known",
        "follows the scores of its row",
    }


def test_who_computes_the_bytes_of_another_laboratory_has_its_scores(laboratories, verify, tmp_path):
    here = laboratory(tmp_path / "again", 2)
    code, _, cells = verify(here.folder)
    assert code == 0
    assert "the same predictions as in lab2, so equal but for rounding" in set(cells["basis"])
    here.put("scores", "value", f"{float(here.tables['scores'][0]['value']) + 0.001:g}")
    assert verify(here.folder)[0] == 3


def test_a_laboratory_that_was_sent_is_verified_as_its_results_are(laboratories, verify, tmp_path):
    here = laboratory(tmp_path / "new", 4)
    code, _, cells = verify(here.folder)
    record(here.folder, tmp_path / "sent", "new")
    found, printed, again = verify(tmp_path / "sent")
    assert (found, again.equals(cells)) == (code, True)
    assert "Data: not compared" in printed
    path = tmp_path / "sent" / "evaluation" / "scores.csv"
    path.write_text(path.read_text().replace("0.5", "0.6"))
    found, printed, again = verify(tmp_path / "sent")
    assert (found, "scores" in set(again["table"])) == (2, False)
    assert f"{path} is not the one that was recorded (see manifests.json)" in printed


def test_the_same_laboratory_twice_changes_nothing(laboratories, verify, tmp_path):
    here = laboratory(tmp_path / "new", 4)
    before = verify(here.folder)
    record(laboratory(tmp_path / "twice", 2).folder, laboratories / "laboratories" / "twice", "twice")
    code, printed, cells = verify(here.folder)
    assert (code, printed) == before[:2]
    assert cells.equals(before[2])


def test_a_laboratory_of_another_experiment_is_left_out_and_said(laboratories, pair, verify, tmp_path):
    before = verify(pair[1].folder)
    old = laboratory(tmp_path / "old", 7)
    for path in old.runs.values():
        old.change(path, code="ffff")
    record(old.folder, laboratories / "laboratories" / "old", "old")
    code, printed, cells = verify(pair[1].folder)
    assert (code, cells.equals(before[2])) == (0, True)
    assert "4 laboratories: reference, lab1, lab2 and lab3. Laboratory old is left out: training code: " in printed
    assert "0123456789abcdef in laboratory reference, ffff in old (6 runs: " in printed


def test_portable_arithmetic_should_give_the_same_bytes_on_another_processor(tmp_path, verify):
    def portable(folder, processor):
        made = Reproduction(folder)
        for path in made.runs.values():
            made.change(
                path, environment__processor=processor, processors=[processor], environment__instructions=PORTABLE
            )
        return made

    record(portable(tmp_path / "first", "AMD EPYC").folder, tmp_path / "reference", "reference")
    here = portable(tmp_path / "here", "Intel Xeon")
    code, printed, _ = verify(here.folder)
    assert code == 0
    assert (
        "Bytes: should be the same, since the arithmetic is portable (CPU type AMD EPYC and Intel Xeon; CPU "
        "instructions AVX2; arithmetic portable; device cpu; threads 1; processes 1; torch 2.13.0+cpu). 14 of 14 files "
        "and runs are." in printed
    )
    path = here.runs["sewa", JOINT, 1]
    here.outputs(path, "other")
    code, printed, _ = verify(here.folder)
    assert (code, f"Other bytes: runs/sewa/{path.name}." in printed) == (0, True)


def test_another_revision_is_said_first(tmp_path, verify):
    def made_by(folder, **revision):
        made = Reproduction(folder)
        for path in made.runs.values():
            made.change(path, revision=revision)
        return made

    first = made_by(tmp_path / "first", commit="a" * 40, dirty=False, diff=None)
    record(first.folder, tmp_path / "reference", "reference")
    assert "Revision" not in verify(first.folder)[1]
    here = made_by(tmp_path / "here", commit="a" * 40, dirty=True, diff="d" * 64)
    code, printed, _ = verify(here.folder)
    assert code == 0
    assert printed.startswith(
        "Revision: the reference was trained by commit aaaaaaaaaaaa, these runs by commit aaaaaaaaaaaa, uncommitted "
        "changes dddddddddddd."
    )


def test_bytes_need_as_many_threads_but_threads_are_no_other_experiment(tmp_path, verify, pair):
    here = Reproduction(tmp_path / "threads", threads=2)
    for path in here.runs.values():
        here.change(path, threads=2)
    code, printed, cells = verify(here.folder)
    assert (code, set(cells["outcome"])) == (0, {"identical"})
    assert (
        "Bytes: not comparable. CPU type: AMD EPYC in the reference, AMD EPYC here; threads: 1 in the reference, 2 "
        "here." in printed
    )


def claim(here, verdict, reason):
    """Judge two claims, of which one has no data."""
    folder = here.folder / "claims"
    folder.mkdir(exist_ok=True)
    rows = [{"claim": "C1", "dataset": "sewa", "verdict": verdict, "reason": reason, "label": "synthetic"}]
    rows.append({"claim": "C2", "dataset": "affectnet", "verdict": "not run", "reason": "", "label": "none"})
    (folder / "claims.csv").write_text(text_of(rows))
    (folder / "claims.json").write_text(sealed({"files": hashes_of(folder, ["claims.csv"])}))


def test_verdicts_of_claims_are_compared(pair, verify):
    reference, here = pair
    claim(here, "holds on synthetic data", "0.5")
    record(here.folder, reference, "reference")
    claim(here, "holds on synthetic data", "0.51")
    code, printed, cells = verify(here.folder)
    assert (code, off(cells)) == (0, [])
    assert "SYNTHETIC data" in printed
    assert "Conclusions: the same: 2 of 2 verdicts are the same;" in printed
    claim(here, "inconclusive", "0.4")
    code, printed, _ = verify(here.folder)
    assert code == 0
    assert (
        "1 of 2 verdicts are the same; C1 on sewa: holds on synthetic data there, inconclusive here (undecided)"
        in printed
    )
    claim(here, "does not hold on synthetic data", "0.4")
    code, printed, _ = verify(here.folder)
    assert code == 3
    assert "Conclusions: DIFFERENT: " in printed and "does not hold on synthetic data here (contrary)" in printed
    assert "This machine does not reproduce the reference: conclusions differ." in printed
    (here.folder / "claims" / "claims.csv").write_text("")
    assert "claims.csv is damaged" in verify(here.folder)[1]


def test_runs_on_several_processors_have_no_comparable_bytes(pair, verify):
    here = pair[1]
    here.change(here.runs["sewa", JOINT, 1], processors=["AMD EPYC", "Intel Xeon"])
    code, printed, _ = verify(here.folder)
    assert code == 0
    assert "CPU type: AMD EPYC in the reference, AMD EPYC, Intel Xeon here." in printed
    record(here.folder, pair[0], "reference")
    code, printed, _ = verify(here.folder)
    assert code == 0
    assert "not comparable. CPU type: AMD EPYC, Intel Xeon in the reference, AMD EPYC, Intel Xeon here." in printed


def test_a_run_with_other_bytes_on_the_same_machine_is_named(pair, verify):
    here = pair[1]
    path = here.runs["sewa", JOINT, 1]
    here.outputs(path, "other")
    here.change(path, code="ffff")
    here.put("intervals", "mean", "0.53", [row["method"] for row in here.tables["intervals"]].index(JOINT))
    code, printed, cells = verify(here.folder)
    assert code == 3
    assert off(cells) == [("intervals", "mean", "different")]
    assert f"Other bytes: evaluation/intervals.csv, runs/sewa/{path.name}." in printed
    assert "does not reproduce the reference: scores and bytes that have to be the same differ." in printed
    assert "1 │ code (code 0123456789abcdef → ffff) " in printed


def test_earlier_runs_beside_those_of_the_tables_are_left_alone(pair, verify):
    here = pair[1]
    (here.folder / "runs" / "sewa" / "joint-of-yesterday").mkdir()
    assert verify(here.folder)[0] == 0


def test_a_reference_without_manifests(pair, verify):
    reference, here = pair
    (reference / "manifests.json").unlink()
    here.put("scores", "value", "0.9")
    code, printed, _ = verify(here.folder)
    assert code == 3
    assert (
        "Bytes: not comparable. The reference does not record its machine (no manifests.json); CPU type here: AMD EPYC."
        in printed
    )
    assert "unknown: the reference has no manifests" in printed.replace("│ ", "")


def test_a_table_that_only_one_of_them_has(pair, verify):
    here = pair[1]
    del here.tables["windows"]
    (here.folder / "evaluation" / "windows.csv").unlink()
    here.tables["trends"] = [row_of("sewa", STATIC, lasso="") | {"axis": "lasso", "target": "valence"}]
    here.tables["trends"][0] |= {"metric": "ccc", "slope": "0.1", "p": "0.5"}
    here.write()
    code, printed, cells = verify(here.folder)
    assert code == 3
    assert {(table, outcome) for table, _, outcome in off(cells)} == {("windows", "missing"), ("trends", "extra")}
    assert "Not here: evaluation/windows.csv." in printed
    assert f"{(cells['outcome'] == 'missing').sum()} │ the whole table is missing here │" in printed
    assert "; 2 are not in the reference" in printed


def test_a_smoothed_method_is_explained_by_the_run_that_it_smooths(pair, verify):
    here = pair[1]
    path = here.runs["sewa", STATIC, 0]
    here.outputs(path, "other")
    here.change(path, inputs__parent_weights="b" * 64)
    (number,) = [
        place
        for place, row in enumerate(here.tables["scores"])
        if (row["dataset"], row["method"], row["seed"], row["target"]) == ("sewa", SMOOTHED, "0", "valence")
    ]
    here.put("scores", "value", "0.9", number)
    code, printed, _ = verify(here.folder)
    assert code == 3
    assert "parent run (inputs.parent_weights none → bbbbbbbbbbbb...)" in printed


def test_a_trend_is_explained_by_the_runs_along_its_axis(pair, verify):
    reference, here = pair
    row = row_of("sewa", STATIC, lasso="") | {"axis": "lasso"}
    here.tables["trends"] = [row | {"target": "valence", "metric": "ccc", "slope": "0.1"}]
    here.write()
    record(here.folder, reference, "reference")
    for seed in (0, 1):
        here.outputs(here.runs["sewa", STATIC, seed], "other")
        here.change(here.runs["sewa", STATIC, seed], threads=2)
    here.put("trends", "slope", "0.2")
    code, printed, cells = verify(here.folder)
    assert (code, off(cells)) == (3, [("trends", "slope", "different")])
    assert "1 │ machine (threads 1 → 2) │" in printed


def test_names_from_data_are_no_markup(tmp_path, verify):
    name = "<b>|[red]CP[/red]"

    def reproduction(folder, value):
        made = Reproduction(folder)
        for rows in made.tables.values():
            for row in rows:
                row.update({key: name for key, text in row.items() if text == JOINT})
        place = [row["method"] for row in made.tables["intervals"]].index(name)
        made.put("intervals", "mean", value, place)
        return made.folder

    record(reproduction(tmp_path / "first", "0.5"), tmp_path / "reference", "reference")
    code, printed, _ = verify(reproduction(tmp_path / "here", "9"))
    assert code == 3
    assert "[red]CP[/red]" in "".join(printed.replace("│", "").split())
    for kind, shown in (("md", r"\<b\>\|"), ("html", "&lt;b&gt;|")):
        page = (tmp_path / "out" / f"verify.{kind}").read_text()
        assert shown in page and "<b>" not in page
