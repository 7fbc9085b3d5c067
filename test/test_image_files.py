"""Image files as arrays: what is whole is read, what is damaged is refused."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from ovsr_ros.demo.scenes import Scene
from ovsr_ros.errors import ImageError
from ovsr_ros.image_files import decode_image

END = b"\xff\xd9"


def photo():
    """A scene with a camera's noise, without which a jpeg is all zeros."""
    image = Scene(3, split="test").render(0.0, (320, 240)).image
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


PHOTO = photo()


def encode(extension=".jpg", *flags, image=PHOTO):
    bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(extension, bgr, list(flags))[1].tobytes()


JPEGS = {
    "baseline": encode(),
    "coarse": encode(".jpg", cv2.IMWRITE_JPEG_QUALITY, 40),
    "progressive": encode(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": encode(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 20),
    "grey": encode(image=PHOTO[..., 0]),
}


def decode(file, keep_grey=False):
    return decode_image(np.frombuffer(bytes(file), np.uint8), keep_grey)


def as_opencv_has_it(file):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def pixels_at(jpeg):
    """Where the pixels' bytes begin: behind the first scan's header."""
    place = jpeg.index(b"\xff\xda")
    return place + 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")


def damage(jpeg, kind, at):
    """at: of the pixels' bytes, from 0 to 1."""
    begin, num_bytes = pixels_at(jpeg), len(jpeg) - pixels_at(jpeg)
    place, length = begin + int(at * num_bytes), num_bytes // 12
    if kind == "cut":
        return jpeg[:place]
    if kind == "cut, with an end":
        return jpeg[:place] + END
    if kind == "a piece lost":
        return jpeg[:place] + jpeg[place + length :]
    return jpeg[:place] + bytes(length) + jpeg[place + length :]  # a piece zeroed


@pytest.mark.parametrize("kind", ["cut", "cut, with an end", "a piece lost", "a piece zeroed"])
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_that_lacks_bytes_is_refused(name, kind):
    # Of a progressive one, late zeros are fine details that are alike.
    for at in (0.02, 0.2, 0.4, 0.6, 0.8, 0.9)[: 3 if (name, kind) == ("progressive", "a piece zeroed") else None]:
        with pytest.raises(ImageError, match=r"damaged: .*; something loses or changes bytes: look at"):
            decode(damage(JPEGS[name], kind, at))


@pytest.mark.parametrize("value", [0, 16, 128, 255])
@pytest.mark.parametrize("optimize", [0, 1])
def test_an_image_of_one_colour_is_not_taken_for_damaged(value, optimize):
    """Its bytes are zeros, nearly all, where the tables are its own."""
    image = np.full((480, 640, 3), value, np.uint8)
    decoded = decode(encode(".jpg", cv2.IMWRITE_JPEG_OPTIMIZE, optimize, image=image))
    np.testing.assert_array_equal(decoded, image)


def test_frames_that_are_damaged_alike_are_refused_in_the_same_words():
    """Who logs a text once a while goes by the text."""
    reasons = set()
    for at in (0.1, 0.3, 0.5, 0.7):
        with pytest.raises(ImageError) as refusal:
            decode(JPEGS["restarts"][:-2] + bytes(range(1, int(at * 100))) + END)
        reasons.add(str(refusal.value))
    assert len(reasons) == 1


def test_most_single_bytes_that_ruin_much_of_an_image_are_noticed():
    """Not all can be: there is no checksum, and a bit that is another may make as good a stream."""
    jpeg, random = JPEGS["coarse"], np.random.default_rng(1)
    true = decode(jpeg).astype(int)
    refused = missed = 0
    for _ in range(200):
        place = int(random.integers(pixels_at(jpeg), len(jpeg) - 2))
        file = jpeg[:place] + random.bytes(1) + jpeg[place + 1 :]
        try:
            missed += (np.abs(decode(file) - true).max(2) > 16).mean() > 0.05
        except ImageError:
            refused += 1
    assert refused > 2 * missed


@pytest.mark.parametrize("name", JPEGS)
def test_a_whole_jpeg_is_what_opencv_makes_of_it(name):
    np.testing.assert_array_equal(decode(JPEGS[name]), as_opencv_has_it(JPEGS[name]))


def test_only_a_grey_file_stays_grey_and_only_where_asked():
    assert decode(JPEGS["grey"]).shape == (240, 320, 3)
    assert decode(JPEGS["grey"], keep_grey=True).shape == (240, 320)
    assert decode(JPEGS["baseline"], keep_grey=True).shape == (240, 320, 3)


def before(marker, extra):
    return lambda jpeg: jpeg.replace(marker, extra + marker, 1)


def of_jfif_revision_9(jpeg):
    return jpeg.replace(b"JFIF\x00\x01", b"JFIF\x00\x09", 1)


def with_scan_parameters_of_zero(jpeg):
    place = pixels_at(jpeg)
    return jpeg[: place - 3] + bytes(3) + jpeg[place:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda jpeg: jpeg[:-2],
        lambda jpeg: jpeg + bytes(4096),
        lambda jpeg: jpeg + b"\xff\xd8 a thumbnail",
        lambda jpeg: jpeg[:-2] + bytes(7) + END,
        lambda jpeg: jpeg[:-2] + b"\xff" * 7 + END,
        before(b"\xff\xdb", b"\x12"),
        before(b"\xff\xda", b"\x00\x12\x34"),
        of_jfif_revision_9,
        with_scan_parameters_of_zero,
        lambda jpeg: with_scan_parameters_of_zero(of_jfif_revision_9(before(b"\xff\xdb", b"\x12")(jpeg)))[:-2],
    ],
    ids=[
        "no end",
        "zeros behind the end",
        "a thumbnail behind the end",
        "zeros before the end",
        "fill bytes before the end",
        "a byte between segments",
        "bytes before the scan",
        "an unknown JFIF revision",
        "scan parameters of zero",
        "several of these",
    ],
)
@pytest.mark.parametrize("name", ["baseline", "grey", "restarts"])
def test_what_cameras_get_wrong_around_the_pixels_is_read(name, spoil):
    spoilt = spoil(JPEGS[name])
    assert spoilt != JPEGS[name]
    np.testing.assert_array_equal(decode(spoilt), decode(JPEGS[name]))
    with pytest.raises(ImageError, match="damaged"):  # what is harmless does not hide what is not
        decode(damage(spoilt, "a piece zeroed", 0.5))


def test_a_motion_jpeg_without_huffman_tables_is_read():
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "jpeg")
    jpeg = file.getvalue()
    begin = jpeg.index(b"\xff\xc4")
    bare = jpeg[:begin] + jpeg[jpeg.index(b"\xff\xda") :]
    np.testing.assert_array_equal(decode(bare), decode(jpeg))


def test_colours_that_the_strict_decoder_does_not_know_are_read_by_opencv():
    file = io.BytesIO()
    Image.fromarray(PHOTO).convert("CMYK").save(file, "jpeg")
    np.testing.assert_array_equal(decode(file.getvalue()), as_opencv_has_it(file.getvalue()))


def test_a_jpeg_that_claims_more_pixels_than_can_be_read_is_refused():
    place = JPEGS["baseline"].index(b"\xff\xc0") + 5
    with pytest.raises(ImageError, match="not decodable: expected at most 1073741824 pixels, got 65500x65500"):
        decode(JPEGS["baseline"][:place] + 2 * (65500).to_bytes(2, "big") + JPEGS["baseline"][place + 4 :])


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tiff", ".webp"])
def test_another_file_that_is_cut_is_refused_and_a_whole_one_read(extension):
    file = encode(extension)
    np.testing.assert_array_equal(decode(file), as_opencv_has_it(file))
    for at in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError, match="damaged: a png image" if extension == ".png" else "not decodable"):
            decode(file[: int(at * len(file))])


def test_a_changed_byte_in_a_png_is_noticed():
    file = bytearray(encode(".png"))
    file[len(file) // 2] ^= 1
    with pytest.raises(ImageError, match="not decodable"):
        decode(file)


@pytest.mark.parametrize("file", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"no image", JPEGS["baseline"][:200]])
def test_what_is_no_image_is_refused(file):
    with pytest.raises(ImageError, match="not decodable"):
        decode(file)
