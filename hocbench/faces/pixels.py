"""Pictures of any kind as 8-bit RGB: grey, 16-bit and CMYK ones, and those that EXIF turns."""

import io
import warnings

import cv2
import numpy as np
from PIL import Image

from hocbench.datasets.pictures import is_cut_short
from hocbench.errors import FaceError

PNG = b"\x89PNG\r\n\x1a\n"
MOST_PIXELS = 100_000_000  # larger ones are bombs; a 300-megabyte picture would take the memory of ten workers


class PictureError(FaceError):
    """A picture cannot be read; the text is the reason."""


def read_picture(content: bytes) -> np.ndarray:
    """Decode a picture.

    Parameters
    ----------
    content : bytes
        The file.

    Returns
    -------
    ndarray, shape (H, W, 3), uint8
        RGB, upright as EXIF says, alpha left out, 16 bits scaled to 8.

    Raises
    ------
    PictureError
        If it is empty, cut short, too large or not a picture.
    """
    if not content:
        raise PictureError("empty file")
    if is_cut_short(content):
        # OpenCV would fill the missing part with grey and say nothing.
        raise PictureError("cut short")
    width, height = _size(content)
    if width * height > MOST_PIXELS:
        raise PictureError(f"{width}×{height} pixels, more than {MOST_PIXELS // 10**6} million")
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise PictureError("damaged")
    return picture


def _size(content: bytes) -> tuple[int, int]:
    """Read width and height from the header."""
    if content.startswith(PNG) and len(content) > 24:
        return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    try:
        with warnings.catch_warnings():
            # Pillow warns of what is refused here anyway.
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(content)).size
    except Exception as error:  # Pillow raises nearly anything for damaged headers
        raise PictureError("not a picture") from error
