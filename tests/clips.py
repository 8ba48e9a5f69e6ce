"""Small videos of two classes that differ in motion alone, in a folder as a user has it."""

import numpy as np

from hocbench.synthetic.writers import _write_video

SIDE, FRAMES = 32, 10


def write_clips(root, subjects, clips_each=2):
    """Write videos SUBJECT_CLIP.avi below the folders left and right, whose stripes move to that side."""
    rng = np.random.default_rng(0)
    across = np.arange(SIDE) / SIDE
    for name, speed in (("left", 1), ("right", -1)):
        (root / name).mkdir(parents=True)
        for subject in range(subjects):
            for clip in range(clips_each):
                phases = rng.uniform(0, 1) + speed * np.arange(FRAMES) / 8
                waves = 127.5 + 90 * np.sin(2 * np.pi * (2 * across + phases[:, None]))
                pictures = np.broadcast_to(waves[:, None, :, None], (FRAMES, SIDE, SIDE, 3)).astype(np.uint8)
                _write_video(root / name / f"S{subject:02d}_{name}{clip}.avi", pictures, 25)
