"""Image messages to arrays and back."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from ovsr_ros.errors import ImageError
from ovsr_ros.messages.images import decode_compressed, to_label_array
from ovsr_ros.nodes.conversions.images import to_image_message, to_rgb_array

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


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
    ("change", "said"),
    [
        ({"width": 0}, "width: expected more than 0, got 0"),
        ({"height": 0}, "height: expected more than 0, got 0"),
        ({"step": 20, "height": 4}, r"step: expected at least 21 \(width 7 x 3 bytes of rgb8\), got 20"),
        ({"step": 30, "height": 6}, r"data: expected 180 bytes \(step 30 x height 6\), got 105"),
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


@pytest.mark.parametrize("big_endian", [0, 1])
def test_padded_labels_in_either_byte_order_are_read(big_endian):
    labels = np.random.default_rng(2).integers(0, 65536, (5, 7)).astype(">u2" if big_endian else "<u2")
    message = message_of(labels, "mono16", big_endian=big_endian)
    message.step = 17
    message.data = b"".join(row.tobytes() + b"pad" for row in labels)
    np.testing.assert_array_equal(to_label_array(message), labels)


def compressed(image, image_format, extension=".png"):
    """The message of an array as OpenCV writes it: blue first."""
    return CompressedImage(format=image_format, data=cv2.imencode(extension, image)[1].tobytes())


@pytest.mark.parametrize(
    "image_format",
    ["png", "", "PNG", "rgb8; png compressed bgr8", "bgr8; png compressed bgr8", "rgb8; png compressed", "bgr8; png"],
)
def test_png_is_decoded_exactly(image_format):
    np.testing.assert_array_equal(decode_compressed(compressed(RGB[..., ::-1], image_format)), RGB)


@pytest.mark.parametrize("image_format", ["rgb8; png compressed rgb8", "bgr8; png compressed rgb8"])
def test_a_file_with_red_and_blue_swapped_is_put_right(image_format):
    np.testing.assert_array_equal(decode_compressed(compressed(RGB, image_format)), RGB)


@pytest.mark.parametrize("image_format", ["jpeg", "rgb8; jpeg compressed bgr8", "bayer_rggb8; jpeg compressed bgr8"])
def test_jpeg_is_decoded_as_rgb(image_format):
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    decoded = decode_compressed(compressed(red[..., ::-1], image_format, ".jpg"))
    assert np.abs(decoded.astype(int) - red).max() < 8


@pytest.mark.parametrize("image_format", ["jpeg", "mono8; jpeg compressed ", "8UC1; jpeg compressed mono8"])
def test_a_grey_jpeg_is_repeated_over_the_channels(image_format):
    decoded = decode_compressed(compressed(np.full((16, 16), 90, np.uint8), image_format, ".jpg"))
    np.testing.assert_array_equal(decoded, np.full((16, 16, 3), 90, np.uint8))


@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "rgb16"])
def test_a_16_bit_png_keeps_the_high_bytes(encoding):
    values = np.random.default_rng(3).integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    high_bytes = (values // 256).astype(np.uint8)
    if encoding == "rgb16":
        message, expected = compressed(values[..., ::-1], "rgb16; png compressed bgr16"), high_bytes
    else:
        message = compressed(values[..., 0], f"{encoding}; png compressed ")
        expected = high_bytes[..., :1].repeat(3, axis=2)
    np.testing.assert_array_equal(decode_compressed(message), expected)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_compressed_mosaic_gets_its_colours(pattern, bits):
    """image_transport compresses a Bayer image's mosaic as if it were grey."""
    mosaic = RGB[..., 0].astype(np.uint16) * 256 + 7 if bits == 16 else RGB[..., 0]
    decoded = decode_compressed(compressed(mosaic, f"bayer_{pattern}{bits}; png compressed "))
    np.testing.assert_array_equal(decoded, to_rgb_array(message_of(RGB[..., 0], f"bayer_{pattern}8")))


def test_a_compressed_mosaic_too_small_to_interpolate_is_refused():
    with pytest.raises(ImageError, match="height: expected at least 3 for bayer_rggb8, got 2"):
        decode_compressed(compressed(RGB[:2, :, 0], "bayer_rggb8; png compressed "))


def test_alpha_in_a_png_is_dropped():
    with_alpha = np.concatenate((RGB[..., ::-1], np.full((5, 7, 1), 9, np.uint8)), axis=2)
    np.testing.assert_array_equal(decode_compressed(compressed(with_alpha, "rgba8; png compressed bgra8")), RGB)


def test_exif_does_not_rotate_the_image():
    upright = PillowImage.fromarray(np.full((16, 32, 3), 90, np.uint8))
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    file = io.BytesIO()
    upright.save(file, "jpeg", exif=exif)
    assert decode_compressed(CompressedImage(format="jpeg", data=file.getvalue())).shape == (16, 32, 3)


@pytest.mark.parametrize("image_format", ["16UC1; compressedDepth", "32FC1; compressedDepth png"])
def test_compressed_depth_is_refused_with_what_to_do(image_format):
    with pytest.raises(ImageError, match=r"format: expected a jpeg or png image, got .* holds depth; subscribe to"):
        decode_compressed(compressed(RGB[..., 0].astype(np.uint16), image_format))


def test_a_file_that_claims_more_pixels_than_can_be_read_is_refused():
    file = bytearray(cv2.imencode(".png", RGB)[1].tobytes())
    file[16:24] = struct.pack(">II", 900_000, 900_000)
    file[29:33] = struct.pack(">I", zlib.crc32(file[12:29]))
    with pytest.raises(ImageError, match="data: expected a whole jpeg or png image"):
        decode_compressed(CompressedImage(format="png", data=bytes(file)))


@pytest.mark.parametrize("data", [b"", b"no image", cv2.imencode(".png", RGB)[1].tobytes()[:40]])
def test_broken_compressed_data_is_refused(data):
    with pytest.raises(ImageError, match="data: expected"):
        decode_compressed(CompressedImage(format="png", data=data))
