"""Drawing of synthetic faces with OpenCV's anti-aliased fills."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from hocbench.opencv import cv2
from hocbench.synthetic.face import BROW_IN, CURVE, OPEN, SQUINT, Identities, face_geometry

BITS = 4  # sub-pixel bits of OpenCV's fixed-point coordinates
NEUTRAL_SHADE, CHEEK, SOCKET, NOSE, RIM = 128, 150, 78, 150, 98  # soft shading; below neutral is darker
# Backdrops and the noise of a sensor are part of the renderer, not of a dataset, so their seeds are fixed.
BACKDROP_SEED, BACKDROPS = 7, 48
NOISE_SEED, NOISE_SD = 20200614, 25.0

Occluder = tuple[float, float, float, float, float, tuple[float, float, float]]


@dataclass(frozen=True)
class Scene:
    """N pictures to be drawn.

    Attributes
    ----------
    persons : Identities
        N persons.
    units : ndarray, (N, 8)
        Action units.
    pose : ndarray, (N, 6)
        See `project`.
    light : ndarray, (N, 4)
        Gain, gradient to the right, gradient downwards, warmth.
    backdrops : list of ndarray, (H, W, 3)
        Background of each picture.
    occluders : list
        None, or centre x, y and half axes in face units, angle in degrees, BGR colour.
    """

    persons: Identities
    units: np.ndarray
    pose: np.ndarray
    light: np.ndarray
    backdrops: list[np.ndarray]
    occluders: list[Occluder | None]


def render(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Draw N pictures, (N, H, W, 3) uint8 BGR; returns them and their landmarks, (N, 68, 2) in pixels."""
    shapes = {name: project(shape, scene.pose) for name, shape in face_geometry(scene.persons, scene.units).items()}
    landmarks = shapes.pop("landmarks")
    fixed = {name: np.round(shape * (1 << BITS)).astype(np.int32) for name, shape in shapes.items()}
    height, width = scene.backdrops[0].shape[:2]
    pictures = np.empty((len(scene.units), height, width, 3), np.uint8)
    for i in range(len(pictures)):
        pictures[i] = _Face(scene, i, {name: shape[i] for name, shape in fixed.items()}).draw()
    return pictures, landmarks


def project(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Turn, scale and shift points ``(N, k, 3)`` into the picture, ``(N, k, 2)`` in pixels.

    ``pose`` is ``(N, 6)``: yaw, pitch, roll in radians, pixels per unit, x and y of the middle in pixels.
    """
    yaw, pitch, roll, scale, x0, y0 = pose.T[:, :, None]
    x, y, z = np.moveaxis(points, -1, 0)
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y = y * np.cos(pitch) - z * np.sin(pitch)
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    return np.stack([x * scale + x0, y * scale + y0], -1)


class _Face:
    """One picture in the making."""

    def __init__(self, scene: Scene, i: int, shapes: dict[str, np.ndarray]) -> None:
        self.scene, self.i, self.shapes = scene, i, shapes
        self.picture = scene.backdrops[i].copy()
        self.scale = float(scene.pose[i, 3])
        self.angle = float(np.degrees(scene.pose[i, 2]))
        self.skin = scene.persons.skin[i]
        self.hair = tuple(scene.persons.hair[i].tolist())

    def draw(self) -> np.ndarray:
        self._head()
        self._shade()
        if self.scene.persons.beard[self.i]:
            self._beard()
        self._eyes()
        self._wrinkles()
        self._mouth()
        self._fill("fringe", self.hair)
        if self.scene.persons.glasses[self.i]:
            for side in ("left", "right"):
                axes = (self._length(0.30), self._length(0.22))
                self._ellipse(
                    self.picture, self._point(f"socket_{side}"), axes, self.angle, (25, 25, 25), self._line(0.02)
                )
        self._occlude()
        return self._lit()

    def _tone(self, factor: float, red: float = 0.0) -> tuple[float, ...]:
        return tuple(np.clip(self.skin * factor + [0, 0, red], 0, 255).tolist())

    def _line(self, share: float) -> int:
        return max(1, round(self.scale * share))

    def _length(self, share: float) -> int:
        return int(self.scale * share * (1 << BITS))

    def _point(self, name: str) -> tuple[int, int]:
        x, y = self.shapes[name][0]
        return int(x), int(y)

    def _fill(self, name: str, colour: tuple[float, ...]) -> None:
        cv2.fillPoly(self.picture, [self.shapes[name]], colour, cv2.LINE_AA, BITS)

    def _stroke(self, points: np.ndarray, colour: tuple[float, ...], share: float) -> None:
        cv2.polylines(self.picture, [np.ascontiguousarray(points)], False, colour, self._line(share), cv2.LINE_AA, BITS)

    @staticmethod
    def _ellipse(
        image: np.ndarray,
        centre: tuple[int, int],
        axes: tuple[int, int],
        angle: float,
        colour: tuple[float, ...],
        line: int,
    ) -> None:
        cv2.ellipse(image, centre, axes, angle, 0, 360, colour, line, cv2.LINE_AA, BITS)

    def _head(self) -> None:
        self._fill("hair_back", self.hair)
        self._fill("body", tuple(self.scene.persons.cloth[self.i].tolist()))
        for name, factor in (("neck", 0.72), ("ear_left", 0.85), ("ear_right", 0.85), ("face", 1.0)):
            self._fill(name, self._tone(factor))

    def _shade(self) -> None:
        """Darken sockets and rim, brighten cheeks and nose, softly: what Haar cascades look for."""
        height, width = self.picture.shape[:2]
        mask = np.full((height // 2, width // 2), NEUTRAL_SHADE, np.uint8)
        for part, wide, high, level in (("cheek", 0.32, 0.26, CHEEK), ("socket", 0.36, 0.22, SOCKET)):
            for side in ("left", "right"):
                x, y = self._point(f"{part}_{side}")
                axes = (self._length(wide) // 2, self._length(high) // 2)
                cv2.ellipse(mask, (x // 2, y // 2), axes, self.angle, 0, 360, level, -1, cv2.LINE_8, BITS)
        cv2.fillPoly(mask, [self.shapes["nose"] // 2], NOSE, cv2.LINE_8, BITS)
        rim = self.shapes["face"][:17] // 2
        cv2.polylines(mask, [rim], False, RIM, max(1, int(self.scale * 0.09)), cv2.LINE_8, BITS)
        blur = max(3, int(self.scale * 0.11) | 1)
        mask = cv2.blur(cv2.blur(mask, (blur, blur)), (blur, blur))
        mask = cv2.cvtColor(cv2.resize(mask, (width, height)), cv2.COLOR_GRAY2BGR)
        self.picture = cv2.multiply(self.picture, mask, scale=1 / NEUTRAL_SHADE)

    def _beard(self) -> None:
        outline = [self.shapes["face"][3:14], self.shapes["fold_right"][::-1][:3], self.shapes["fold_left"][2:]]
        covered = self.picture.copy()
        cv2.fillPoly(covered, [np.concatenate(outline)], self.hair, cv2.LINE_AA, BITS)
        self.picture = cv2.addWeighted(covered, 0.55, self.picture, 0.45, 0)

    def _eyes(self) -> None:
        # Sclera dims with the skin, as in photographs.
        white = min(222.0, 0.62 * float(self.skin.mean()) + 62)
        iris = tuple(self.scene.persons.iris[self.i].tolist())
        for side in ("left", "right"):
            self._fill(f"sclera_{side}", (white, white + 3, white + 6))
            centre = self._point(f"iris_{side}")
            cv2.circle(self.picture, centre, self._length(0.105), iris, -1, cv2.LINE_AA, BITS)
            cv2.circle(self.picture, centre, self._length(0.05), (8, 8, 8), -1, cv2.LINE_AA, BITS)
            self._fill(f"lid_upper_{side}", self._tone(0.80))
            self._fill(f"lid_lower_{side}", self._tone(0.86))
            self._stroke(self.shapes[f"lash_{side}"], (20, 18, 20), 0.045)
            self._stroke(self.shapes[f"bag_{side}"], self._tone(0.6), 0.02)
            self._fill(f"brow_{side}", tuple(0.75 * value for value in self.hair))

    def _wrinkles(self) -> None:
        units = self.scene.units[self.i]
        self._stroke(self.shapes["nose"][:2], self._tone(0.74), 0.03)
        self._stroke(self.shapes["nose"][1:3], self._tone(0.5), 0.04)
        fold = float(np.clip(0.55 * np.clip(units[SQUINT], 0, 1) + 0.25 * abs(units[CURVE]), 0, 0.6))
        if fold > 0.12:
            for side in ("left", "right"):
                self._stroke(self.shapes[f"fold_{side}"], self._tone(1 - 0.55 * fold), 0.03)
        if units[BROW_IN] < -0.15:
            colour = self._tone(1 - 0.5 * min(0.8, -float(units[BROW_IN])))
            for half in (self.shapes["furrow"][:2], self.shapes["furrow"][2:]):
                self._stroke(half, colour, 0.03)

    def _mouth(self) -> None:
        opening = float(np.clip(self.scene.units[self.i, OPEN], 0, 1))
        self._fill("lips", self._tone(0.72, 28 * float(self.scene.persons.shape["lip_colour"][self.i, 0])))
        if opening > 0.04:
            self._fill("mouth_inside", (25, 18, 45))
        if opening > 0.10:
            white = min(228.0, 1.15 * float(self.skin.mean()) + 70)
            self._fill("teeth", (white, white + 5, white + 8))
        if opening <= 0.12:
            self._stroke(self.shapes["mouth_line"], (30, 25, 50), 0.02)

    def _occlude(self) -> None:
        occluder = self.scene.occluders[self.i]
        if occluder is not None:
            x, y, wide, high, angle, colour = occluder
            pose = self.scene.pose[self.i]
            centre = (int((pose[4] + x * self.scale) * (1 << BITS)), int((pose[5] + y * self.scale) * (1 << BITS)))
            self._ellipse(self.picture, centre, (self._length(wide), self._length(high)), angle, colour, -1)

    def _lit(self) -> np.ndarray:
        gain, right, down, warm = self.scene.light[self.i].tolist()
        x, y = _grid(*self.picture.shape[:2])
        ramp = (gain * (1 + right * x + down * y)).astype(np.float32)
        light = cv2.merge([ramp * np.float32(1 - warm), ramp, ramp * np.float32(1 + warm)])
        return cv2.multiply(self.picture, light, dtype=cv2.CV_8U)


@cache
def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x / width - 0.5, y / height - 0.5


@cache
def _backdrops(height: int, width: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(BACKDROP_SEED)
    return tuple(_make_backdrop(rng, 2 * height, 2 * width) for _ in range(BACKDROPS))


def _make_backdrop(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    cells = int(rng.integers(3, 9))
    noise = rng.integers(20, 235, (cells, cells, 3)).astype(np.uint8)
    smooth = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    share = rng.uniform(0.25, 0.9)
    picture = (smooth * share + rng.uniform(10, 235, 3) * (1 - share)).astype(np.uint8)
    for _ in range(int(rng.integers(0, 5))):
        x1, y1, x2, y2 = rng.integers(-20, max(height, width) + 20, 4).tolist()
        colour = tuple(rng.integers(10, 245, 3).tolist())
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, -1 if rng.random() < 0.6 else 2)
    return picture


def sample_backdrop(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Cut a random window out of one of a few large backdrops, ``(height, width, 3)`` uint8."""
    which, y, x, mirrored = rng.random(4)
    large = _backdrops(height, width)[int(which * BACKDROPS)]
    window = large[int(y * height) : int(y * height) + height, int(x * width) : int(x * width) + width]
    return np.ascontiguousarray(window[:, ::-1] if mirrored < 0.5 else window)


def sample_occluder(rng: np.random.Generator) -> Occluder:
    """Draw an ellipse that hides part of a face."""
    x, y = float(rng.uniform(-0.9, 0.9)), float(rng.uniform(-0.7, 1.1))
    wide, high, angle = float(rng.uniform(0.12, 0.36)), float(rng.uniform(0.12, 0.36)), float(rng.uniform(0, 180))
    blue, green, red = rng.integers(10, 240, 3).astype(float).tolist()
    return x, y, wide, high, angle, (blue, green, red)


@cache
def _noise_pool() -> np.ndarray:
    noise = np.random.default_rng(NOISE_SEED).normal(0, NOISE_SD, 1 << 20)
    return np.clip(noise, -127, 127).astype(np.int8)


def add_noise(rng: np.random.Generator, picture: np.ndarray, sd: float) -> np.ndarray:
    """Add sensor noise of ``sd`` grey levels; drawn from a shared pool for speed."""
    pool = _noise_pool()
    start = int(rng.integers(0, pool.size - picture.size))
    noise = pool[start : start + picture.size].reshape(picture.shape)
    return cv2.addWeighted(picture, 1.0, noise, sd / NOISE_SD, 0.0, dtype=cv2.CV_8U)
