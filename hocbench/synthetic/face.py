"""Geometry of a synthetic face: identity and action units in, points in the face frame out; no real person.

x goes to the right, y down, z to the viewer; the unit is half the width of the face. Shapes are those of N faces.
"""

from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from scipy.interpolate import CubicSpline

ACTION_UNITS = ("curve", "open", "lid", "squint", "brow_in", "brow_out", "stretch", "gaze")
CURVE, OPEN, LID, SQUINT, BROW_IN, BROW_OUT, STRETCH, GAZE = range(len(ACTION_UNITS))
# How far eyes open and brows travel; above 1 makes arousal legible in small crops.
EYE_TRAVEL, BROW_TRAVEL = 1.3, 1.6
NEUTRAL = np.array([0.0, 0.1, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0])
# Colours are BGR, as OpenCV draws them.
SKIN = np.array([[150, 185, 232], [120, 160, 215], [90, 130, 190], [66, 102, 158], [54, 82, 130], [165, 195, 225]])
HAIR = np.array([[20, 20, 25], [28, 40, 62], [20, 25, 60], [40, 60, 90], [110, 110, 115], [60, 110, 160]])
IRIS = np.array([[60, 40, 20], [40, 60, 90], [120, 90, 50], [60, 100, 70]])
RANGES = {
    "face_width": (0.92, 1.08),
    "face_height": (0.92, 1.1),
    "jaw": (0.75, 1.1),
    "eye_x": (0.40, 0.46),
    "eye_y": (-0.31, -0.23),
    "eye_width": (0.19, 0.24),
    "eye_opening": (0.085, 0.125),
    "eye_tilt": (-0.03, 0.03),
    "brow_y": (-0.60, -0.52),
    "brow_thickness": (0.045, 0.09),
    "nose_width": (0.15, 0.22),
    "nose_length": (0.26, 0.36),
    "mouth_y": (0.66, 0.74),
    "mouth_width": (0.32, 0.42),
    "lip": (0.055, 0.10),
    "hairline": (-1.15, -0.9),
    "hair_length": (0.0, 1.0),
    "lip_colour": (0.0, 1.0),
}


@dataclass(frozen=True)
class Identities:
    """Looks of N persons.

    Attributes
    ----------
    shape : dict of str to ndarray, (N, 1)
        Sizes and places, keys of `RANGES`.
    skin, hair, iris, cloth : ndarray, (N, 3)
        BGR, 0 to 255.
    glasses, beard : ndarray of bool, (N,)
        Accessories.
    gain, bias : ndarray, (N, 8)
        How strongly and around what a person moves each action unit.
    """

    shape: dict[str, np.ndarray]
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    cloth: np.ndarray
    glasses: np.ndarray
    beard: np.ndarray
    gain: np.ndarray
    bias: np.ndarray

    def take(self, rows: np.ndarray) -> "Identities":
        """Pick or repeat persons."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        shape = {name: value[rows] for name, value in values.pop("shape").items()}
        return Identities(shape=shape, **{name: value[rows] for name, value in values.items()})


def sample_identities(rng: np.random.Generator, count: int, bias_sd: float = 0.12) -> Identities:
    """Draw persons; ``bias_sd`` is the spread of what a person's face shows at rest, in action units."""
    skin = SKIN[rng.integers(0, len(SKIN), count)] * rng.uniform(0.9, 1.08, (count, 1)) + rng.normal(0, 5, (count, 3))
    # Dark skin keeps dark hair: detectors need the contrast of the hair line.
    hair = np.where(skin.mean(1) < 150, rng.integers(0, 3, count), rng.integers(0, len(HAIR), count))
    bias = rng.normal(0, bias_sd, (count, len(ACTION_UNITS)))
    bias[:, GAZE] = 0
    return Identities(
        shape={name: rng.uniform(low, high, (count, 1)) for name, (low, high) in RANGES.items()},
        skin=np.clip(skin, 25, 250),
        hair=HAIR[hair].astype(float),
        iris=IRIS[rng.integers(0, len(IRIS), count)].astype(float),
        cloth=rng.integers(20, 230, (count, 3)).astype(float),
        glasses=rng.random(count) < 0.15,
        beard=rng.random(count) < 0.15,
        gain=rng.uniform(0.8, 1.15, (count, len(ACTION_UNITS))),
        bias=bias,
    )


def action_units(valence: np.ndarray, arousal: np.ndarray, persons: Identities) -> np.ndarray:
    """Return what faces show, loosely after FACS: smile or frown, mouth, lids, cheeks, brows, stretched lips.

    Valence and arousal, (N,), are in [-1, 1]; the result is (N, 8), in the order of `ACTION_UNITS`.
    """
    pleased, upset = np.maximum(valence, 0), np.maximum(-valence, 0)
    awake, tired = np.maximum(arousal, 0), np.maximum(-arousal, 0)
    units = np.zeros((len(valence), len(ACTION_UNITS)))
    units[:, CURVE] = 0.85 * valence + 0.10 * valence * arousal
    units[:, OPEN] = 0.10 + 0.35 * awake + 0.12 * pleased * awake
    units[:, LID] = 0.80 + 0.42 * arousal - 0.12 * pleased
    units[:, SQUINT] = 0.55 * pleased + 0.30 * upset * awake
    units[:, BROW_IN] = 0.45 * arousal + 0.60 * upset * tired - 1.1 * upset * awake
    units[:, BROW_OUT] = 0.50 * arousal - 0.25 * upset
    units[:, STRETCH] = 0.50 * upset * awake
    return (units - NEUTRAL) * persons.gain + persons.bias + NEUTRAL


@cache
def _spline(knots: int, points: int) -> np.ndarray:
    """Return the matrix (points, knots) of a natural cubic spline through equally spaced knots."""
    place = np.linspace(0, knots - 1, points)
    return CubicSpline(np.arange(knots), np.eye(knots), bc_type="natural")(place)


def _smooth(line: np.ndarray, points: int) -> np.ndarray:
    return np.einsum("mk,nkd->nmd", _spline(line.shape[1], points), line)


def _depth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.75 * np.sqrt(np.clip(1 - (x / 1.08) ** 2 - (y / 1.5) ** 2, 0, 1))


def _on_face(x: np.ndarray, y: np.ndarray, lift: np.ndarray | float = 0.0) -> np.ndarray:
    x, y = np.broadcast_arrays(x, y)
    return _flat(x, y, _depth(x, y) + lift)


def _flat(x: np.ndarray, y: np.ndarray, z: np.ndarray | float) -> np.ndarray:
    return np.stack(np.broadcast_arrays(x, y, z), -1)


def _outline(p: dict[str, np.ndarray], opening: np.ndarray) -> dict[str, np.ndarray]:
    """Jaw (17 landmarks), forehead, hair, ears, neck and body."""
    width, height = p["face_width"], p["face_height"]
    angle = np.linspace(np.pi, 0, 17)[None]
    sine = np.clip(np.sin(angle), 0, 1)
    x = width * np.cos(angle) * (1 - (1 - p["jaw"]) * 0.35 * sine**2) * (1 - 0.10 * sine**4)
    jaw = _flat(x, -0.20 + (1.42 + 0.20 * opening) * height * sine**0.85, 0)
    top = np.linspace(0, -np.pi, 13)[None, 1:-1]
    forehead = _flat(width * np.cos(top), -0.20 + 1.12 * height * np.sin(top), 0)
    crown = np.linspace(0.25, -np.pi - 0.25, 19)[None]
    hair = _flat(1.13 * width * np.cos(crown), -0.22 + 1.28 * height * np.sin(crown), -0.15)
    tips = _flat(1.1 * width * np.array([[-1, 1]]), p["hair_length"] * 1.2 - 0.1, -0.2)
    across = np.linspace(-1, 1, 9)[None]
    line_y = p["hairline"] + 0.5 * across**4 + 0.04 * np.sin(9 * across * width)
    line_x = across * width
    fringe = _flat(line_x, line_y, _depth(line_x * 0.8, np.full_like(line_x, -1.0)))
    around = np.linspace(0, 2 * np.pi, 9)[None, :-1]
    ears = {
        f"ear_{side}": _flat(sign * width * 0.99 + 0.11 * np.cos(around), -0.12 + 0.24 * np.sin(around), -0.15)
        for sign, side in ((-1, "left"), (1, "right"))
    }
    neck = np.array([[-0.5, 0.6], [0.5, 0.6], [0.55, 1.75], [-0.55, 1.75]])
    body = np.array(
        [[-0.55, 1.5], [0.55, 1.5], [1.3, 1.85], [2.1, 2.3], [2.3, 4], [-2.3, 4], [-2.1, 2.3], [-1.3, 1.85]]
    )
    outline = {
        "jaw": jaw,
        "face": np.concatenate([jaw, forehead], 1),
        "hair_back": np.concatenate([hair, tips], 1),
        "fringe": np.concatenate([fringe, hair[:, 2:-2]], 1),
    }
    for name, shape in (("neck", neck), ("body", body)):
        outline[name] = np.broadcast_to(np.c_[shape, np.full(len(shape), -0.3)], (len(opening), len(shape), 3))
    return outline | ears


def _brows(p: dict[str, np.ndarray], brow_in: np.ndarray, brow_out: np.ndarray) -> dict[str, np.ndarray]:
    """Two brows of 5 landmarks each, left to right, and their polygons."""
    u = np.linspace(0, 1, 5)[None]  # from the outer end inwards
    arch = 0.07 * np.sin(np.pi * u * 0.9)
    lift = BROW_TRAVEL * (0.13 * brow_out * (1 - u) + 0.17 * brow_in * u**1.3)
    y = p["brow_y"] - 0.06 * (EYE_TRAVEL - 1) - arch - lift
    x = 0.74 - (0.54 - 0.05 * np.minimum(brow_in, 0)) * u + 0 * y
    thickness = p["brow_thickness"] * (0.35 + 0.65 * np.sin(np.pi * (0.15 + 0.8 * u)))
    lines = {"left": (_on_face(-x, y), thickness), "right": (_on_face(x, y)[:, ::-1], thickness[:, ::-1])}
    out = {}
    for side, (line, thick) in lines.items():
        down = thick[..., None] * np.array([0, 1, 0])
        out[f"brow_line_{side}"] = line
        out[f"brow_{side}"] = np.concatenate([line - 0.3 * down, (line + 0.9 * down)[:, ::-1]], 1)
    return out


def _eye(
    p: dict[str, np.ndarray], sign: int, lid: np.ndarray, squint: np.ndarray, gaze: np.ndarray
) -> dict[str, np.ndarray]:
    """One eye: upper and lower lid line, lids as polygons over the eyeball, iris and soft shading."""
    width = p["eye_width"] * (1 + 0.3 * (EYE_TRAVEL - 1))
    full = p["eye_opening"] * EYE_TRAVEL
    opening = full * lid
    x0, y0 = sign * p["eye_x"], p["eye_y"]
    x = np.linspace(-1, 1, 7)[None] * width
    slope = y0 - p["eye_tilt"] * sign * x / width
    profile = np.sqrt(np.clip(1 - (x / width) ** 2, 0, 1)) ** 1.2
    upper = slope - 1.15 * opening * profile
    lower = slope + (0.75 - 0.75 * squint) * np.minimum(opening, full * 1.1) * profile - 0.035 * squint * profile
    lower = np.maximum(lower, upper)
    socket_top = slope - (full * 1.9 + 0.02) * profile
    socket_bottom = slope + (full * 1.5 + 0.02) * profile
    top, bottom = _on_face(x0 + x, upper), _on_face(x0 + x, lower)
    lash, bag = _smooth(top, 13), _smooth(bottom, 13)
    wide = x0 + x * 1.08
    return {
        "top": top,
        "bottom": bottom,
        "sclera": np.concatenate([lash, bag[:, ::-1]], 1),
        "lid_upper": np.concatenate([_smooth(_on_face(wide, socket_top), 9), _on_face(wide, upper)[:, ::-1]], 1),
        "lid_lower": np.concatenate([_on_face(wide, lower), _smooth(_on_face(wide, socket_bottom), 9)[:, ::-1]], 1),
        "lash": lash,
        "bag": bag,
        "iris": _on_face(x0 + 0.10 * gaze, y0 - 0.01),
        "socket": _on_face(x0, y0 - 0.05),
        "cheek": _on_face(x0 * 1.15, 0.28 - 0.06 * squint),
    }


def _mouth(
    p: dict[str, np.ndarray], curve: np.ndarray, opening: np.ndarray, stretch: np.ndarray
) -> dict[str, np.ndarray]:
    """Lips as four lines of 7 points, and what stands between them."""
    y0 = p["mouth_y"] + 0.02 * opening - 0.03 * np.abs(curve)
    width = p["mouth_width"] * (1 + 0.20 * np.maximum(curve, 0) + 0.18 * stretch - 0.12 * opening)
    x = np.linspace(-1, 1, 7)[None]
    round_ = 1 - x**2
    bend = -0.17 * curve * x**2 + 0.06 * curve * round_
    gap = 0.36 * opening
    bow = np.array([[0, 0, 0.12, -0.12, 0.12, 0, 0]])
    inner_top, inner_bottom = y0 + bend - 0.25 * gap * round_, y0 + bend + 0.75 * gap * round_
    outer_top = inner_top - p["lip"] * round_**0.6 * (1 + bow)
    outer_bottom = inner_bottom + 1.25 * p["lip"] * round_**0.7
    lines = [_on_face(width * x, y, 0.03) for y in (outer_top, outer_bottom, inner_top, inner_bottom)]

    def between(share: float, top: np.ndarray, bottom: np.ndarray, points: int) -> np.ndarray:
        upper, lower = (_smooth(_on_face(width * x * share, y, 0.03), points) for y in (top, bottom))
        return np.concatenate([upper, lower[:, ::-1]], 1)

    return {
        "mouth_lines": np.stack(lines, 1),
        "lips": between(1.0, outer_top, outer_bottom, 13),
        "mouth_inside": between(0.93, inner_top, inner_bottom, 11),
        "teeth": between(0.8, inner_top, np.minimum(inner_top + 0.085, inner_bottom), 9),
        "mouth_line": _smooth(_on_face(width * x * 0.97, (inner_top + inner_bottom) / 2, 0.03), 11),
        "mouth_width": width,
        "mouth_centre_y": y0,
    }


def face_geometry(persons: Identities, units: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the shapes of N faces from their action units, (N, 8).

    They are polygons and lines in the face frame, (N, k, 3), by name; ``landmarks`` is the 68-point scheme.
    """
    p = persons.shape
    low = np.array([-1.2, 0, 0.02, 0, -1.2, -1.2, 0, -np.inf])
    high = np.array([1.2, 1, 1.5, 1, 1.2, 1.2, 1, np.inf])
    curve, opening, lid, squint, brow_in, brow_out, stretch, gaze = np.clip(units, low, high).T[:, :, None]
    shapes = _outline(p, opening) | _brows(p, brow_in, brow_out)
    eyes = {side: _eye(p, sign, lid, squint, gaze) for sign, side in ((-1, "left"), (1, "right"))}
    for side, eye in eyes.items():
        shapes |= {f"{name}_{side}": shape for name, shape in eye.items()}
    mouth = _mouth(p, curve, opening, stretch)
    mouth_width, mouth_y = mouth.pop("mouth_width"), mouth.pop("mouth_centre_y")
    root_y = p["eye_y"] + 0.05
    tip_y = root_y + p["nose_length"] + 0.20
    along = np.linspace(0, 1, 4)[None]
    bridge = _on_face(0 * along, root_y + (tip_y - root_y) * along, 0.06 + 0.18 * along)
    across = np.linspace(-1, 1, 5)[None]
    base_y = tip_y + 0.10 - 0.05 * np.abs(across) - 0.03 * squint
    base = _on_face(p["nose_width"] * across, base_y, 0.10 - 0.06 * np.abs(across))
    shapes["nose"] = np.concatenate([bridge[:, :1], base[:, [0, 1]], bridge[:, 3:]], 1)
    u = np.linspace(0, 1, 5)[None]
    for sign, side in ((-1, "left"), (1, "right")):
        fold_x = sign * (0.22 + (mouth_width - 0.12) * u + 0.03 * np.sin(np.pi * u))
        fold_y = (tip_y + 0.05) * (1 - u) + (mouth_y - 0.12 * curve) * u - 0.03 * squint
        shapes[f"fold_{side}"] = _on_face(fold_x, fold_y)
    furrow_x, furrow_y = np.array([[-0.07, -0.06, 0.06, 0.07]]), np.array([[-0.02, 0.16, 0.16, -0.02]])
    shapes["furrow"] = _on_face(furrow_x, p["brow_y"] + furrow_y)
    outer_top, outer_bottom, inner_top, inner_bottom = np.moveaxis(mouth.pop("mouth_lines"), 1, 0)
    shapes |= mouth
    shapes["landmarks"] = np.concatenate(
        [
            *(shapes.pop(name) for name in ("jaw", "brow_line_left", "brow_line_right")),
            bridge,
            base,
            *(np.concatenate([eye["top"][:, [0, 2, 4, 6]], eye["bottom"][:, [4, 2]]], 1) for eye in eyes.values()),
            outer_top,
            outer_bottom[:, 5:0:-1],
            inner_top[:, [0, 2, 3, 4, 6]],
            inner_bottom[:, [4, 3, 2]],
        ],
        1,
    )
    return shapes
