from pathlib import Path

import pandas as pd
import pytest
import torch

from hocbench.errors import BenchmarkError
from studies.speed.bars import evaluate_bars, read_bars
from studies.speed.figure import draw_speed
from studies.speed.measurements import KEPT, LIMIT, to_table
from studies.speed.report import describe_speed
from studies.speed.roofline import BY_COUNT, BY_ROOFLINE
from studies.speed.run import Options, resolve_settings, run_benchmark
from studies.speed.scales import SCALES
from studies.speed.timing import Setting
from tests.conftest import planned_jobs
from tests.studies.conftest import ONE, row

TWO = Setting(2, "cpu")
FILES = ["bars.csv", *(f"speed.{kind}" for kind in ("csv", "html", "json", "md", "pdf", "png"))]


def test_the_command_measures_every_group_and_writes_every_file(studies, tmp_path):
    out = tmp_path / "speed"
    code, printed, _ = studies("speed", out, "--scale", "tiny", "--rounds", 1, "--threads", 1, "--device", "cpu")
    assert code == 0
    assert printed == f"{out}: bars {len(read_bars())} not measured\n"
    assert sorted(path.name for path in out.iterdir()) == FILES
    table = pd.read_csv(out / "speed.csv")
    assert list(table["group"].unique()) == [
        *("machine", "layers 2-D", "layers 3-D", "networks", "temporal step", "compaction", "inference", "memory")
    ]
    assert set(table["threads"]) == {1}
    timed = table[table["quantity"] == "time_s"]
    # The first method of a place is ours.
    first = timed.groupby(["group", "case", "shape"], sort=False).first()
    assert (first["ratio_to_ours"] == 1).all()
    assert first["method"].str.startswith("hocbench").all()
    text = (out / "speed.md").read_text(encoding="utf-8")
    assert "The bars hold for scale paper only; at scale tiny none is judged." in text
    assert "SYNTHETIC zeros 50 %" in text
    assert str(Path.cwd()) not in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--scale", "huge"], "--scale 'huge': choose from paper, small, tiny"),
        (["--rounds", "0"], "--rounds 0: give at least 1, and 5 for numbers that are to be quoted"),
        (["--threads", "0"], "--threads 0: give numbers from 1 to "),
        (["--threads", "1", "--threads", "4096"], "--threads 1, 4096: give numbers from 1 to "),
        (["--device", "tpu"], "--device 'tpu': choose from auto, cpu, cuda"),
    ],
)
def test_what_cannot_be_measured_is_refused(studies, tmp_path, arguments, text):
    code, printed, error = studies("speed", tmp_path / "out", *arguments)
    assert code == 2
    assert error.startswith(f"studies: error: {text}")
    assert "Traceback" not in printed + error
    assert not (tmp_path / "out").exists()


def test_what_was_measured_before_a_failure_is_kept(tmp_path, monkeypatch):
    def fails(bench):
        raise BenchmarkError("two ways to compute the same do not agree")

    monkeypatch.setattr("studies.speed.run.GROUPS", (fails,))
    with pytest.raises(BenchmarkError, match="do not agree"):
        run_benchmark(tmp_path / "out", Options(scale="tiny", rounds=1, device="cpu"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["speed-unfinished.csv"]
    kept = pd.read_csv(tmp_path / "out" / "speed-unfinished.csv")
    assert list(kept["group"].unique()) == ["machine", "layers 2-D", "layers 3-D"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(BenchmarkError, match="out is a file; give a folder"):
        run_benchmark(tmp_path / "out")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="--device cuda: torch finds no GPU here; give cpu or auto"):
        resolve_settings(tmp_path, Options(device="cuda"))


def test_each_thread_count_is_measured_once_in_float32_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert resolve_settings(tmp_path, Options(threads=(2, 1, 2), device="cpu")) == [TWO, ONE]


def test_a_gpu_is_measured_in_both_precisions(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    expected = [Setting(1, "cuda", "float32"), Setting(1, "cuda", "bfloat16")]
    assert resolve_settings(tmp_path, Options(threads=(1,))) == expected


def made_up(factor, setting):
    """Make up the 2-D layers, in which every rival is slower by one factor."""
    rows = []
    for shape in ("4×64×56×56", "4×128×28×28"):
        own = [row(f"hocbench, {name}", (1.0,) * 5, shape, setting) for name in ("measured path", "rule")]
        rows += [
            *own,
            *(row(f"hocbench {path}", (1.0,) * 5, shape, setting) for path in ("factorized", "reconstructed")),
        ]
        names = ("factorized", "mobilenet", "reconstructed")
        rivals = [*(f"tltorch {name}" for name in names), "dense 2-D"]
        rows += [row(name, (factor, factor, factor, 2 * factor, factor / 2), shape, setting) for name in rivals]
        rows += [row(name, (0.9,), shape, setting, quantity=LIMIT) for name in (BY_COUNT, BY_ROOFLINE)]
    return rows


@pytest.fixture
def described():
    def describe(factors, rounds=5):
        rows = [r for setting, factor in factors.items() for r in made_up(factor, setting)]
        settings = list(factors)
        outcomes = evaluate_bars(read_bars(), rows, settings)
        return describe_speed(SCALES["paper"], rounds, settings, rows, outcomes).markdown()

    return describe


def test_the_report_names_missed_bars_with_their_ratio_first(described):
    text = described({ONE: 1.1, TWO: 1.3})
    bars = len(read_bars())
    assert f"7 of {2 * bars} cleared, 1 missed, {2 * bars - 8} not measured." in text
    missed = (
        "* **missed**: 2-D layers at 224 px against tensorly-torch's best single implementation "
        "(cpu, 1 thread, float32): 1.100, ≥ 1.2"
    )
    assert text.count("**missed**") == 1
    assert text.index(missed) < text.index("## 2-D layers")
    row = (
        "| 2-D layers at 224 px against dense conv2d | cpu, 2 threads, float32 | ≥ 0.8 | 1.300 | cleared | dense 2-D |"
    )
    assert row in text
    assert (
        "| exported 3-D network against the dense 3-D one | cpu, 1 thread, float32 | ≥ 1.2 | — | not measured |  |"
        in text
    )


def test_the_report_gives_ratios_with_their_spread_and_no_seconds(described):
    text = described({ONE: 1.1})
    assert "| 224 px | 4×64×56×56 | tltorch mobilenet | 1.10 |" in text
    assert "| 224 px | 4×64×56×56 | hocbench, measured path | 1.00 |" in text
    assert " s |" not in text


def test_few_rounds_are_called_a_trial(described):
    assert "**Rounds: 4. Below 5 this is a trial, not a measurement.**" in described({ONE: 2.0}, rounds=4)
    assert "trial" not in described({ONE: 2.0}, rounds=5)


def test_the_table_gives_medians_quartiles_and_ratios_to_ours():
    rows = [
        row("own", (1, 2, 3)),
        row("rival", (2, 8, 9)),
        row("own", (10,), quantity=KEPT),
        row("limit", (3,), quantity=LIMIT),
    ]
    table = to_table(rows)
    assert list(table["median"]) == [2, 8, 10, 3]
    assert table.loc[1, ["ratio_low", "ratio_to_ours", "ratio_high"]].tolist() == [2.5, 3, 3.5]
    assert table["ratio_to_ours"].isna().tolist() == [False, False, False, True]


def test_the_figure_has_a_panel_per_setting_and_case_with_both_limits():
    settings = [ONE, TWO]
    figure = draw_speed([r for setting in settings for r in made_up(1.4, setting)], settings)
    assert [axes.get_title() for axes in figure.axes] == [f"2-D layers, 224 px\n{setting}" for setting in settings]
    for axes in figure.axes:
        labels = axes.get_legend_handles_labels()[1]
        assert sum("limit" in label for label in labels) == 2
        assert len(labels) == len(set(labels)) == 6
        assert [label.get_text() for label in axes.get_xticklabels()] == ["64", "128"]


def test_the_target_is_planned_alone_and_not_part_of_all(copied_tree):
    assert planned_jobs(copied_tree, "--forceall", "speed") == {"speed": 1}
    assert "speed" not in planned_jobs(copied_tree, "--forceall")
