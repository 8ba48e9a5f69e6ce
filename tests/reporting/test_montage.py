import cv2
import numpy as np
import pandas as pd
import pytest

from hocbench.errors import FaceError
from hocbench.faces.store import CropStore
from hocbench.reporting.montage import COLUMNS, ROWS, _pick, draw_montage, montage
from hocbench.synthetic.writers import synthesize
from tests.faces.conftest import SETTINGS, crop


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    root = tmp_path_factory.mktemp("montage")
    for name in ("affectnet", "sewa"):
        synthesize(name, root / "data" / name, SETTINGS[name])
        crop(name, root / "data" / name, root / name)
    return root


def texts(figure):
    return [text.get_text() for part in figure.subfigs for axis in part.axes for text in axis.texts]


def test_every_special_frame_is_shown_with_its_status_and_labels(stores):
    store = CropStore(stores / "affectnet")
    figure = montage(store)
    special = store.frames[(store.frames["status"] != "ok") | (store.frames["face"] == "none")]
    shown = [text for text in texts(figure) if "\n" in text]
    assert len(shown) == len(special) == 5
    assert sorted(text.split("\n")[1] for text in shown) == sorted(special["status"].str.replace("_", " "))
    assert "–, –\nuncertain label" in shown
    assert texts(figure).count("no crop") == 1
    assert "SYNTHETIC affectnet: 77 of 80 frames usable, 5 special" in figure.get_suptitle()


def test_rare_kinds_of_special_frames_are_shown_though_others_are_many():
    statuses = pd.Series(["uncertain_label"] * 500 + ["image_unreadable", "no_face"])
    picked = _pick(np.arange(502), statuses, np.random.default_rng(0))
    assert len(picked) == COLUMNS * ROWS
    assert {500, 501} <= set(picked)


def test_random_frames_are_usable_ones_with_their_labels(stores):
    store = CropStore(stores / "sewa")
    figure = montage(store)
    upper = figure.subfigs[0]
    titles = [axis.texts[0].get_text() for axis in upper.axes if axis.images]
    assert len(titles) == COLUMNS * ROWS
    known = {f"{row.valence:+.2f}, {row.arousal:+.2f}" for row in store.frames.itertuples()}
    assert set(titles) <= known


def test_classes_are_shown_by_their_names(stores):
    store = CropStore(stores / "sewa")
    classes = np.resize(["calm", "excited", ""], len(store.frames))
    store.frames = store.frames.drop(columns=["valence", "arousal"]).assign(**{"class": classes})
    figure = montage(store)
    assert figure.get_suptitle().endswith("Under each crop: class")
    assert {text.split("\n")[0] for text in texts(figure)} == {"calm", "excited", "–"}


def test_pictures_are_the_crops_of_the_store(stores):
    store = CropStore(stores / "sewa")
    shown = [axis.images[0].get_array() for axis in montage(store).subfigs[0].axes if axis.images]
    assert all((store.crops == picture).all((1, 2, 3)).any() for picture in shown)


def test_the_page_is_drawn_the_same_each_time(stores, tmp_path):
    for stem in ("a", "b"):
        draw_montage(stores / "sewa", tmp_path / stem)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert min(picture.shape[:2]) > 400
    assert np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 1000


def test_a_folder_without_store_is_refused(tmp_path):
    with pytest.raises(FaceError, match="is not a complete crop store"):
        draw_montage(tmp_path, tmp_path / "x")
