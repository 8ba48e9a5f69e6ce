"""Photographs and clips: labels, motion, light and everything else that surrounds a face."""

from dataclasses import dataclass

import numpy as np

from hocbench.opencv import cv2
from hocbench.synthetic.draw import Occluder, Scene, add_noise, render, sample_backdrop, sample_occluder
from hocbench.synthetic.face import (
    ACTION_UNITS,
    GAZE,
    LID,
    OPEN,
    STRETCH,
    Identities,
    action_units,
    sample_identities,
)

EXPRESSIVENESS = 0.8  # of clips; stills show the whole label
LABEL_SD, LABEL_TIME_S = 0.45, 2.0


@dataclass(frozen=True)
class Pictures:
    """Rendered frames.

    Attributes
    ----------
    frames : ndarray, (N, H, W, 3), uint8
        BGR.
    landmarks : ndarray, (N, 68, 2)
        In pixels.
    valence, arousal : ndarray, (N,)
        In [-1, 1].
    """

    frames: np.ndarray
    landmarks: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray


def render_stills(rng: np.random.Generator, count: int, size: int) -> Pictures:
    """Render photographs of as many persons, with labels uniform on the unit disc."""
    radius, angle = np.sqrt(rng.random(count)), rng.random(count) * 2 * np.pi
    valence, arousal = radius * np.cos(angle), radius * np.sin(angle)
    persons = sample_identities(rng, count)
    units = action_units(valence, arousal, persons) + rng.normal(0, 0.10, (count, len(ACTION_UNITS)))
    units[:, GAZE] = rng.normal(0, 0.4, count)
    in_mid_speech, in_mid_blink = rng.random(count) < 0.25, rng.random(count) < 0.04
    units[:, OPEN] += in_mid_speech * rng.uniform(0, 0.5, count)
    units[:, LID] *= np.where(in_mid_blink, 0.1, 1.0)
    turn = rng.normal(0, [0.20, 0.12, 0.09], (count, 3))
    place = np.stack([rng.uniform(0.22, 0.31, count), rng.normal(0.5, 0.05, count), rng.normal(0.48, 0.03, count)], 1)
    light = np.concatenate([rng.uniform(0.75, 1.2, (count, 1)), rng.normal(0, [0.40, 0.3, 0.05], (count, 3))], 1)
    backdrops = [sample_backdrop(rng, size, size) for _ in range(count)]
    occluders = [sample_occluder(rng) if rng.random() < 0.15 else None for _ in range(count)]
    scene = Scene(persons, units, np.concatenate([turn, place * size], 1), light, backdrops, occluders)
    frames, landmarks = render(scene)
    for frame in frames:
        frame[:] = add_noise(rng, frame, float(rng.uniform(1, 10)))
    return Pictures(frames, landmarks, valence, arousal)


def render_clip(
    rng: np.random.Generator,
    person: Identities,
    length: int,
    height: int,
    width: int,
    fps: int,
    motion_cues: bool = True,
) -> Pictures:
    """Render one clip of a person: so many frames of so many pixels.

    With motion cues, nods, shakes, tremor and blinks carry affect, and speech and fast noise hide it. Without them time
    is worth nothing to an ideal reader: the negative control.
    """
    clock = _Clock(rng, length, 1.0 / fps)
    valence, arousal = _labels(clock, fps)
    units = action_units(EXPRESSIVENESS * valence, EXPRESSIVENESS * arousal, person.take(np.zeros(length, int)))
    units += clock.drifts(1.0, 0.06, len(ACTION_UNITS))
    if motion_cues:
        units += clock.drifts(0.06, 0.16, len(ACTION_UNITS))
        _speak(clock, units, fps)
        _blink(clock, units, (arousal + 1) / 2)
    units[:, GAZE] = clock.drift(0.5, 0.4)
    pose = _pose(clock, valence, (arousal + 1) / 2, height, width, motion_cues)
    flicker = 0.04 if motion_cues else 0.0
    light = np.stack(
        [
            rng.uniform(0.8, 1.15) * (1 + clock.drift(0.05, flicker)),
            rng.normal(0, 0.35) + clock.drift(2.0, 0.1),
            np.full(length, rng.normal(0, 0.2)),
            np.full(length, rng.normal(0, 0.04)),
        ],
        1,
    )
    persons = person.take(np.zeros(length, int))
    occluders = _occlusions(clock, fps)
    backdrop = sample_backdrop(rng, height, width)
    frames, landmarks = render(Scene(persons, units, pose, light, [backdrop] * length, occluders))
    _blur_motion(frames, landmarks)
    sd = float(rng.uniform(3, 12))
    for t in range(length):
        frames[t] = add_noise(rng, frames[t], sd)
    return Pictures(frames, landmarks, valence, arousal)


class _Clock:
    """Random processes over the frames of a clip."""

    def __init__(self, rng: np.random.Generator, length: int, step_s: float) -> None:
        self.rng, self.length, self.step_s = rng, length, step_s

    def drifts(self, time_s: float, sd: float, count: int) -> np.ndarray:
        """Draw stationary Ornstein-Uhlenbeck processes, ``(length, count)``."""
        keep = np.exp(-self.step_s / time_s)
        noise = self.rng.normal(0, sd * np.sqrt(1 - keep**2), (self.length, count))
        noise[0] = self.rng.normal(0, sd, count)
        for t in range(1, self.length):
            noise[t] += keep * noise[t - 1]
        return noise

    def drift(self, time_s: float, sd: float) -> np.ndarray:
        """Draw one process, ``(length,)``."""
        return self.drifts(time_s, sd, 1)[:, 0]


def _smooth(values: np.ndarray, frames: int) -> np.ndarray:
    window = np.hanning(frames + 2)[1:-1]
    padded = np.pad(values, (frames // 2, frames - 1 - frames // 2), mode="edge")
    return np.convolve(padded, window / window.sum(), "valid")


def _labels(clock: _Clock, fps: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw smooth trajectories of valence and arousal inside the unit disc."""
    width = int(0.6 * fps) | 1
    valence, arousal = (
        clock.rng.normal(0, LABEL_SD * 0.8) + _smooth(clock.drift(LABEL_TIME_S, LABEL_SD), width) for _ in range(2)
    )
    radius = np.maximum(1, np.hypot(valence, arousal) / 0.98)
    return valence / radius, arousal / radius


def _speak(clock: _Clock, units: np.ndarray, fps: int) -> None:
    """Open the mouth in syllables, whatever the affect."""
    rng, talking = clock.rng, np.zeros(clock.length)
    on = rng.random() < 0.4
    for t in range(clock.length):
        if rng.random() < clock.step_s / (1.2 if on else 1.5):
            on = not on
        talking[t] = on
    envelope = _smooth(talking, 5) * rng.uniform(0.25, 0.5)
    phase = 2 * np.pi * np.cumsum((3.5 + rng.normal(0, 0.5) + clock.drift(0.3, 0.8)) * clock.step_s)
    units[:, OPEN] += envelope * (0.5 + 0.5 * np.sin(phase))
    units[:, STRETCH] += envelope * 0.3 * np.sin(phase * 0.7)


def _blink(clock: _Clock, units: np.ndarray, activity: np.ndarray) -> None:
    """Shut the lids briefly, more often with arousal."""
    t = 0
    while t < clock.length:
        if clock.rng.random() < (0.2 + 0.7 * activity[t] ** 2) * clock.step_s:
            for k, share in enumerate((0.4, 0.05, 0.05, 0.45)):
                if t + k < clock.length:
                    units[t + k, LID] *= share
            t += 8
        t += 1


def _pose(
    clock: _Clock, valence: np.ndarray, activity: np.ndarray, height: int, width: int, motion_cues: bool
) -> np.ndarray:
    """Move the head: nods when pleased, shakes when displeased, faster and wider with arousal."""
    rng = clock.rng
    yaw = rng.normal(0, 0.12) + clock.drift(1.5, 0.10)
    pitch = rng.normal(0, 0.08) + clock.drift(1.5, 0.06)
    roll = rng.normal(0, 0.05) + clock.drift(1.5, 0.05)
    if motion_cues:
        rate = (0.5 + 1.8 * activity) * np.exp(clock.drift(1.0, 0.15))
        swing = (0.02 + 0.10 * activity) * np.exp(clock.drift(1.5, 0.25))
        nod = 0.5 + 0.5 * np.clip(1.5 * valence, -1, 1)
        phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(rate * clock.step_s)
        tremor = 0.004 + 0.022 * activity**2
        pitch = pitch + swing * nod * np.sin(phase) + tremor * rng.normal(0, 1, clock.length)
        yaw = yaw + 1.3 * swing * (1 - nod) * np.sin(phase)
        roll = roll + tremor * rng.normal(0, 1, clock.length)
    scale = rng.uniform(0.24, 0.29) * height * (1 + clock.drift(2.0, 0.03))
    x = width * (0.5 + rng.normal(0, 0.03) + clock.drift(1.0, 0.02))
    y = height * (0.48 + clock.drift(1.0, 0.015))
    return np.stack([yaw, pitch, roll, scale, x, y], 1)


def _occlusions(clock: _Clock, fps: int) -> list[Occluder | None]:
    """Draw what crosses the face now and then: an ellipse or None for each frame."""
    occluders: list[Occluder | None] = [None] * clock.length
    t = 0
    while t < clock.length:
        if clock.rng.random() < 0.12 * clock.step_s:
            x, y, wide, high, angle, colour = sample_occluder(clock.rng)
            frames, travel = int(clock.rng.uniform(0.2, 0.6) * fps), clock.rng.normal(0, 1.2)
            for k in range(min(frames, clock.length - t)):
                occluders[t + k] = (x + travel * (k / frames - 0.5), y, wide * 1.5, high * 1.5, angle, colour)
            t += frames
        t += 1
    return occluders


def _blur_motion(frames: np.ndarray, landmarks: np.ndarray) -> None:
    """Smear each frame along the faster axis of the nose tip's motion, in place."""
    if len(frames) < 2:
        return
    speed = np.abs(np.gradient(landmarks[:, 30], axis=0))
    for t, (x, y) in enumerate(speed):
        smear = round(max(x, y) * 0.6)
        if smear >= 1:
            frames[t] = cv2.blur(frames[t], (smear + 1, 1) if x > y else (1, smear + 1))
