"""`hocbench verify` and `hocbench record` on small folders: outcomes, texts and exit codes."""

import json

import pandas as pd
import pytest

from hocbench.errors import DamageError, VerifyError
from hocbench.seals import read_sealed, sealed
from hocbench.verify import record
from tests.reproductions import METHODS, SMOOTHED, Reproduction

STATIC, JOINT = METHODS[0][2], METHODS[1][2]


@pytest.fixture
def pair(tmp_path):
    """A recorded reference, and the same reproduction once more."""
    record(Reproduction(tmp_path / "first").folder, tmp_path / "reference")
    return tmp_path / "reference", Reproduction(tmp_path / "here")


@pytest.fixture
def verify(hocbench, tmp_path):
    """Run the command; return its exit code, what it printed, joined into one line, and the table of cells."""

    def run(here, reference=tmp_path / "reference"):
        code, out, err = hocbench("verify", here, "--reference", reference, "--out", tmp_path / "out")
        file = tmp_path / "out" / "verify.csv"
        cells = pd.read_csv(file, dtype=str, keep_default_na=False) if file.is_file() else None
        return code, " ".join((out + err).split()), cells

    return run


def off(cells):
    """Rows of cells that are not identical."""
    return [tuple(row) for row in cells.loc[cells["outcome"] != "identical", ["table", "column", "outcome"]].values]


def test_the_same_reproduction_is_identical(pair, verify, tmp_path):
    code, printed, cells = verify(pair[1].folder)
    assert code == 0
    assert set(cells["outcome"]) == {"identical"}
    assert set(cells["table"]) == {"scores", "intervals", "differences", "sparsity", "history", "windows"}
    assert (
        f"This machine reproduces the reference: of {len(cells)} cells, {len(cells)} are identical, 0 within "
        "tolerance, 0 different and 0 missing." in printed
    )
    assert (
        "Bytes: comparable (CPU type AMD EPYC; CPU instructions AVX2; device cpu; threads 1; processes 1). " in printed
    )
    assert "13 of 13 files and runs are the same bytes." in printed
    assert "SYNTHETIC data" in printed
    assert "Not compared: costs and times" in printed
    page = (tmp_path / "out" / "verify.md").read_text()
    assert "This machine reproduces the reference" in page and "SYNTHETIC data" in page
    assert read_sealed(tmp_path / "out" / "verify.json")["files"].keys() >= {"verify.md", "verify.csv"}


def test_by_default_the_report_lies_beside_the_results(pair, hocbench):
    reference, here = pair
    assert hocbench("verify", here.folder, "--reference", reference)[0] == 0
    assert (here.folder / "verify" / "verify.md").is_file()


@pytest.mark.parametrize(
    ("moved", "code", "outcome"),
    [(1e-12, 0, "within tolerance"), (0.01, 0, "within tolerance"), (10, 3, "different")],
)
def test_a_score_that_moved(pair, verify, tmp_path, moved, code, outcome):
    here = pair[1]
    here.put("scores", "value", f"{0.5 + moved:.15g}")
    found, printed, cells = verify(here.folder)
    assert found == code
    assert off(cells) == [("scores", "value", outcome)]
    row = cells[cells["outcome"] == outcome].iloc[0]
    assert row["keys"] == (
        f"dataset=sewa; method={STATIC}; rank=0.5; lasso=0; seed=0; fold=0; target=valence; metric=ccc; pooling=pooled"
    )
    assert float(row["difference"]) == pytest.approx(moved, rel=1e-3)
    # Two seeds: the median of 0.01 and 0.03.
    assert (float(row["tolerance"]), row["basis"]) == (0.06, "2 seeds: median seed spread of all methods")
    answer = "reproduces" if code == 0 else "does not reproduce"
    assert f"This machine {answer} the reference" in printed
    # The predictions behind it are the same, so no run is to blame.
    assert "the runs gave the same predictions: their evaluation was another one" in printed.replace("│ ", "")
    assert "Other bytes: evaluation/scores.csv." in printed
    assert "| 1 | the runs gave the same predictions" in (tmp_path / "out" / "verify.md").read_text()


def test_where_one_seed_ran_the_spread_of_another_dataset_is_not_borrowed(pair, verify):
    here = pair[1]
    (number,) = [
        place
        for place, row in enumerate(here.tables["scores"])
        if (row["dataset"], row["method"], row["target"]) == ("afew_va", JOINT, "valence")
    ]
    here.put("scores", "value", "0.500000000001", number)
    code, printed, cells = verify(here.folder)
    assert code == 3
    assert off(cells) == [("scores", "value", "different")]
    assert "1 differ without a known seed spread, where only equality counts" in printed
    assert "no spread known" in set(cells["basis"])


def test_another_processor(pair, verify):
    here = pair[1]
    for path in here.runs.values():
        here.change(path, environment__processor="Intel Xeon", processors=["Intel Xeon"], environment__python="3.12.1")
        here.outputs(path, "other")
    here.put("scores", "value", "0.51")
    code, printed, cells = verify(here.folder)
    assert code == 0
    assert off(cells) == [("scores", "value", "within tolerance")]
    assert "Bytes: not comparable. CPU type: AMD EPYC in the reference, Intel Xeon here." in printed
    assert "software (python 3.11.7 → 3.12.1); machine (processor AMD EPYC → Intel Xeon" in printed


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


def test_runs_on_several_processors_have_no_comparable_bytes(pair, verify):
    here = pair[1]
    here.change(here.runs["sewa", JOINT, 1], processors=["AMD EPYC", "Intel Xeon"])
    code, printed, _ = verify(here.folder)
    assert code == 0
    assert "CPU type: AMD EPYC in the reference, AMD EPYC, Intel Xeon here." in printed
    record(here.folder, pair[0])
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
    assert code == 0
    assert off(cells) == [("intervals", "mean", "within tolerance")]
    assert f"Other bytes: evaluation/intervals.csv, runs/sewa/{path.name}." in printed
    assert "1 │ code (code 0123456789abcdef → ffff) " in printed


def test_a_run_whose_folder_was_deleted_is_named_and_the_rest_is_reported(pair, verify):
    here = pair[1]
    path = here.runs["sewa", JOINT, 1]
    (path / "manifest.json").unlink()
    code, printed, cells = verify(here.folder)
    assert code == 2
    assert set(cells["outcome"]) == {"identical"}
    assert "No verdict, because something is wrong with what was compared" in printed
    assert printed.endswith(
        f"hocbench: error: run sewa/{path.name} stands in the tables, but {path} is not a finished run (no "
        "manifest.json); start the workflow again"
    )


def test_a_run_that_was_left_out_is_missing(tmp_path, verify, pair):
    missing = pair[1].runs["sewa", JOINT, 1]
    here = Reproduction(tmp_path / "fewer", without=[("sewa", JOINT, 1)])
    code, printed, cells = verify(here.folder)
    assert code == 2
    assert off(cells) == [
        *(("scores", column, "missing") for _ in range(2) for column in ("value", "n_frames", "label")),
        *(("history", column, "missing") for column in ("validation_ccc_valence", "learning_rate")),
    ]
    assert f"run sewa/{missing.name} is missing here" in printed
    assert printed.endswith(
        f"hocbench: error: missing here: 1 runs: sewa/{missing.name}; give results of the parameters that the "
        "reference is of"
    )


def test_a_run_too_many_is_named(tmp_path, verify):
    record(Reproduction(tmp_path / "first", without=[("sewa", JOINT, 1)]).folder, tmp_path / "reference")
    here = Reproduction(tmp_path / "here")
    code, printed, cells = verify(here.folder)
    assert code == 2
    assert {outcome for _, _, outcome in off(cells)} == {"extra"}
    assert (
        f"not in the reference: 1 runs: sewa/{here.runs['sewa', JOINT, 1].name}; give results of its parameters"
        in printed
    )


def test_other_parameters_are_named(tmp_path, verify, pair):
    here = Reproduction(tmp_path / "other", root_seed=8, **{"training.learning_rate": 0.2})
    code, printed, cells = verify(here.folder)
    assert (code, cells) == (2, None)
    first = min(f"{key[0]}/{path.name}" for key, path in here.runs.items())
    assert printed == (
        f"hocbench: error: {here.folder} is another experiment than {pair[0]}: "
        f"parameter training.learning_rate: 0.1 → 0.2 (6 runs, the first: {first}); verify with the parameters of "
        f"the reference parameter root_seed: 7 → 8 (6 runs, the first: {first}); verify with the parameters of the "
        "reference"
    )


def test_another_profile_is_named(tmp_path, verify, pair):
    here = Reproduction(tmp_path / "other", profile="paper")
    assert verify(here.folder)[:2] == (
        2,
        f"hocbench: error: {here.folder} is of profile paper, the reference of profile tiny; give results of that "
        "profile, or with --reference a reference of this one",
    )


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


def test_without_manifests_other_parameters_cannot_be_named(tmp_path, verify, pair):
    (pair[0] / "manifests.json").unlink()
    here = Reproduction(tmp_path / "other", root_seed=8)
    code, printed, _ = verify(here.folder)
    assert code == 2
    assert "missing here: 6 runs: " in printed and " and 1 more; " in printed
    assert printed.endswith(f"{pair[0] / 'manifests.json'} is not there, so the parameters that differ cannot be named")


def test_duplicate_rows_are_named_and_the_other_tables_compared(pair, verify):
    here = pair[1]
    here.tables["scores"].append(dict(here.tables["scores"][0]))
    here.write()
    code, printed, cells = verify(here.folder)
    assert code == 2
    assert "scores" not in set(cells["table"]) and set(cells["outcome"]) == {"identical"}
    assert (
        f"hocbench: error: scores.csv has two rows (data rows 1 and {len(here.tables['scores'])}) of dataset=sewa; "
        f"method={STATIC}; rank=0.5; lasso=0; seed=0; fold=0; target=valence; metric=ccc; pooling=pooled; one of them"
        in printed
    )


def test_a_table_that_was_cut_off_is_named_and_the_others_compared(pair, verify):
    here = pair[1]
    path = here.folder / "evaluation" / "windows.csv"
    path.write_text(path.read_text()[:-20])
    code, printed, cells = verify(here.folder)
    assert (code, "windows" in set(cells["table"])) == (2, False)
    assert printed.endswith(
        f"hocbench: error: {path} is damaged (its hash differs from what was written); delete it and start again"
    )


def test_a_table_of_the_reference_that_was_changed_is_named(pair, verify):
    reference, here = pair
    path = reference / "evaluation" / "intervals.csv"
    path.write_text(path.read_text().replace("0.5", "0.6"))
    code, printed, cells = verify(here.folder)
    assert (code, "intervals" in set(cells["table"])) == (2, False)
    assert (
        f"hocbench: error: {path} is not the one that was recorded (see manifests.json); get it back with "
        f"`git restore {path}`" in printed
    )
    path.unlink()
    assert f"{path} is not there (see manifests.json); get it back with `git restore {path}`" in verify(here.folder)[1]


def test_a_table_that_only_one_of_them_has(pair, verify):
    here = pair[1]
    del here.tables["windows"]
    (here.folder / "evaluation" / "windows.csv").unlink()
    here.tables["trends"] = [{"dataset": "sewa", "method": STATIC, "variant": "", "axis": "lasso", "target": "valence"}]
    here.tables["trends"][0] |= {"metric": "ccc", "slope": "0.1", "p": "0.5"}
    here.write()
    code, printed, cells = verify(here.folder)
    assert code == 3
    assert {(table, outcome) for table, _, outcome in off(cells)} == {("windows", "missing"), ("trends", "extra")}
    assert "Not here: evaluation/windows.csv." in printed
    assert "; 2 are not in the reference" in printed


def test_runs_that_were_changed_after_they_were_done_are_named(pair, verify):
    here = pair[1]
    path = here.runs["sewa", JOINT, 1] / "predictions.parquet"
    path.write_text("edited")
    code, printed, _ = verify(here.folder)
    assert code == 2
    assert f"{path} is no longer the file that its manifest records; delete {path.parent} and start the" in printed
    manifest = path.with_name("manifest.json")
    manifest.write_text(manifest.read_text().replace("AMD", "Intel"))
    assert (
        f"{manifest} is damaged (it was changed after it was written); delete it and start again"
        in (verify(here.folder)[1])
    )


@pytest.mark.parametrize("missing", ["here", "reference"])
def test_folders_without_results(pair, verify, tmp_path, missing):
    nowhere = tmp_path / "nowhere"
    folders = {"here": pair[1].folder, "reference": pair[0]} | {missing: nowhere}
    code, printed, _ = verify(**folders)
    assert code == 2
    assert printed == (
        f"hocbench: error: {nowhere / 'evaluation' / 'costs.csv'} is not there, so {nowhere} is not a finished "
        "reproduction; start the workflow again, or give the folder results/PROFILE of one"
    )


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

    record(reproduction(tmp_path / "first", "0.5"), tmp_path / "reference")
    code, printed, _ = verify(reproduction(tmp_path / "here", "9"))
    assert code == 3
    assert "[red]CP[/red]" in "".join(printed.replace("│", "").split())
    for kind in ("md", "html"):
        page = (tmp_path / "out" / f"verify.{kind}").read_text()
        assert "&lt;b&gt;" in page and "<b>" not in page


def test_a_record_holds_each_run_in_small_form(pair):
    reference, here = pair
    values = read_sealed(reference / "manifests.json")
    assert values["shared"]["environment.processor"] == "AMD EPYC"
    assert values["shared"]["spec.training.learning_rate"] == 0.1
    assert set(values["runs"]) == {f"{key[0]}/{path.name}" for key, path in here.runs.items()}
    one = values["runs"][f"sewa/{here.runs['sewa', JOINT, 1].name}"]
    assert set(one["values"]) == {"spec.axes.dataset", "spec.axes.seed", "spec.axes.stage"}
    assert set(one["outputs"]) == {"predictions.parquet", "weights.safetensors"}
    assert set(values["copies"]) == {
        *(f"evaluation/{name}.csv" for name in here.tables),
        *("tables/sewa.md", "tables/cost.md"),
    }


def test_numbers_of_another_type_are_not_shared(tmp_path):
    here = Reproduction(tmp_path / "here")
    here.change(here.runs["sewa", JOINT, 1], threads=1.0)
    record(here.folder, tmp_path / "reference")
    assert "threads" not in read_sealed(tmp_path / "reference" / "manifests.json")["shared"]


def test_only_what_is_finished_and_whole_is_recorded(tmp_path):
    here = Reproduction(tmp_path / "here")
    path = here.runs["sewa", JOINT, 1]
    (path / "weights.safetensors").write_text("edited")
    (here.runs["sewa", STATIC, 1] / "manifest.json").unlink()
    with pytest.raises(VerifyError) as error:
        record(here.folder, tmp_path / "reference")
    assert "weights.safetensors is no longer the file" in str(error.value)
    assert "is not a finished run (no manifest.json)" in str(error.value)
    assert not (tmp_path / "reference").exists()
    here = Reproduction(tmp_path / "cut")
    (here.folder / "evaluation" / "scores.csv").write_text("")
    with pytest.raises(DamageError, match=r"scores\.csv is damaged"):
        record(here.folder, tmp_path / "reference")


@pytest.mark.parametrize("content", [{"files": {}}, {"shared": {}, "runs": {"a": 3}, "copies": {}}, {"shared": []}])
def test_a_record_that_is_none(pair, verify, content):
    (pair[0] / "manifests.json").write_text(sealed(content))
    code, printed, _ = verify(pair[1].folder)
    assert code == 2
    assert f"{pair[0] / 'manifests.json'} is no record of runs (" in printed
    assert printed.endswith("; write it again with `hocbench record`")


def test_a_record_that_was_edited_is_damaged(pair, verify):
    path = pair[0] / "manifests.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"shared": {}}))
    code, printed, _ = verify(pair[1].folder)
    assert (code, "is damaged (it was changed after it was written)" in printed) == (2, True)


def test_the_command_records(hocbench, tmp_path):
    here = Reproduction(tmp_path / "here")
    code, out, _ = hocbench("record", here.folder, "--reference", tmp_path / "reference")
    assert (code, out) == (0, f"{tmp_path / 'reference'}: tables and manifests of 6 runs\n")
