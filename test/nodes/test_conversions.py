"""Image messages to arrays and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from ovsr_ros.errors import ImageError
from ovsr_ros.nodes.conversions import decode_compressed, to_image_message, to_label_array, to_rgb_array

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = np.full((5, 7, 1), 9, np.uint8)


def message_of(data, encoding, step=None, big_endian=0):
    height, width = data.shape[:2]
    row_bytes = data.nbytes // height
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        step=row_bytes if step is None else step,
        is_bigendian=big_endian,
        data=data.tobytes(),
    )


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", np.concatenate((RGB, ALPHA), axis=2)),
        ("bgra8", np.concatenate((RGB[..., ::-1], ALPHA), axis=2)),
        ("RGB8", RGB),
    ],
)
def test_color_encodings_become_rgb(encoding, data):
    image = to_rgb_array(message_of(np.ascontiguousarray(data), encoding))
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, RGB)


def test_mono_is_repeated_over_the_channels():
    gray = RGB[..., 0]
    np.testing.assert_array_equal(to_rgb_array(message_of(gray, "mono8")), np.stack([gray] * 3, axis=2))


@pytest.mark.parametrize(("dtype", "big_endian"), [("<u2", 0), (">u2", 1)])
def test_mono16_keeps_its_high_byte_in_either_byte_order(dtype, big_endian):
    values = np.random.default_rng(1).integers(0, 65536, (5, 7)).astype(dtype)
    image = to_rgb_array(message_of(values, "mono16", big_endian=big_endian))
    np.testing.assert_array_equal(image, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8", "mono16"])
def test_padding_at_the_ends_of_rows_is_cut_off(encoding):
    data = {"rgb8": RGB, "bgr8": RGB, "mono8": RGB[..., 0], "mono16": RGB[..., 0].astype(np.uint16) * 256}[encoding]
    plain = to_rgb_array(message_of(np.ascontiguousarray(data), encoding))
    rows = np.ascontiguousarray(data).view(np.uint8).reshape(5, -1)
    padded = np.concatenate((rows, np.full((5, 11), 77, np.uint8)), axis=1)
    message = message_of(np.ascontiguousarray(data), encoding, step=padded.shape[1])
    message.data = padded.tobytes()
    np.testing.assert_array_equal(to_rgb_array(message), plain)


def test_more_data_than_needed_is_left_alone():
    message = message_of(RGB, "rgb8")
    message.data = RGB.tobytes() + b"more"
    np.testing.assert_array_equal(to_rgb_array(message), RGB)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 0}, "width: expected more than 0, got 0"),
        ({"height": 0}, "height: expected more than 0, got 0"),
        ({"step": 20}, r"step: expected at least 21 \(width 7 x 3 bytes of rgb8\), got 20"),
        ({"step": 22}, r"data: expected 110 bytes \(step 22 x height 5\), got 105"),
        ({"data": b""}, "data: expected 105 bytes"),
        ({"height": 6}, "data: expected 126 bytes"),
    ],
)
def test_a_field_at_fault_is_named_with_what_was_expected(change, said):
    message = message_of(RGB, "rgb8")
    for field, value in change.items():
        setattr(message, field, value)
    with pytest.raises(ImageError, match=said):
        to_rgb_array(message)


@pytest.mark.parametrize("encoding", ["", "rgb7", "32FC1"])
def test_an_encoding_nobody_knows_is_refused_with_the_known_ones(encoding):
    with pytest.raises(ImageError, match="encoding: expected one of rgb8, bgr8, rgba8, bgra8, mono8, mono16"):
        to_rgb_array(message_of(RGB, encoding))


@pytest.mark.parametrize("encoding", ["mono8", "mono16"])
def test_labels_survive_the_way_through_a_message(encoding):
    labels = np.random.default_rng(2).integers(0, 256, (5, 7)).astype(np.uint8 if encoding == "mono8" else np.uint16)
    header = Header(frame_id="camera")
    message = to_image_message(labels, encoding, header)
    assert message.header == header
    assert message.step * message.height == len(message.data) == labels.nbytes
    np.testing.assert_array_equal(to_label_array(message), labels)


def test_a_view_that_is_not_contiguous_makes_a_message():
    flipped = RGB[:, ::-1]
    np.testing.assert_array_equal(to_rgb_array(to_image_message(flipped, "rgb8", Header())), flipped)


def test_labels_of_a_color_image_are_refused():
    with pytest.raises(ImageError, match="encoding: expected mono8 or mono16, got 'rgb8'"):
        to_label_array(message_of(RGB, "rgb8"))


def test_png_is_decoded_exactly():
    data = cv2.imencode(".png", RGB[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_compressed(CompressedImage(format="rgb8; png compressed", data=data)), RGB)


def test_jpeg_is_decoded_as_rgb():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    data = cv2.imencode(".jpg", red[..., ::-1])[1].tobytes()
    decoded = decode_compressed(CompressedImage(format="jpeg", data=data))
    assert np.abs(decoded.astype(int) - red).max() < 8


@pytest.mark.parametrize("data", [b"", b"no image", cv2.imencode(".png", RGB)[1].tobytes()[:40]])
def test_broken_compressed_data_is_refused(data):
    with pytest.raises(ImageError, match="data: expected"):
        decode_compressed(CompressedImage(format="png", data=data))
