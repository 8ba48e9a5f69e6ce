"""The columns of a frame index, and the words that stand in them."""

from typing import Literal

Label = Literal["synthetic", "real"]
SYNTHETIC_MARKER = "SYNTHETIC.json"  # written last: the folder is complete
SYNTHETIC_NOTICE = "SYNTHETIC.txt"  # written first

# What a frame of an index can be; cropping adds "image_unreadable" and "no_face".
STATUSES = ("ok", "uncertain_label", "label_missing", "landmarks_failed", "frame_missing")
NO_LABEL = ("uncertain_label", "label_missing")
# In predictions: a frame with a label but no crop, answered by the mean label of the training part.
NO_CROP = "no_crop"

FRAME_COLUMNS = {
    "dataset": "str",
    "subject": "str",
    "session": "str",
    "clip": "str",
    "frame": "int64",
    "source": "str",
    "source_frame": "int64",
    "box_x": "float64",
    "box_y": "float64",
    "box_width": "float64",
    "box_height": "float64",
    "landmarks": "object",
    "valence": "float64",
    "arousal": "float64",
    "split": "str",
    "status": "str",
}
