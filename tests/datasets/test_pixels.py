"""Pictures of every kind become the same 8-bit RGB pixels, or a reason."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from hocbench.datasets import pixels
from hocbench.datasets.pixels import PictureError, read_picture

PHOTOGRAPH = data.astronaut()[:200, 100:340]


def encoded(kind, picture=PHOTOGRAPH, mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(file, kind, **options)
    return file.getvalue()


def difference(picture, truth=PHOTOGRAPH):
    assert (picture.shape, picture.dtype) == (truth.shape, np.uint8)
    return np.abs(picture.astype(int) - truth).mean()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_pictures_without_loss_are_read_exactly(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert difference(read_picture(encoded(kind, **options))) == 0


def test_jpeg_is_read_closely():
    assert difference(read_picture(encoded("JPEG", quality=95))) < 3


def test_grey_pictures_get_three_equal_channels():
    for kind in ("PNG", "JPEG"):
        picture = read_picture(encoded(kind, mode="L"))
        assert (picture == picture[..., :1]).all()
        assert difference(picture[..., 0], np.asarray(Image.fromarray(PHOTOGRAPH).convert("L"))) < 3


def test_16_bits_become_8():
    _, content = cv2.imencode(".png", PHOTOGRAPH[..., ::-1].astype(np.uint16) * 257)
    assert difference(read_picture(content.tobytes())) < 1


def test_cmyk_is_converted():
    assert difference(read_picture(encoded("JPEG", mode="CMYK", quality=95))) < 6


def test_alpha_and_palette_are_resolved():
    assert difference(read_picture(encoded("PNG", mode="RGBA"))) == 0
    palette = encoded("PNG", mode="P")
    assert difference(read_picture(palette), np.asarray(Image.open(io.BytesIO(palette)).convert("RGB"))) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(orientation):
    stored = {
        1: PHOTOGRAPH,
        2: PHOTOGRAPH[:, ::-1],
        3: PHOTOGRAPH[::-1, ::-1],
        4: PHOTOGRAPH[::-1],
        5: PHOTOGRAPH.transpose(1, 0, 2),
        6: np.rot90(PHOTOGRAPH, 1),
        7: PHOTOGRAPH[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(PHOTOGRAPH, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded("JPEG", np.ascontiguousarray(stored), quality=95, exif=exif)
    assert difference(read_picture(content)) < 3


def refusal(content):
    with pytest.raises(PictureError) as error:
        read_picture(content)
    return str(error.value)


def test_what_is_no_picture_says_so():
    assert refusal(b"") == "empty file"
    assert refusal(b"no picture" * 100) == "not a picture"
    assert refusal(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "not a picture"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.99])
def test_a_picture_that_was_cut_short_is_never_filled_with_grey(kind, share):
    content = encoded(kind)
    assert refusal(content[: max(9, int(len(content) * share))]) == "cut short"


MANY_KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
    "full colour": {"subsampling": 0, "quality": 100},
    "half colour": {"subsampling": 1},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
    "comment": {"comment": b"\xff\xda in a comment"},
    "odd size": {"picture": PHOTOGRAPH[:99, :131]},
    "rgb": {"keep_rgb": True},
}


@pytest.mark.parametrize("kind", MANY_KINDS)
def test_a_whole_jpeg_of_any_kind_is_read_as_opencv_reads_it_whatever_follows_it(kind, capfd):
    content = encoded("JPEG", **MANY_KINDS[kind])
    second = encoded("JPEG", PHOTOGRAPH[::4, ::4])
    noise = np.random.default_rng(0).integers(0, 256, 100_000, np.uint8).tobytes()
    for trailer in (b"", b"\n", second, second[:300], b"MotionPhoto_Data" + noise, noise + b"\xff\xda" + noise):
        found = read_picture(content + trailer)
        np.testing.assert_array_equal(found, cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["baseline", "progressive", "restart markers", "grey", "cmyk"])
def test_most_blocks_that_were_never_written_are_found_in_a_jpeg(kind, capfd):
    content = encoded("JPEG", **{"picture": PHOTOGRAPH[::2, ::2]} | MANY_KINDS[kind])
    start = content.index(b"\xff\xda") + 20
    places = np.random.default_rng(0).integers(start, len(content) - 600, 20).tolist()
    refused = []
    for place in places:
        try:
            read_picture(content[:place] + bytes(512) + content[place + 512 :])
        except PictureError as error:
            refused.append(str(error))
    # Now and then the rest makes as many blocks as before by chance, which no decoder can tell.
    assert len(refused) >= 14
    assert all(reason.startswith("damaged (") for reason in refused)
    assert capfd.readouterr() == ("", "")


def test_a_tiff_that_does_not_unpack_is_refused():
    content = bytearray(encoded("TIFF", compression="tiff_adobe_deflate"))
    content[len(content) // 2] ^= 0x10
    assert refusal(bytes(content)).startswith("damaged (")


@pytest.mark.parametrize("appended", [bytes(16), bytes(500), b"SEFT" + bytes(range(200)) * 3])
def test_data_behind_the_end_of_a_picture_do_no_harm(appended):
    for kind in ("JPEG", "PNG"):
        assert difference(read_picture(encoded(kind) + appended)) < 6


def test_the_end_of_a_thumbnail_is_not_the_end_of_its_picture():
    exif = Image.Exif()
    thumbnail = encoded("JPEG", PHOTOGRAPH[::8, ::8])
    content = encoded("JPEG", quality=95, exif=exif.tobytes() + thumbnail)
    assert content.count(b"\xff\xd9") == 2
    assert difference(read_picture(content)) < 3
    assert refusal(content[: len(content) * 3 // 4]) == "cut short"


def test_a_huge_picture_is_not_even_decoded(monkeypatch):
    def fail(*arguments):
        raise AssertionError("decoded")

    monkeypatch.setattr(pixels.cv2, "imdecode", fail)
    # A header is enough to make a decoder ask for 7.5 GB.
    header = encoded("PNG")
    huge = header[:16] + (50_000).to_bytes(4, "big") * 2 + header[24:]
    assert refusal(huge) in ("more than 100 million pixels", "damaged")
    content = io.BytesIO()
    Image.new("1", (11_000, 10_000)).save(content, "PNG")
    assert refusal(content.getvalue()) == "11000×10000 pixels, more than 100 million"


def test_a_flipped_bit_of_a_png_is_found_or_harmless():
    content = bytearray(encoded("PNG"))
    content[len(content) // 2] ^= 0x10
    try:
        picture = read_picture(bytes(content))
    except PictureError as error:
        assert str(error) == "damaged"
    else:
        assert picture.shape == PHOTOGRAPH.shape
