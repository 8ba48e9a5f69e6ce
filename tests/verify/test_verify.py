"""`hocbench verify` on small folders: outcomes, causes and exit codes."""

import pytest

from hocbench.seals import hashes_of, read_sealed, sealed
from hocbench.verify import record
from tests.verify.reproductions import METHODS, SMOOTHED, Reproduction, off, text_of

STATIC, JOINT = METHODS[0][2], METHODS[1][2]


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


def test_by_default_the_folders_are_those_of_the_workflow(pair, hocbench, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "reference").rename(tmp_path / "results" / "reference")
    monkeypatch.chdir(tmp_path)
    assert hocbench("verify", pair[1].folder)[0] == 0
    assert (tmp_path / "results" / "verify" / "verify.md").is_file()


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


def test_where_one_seed_ran_the_spread_of_another_dataset_is_borrowed(pair, verify):
    here = pair[1]
    (number,) = [
        place
        for place, row in enumerate(here.tables["scores"])
        if (row["dataset"], row["method"], row["target"]) == ("afew_va", JOINT, "valence")
    ]
    here.put("scores", "value", "0.500000000001", number)
    code, _, cells = verify(here.folder)
    assert code == 0
    assert off(cells) == [("scores", "value", "within tolerance")]
    assert "one seed: largest seed spread of other data sets" in set(cells["basis"])


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
    cause = "software (python 3.11.7 → 3.12.1); machine (processor AMD EPYC → Intel Xeon)"
    assert f"1 │ {cause} │" in printed
    assert list(cells["cause"].unique()) == [cause, ""]


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
    assert "Data:" not in printed and "SYNTHETIC data" in printed
    claim(here, "inconclusive", "0.4")
    code, printed, cells = verify(here.folder)
    assert (code, off(cells)) == (3, [("claims", "verdict", "different")])
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
    assert code == 0
    assert off(cells) == [("intervals", "mean", "within tolerance")]
    assert f"Other bytes: evaluation/intervals.csv, runs/sewa/{path.name}." in printed
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
    here.tables["trends"] = [{"dataset": "sewa", "method": STATIC, "variant": "", "axis": "lasso", "target": "valence"}]
    here.tables["trends"][0] |= {"rank": "0.5", "lasso": "", "metric": "ccc", "slope": "0.1", "p": "0.5"}
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
    row = {"dataset": "sewa", "method": STATIC, "rank": "0.5", "lasso": "", "variant": "", "axis": "lasso"}
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
    for kind in ("md", "html"):
        page = (tmp_path / "out" / f"verify.{kind}").read_text()
        assert "&lt;b&gt;" in page and "<b>" not in page
