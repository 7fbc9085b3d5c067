"""Every encoding against OpenCV's own conversion, against images made by hand, and against rosbags-image."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from rosbags.image import image_to_cvimage
from rosbags.typesys.stores.latest import builtin_interfaces__msg__Time as BagTime
from rosbags.typesys.stores.latest import sensor_msgs__msg__Image as BagImage
from rosbags.typesys.stores.latest import std_msgs__msg__Header as BagHeader
from sensor_msgs.msg import Image

from ovsr_ros.errors import ImageError
from ovsr_ros.messages.encodings import ENCODINGS
from ovsr_ros.nodes.conversions.images import to_rgb_array

HEIGHT, WIDTH = 6, 10
# Of each encoding: bytes per pixel, OpenCV's code. Written down a second time, with OpenCV's other names of the Bayer
# patterns: a slip in the package's table must not be the test's too.
PACKED = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "8UC4": (4, cv2.COLOR_BGRA2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUYV),
}
SEMI_PLANAR = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
# 16-bit encoding -> the one whose pixels its high bytes are.
HIGH_BYTES_OF = {
    "mono16": "mono8",
    "rgb16": "rgb8",
    "bgr16": "bgr8",
    "rgba16": "rgba8",
    "bgra16": "bgra8",
    "16UC1": "8UC1",
    "16UC3": "8UC3",
    "16UC4": "8UC4",
    "bayer_rggb16": "bayer_rggb8",
    "bayer_bggr16": "bayer_bggr8",
    "bayer_gbrg16": "bayer_gbrg8",
    "bayer_grbg16": "bayer_grbg8",
}
BAYER = [name for name in PACKED if name.startswith("bayer")]
YUV = ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21", "nv24"]


def bytes_per_pixel(encoding):
    """Of one row of `step` bytes."""
    if encoding in HIGH_BYTES_OF:
        return 2 * PACKED[HIGH_BYTES_OF[encoding]][0]
    return PACKED[encoding][0] if encoding in PACKED else 1


def random_planes(encoding, height=HEIGHT, width=WIDTH, seed=0):
    """Random bytes of an image without padding: of each plane (rows, bytes in a row)."""
    rng = np.random.default_rng(seed)
    shapes = [(height, width * bytes_per_pixel(encoding))]
    if encoding in SEMI_PLANAR:
        shapes.append((height // 2, width))
    elif encoding == "nv24":
        shapes.append((height, 2 * width))
    return [rng.integers(0, 256, shape, np.uint8) for shape in shapes]


def message_of(planes, encoding, padding=0, big_endian=0, width=WIDTH):
    """An Image of these planes; padding: bytes behind each row of the first plane, filled with noise."""
    height, row_bytes = planes[0].shape
    step = row_bytes + padding
    data = b""
    for plane in planes:
        plane_step = step * plane.shape[1] // row_bytes  # nv24's colours have twice the luma's
        padded = np.random.default_rng(9).integers(0, 256, (len(plane), plane_step), np.uint8)
        padded[:, : plane.shape[1]] = plane
        data += padded.tobytes()
    return Image(height=height, width=width, encoding=encoding, step=step, is_bigendian=big_endian, data=data)


def bag_message_of(message, data):
    """The same image as rosbags' type, with any kind of data."""
    header = BagHeader(stamp=BagTime(sec=0, nanosec=0), frame_id="")
    fields = {name: getattr(message, name) for name in ("height", "width", "encoding", "is_bigendian", "step")}
    return BagImage(header=header, data=data, **fields)


def mosaic_of(rgb, pattern):
    """(H, W) mosaic of an RGB image. pattern: the colours of the first row's first two pixels, then the second's."""
    mosaic = np.empty(rgb.shape[:2], rgb.dtype)
    for position, color in enumerate(pattern):
        row, column = divmod(position, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, "rgb".index(color)]
    return mosaic


def yuv_planes_of(rgb, encoding):
    """The planes of an RGB image by ITU-R BT.601 of limited range; colours are alike in each 2 x 2 pixels."""
    red, green, blue = np.moveaxis(rgb.astype(float), 2, 0)
    gray = 0.299 * red + 0.587 * green + 0.114 * blue
    luma = 16 + gray * 219 / 255
    u = 128 + (blue - gray) / (2 * (1 - 0.114)) * 224 / 255
    v = 128 + (red - gray) / (2 * (1 - 0.299)) * 224 / 255
    luma, u, v = (np.rint(plane).astype(np.uint8) for plane in (luma, u, v))
    height, width = luma.shape
    if encoding in ("yuv422", "uyvy"):
        pairs = (u[:, ::2], luma[:, ::2], v[:, ::2], luma[:, 1::2])
    elif encoding in ("yuv422_yuy2", "yuyv"):
        pairs = (luma[:, ::2], u[:, ::2], luma[:, 1::2], v[:, ::2])
    elif encoding == "nv24":
        return [luma, np.stack((u, v), axis=2).reshape(height, 2 * width)]
    else:
        order = (u, v) if encoding == "nv12" else (v, u)
        return [luma, np.stack([plane[::2, ::2] for plane in order], axis=2).reshape(height // 2, width)]
    return [np.stack(pairs, axis=2).reshape(height, 2 * width)]


def test_every_encoding_is_tested():
    assert {*PACKED, *SEMI_PLANAR, *HIGH_BYTES_OF, "nv24"} == set(ENCODINGS)


# --- Against OpenCV ---


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("big_endian", [0, 1])
def test_8_bit_pixels_become_what_opencv_makes_of_them(encoding, big_endian):
    planes = random_planes(encoding)
    channels, code = PACKED[encoding]
    pixels = planes[0] if channels == 1 else planes[0].reshape(HEIGHT, WIDTH, channels)
    image = to_rgb_array(message_of(planes, encoding, big_endian=big_endian))
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, pixels if code is None else cv2.cvtColor(pixels, code))


@pytest.mark.parametrize("encoding", SEMI_PLANAR)
def test_semi_planar_images_become_what_opencv_makes_of_their_planes(encoding):
    luma, chroma = planes = random_planes(encoding)
    chroma = chroma.reshape(HEIGHT // 2, WIDTH // 2, 2)
    expected = cv2.cvtColorTwoPlane(luma, chroma, SEMI_PLANAR[encoding])
    np.testing.assert_array_equal(to_rgb_array(message_of(planes, encoding)), expected)


def test_nv24_is_nv12_where_neighbours_share_their_colours():
    luma, chroma = planes = random_planes("nv12")
    full = chroma.reshape(HEIGHT // 2, WIDTH // 2, 2).repeat(2, axis=0).repeat(2, axis=1)
    image = to_rgb_array(message_of([luma, full.reshape(HEIGHT, 2 * WIDTH)], "nv24"))
    np.testing.assert_array_equal(image, to_rgb_array(message_of(planes, "nv12")))


def test_nv24_keeps_a_colour_for_each_pixel_at_odd_sizes():
    luma, chroma = planes = random_planes("nv24", height=5, width=7)
    image = to_rgb_array(message_of(planes, "nv24", width=7))
    for row in range(5):
        for column in range(7):
            u, v = chroma[row, 2 * column : 2 * column + 2]
            pair = np.array([[[luma[row, column], u], [luma[row, column], v]]], np.uint8)
            np.testing.assert_array_equal(image[row, column], cv2.cvtColor(pair, cv2.COLOR_YUV2RGB_YUYV)[0, 0])


@pytest.mark.parametrize("encoding", HIGH_BYTES_OF)
@pytest.mark.parametrize(("dtype", "big_endian"), [("<u2", 0), (">u2", 1)])
def test_16_bit_values_keep_their_high_byte_in_either_byte_order(encoding, dtype, big_endian):
    values = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH * bytes_per_pixel(encoding) // 2))
    message = message_of([values.astype(dtype).view(np.uint8)], encoding, padding=3, big_endian=big_endian)
    expected = message_of([(values // 256).astype(np.uint8)], HIGH_BYTES_OF[encoding])
    np.testing.assert_array_equal(to_rgb_array(message), to_rgb_array(expected))


@pytest.mark.parametrize("encoding", [name for name in HIGH_BYTES_OF if name.startswith("bayer")])
def test_a_16_bit_mosaic_is_within_one_level_of_interpolation_in_16_bits(encoding):
    values = np.random.default_rng(2).integers(0, 65536, (HEIGHT, WIDTH)).astype("<u2")
    pattern = encoding[len("bayer_") : -len("16")].upper()
    expected = cv2.cvtColor(values, getattr(cv2, f"COLOR_Bayer{pattern}2RGB")) / 256
    image = to_rgb_array(message_of([values.view(np.uint8)], encoding))
    assert np.abs(image - expected).max() <= 1.5


# --- Against images made by hand ---


@pytest.mark.parametrize("encoding", [*BAYER, *(name.replace("8", "16") for name in BAYER)])
def test_the_colours_of_a_mosaic_are_the_scenes(encoding):
    rgb = np.empty((12, 16, 3), np.uint8)
    rgb[:, :8], rgb[:, 8:] = (210, 90, 20), (30, 60, 180)
    mosaic = mosaic_of(rgb, encoding[len("bayer_") :][:4])
    if encoding.endswith("16"):
        mosaic = (mosaic.astype("<u2") * 256 + 99).view(np.uint8)
    image = to_rgb_array(message_of([mosaic], encoding, width=16))
    away_from_the_edge = [*range(7), *range(9, 16)]
    np.testing.assert_array_equal(image[:, away_from_the_edge], rgb[:, away_from_the_edge])


@pytest.mark.parametrize("encoding", YUV)
def test_the_colours_of_a_yuv_image_are_the_scenes(encoding):
    colors = np.random.default_rng(3).integers(0, 256, (3, 5, 3), np.uint8)
    rgb = colors.repeat(2, axis=0).repeat(2, axis=1)  # (6, 10, 3)
    image = to_rgb_array(message_of(yuv_planes_of(rgb, encoding), encoding)).astype(int)
    assert np.abs(image - rgb).max() <= 3  # U and V, rounded, weigh up to 2


# --- Against rosbags-image ---


@pytest.mark.parametrize("encoding", [name for name in (*PACKED, *HIGH_BYTES_OF) if "UC" not in name])
@pytest.mark.parametrize("big_endian", [0, 1])
def test_rosbags_image_sees_the_same_picture(encoding, big_endian):
    message = message_of(random_planes(encoding), encoding, big_endian=big_endian)
    second_opinion = image_to_cvimage(message, "rgb8").astype(int)
    # It scales 16 bits by 255 / 65535, after it interpolated a mosaic.
    assert np.abs(to_rgb_array(message) - second_opinion).max() <= (2 if encoding in HIGH_BYTES_OF else 0)


# --- Padding, kinds of data ---


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("padding", [1, 5, 54])
def test_padding_at_the_ends_of_rows_is_cut_off(encoding, padding):
    planes = random_planes(encoding)
    expected = to_rgb_array(message_of(planes, encoding))
    assert expected.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(to_rgb_array(message_of(planes, encoding, padding)), expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_more_data_than_needed_is_left_alone(encoding):
    message = message_of(random_planes(encoding), encoding)
    expected = to_rgb_array(message)
    message.data = message.data.tobytes() + b"more"
    np.testing.assert_array_equal(to_rgb_array(message), expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_data_may_be_of_any_kind_and_is_not_written_to(encoding):
    message = message_of(random_planes(encoding), encoding, padding=3)
    content = message.data.tobytes()
    expected = to_rgb_array(message).copy()
    read_only = np.frombuffer(content, np.uint8)
    assert not read_only.flags.writeable
    for data in (array.array("B", content), content, memoryview(content), bytearray(content), list(content), read_only):
        np.testing.assert_array_equal(to_rgb_array(bag_message_of(message, data)), expected)
        assert bytes(data) == content


def test_an_rgb8_image_without_padding_is_not_copied():
    message = message_of(random_planes("rgb8"), "rgb8")
    assert np.shares_memory(to_rgb_array(message), np.asarray(message.data))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_encodings_case_does_not_matter(encoding):
    message = message_of(random_planes(encoding), encoding)
    expected = to_rgb_array(message)
    message.encoding = encoding.swapcase()
    np.testing.assert_array_equal(to_rgb_array(message), expected)


# --- Messages at fault ---


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_empty_image_a_short_row_and_missing_bytes_are_refused(encoding):
    for change, said in (
        ({"width": 0}, "width: expected more than 0, got 0; the publisher"),
        ({"height": 0}, "height: expected more than 0, got 0; the publisher"),
        ({"data": b""}, "data: expected .*, got 0; the publisher must send"),
    ):
        message = message_of(random_planes(encoding), encoding)
        for field, value in change.items():
            setattr(message, field, value)
        with pytest.raises(ImageError, match=said):
            to_rgb_array(message)
    message = message_of(random_planes(encoding), encoding)
    message.data.pop()
    with pytest.raises(ImageError, match=f"data: expected {len(message.data) + 1} bytes .*, got {len(message.data)};"):
        to_rgb_array(message)
    for step in (0, message.step - 1):
        message.step = step
        with pytest.raises(ImageError, match=f"step: expected at least .*, got {step}; the publisher must set it to"):
            to_rgb_array(message)


@pytest.mark.parametrize(
    ("encoding", "width", "height", "said"),
    [
        ("yuv422", 7, 6, "width: expected an even number for yuv422, .* got 7"),
        ("yuyv", 7, 6, "width: expected an even number for yuyv"),
        ("nv12", 7, 6, "width: expected an even number for nv12"),
        ("nv21", 10, 5, "height: expected an even number for nv21, .* got 5; let the camera send"),
        ("bayer_rggb8", 2, 6, "width: expected at least 3 for bayer_rggb8, got 2; let the camera send"),
        ("bayer_rggb16", 10, 1, "height: expected at least 3 for bayer_rggb16, got 1"),
    ],
)
def test_a_size_that_the_encoding_cannot_have_is_refused(encoding, width, height, said):
    message = message_of(random_planes(encoding, height, width), encoding, width=width)
    with pytest.raises(ImageError, match=said):
        to_rgb_array(message)


def test_odd_heights_do_where_only_neighbours_in_a_row_share_a_colour():
    message = message_of(random_planes("yuv422", height=5), "yuv422")
    assert to_rgb_array(message).shape == (5, WIDTH, 3)


@pytest.mark.parametrize(
    ("encoding", "nearest"),
    [
        ("rgb7", "rgb8"),
        ("brg8", "rgb8"),
        ("BGR24", "bgr8"),
        ("RGB888", "rgb8"),
        ("rgb", "rgb8"),
        ("mono12", "mono16"),
        ("mono 8", "mono8"),
        ("8uc2", "8UC4"),
        ("bayer_rgbg8", "bayer_rggb8"),
        ("bayer_rggb12", "bayer_rggb16"),
        ("yuv422_yuyv", "yuv422_yuy2"),
        ("", ""),
        ("h264", ""),
        ("32FC1", ""),
    ],
)
def test_an_encoding_nobody_knows_is_refused_with_the_nearest(encoding, nearest):
    message = message_of(random_planes("rgb8"), encoding)
    with pytest.raises(ImageError) as refusal:
        to_rgb_array(message)
    hint, remedy = (f" (did you mean '{nearest}'?)", nearest) if nearest else ("", "rgb8 or bgr8")
    assert str(refusal.value) == (
        f"encoding: expected one that docs/interfaces.md lists, got '{encoding}'{hint}; let the camera send {remedy}"
    )


# --- Over DDS ---


@pytest.mark.parametrize("encoding", ["bayer_grbg8", "bayer_rggb16", "yuv422_yuy2", "nv21", "nv24", "16UC1", "8UC4"])
def test_the_node_labels_images_of_other_encodings(shared_ovsr, encoding):
    scene = shared_ovsr.image()
    rgb = to_rgb_array(scene)
    if encoding in YUV:
        planes = yuv_planes_of(rgb, encoding)
    elif encoding.startswith("bayer"):
        planes = [mosaic_of(rgb, encoding[len("bayer_") :][:4])]
    else:
        planes = [rgb[..., 1] if encoding == "16UC1" else cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA).reshape(120, -1)]
    if encoding.endswith(("16", "16UC1")):
        planes = [(plane.astype(">u2") * 256).view(np.uint8) for plane in planes]
    message = message_of(planes, encoding, padding=7, big_endian=1, width=160)
    message.header = scene.header
    segments = shared_ovsr.label(message)
    assert segments.segments
    assert (segments.height, segments.width) == (120, 160)
