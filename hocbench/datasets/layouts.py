"""Names and numbers of the published layouts, which adapters read and the renderer writes."""

import re

# AffectNet, original release
LISTS = "Manually_Annotated_file_lists"
IMAGES = "Manually_Annotated_Images"
COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
UNCERTAIN = -2.0  # the value of both labels where annotators were uncertain or saw no face
# SEWA
SEGMENT = re.compile(r"^S(AH|AL|VH|VL|SL|SD)_C(\d+)_S(\d+)_P(\d+)_VC1_(\d+)_(\d+)$")
LABELS_PER_SECOND = 50.0
