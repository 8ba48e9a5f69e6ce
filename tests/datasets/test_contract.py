import json

import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.adapters import ADAPTERS, load_adapter
from hocbench.datasets.columns import frame_columns
from hocbench.datasets.index import read_index, write_index
from hocbench.experiment.tasks import VALENCE_AROUSAL
from tests.datasets.conftest import refusal

NAMES = list(ADAPTERS)


@pytest.mark.parametrize("name", NAMES)
def test_the_index_has_the_promised_columns_and_types(indices, name):
    frames = indices[name].frames
    columns = frame_columns(VALENCE_AROUSAL)
    assert list(frames.columns) == list(columns)
    assert {column: str(kind) for column, kind in frames.dtypes.items()} == columns
    assert (frames["dataset"] == name).all()
    assert all(points.dtype == np.float32 and points.ndim == 1 for points in frames["landmarks"])


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_sorted_and_unique(indices, name):
    keys = list(indices[name].frames[["clip", "frame"]].itertuples(index=False, name=None))
    assert keys == sorted(set(keys))


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_missing_exactly_where_the_status_says_so(indices, name):
    frames = indices[name].frames
    missing = frames[["valence", "arousal"]].isna().any(axis=1)
    assert (missing == frames["status"].isin(["uncertain_label", "label_missing"])).all()
    assert (frames[["valence", "arousal"]].abs().max() <= 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_landmarks_are_missing_exactly_where_the_status_says_so(indices, name):
    frames = indices[name].frames
    lost = frames["landmarks"].map(len) == 0
    assert lost.any()
    assert (lost == (frames["status"] == "landmarks_failed")).all()


@pytest.mark.parametrize(("name", "width"), [("affectnet", 64), ("sewa", 80), ("afew_va", 64)])
def test_landmarks_lie_within_the_picture_in_x_y_order(indices, name, width):
    points = np.stack([flat.reshape(-1, 2) for flat in indices[name].frames["landmarks"] if len(flat)])
    assert points.min() >= 0
    assert points[..., 0].max() < width
    assert points[..., 1].max() < 64
    # In the order of the 68-point scheme without the jaw, eyes come before the mouth, which is below them.
    assert (points[:, -30:-20, 1].mean(axis=1) < points[:, -10:, 1].mean(axis=1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_only_the_marker_file_makes_a_dataset_synthetic(indices, copy_of, name):
    root = copy_of(name)
    assert indices[name].label == "synthetic"
    (root / "SYNTHETIC.json").unlink()
    (root / "SYNTHETIC.txt").unlink()
    assert read_index(name, root).label == "real"


@pytest.mark.parametrize("name", NAMES)
def test_half_rendered_data_are_never_taken_for_real(copy_of, name):
    root = copy_of(name)
    (root / "SYNTHETIC.json").unlink()
    assert refusal(name, root) == (
        f"{name}: {root} holds SYNTHETIC.txt but no SYNTHETIC.json: its rendering was interrupted; render it again"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_folder_is_named_with_the_key_and_the_layout(tmp_path, name):
    text = refusal(name, tmp_path / "absent")
    assert text == (
        f"{name}: folder {tmp_path / 'absent'} does not exist; put your copy there or change datasets.{name}.root. "
        f"Expected inside: {load_adapter(name).layout}"
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_is_refused_with_the_layout(tmp_path, name):
    text = refusal(name, tmp_path)
    assert text.startswith(f"{name}: ")
    assert str(tmp_path) in text
    assert text.endswith(load_adapter(name).layout)


@pytest.mark.parametrize("name", NAMES)
def test_the_index_is_written_with_its_summary(indices, tmp_path, name):
    index = indices[name]
    write_index(index, tmp_path)
    summary = json.loads((tmp_path / "index.json").read_text())
    assert (summary["label"], summary["frames"]) == ("synthetic", len(index.frames))
    assert summary["statuses"] == index.frames["status"].value_counts().to_dict()
    assert summary["notes"] == index.notes
    back = pd.read_parquet(tmp_path / "index.parquet")
    pd.testing.assert_frame_equal(back.drop(columns="landmarks"), index.frames.drop(columns="landmarks"))
    assert all(np.array_equal(a, b) for a, b in zip(back["landmarks"], index.frames["landmarks"], strict=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "index.parquet"]


def test_equal_datasets_give_equal_bytes(rendered, copy_of, tmp_path):
    for folder, root in (("a", rendered["sewa"]), ("b", copy_of("sewa"))):
        write_index(read_index("sewa", root), tmp_path / folder)
    for name in ("index.json", "index.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
