"""Videos SUBJECT_CLIP.avi in one folder per class; frames are taken whole."""

import numpy as np
import pandas as pd

from hocbench.datasets.video import probe_video
from hocbench.experiment.tasks import classification


class LabelledClips:
    name, role, layout = "labelled_clips", "clips", "one folder per class, with videos SUBJECT_CLIP.avi"
    task = classification("left", "right")

    def read(self, root, exclude=()):
        rows = []
        for path in sorted(path for path in root.glob("*/*.avi") if path.stem not in exclude):
            video = probe_video(root, path.relative_to(root).as_posix(), self.name)
            row = {"subject": path.stem.split("_")[0], "clip": path.stem, "class": path.parent.name, "status": "ok"}
            row |= {"source": video.source, "landmarks": np.zeros(0, np.float32)}
            row |= {"box_x": 0, "box_y": 0, "box_width": video.size[0], "box_height": video.size[1]}
            rows += [row | {"frame": number, "source_frame": number} for number in range(video.frames)]
        return pd.DataFrame(rows), {}
