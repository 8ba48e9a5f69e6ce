"""`hocbench record`: the reference in small form."""

import errno

import pytest

from hocbench.errors import DamageError, VerifyError
from hocbench.files import staging
from hocbench.files.checksums import read_sealed
from hocbench.verify import record
from tests.verify.reproductions import JOINT, STATIC, Reproduction


def test_a_record_holds_each_run_in_small_form(pair):
    reference, here = pair
    values = read_sealed(reference / "manifests.json")
    assert values["shared"]["environment.processor"] == "AMD EPYC"
    assert values["shared"]["spec.training.learning_rate"] == 0.1
    assert set(values["runs"]) == {f"{key[0]}/{path.name}" for key, path in here.runs.items()}
    one = values["runs"][f"sewa/{here.runs['sewa', JOINT, 1].name}"]
    assert set(one["values"]) == {"spec.key.dataset", "spec.key.method", "spec.key.seed"}
    assert set(one["outputs"]) == {"predictions.parquet", "weights.safetensors"}
    assert set(values["copies"]) == {
        *(f"evaluation/{name}.csv" for name in here.tables),
        *("evaluation/meta.json", "tables/sewa.md", "tables/cost.md"),
    }


def test_numbers_of_another_type_are_not_shared(tmp_path):
    here = Reproduction(tmp_path / "here")
    here.change(here.runs["sewa", JOINT, 1], threads=1.0)
    record(here.folder, tmp_path / "reference", "reference")
    assert "threads" not in read_sealed(tmp_path / "reference" / "manifests.json")["shared"]


def test_only_what_is_finished_and_whole_is_recorded(tmp_path):
    here = Reproduction(tmp_path / "here")
    path = here.runs["sewa", JOINT, 1]
    (path / "weights.safetensors").write_text("edited")
    (here.runs["sewa", STATIC, 1] / "manifest.json").unlink()
    with pytest.raises(VerifyError) as error:
        record(here.folder, tmp_path / "reference", "reference")
    assert "weights.safetensors is no longer the file" in str(error.value)
    assert "is not a finished run (no manifest.json)" in str(error.value)
    assert not (tmp_path / "reference").exists()
    here = Reproduction(tmp_path / "cut")
    (here.folder / "evaluation" / "scores.csv").write_text("")
    with pytest.raises(DamageError, match=r"scores\.csv is damaged"):
        record(here.folder, tmp_path / "reference", "reference")


def test_the_command_records(hocbench, tmp_path):
    here = Reproduction(tmp_path / "here")
    code, out, _ = hocbench("record", here.folder, "--reference", tmp_path / "reference")
    assert (code, out) == (0, f"{tmp_path / 'reference'}: tables and manifests of 6 runs\n")


def test_a_new_record_takes_the_place_of_the_old_one(pair):
    reference, here = pair
    del here.tables["windows"]
    (here.folder / "evaluation" / "windows.csv").unlink()
    here.write()
    record(here.folder, reference, "reference")
    assert {path.stem for path in (reference / "evaluation").iterdir()} == {*here.tables, "meta"}
    (here.folder / "evaluation" / "scores.csv").unlink()
    with pytest.raises(DamageError, match=r"scores\.csv is not there; start again what writes it"):
        record(here.folder, reference, "reference")
    assert (reference / "evaluation" / "scores.csv").is_file() and (reference / "manifests.json").is_file()


def test_results_are_never_overwritten_by_a_record(pair, tmp_path):
    here, other = pair[1], Reproduction(tmp_path / "other")
    for folder in (here.folder, other.folder):
        with pytest.raises(VerifyError) as error:
            record(here.folder, folder, "reference")
        assert str(error.value) == (
            f"{folder} holds runs, so it is no record; give another folder with --reference or --out"
        )
        assert (folder / "evaluation" / "scores.csv").is_file()


def test_a_record_and_a_comparison_that_fail_at_their_end_leave_the_earlier_ones(hocbench, pair, tmp_path, monkeypatch):
    reference, here = pair
    call = ("verify", here.folder, "--reference", reference, "--out", tmp_path / "out")
    assert hocbench(*call)[0] == 0
    older = {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and here.folder not in path.parents
    }
    del here.tables["windows"]
    here.put("scores", "value", "0.25")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(staging, "move_into", full)
    for arguments in (call, ("record", here.folder, "--reference", reference)):
        code, _, error = hocbench(*arguments)
        assert (code, "No space left on device; check the path" in error) == (2, True)
    assert {path: path.read_bytes() for path in older} == older
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]
