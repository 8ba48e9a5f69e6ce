"""Crops of a video are of the frames that are asked for, whatever the file skips or lost."""

import numpy as np
import pandas as pd
import pytest

from hocbench.faces.clips import CropOptions, crop_clip
from tests.datasets import videos
from tests.datasets.videos import numbers_at, repeated, tell, write_video

SIZE = 48
OPTIONS = CropOptions(size=SIZE, margin=1.0, method="box")


def clip_of(path, wanted):
    """Ask for some frames of a video, in the order given, each with a box around the whole picture."""
    clip = pd.DataFrame({"source": path.name, "source_frame": wanted, "frame": range(len(wanted)), "status": "ok"})
    clip["landmarks"] = [np.empty(0, np.float32)] * len(clip)
    return clip.assign(box_x=0.0, box_y=0.0, box_width=float(SIZE), box_height=float(SIZE))


def crops_of(path, wanted):
    return crop_clip(clip_of(path, wanted), path.parent, OPTIONS)


@pytest.fixture
def skipping(tmp_path):
    """A video that stores nothing for three of its twenty frames."""
    options = {"sc_threshold": "1000000000"}
    return write_video(tmp_path / "a.avi", numbers_at(20, (3, 4, 12)), gop=6, options=options, size=(SIZE, SIZE))


def test_every_crop_is_of_the_frame_of_its_time(skipping):
    crops = crops_of(skipping, list(range(20)))
    assert [tell(crop.pixels) for crop in crops] == repeated(20, (3, 4, 12))
    assert {(crop.status, crop.face, crop.detail) for crop in crops} == {("ok", "box", "")}


@pytest.mark.parametrize("wanted", [[5], [0, 4, 19], [2, 2, 3, 3, 3], [19, 7, 8, 7, 0], [*range(19, -1, -1)]])
def test_frames_may_be_asked_for_in_any_order_and_several_times(skipping, wanted):
    shown = repeated(20, (3, 4, 12))
    assert [tell(crop.pixels) for crop in crops_of(skipping, wanted)] == [shown[number] for number in wanted]


def test_frames_behind_damage_keep_their_own_pictures(skipping):
    videos.damage(skipping, 9, 20)
    crops = crops_of(skipping, list(range(20)))
    spoilt = [number for number, crop in enumerate(crops) if crop.status != "ok"]
    assert spoilt[0] == 9
    assert spoilt == list(range(9, spoilt[-1] + 1))
    assert spoilt[-1] < 16
    shown = repeated(20, (3, 4, 12))
    for number, crop in enumerate(crops):
        if number in spoilt:
            assert (crop.status, crop.face) == ("image_unreadable", "neighbour")
            assert crop.detail == f"the video ends or is damaged before frame {number}"
        else:
            assert tell(crop.pixels) == shown[number]


def test_frames_that_a_video_does_not_have_are_reported(skipping):
    crops = crops_of(skipping, [18, 19, 20, 21])
    assert [crop.status for crop in crops] == ["ok", "ok", "image_unreadable", "image_unreadable"]
    assert crops[3].detail == "the video ends or is damaged before frame 21"
