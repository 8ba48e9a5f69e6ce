"""The committed reference run belongs to the parameters of this checkout, and the README quotes it correctly."""

import re
from pathlib import Path

import pandas as pd

from hocbench.config.load import load_params
from hocbench.evaluation.files import read_table
from hocbench.experiment.description import META, RowKey, parse_description
from hocbench.experiment.plan import make_plan
from hocbench.paths import FIGURES, PAPER_DATASETS, all_tables
from hocbench.reporting.text import dataset_title, verdict_text
from hocbench.runs.diff import compare_records
from hocbench.runs.record import Record, flat
from hocbench.verify.laboratory import read_laboratory
from hocbench.verify.merge import merge

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
DESCRIPTION = parse_description((REFERENCE / "evaluation" / META).read_text(encoding="utf-8"), META)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_holds_exactly_the_runs_of_the_embedded_plan():
    planned = {(run.key.dataset, run.id) for run in make_plan(load_params([ROOT / "params.yaml"]))}
    costs = read_table(REFERENCE / "evaluation" / "costs.csv")
    assert set(zip(costs["dataset"], costs["run"], strict=True)) == planned


def test_it_was_trained_with_the_parameters_of_the_plan_and_so_were_its_laboratories():
    """Else nobody's run could be compared with it."""
    recorded = read_laboratory(REFERENCE).runs
    for run in make_plan(load_params([ROOT / "params.yaml"])):
        planned = Record(ROOT, flat({"spec": run.spec.model_dump(mode="json")}), {}, ())
        comparison = compare_records(recorded[run.spec.name], planned)
        assert not {group.name for group, _ in comparison.reasons} & {"parameters", "seeds"}, comparison.reasons
    assert len(merge([REFERENCE]).laboratories) >= 5  # it refuses other parameters


def test_it_holds_every_table_and_figure_and_says_synthetic():
    says = dict.fromkeys(all_tables(DESCRIPTION.datasets.values()), "SYNTHETIC")
    # Two pages hold arithmetic alone and say so.
    says |= {"conventions": "no data needed", "special_cases": "no data are needed"}
    for name, words in says.items():
        assert words in (REFERENCE / "tables" / f"{name}.md").read_text(encoding="utf-8")
    for name in FIGURES:
        assert (REFERENCE / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    for name in (*PAPER_DATASETS, "parameters"):
        assert "\\toprule" in (REFERENCE / "tables" / f"{name}.tex").read_text(encoding="utf-8")
    for name in ("scores", "intervals", "differences", "sparsity", "costs", "windows"):
        assert set(read_table(REFERENCE / "evaluation" / f"{name}.csv")["label"]) == {"synthetic"}


def quoted_rows():
    lines = [line for line in README.splitlines() if re.match(r"^\| (CP|dense) ", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_readme_quotes_every_method_of_the_sewa_table_with_its_numbers():
    intervals = read_table(REFERENCE / "evaluation" / "intervals.csv")
    chosen = intervals[
        (intervals["dataset"] == "sewa") & (intervals["metric"] == "ccc") & (intervals["pooling"] == "pooled")
    ]
    chosen = chosen[chosen["ablation"] == ""]
    expected = set()
    for (_, lasso), rows in chosen.groupby(["method", "lasso"]):
        cells = rows.set_index("target")
        title = DESCRIPTION.title(RowKey.read(rows.iloc[0]))
        expected.add((title, f"{lasso:g}", *(shown(cells.loc[target]) for target in ("valence", "arousal"))))
    assert {tuple(row) for row in quoted_rows()} == expected


def shown(row: pd.Series) -> str:
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}] ± {row['seed_sd']:.3f}"


def test_the_readme_quotes_every_verdict():
    quoted = re.findall(r"^\| ([CN]\d) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", README, re.MULTILINE)
    claims = pd.read_csv(REFERENCE / "claims" / "claims.csv").fillna("")
    expected = {
        (row["claim"], row["title"], dataset_title(row["dataset"], DESCRIPTION), verdict_text(row["verdict"]))
        for _, row in claims.iterrows()
    }
    assert {tuple(cell.strip() for cell in row) for row in quoted} == expected


def test_the_readme_quotes_the_costs_of_training_from_scratch():
    evidence = pd.read_csv(REFERENCE / "claims" / "evidence.csv")
    evidence = evidence[evidence["claim"] == "C9"]
    shares = 100 * evidence.loc[evidence["statistic"] == "time_ratio", "value"]
    (memory,) = evidence.loc[evidence["statistic"] == "memory_ratio", "value"]
    words = f"{shares.min():.0f} to {shares.max():.0f} % of the CPU time of its dense baselines, and {memory:.1f} times"
    assert words in " ".join(README.split())


def test_the_guide_to_evidence_quotes_the_simulations():
    table = pd.read_csv(REFERENCE / "statistics" / "coverage.csv")
    guide = " ".join((ROOT / "docs" / "evidence.md").read_text(encoding="utf-8").split())
    assert (table["draws"] == 2000).all()

    def span(**wanted):
        own = table[table["clusters"].isin(wanted.pop("clusters"))]
        for column, value in wanted.items():
            own = own[own[column] == value] if value != "intervals" else own[own[column] != "test"]
        return f"{own['share'].min():.3f} to {own['share'].max():.3f}"

    many, few = [40, 80], [10]
    assert f"intervals hold the truth in {span(clusters=many, quantity='intervals', method='studentised')}" in guide
    assert f"With 10 they do in {span(clusters=few, quantity='intervals', method='studentised')}" in guide
    assert f"percentile intervals do in {span(clusters=few, quantity='intervals', method='percentile')}" in guide
    assert f"null hypotheses reject in {span(clusters=[5, 10, 20, 40, 80], quantity='test')}" in guide


def test_the_readme_quotes_the_speed_benchmark_with_its_ratios():
    bars = read_table(REFERENCE / "speed" / "bars.csv")
    cleared = (bars["status"] == "cleared").sum()
    assert f"{cleared} of {len(bars)} bars" in " ".join(README.split())
    rows = re.findall(r"^\| ([^|]+) \| ([≥≤]) ([\d.]+) \| ([^|]+) \| ([^|]+) \|$", README, re.MULTILINE)
    assert len(rows) >= 6
    for what, sign, wanted, *quoted in rows:
        chosen = bars[bars["what"] == what].sort_values("threads")
        assert chosen["threads"].tolist() == [1, 2], what
        assert set(chosen["bar"]) == {float(wanted)}, what
        assert set(chosen["direction"]) == {"at least" if sign == "≥" else "at most"}, what
        assert quoted == [f"{bar.median:.2f}" + _quartiles(bar) for bar in chosen.itertuples()], what


def _quartiles(bar) -> str:
    low, high = f"{bar.quartile_low:.2f}", f"{bar.quartile_high:.2f}"
    return "" if low == high else f" ({low}–{high})"


def test_differences_that_the_readme_quotes_stand_in_the_table():
    quoted = re.findall(r"[+-]\d\.\d{3} \[[+-]\d\.\d{3}, [+-]\d\.\d{3}\]", " ".join(README.split()))
    table = (REFERENCE / "tables" / "differences.md").read_text(encoding="utf-8")
    assert len(quoted) >= 2
    assert [difference for difference in quoted if difference not in table] == []


def test_the_guide_quotes_the_data_benchmark():
    table = read_table(REFERENCE / "data" / "data.csv").set_index("what")["median"]
    guide = " ".join((ROOT / "docs" / "real-data.md").read_text(encoding="utf-8").split())

    def measured(words):
        (value,) = [value for what, value in table.items() if words in what]
        return value

    loader = "store: rate by a DataLoader over JPEG files, 2 workers"
    assert f"read {measured('raw store: rate by decoding'):.0f} times as fast as by decoding" in guide
    assert f"and {measured(f'raw {loader}'):.1f} times as fast as by a PyTorch" in guide
    packed = measured("jpeg store: rate by decoding"), measured(f"jpeg {loader}")
    assert f"from a JPEG store {packed[0]:.1f} and {packed[1]:.1f} times" in guide
    assert f"Cropping runs at {measured('rate by that of a bare loop'):.0%} of the rate".replace("%", " %") in guide
    assert f"{measured('peak memory') / 1024:.1f} GiB of memory" in guide
    assert f"{measured('written: CPU time'):.0f} CPU seconds" in guide
