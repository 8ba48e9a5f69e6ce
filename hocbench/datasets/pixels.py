"""Pictures of any kind as 8-bit RGB: grey, 16-bit and CMYK ones, and those that EXIF turns."""

import io
import warnings

import numpy as np
import simplejpeg
from PIL import Image

from hocbench.errors import FaceError
from hocbench.opencv import cv2

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
BEGINNINGS = {JPEG: b"\xff\xda", PNG: b"IDAT"}  # and what comes before the pixels of such files
MOST_PIXELS = 100_000_000  # larger ones are bombs; a 300-megabyte picture would take the memory of ten workers
CUT = "Premature end of JPEG file"
# What libjpeg warns of in whole pictures: markers that say nothing of the pixels, and a sampling of colours that only
# its wrapper does not know.
HARMLESS = ("Unknown Adobe", "Warning: unknown JFIF", "Corrupt JPEG data: bad ICC", "tj")


class PictureError(FaceError):
    """A picture cannot be read; the text is the reason."""


def read_picture(content: bytes) -> np.ndarray:
    """Decode a picture, to its end: one that is damaged anywhere, as far as its decoder can tell, is refused.

    What follows the end of a picture, as the film of a motion photograph, is no part of it. Returns (H, W, 3), uint8,
    RGB, upright as EXIF says, alpha left out, 16 bits scaled to 8.

    Raises
    ------
    PictureError
        If it is empty, cut short, damaged, too large or not a picture.
    """
    header = open_header(content)
    width, height = header.size
    if width * height > MOST_PIXELS:
        raise PictureError(f"{width}×{height} pixels, more than {MOST_PIXELS // 10**6} million")
    if content.startswith(JPEG):
        picture = _decode_jpeg(content)
        # OpenCV turns pictures as EXIF says.
        if picture is not None and "exif" not in header.info:
            return picture
    elif header.format == "TIFF":
        _check_tiff(header)
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise PictureError(_how_damaged(header))
    return picture


def open_header(content: bytes) -> Image.Image:
    """Read the header of a picture, nothing after it; what is none, or cannot be read, raises a PictureError."""
    if not content:
        raise PictureError("empty file")
    try:
        with warnings.catch_warnings():
            # Pillow warns of what is refused here anyway.
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(content))
    except Image.DecompressionBombError:
        raise PictureError(f"more than {MOST_PIXELS // 10**6} million pixels") from None
    except Exception as error:  # Pillow raises nearly anything for damaged headers
        kinds = [pixels for start, pixels in BEGINNINGS.items() if content.startswith(start)]
        what = "not a picture" if not kinds else "damaged" if kinds[0] in content else "cut short"
        raise PictureError(what) from error


def _decode_jpeg(content: bytes) -> np.ndarray | None:
    """Decode a JPEG, minding the warnings of libjpeg; None for a whole one that OpenCV has to decode.

    OpenCV prints these warnings, without the name of a file, and goes on. The pixels are the same.
    """
    try:
        return np.asarray(simplejpeg.decode_jpeg(content, "RGB"))
    except ValueError as error:
        reason = str(error).strip()
    if reason.startswith(CUT):
        raise PictureError("cut short")
    if reason.startswith(HARMLESS):
        return None
    raise PictureError(f"damaged ({reason})")


def _how_damaged(header: Image.Image) -> str:
    try:
        header.verify()
    except Exception as error:  # as above
        # A PNG without its end chunk is broken there.
        return "cut short" if "truncated" in str(error).lower() or "(chunk " in str(error) else "damaged"
    return "damaged"


def _check_tiff(header: Image.Image) -> None:
    """Refuse a TIFF whose data do not unpack, of which OpenCV makes what it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header.load()
    except Exception as error:  # as above
        raise PictureError(f"damaged ({error})") from error
