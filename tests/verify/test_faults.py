"""Mistakes of `hocbench verify`'s user, each named precisely, and the rest still reported."""

import json

import pytest

from hocbench.files.checksums import sealed
from hocbench.verify import record
from tests.verify.reproductions import JOINT, STATIC, Reproduction, off


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
        "manifest.json); start the workflow again, or give the directory of a finished run"
    )


def test_a_run_that_was_left_out_is_missing(tmp_path, verify, pair):
    missing = pair[1].runs["sewa", JOINT, 1]
    here = Reproduction(tmp_path / "fewer", without=[("sewa", JOINT, 1)])
    code, printed, cells = verify(here.folder)
    assert code == 2
    assert off(cells) == [
        *(("scores", column, "missing") for _ in range(2) for column in ("value", "n_frames", "label")),
        *(("history", column, "missing") for column in ("validation_ccc_valence", "train_loss", "learning_rate")),
    ]
    assert f"run sewa/{missing.name} is missing here" in printed
    assert printed.endswith(
        f"hocbench: error: missing here: 1 run: sewa/{missing.name}; give results of the parameters that the "
        "reference is of"
    )


def test_a_run_too_many_is_named(tmp_path, verify):
    record(Reproduction(tmp_path / "first", without=[("sewa", JOINT, 1)]).folder, tmp_path / "reference", "reference")
    here = Reproduction(tmp_path / "here")
    code, printed, cells = verify(here.folder)
    assert code == 2
    assert {outcome for _, _, outcome in off(cells)} == {"extra"}
    assert (
        f"not in the reference: 1 run: sewa/{here.runs['sewa', JOINT, 1].name}; give results of its parameters"
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


def test_without_manifests_other_parameters_cannot_be_named(tmp_path, verify, pair):
    (pair[0] / "manifests.json").unlink()
    here = Reproduction(tmp_path / "other", root_seed=8)
    code, printed, _ = verify(here.folder)
    assert code == 2
    assert "missing here: 6 runs: " in printed and " and 3 more; " in printed
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
        f"method={STATIC}; factorization=cp; rank=0.5; lasso=0; seed=0; fold=0; target=valence; metric=ccc; "
        "pooling=pooled; one of them" in printed
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
        f"hocbench: error: {path} is not the one that was recorded (see manifests.json); get it again from "
        f"who recorded it, or in a clone with `git restore {path}`" in printed
    )
    path.unlink()
    assert f"{path} is not there (see manifests.json); get it again from who recorded" in verify(here.folder)[1]


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
