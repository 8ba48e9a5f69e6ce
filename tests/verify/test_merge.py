"""`hocbench merge`: several recorded laboratories in one table."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from hocbench.arithmetic import PORTABLE
from hocbench.claims.verdicts import CLAIM_COLUMNS
from hocbench.errors import VerifyError
from hocbench.files.checksums import hashes_of, read_sealed, sealed
from hocbench.verify import record
from hocbench.verify.merge import merge
from tests.verify.reproductions import JOINT, STATIC, Reproduction, text_of

CLAIM = dict.fromkeys((*CLAIM_COLUMNS, "by_seed"), "")
CLAIM |= {"claim": "C2", "dataset": "sewa", "title": "time helps", "label": "synthetic"}
EVIDENCE = {"claim": "C2", "statistic": "difference", "dataset": "sewa", "method": JOINT, "rank": "0.5", "lasso": "0"}
EVIDENCE |= {"reference": STATIC, "target": "valence", "metric": "ccc", "judged": "1"}
VERDICT = "holds on synthetic data"


class Laboratories:
    """Writes laboratories whose scores are shifted, and merges them."""

    def __init__(self, hocbench, folder):
        self._hocbench, self.folder, self.out = hocbench, folder, folder / "merged"

    def results(self, name, shift=0.0, verdict=VERDICT, outputs=None, **parameters):
        """A finished reproduction."""
        here = Reproduction(self.folder / "results" / name, **parameters)
        for path in here.runs.values():
            here.outputs(path, outputs or name)
        for table, column in (("scores", "value"), ("intervals", "mean"), ("differences", "difference")):
            for row in here.tables[table]:
                # Seeds do not come out alike: 0.9 and 1.1 times the shift.
                share = 0.9 + 0.2 * int(row["seed"]) if table == "scores" else 1
                row[column] = f"{float(row[column]) + share * shift:.10g}"
        here.write()
        claims = here.folder / "claims"
        claims.mkdir()
        (claims / "claims.csv").write_text(text_of([CLAIM | {"verdict": verdict}]))
        (claims / "evidence.csv").write_text(text_of([EVIDENCE]))
        names = ["claims.csv", "evidence.csv"]
        (claims / "claims.json").write_text(sealed({"files": hashes_of(claims, names)}))
        return here

    def record(self, here, name):
        """Record a reproduction; return the folder."""
        record(here.folder, self.folder / name, name)
        return self.folder / name

    def make(self, name, shift=0.0, **further):
        return self.record(self.results(name, shift, **further), name)

    def merge(self, *folders):
        """Call the command; return its code, and what it printed in one line."""
        code, out, err = self._hocbench("merge", *folders, "--out", self.out)
        return code, " ".join((out + err).split())

    def table(self, name):
        return pd.read_csv(self.out / f"{name}.csv", keep_default_na=False)

    def files(self):
        return {path.name: path.read_bytes() for path in self.out.iterdir()}


@pytest.fixture
def laboratories(hocbench, tmp_path):
    return Laboratories(hocbench, tmp_path)


@pytest.fixture
def three(laboratories):
    return [laboratories.make(name, shift) for name, shift in (("a", 0.0), ("b", 0.02), ("c", 0.04))]


def refused(laboratories, *folders):
    code, printed = laboratories.merge(*folders)
    assert code == 2 and not laboratories.out.exists()
    return printed.partition("hocbench: error: ")[2]


def test_scores_of_three_laboratories(laboratories, three):
    code, printed = laboratories.merge(*three)
    assert code == 0
    scores = laboratories.table("scores")
    row = scores[(scores["dataset"] == "sewa") & (scores["method"] == STATIC)].iloc[0]
    assert row[["value_a", "value_b", "value_c"]].tolist() == [0.5, 0.52, 0.54]
    # Seeds 0 and 1: 0.5 and 0.51, 0.518 and 0.532, 0.536 and 0.554. What neither laboratory nor seed explains is 0.002
    # in four of them, with two degrees of freedom: a variance of 8e-6, and 4e-6 of a mean of two seeds.
    numbers = row[["mean", "between_sd", "seed_sd", "same_seed_sd", "tau", "q"]].astype(float).tolist()
    assert numbers == pytest.approx([0.52, 0.02, 0.0101653005, 0.0200997512, (4e-4 - 4e-6) ** 0.5, 200], rel=1e-6)
    assert float(row["low"]) < 0.5 < 0.54 < float(row["high"])
    # One seed: nothing tells the laboratory from the seed.
    assert set(scores.loc[scores["dataset"] == "afew_va", "tau"]) == {""}
    assert (scores["label"] == "synthetic").all() and len(scores) == 8
    assert "3 laboratories reach the same verdict on 1 of 1 claims and data sets." in printed
    assert "3 laboratories: the interval for one more rests on a t distribution of 1 degree of freedom" in printed


def test_differences_are_counted_by_the_interval_of_each_laboratory(laboratories):
    folders = []
    for name, low, high in (("a", "0.05", "0.15"), ("b", "-0.02", "0.1"), ("c", "-0.2", "-0.1"), ("d", "", "")):
        here = laboratories.results(name)
        for column, value in (("low", low), ("high", high)):
            here.put("differences", column, value)
        folders.append(laboratories.record(here, name))
    assert laboratories.merge(*folders)[0] == 0
    differences = laboratories.table("differences")
    row = differences[differences["dataset"] == "sewa"].iloc[0]
    assert row[["above", "below", "undecided"]].tolist() == [1, 1, 2]
    # Both methods have the same scores in both seeds.
    assert (row["n_seeds"], float(row["seed_sd"])) == (2, 0)
    page = (laboratories.out / "merged.md").read_text()
    assert "| 1 / 1 / 2 |" in page and page.count("| AFEW-VA | CP 3-D") == 0  # no claim is judged by that


def test_methods_and_data_are_shown_by_their_titles(laboratories, three):
    assert laboratories.merge(*three)[0] == 0
    page = (laboratories.out / "merged.md").read_text()
    assert "| SEWA | CP 3-D, temporal then joint | CP 2-D, static | valence |" in page
    assert page.index("### SEWA") < page.index("| CP 2-D, static | arousal |") < page.index("### AFEW-VA")
    assert set(laboratories.table("scores")["method"]) == {STATIC, JOINT}


def test_a_network_without_a_rank_is_compared_at_the_main_one_and_ranks_are_shown(laboratories):
    def with_ranks(here):
        here.description = replace(here.description, ranks=("0.25", "0.5"))
        bare = {"method": "inflated", "factorization": "", "rank": ""}
        for name, column in (("scores", "value"), ("intervals", "mean")):
            rows = [row for row in here.tables[name] if row["method"] == STATIC]
            here.tables[name] += [row | bare | {column: f"{float(row[column]) + 0.1:g}"} for row in rows]
            here.tables[name] += [row | {"rank": "0.25", column: "0.2"} for row in rows]
        here.tables["differences"].append(here.tables["differences"][0] | bare)
        here.write()
        return here

    folders = [laboratories.record(with_ranks(laboratories.results(name, x)), name) for name, x in (("a", 0), ("b", 1))]
    assert laboratories.merge(*folders)[0] == 0
    found = laboratories.table("differences")
    row = found[found["method"] == "inflated"].iloc[0]
    # In every seed of both laboratories it is 0.1 above the network of the main rank.
    assert row[["n_seeds", "seed_sd", "same_seed_sd"]].astype(float).tolist() == pytest.approx([2, 0, 0], abs=1e-9)
    page = (laboratories.out / "merged.md").read_text()
    assert "| data | method | against | rank | target |" in page
    assert "| CP 2-D, static | 0.25 | valence |" in page and "| dense 2-D inflated to 3-D | - | valence |" in page


def test_verdicts_that_differ_are_told_by_laboratory(laboratories, three):
    other = laboratories.make("d", verdict="inconclusive")
    code, printed = laboratories.merge(*three, other)
    assert code == 0
    assert "4 laboratories reach the same verdict on 0 of 1 claims and data sets. They do not on C2 (SEWA)." in printed
    verdicts = laboratories.table("verdicts").iloc[0]
    assert verdicts[["verdict_a", "verdict_d", "agree"]].tolist() == [VERDICT, "inconclusive", 0]
    assert f"✔ {VERDICT}: a, b, c; ? inconclusive: d" in (laboratories.out / "merged.md").read_text()


def test_laboratories_are_listed_with_their_machines(laboratories):
    one, two = laboratories.results("one"), laboratories.results("two", threads=2)
    for path in one.runs.values():
        one.change(path, environment__instructions=dict(PORTABLE))
    for path in two.runs.values():
        two.change(path, threads=2, environment__processor="Intel", processors=["Intel"])
    two.outputs(next(iter(two.runs.values())), "one")
    folders = [laboratories.record(one, "one"), laboratories.record(two, "two")]
    assert laboratories.merge(*folders)[0] == 0
    table = laboratories.table("laboratories").astype(str)
    assert table["CPU_type"].tolist() == ["AMD EPYC", "Intel"]
    assert table["threads"].tolist() == ["1", "2"]
    assert table["arithmetic"].tolist() == ["portable", "native"]
    assert table[["torch", "software"]].values.tolist() == [["2.13.0+cpu", "Python 3.11.7"]] * 2
    assert table[["runs", "same_weights"]].values.tolist() == [["6", "6"], ["6", "1"]]
    page = (laboratories.out / "merged.md").read_text()
    assert "All of them: instructions AVX2; device cpu; torch 2.13.0+cpu; further versions Python 3.11.7;" in page
    assert "| two | Intel | native | 2 | 1 |" in page


def test_the_same_laboratory_twice_changes_nothing(laboratories, three):
    laboratories.merge(*three)
    once = laboratories.files()
    copied = laboratories.folder / "copy" / "b"
    shutil.copytree(three[1], copied)
    code, printed = laboratories.merge(three[2], copied, *three)
    assert (code, laboratories.files()) == (0, once)
    assert "note: c was given 2 times and is counted once" in printed
    assert "note: b was given 2 times and is counted once" in printed


def test_the_order_changes_nothing(laboratories, three):
    laboratories.merge(*three)
    once = laboratories.files()
    laboratories.merge(*reversed(three))
    assert laboratories.files() == once
    seal = read_sealed(laboratories.out / "merged.json")["files"]
    assert seal.keys() == once.keys() - {"merged.json"}


def test_the_same_bytes_under_two_names_are_shown_and_counted_once(laboratories, three):
    laboratories.merge(*three)
    scores = laboratories.table("scores")
    twin = laboratories.make("twin", 0.02, outputs="b")
    code, printed = laboratories.merge(twin, *three)
    assert code == 0
    assert "note: twin has computed the same bytes as b in every run: it is counted once with it" in printed
    assert laboratories.table("scores").equals(scores)
    assert laboratories.table("laboratories")["same_bytes_as"].tolist() == ["", "", "", "b"]


def test_a_reference_is_its_own_laboratory_and_those_in_it(laboratories, three):
    laboratories.merge(*three)
    inside = three[1] / "laboratories"
    for folder in (three[0], three[2]):
        shutil.move(folder, inside / folder.name)
    once = laboratories.files()
    assert laboratories.merge(three[1])[0] == 0
    assert laboratories.files() == once


def test_the_reference_comes_first(laboratories, three):
    folder = laboratories.make("reference")
    assert [each.name for each in merge([*three, folder]).laboratories] == ["reference", "a", "b", "c"]


def test_what_was_merged_before_is_passed_over(laboratories, three):
    laboratories.merge(*three)
    once = laboratories.files()
    assert laboratories.merge(laboratories.out, *three)[0] == 0
    assert laboratories.files() == once
    shutil.copy(three[0] / "manifests.json", laboratories.out)
    code, printed = laboratories.merge(*three)
    assert (code, f"{laboratories.out} is a recorded laboratory; give another folder with --out" in printed) == (
        2,
        True,
    )


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        (1, "One laboratory tells nothing about what lies between laboratories; two are needed for a spread."),
        (2, "a standard deviation of two values may be 0.45 to 32 times what it seems (95 %)"),
    ],
)
def test_few_laboratories_say_what_they_cannot_tell(laboratories, three, count, sentence):
    code, printed = laboratories.merge(*three[:count])
    assert (code, sentence in printed) == (0, True)
    assert set(laboratories.table("scores")["low"]) == {""}


def test_another_commit_is_said_first(laboratories):
    folders = []
    for name, commit, dirty in (("a", "1" * 40, False), ("b", "2" * 40, True)):
        here = laboratories.results(name)
        for path in here.runs.values():
            here.change(path, revision={"commit": commit, "dirty": dirty, "diff": "d" * 64 if dirty else None})
        folders.append(laboratories.record(here, name))
    code, printed = laboratories.merge(*folders)
    assert code == 0
    note = (
        "the laboratories are not of one commit, though their training code computes the same (a: 111111111111; b: "
        "222222222222, uncommitted changes dddddddddddd)"
    )
    assert printed.startswith(f"note: {note}")
    page = (laboratories.out / "merged.md").read_text()
    assert page.index(note) < page.index("## Laboratories")


def test_other_data_are_said_first(laboratories, three):
    here = laboratories.results("d")
    path = here.runs["sewa", JOINT, 1]
    here.change(path, inputs={"crops.json": "b" * 64, "parent": None, "parent_weights": None})
    code, printed = laboratories.merge(three[0], laboratories.record(here, "d"))
    assert code == 0
    assert printed.startswith(
        "note: data: inputs.crops.json is aaaaaaaaaaaa... in laboratory a, bbbbbbbbbbbb... in d (1 run: "
        f"sewa/{path.name}), so what they differ by is not training alone"
    )


def test_other_parameters_are_refused(laboratories, three):
    other = laboratories.make("d", **{"training.learning_rate": 0.2})
    told = refused(laboratories, *three, other)
    assert told.startswith("parameter training.learning_rate: 0.1 in laboratory a, 0.2 in d (6 runs: ")
    assert told.endswith(
        "and 3 more); only laboratories of the same parameters can be merged, so leave one of them out or train it "
        "again"
    )


def test_other_runs_are_refused(laboratories, three):
    here = laboratories.results("d", without=[("sewa", JOINT, 1)])
    gone = Reproduction(laboratories.folder / "whole").runs["sewa", JOINT, 1].name
    other = laboratories.record(here, "d")
    assert refused(laboratories, three[0], other) == (
        f"laboratory d lacks 1 run: sewa/{gone}, which laboratory a has; only laboratories of the same runs can be "
        "merged"
    )
    more = laboratories.make("e")
    assert f"laboratory e has 1 run: sewa/{gone}, which laboratory d lacks; only" in refused(laboratories, more, other)


def test_other_code_is_refused(laboratories, three):
    here = laboratories.results("d")
    path = here.runs["afew_va", STATIC, 0]
    here.change(path, code="feedfeedfeedfeed")
    assert refused(laboratories, *three, laboratories.record(here, "d")) == (
        f"training code: 0123456789abcdef in laboratory a, feedfeedfeedfeed in d (1 run: afew_va/{path.name}); only "
        "laboratories of the same version can be merged, so leave one of them out or train it again"
    )


@pytest.mark.parametrize("kind", ["same", "another"])
def test_code_that_has_computed_the_same_bytes_is_the_same(laboratories, three, kind):
    """A reference that is recorded anew keeps the laboratories of its earlier code, if no byte of it has changed."""
    old, here = laboratories.results("old", outputs="same"), laboratories.results("new", outputs=kind)
    for path in here.runs.values():
        here.change(path, code="feedfeedfeedfeed")
    folder = laboratories.record(old, "reference")
    assert laboratories.record(here, "reference") == folder
    assert read_sealed(folder / "manifests.json")["earlier_code"] == (["0123456789abcdef"] if kind == "same" else [])
    if kind == "same":
        assert laboratories.merge(folder, *three)[0] == 0
        assert laboratories.merge(*three, folder)[0] == 0
    else:
        assert "training code: feedfeedfeedfeed in laboratory reference" in refused(laboratories, folder, *three)


def test_a_folder_without_manifests_is_refused(laboratories, three):
    (three[1] / "manifests.json").unlink()
    assert refused(laboratories, *three) == (
        f"{three[1]} is no recorded laboratory (no manifests.json); make one of a finished reproduction with `hocbench "
        "record RESULTS --laboratory NAME` and give the folder that it writes"
    )


@pytest.mark.parametrize(
    "name",
    ["evaluation/scores.csv", "evaluation/differences.csv", "evaluation/meta.json", "claims/evidence.csv"],
)
def test_a_damaged_table_is_refused(laboratories, three, name):
    path = three[2] / name
    path.write_text(path.read_text().replace("sewa", "SEWA", 1))
    told = refused(laboratories, *three)
    assert told.startswith(f"laboratory c: {path} is not the one that was recorded (see manifests.json)")
    assert told.endswith(f"with `git restore {path}`, or leave this laboratory out")
    path.unlink()
    assert f"laboratory c: {path} is not there (see manifests.json)" in refused(laboratories, *three)


def test_damaged_manifests_are_refused(laboratories, three):
    path = three[0] / "manifests.json"
    path.write_text(path.read_text().replace("0123456789abcdef", "feedfeedfeedfeed"))
    told = refused(laboratories, *three)
    assert told.startswith(f"laboratory a: {path} is damaged (it was changed after it was written)")
    assert f"get {three[0]} again from who recorded it" in told


def test_a_table_that_was_laid_beside_a_record_is_refused(laboratories, three):
    path = three[1] / "manifests.json"
    values = read_sealed(path)
    del values["copies"]["evaluation/scores.csv"], values["copies"]["evaluation/intervals.csv"]
    path.write_text(sealed(values))
    (three[1] / "evaluation" / "intervals.csv").unlink()
    told = refused(laboratories, *three)
    assert (
        f"laboratory b: {three[1] / 'evaluation/scores.csv'} is none of the files that were recorded (see "
        "manifests.json); delete it" in told
    )
    assert f"laboratory b: {three[1] / 'evaluation/intervals.csv'} is not there; get {three[1]} again" in told


def test_one_name_for_two_laboratories_is_refused(laboratories, three):
    other = laboratories.folder / "elsewhere"
    record(laboratories.results("else", 0.1).folder, other, "a")
    assert refused(laboratories, *three, other) == (
        f"{three[0]} and {other} are both called a, and differ; record one of them under another name with `hocbench "
        "record RESULTS --laboratory NAME`"
    )


def test_a_row_that_a_laboratory_lacks_is_named(laboratories, three):
    here = laboratories.results("d")
    del here.tables["intervals"][0]
    here.write()
    assert refused(laboratories, *three, laboratories.record(here, "d")) == (
        f"intervals.csv of laboratory d lacks 1 rows that another laboratory has, the first: dataset=sewa; "
        f"method={STATIC}; factorization=cp; rank=0.5; lasso=0; target=valence; evaluate and record it again "
        "with the same version of hocbench"
    )


def test_a_score_without_seeds_is_named(laboratories, three):
    here = laboratories.results("d")
    here.tables["scores"] = [row for row in here.tables["scores"] if row["method"] != JOINT]
    here.write()
    assert refused(laboratories, *three, laboratories.record(here, "d")) == (
        f"scores.csv of laboratory d has no seed of dataset=afew_va; method={JOINT}; factorization=cp; rank=0.5; "
        "lasso=0; target=arousal that the others have; evaluate and record it again with the same version of hocbench"
    )


def test_laboratories_that_have_not_judged_are_merged_all_the_same(laboratories, three):
    here = laboratories.results("d")
    shutil.rmtree(here.folder / "claims")
    assert laboratories.merge(three[0], laboratories.record(here, "d"))[0] == 0
    assert laboratories.table("verdicts").iloc[0][["verdict_a", "verdict_d"]].tolist() == [VERDICT, "not judged"]
    assert laboratories.merge(laboratories.folder / "d")[0] == 0
    assert "No laboratory has judged the claims" in (laboratories.out / "merged.md").read_text()


def test_manifests_of_earlier_versions_are_read(laboratories, three):
    path = three[1] / "manifests.json"
    values = read_sealed(path)
    del values["laboratory"], values["revision"]
    path.write_text(json.dumps(values))
    assert [each.name for each in merge(three).laboratories] == ["a", "b", "c"]  # b by its folder


def test_nothing_is_no_laboratory(laboratories, three):
    laboratories.merge(*three)
    with pytest.raises(VerifyError, match="no laboratory is there; give folders that"):
        merge([laboratories.out])
