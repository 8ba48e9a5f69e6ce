import pytest

from hocbench.errors import DamageError, RunError
from hocbench.experiment.description import RowKey
from hocbench.experiment.spec import RunKey
from hocbench.runs.finished import read_runs


def test_a_run_is_read_with_its_key_and_files(write_run):
    path = write_run("sewa", "joint", seed=4, lasso=0.05)
    (run,) = read_runs([path])
    assert run.key == RunKey(dataset="sewa", method="joint", factorization="cp", rank="same", lasso=0.05, seed=4)
    assert run.row == RowKey("sewa", "joint", "cp", "same", 0.05)
    assert (run.spec.name, run.label, run.attempts) == (f"sewa/{path.name}", "synthetic", 1)
    assert run.parts == ("test", "validation")
    assert len(run.predictions()) == 2 * 12 * 40
    assert run.history["epoch"].tolist() == [0, 1, 2]
    assert run.cost["parameters"] == 1234
    assert run.network["layers"][0]["block"] == "stem"


def test_runs_come_sorted_whatever_the_order_of_the_paths(write_run):
    paths = [write_run(seed=seed, rank=rank) for seed in (1, 0) for rank in ("same", 8, 0.5)]
    found = read_runs(paths)
    assert found == read_runs(paths[::-1])
    assert [(run.row.rank, run.key.seed) for run in found] == [
        *(("0.5", 0), ("0.5", 1), ("8", 0), ("8", 1), ("same", 0), ("same", 1))
    ]


def test_a_half_written_run_is_refused_by_path(write_run):
    path = write_run()
    (path / "manifest.json").unlink()
    with pytest.raises(RunError, match=rf"{path} is not a finished run \(no manifest\.json\)"):
        read_runs([path])


def test_a_changed_file_is_refused_by_path(write_run):
    path = write_run()
    with (path / "history.csv").open("a") as stream:
        stream.write("9,0,0\n")
    with pytest.raises(DamageError, match=rf"{path}/history.csv is damaged .*; delete it and start again"):
        read_runs([path])


def test_an_absent_file_is_refused_by_path(write_run):
    path = write_run()
    (path / "cost.json").unlink()
    with pytest.raises(DamageError, match=rf"{path}/cost.json is not there; start again what writes it"):
        read_runs([path])


def test_an_unlisted_file_is_refused(write_run):
    path = write_run()
    write_run.relabel(path, files={})
    with pytest.raises(RunError, match=rf"{path}/manifest.json lacks 'cost.json'; delete {path} and start"):
        read_runs([path])


def test_a_manifest_without_what_the_run_was_told_is_refused_by_key(write_run):
    path = write_run()
    write_run.relabel(path, spec={"run": path.name, "profile": "written"})
    with pytest.raises(RunError, match=r"manifest\.json has a value of the wrong kind \(spec\.key: field required\)"):
        read_runs([path])
    (path / "manifest.json").write_text("{")
    with pytest.raises(DamageError, match=r"manifest\.json is damaged .*; delete it and start again"):
        read_runs([path])


def test_an_unknown_stage_is_refused(write_run):
    path = write_run()
    write_run.respecify(path, stage="dreaming")
    with pytest.raises(RunError, match="'dreaming'"):
        read_runs([path])


def test_a_frame_predicted_twice_is_refused(write_run):
    path = write_run(edit=lambda table: table.assign(frame=table["frame"].replace(7, 6)))
    with pytest.raises(RunError, match=r"has frame 6 of clip \S+ twice in part test"):
        read_runs([path])[0].predictions()


def test_a_missing_column_is_named(write_run):
    path = write_run(edit=lambda table: table.drop(columns="arousal"))
    with pytest.raises(RunError, match="has no column arousal"):
        read_runs([path])[0].predictions()


def test_predictions_have_the_columns_of_the_task_of_their_run(write_run):
    task = {"kind": "classification", "targets": ["class"], "classes": ["calm", "excited"]}

    def classes(table):
        outputs = {"truth_class": table["frame"] % 2, "logit_0": table["valence"], "logit_1": table["arousal"]}
        return table[["subject", "clip", "frame", "part", "status"]].assign(**outputs)

    path = write_run(edit=classes)
    write_run.respecify(path, task=task, training={"epochs": 1})
    columns = ["subject", "clip", "frame", "part", "status", "truth_class", "logit_0", "logit_1"]
    assert list(read_runs([path])[0].predictions()) == columns
    write_run.respecify(path, task=task | {"classes": ["calm", "excited", "moved"]})
    with pytest.raises(RunError, match="has no column logit_2"):
        read_runs([path])[0].predictions()


def test_weights_of_a_loss_belong_to_affect_alone(write_run):
    path = write_run()
    write_run.respecify(path, training={"epochs": 1})
    with pytest.raises(RunError, match=r"training\.loss_weights belong to affect, which needs them, and to no class"):
        read_runs([path])
