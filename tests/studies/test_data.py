"""The data benchmark at tiny size: everything runs, nothing is judged by its time."""

import sys

import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.index import read_index
from hocbench.errors import BenchmarkError
from studies.__main__ import main
from studies.data import crop_rate, index_rate, run, store_rate
from studies.speed.timing import Spread


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What the command of docs/real-run.md measures and writes."""
    out, found = tmp_path_factory.mktemp("bench") / "out", []
    original = run.run_data_benchmark
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run_data_benchmark", lambda *arguments: found.append(original(*arguments)) or found[0])
        patch.setattr(sys, "argv", ["studies", "data", str(out), "--scale", "tiny"])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
    return out, found[0]


def test_every_figure_is_measured_written_and_called_a_trial(measured):
    out, lines = measured
    assert sorted(path.name for path in out.iterdir()) == ["data.csv", "data.md"]
    table = pd.read_csv(out / "data.csv")
    assert table["what"].tolist() == [line.what for line in lines]
    assert table["what"].is_unique
    assert len(lines) == 2 + 1 + 2 * 3 + 1 + 2
    assert np.isfinite(table["median"]).all()
    text = (out / "data.md").read_text()
    assert "**Scale tiny: a trial, not a measurement.**" in text
    assert "SYNTHETIC" in text
    assert all(f"| {line.what} |" in text for line in lines)


def test_ratios_have_as_many_rounds_as_asked_for(measured):
    _, lines = measured
    assert all(line.value.low <= line.value.median <= line.value.high for line in lines)
    assert all(line.value.median > 0 for line in lines if "memory that a worker" not in line.what)


@pytest.mark.parametrize(
    ("median", "bar", "direction", "status"),
    [
        (5.0, 5, "at least", "cleared"),
        (4.9, 5, "at least", "missed"),
        (60, 60, "at most", "cleared"),
        (61, 60, "at most", "missed"),
    ],
)
def test_a_bar_is_judged_by_the_median(median, bar, direction, status):
    assert run.Line("x", Spread(median, 0, 100), "×", bar, direction).status == status


def test_a_figure_without_bar_is_not_judged():
    assert run.Line("x", Spread(1, 1, 1), "").status == "no bar"


def test_the_simulated_lists_are_read_as_affectnet(tmp_path):
    index_rate.write_lists(tmp_path, 800)
    index = read_index("affectnet", tmp_path)
    assert index.frames["split"].value_counts().to_dict() == {"training": 790, "validation": 10}
    statuses = index.frames["status"].value_counts()
    assert set(statuses.index) == {"ok", "uncertain_label", "landmarks_failed"}
    assert 100 < statuses["uncertain_label"] < 220


def test_an_index_that_fails_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(index_rate, "write_lists", lambda root, rows: root.mkdir())
    with pytest.raises(BenchmarkError, match=r"the index of 5 rows failed: hocbench: error: affectnet: .* is missing"):
        index_rate.measure(tmp_path, 5)


def test_boxes_overlap_as_they_should():
    box = np.array([0.0, 0.0, 10.0, 10.0])
    assert crop_rate.overlap(box, box) == 1
    assert crop_rate.overlap(box, box + np.array([20, 0, 0, 0])) == 0
    assert crop_rate.overlap(box, np.array([5.0, 0.0, 10.0, 10.0])) == pytest.approx(1 / 3)


def test_a_decoded_window_holds_the_frames_that_were_asked_for(tmp_path):
    video = store_rate._write_video(tmp_path / "clip.avi", 60)
    whole = store_rate._decode(video, 0)
    assert whole.shape == (16, 112, 112, 3)
    # Every tenth frame begins another face, so windows that begin at the same place of two faces show both.
    later = store_rate._decode(video, 7)
    np.testing.assert_allclose(later[:9], whole[7:], atol=40)
    assert np.abs(later[:9].astype(int) - whole[7:]).mean() < 2


def test_a_process_that_holds_its_pixels_is_told_from_one_that_does_not(tmp_path):
    crops = store_rate._draw(3)
    store = store_rate.write_store(tmp_path / "store", crops, 3, "raw")
    mapped = store_rate._probe(tmp_path / "store", 2)
    copied = store_rate.PROBE.replace(
        "print(", "kept = __import__('numpy').load(sys.argv[1] + '/crops.npy') + 0; print("
    )
    original, store_rate.PROBE = store_rate.PROBE, copied
    try:
        assert store_rate._probe(tmp_path / "store", 2) - mapped > 0.8 * store.crops.nbytes
    finally:
        store_rate.PROBE = original


@pytest.mark.parametrize("scale", ["huge", ""])
def test_an_unknown_scale_is_refused(tmp_path, scale):
    with pytest.raises(BenchmarkError, match=f"--scale {scale!r}: choose from full, tiny"):
        run.run_data_benchmark(tmp_path, scale)
