"""Image messages whose `step` and data disagree: read where only one reading makes sense, and told; else refused."""

from __future__ import annotations

import array
import tracemalloc

import numpy as np
import pytest
from sensor_msgs.msg import Image

from ovsr_ros import srv
from ovsr_ros.demo.scenes import Scene
from ovsr_ros.errors import ImageError
from ovsr_ros.messages.depth_image import to_depth_m
from ovsr_ros.messages.encodings import ENCODINGS
from ovsr_ros.nodes.conversions.images import to_rgb_array

WARN, OK = b"\x01", b"\x00"
HEIGHT, WIDTH = 48, 64
BYTES_PER_PIXEL = {"rgb8": 3, "mono8": 1, "bayer_rggb8": 1, "mono16": 2, "yuyv": 2, "nv12": 1, "nv21": 1, "nv24": 1}
PLANES = {"nv12": 1.5, "nv21": 1.5, "nv24": 3}


FRAME = Scene(3, split="test").render(0.0, (WIDTH, HEIGHT))


def rows_of(encoding):
    """A scene's rows of all planes, without padding; what the colours are does not matter here."""
    image, row_bytes = FRAME.image, WIDTH * BYTES_PER_PIXEL[encoding]
    if encoding == "rgb8":
        return image.reshape(HEIGHT, row_bytes)
    if BYTES_PER_PIXEL[encoding] == 2:
        return image[..., :2].reshape(HEIGHT, row_bytes)
    num_rows = int(HEIGHT * PLANES.get(encoding, 1))
    return np.resize(image[..., 1], (num_rows, row_bytes))


def message_of(rows, encoding, step, padding=0, tail=b"", value=0):
    planes = [rows]
    if encoding == "nv24":  # its colours take twice a row, padding included
        planes = [rows[:HEIGHT], rows[HEIGHT:].reshape(HEIGHT, -1)]
    padded = [
        np.pad(plane, ((0, 0), (0, padding * (number + 1))), constant_values=value)
        for number, plane in enumerate(planes)
    ]
    data = b"".join(plane.tobytes() for plane in padded) + tail
    return Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=step, data=array.array("B", data))


def read(message):
    """The image, and what was warned of."""
    warnings = []
    return to_rgb_array(message, warnings.append), warnings


@pytest.fixture(params=BYTES_PER_PIXEL)
def encoding(request):
    return request.param


@pytest.fixture
def rows(encoding):
    return rows_of(encoding)


@pytest.fixture
def expected(rows, encoding):
    image, warnings = read(message_of(rows, encoding, rows.shape[1]))
    assert not warnings
    return image


def test_every_kind_of_encoding_is_here():
    assert set(BYTES_PER_PIXEL) <= set(ENCODINGS)


@pytest.mark.parametrize(
    "wrong", [lambda _: 0, lambda _: 1, lambda n: n - 1, lambda n: 5 * n // 4, lambda n: 4 * n // 3]
)
def test_data_without_padding_is_read_whatever_the_step(rows, encoding, expected, wrong):
    row_bytes = rows.shape[1]
    image, warnings = read(message_of(rows, encoding, wrong(row_bytes)))
    np.testing.assert_array_equal(image, expected)
    (warning,) = warnings
    assert warning.startswith(f"step: expected {row_bytes}, as data's {rows.size} bytes / (height {HEIGHT}")
    assert f"got {wrong(row_bytes)}: rows of {row_bytes} bytes are taken; the publisher must set it" in warning


@pytest.mark.parametrize("encoding", ["rgb8", "mono16"])
def test_a_step_in_pixels_is_read(encoding):
    rows = rows_of(encoding)
    image, warnings = read(message_of(rows, encoding, WIDTH))
    np.testing.assert_array_equal(image, read(message_of(rows, encoding, rows.shape[1]))[0])
    assert len(warnings) == 1


@pytest.mark.parametrize("padding", [2, 16, 64])
@pytest.mark.parametrize("value", [0, 0xAB])
@pytest.mark.parametrize(
    "wrong", [lambda row_bytes: row_bytes, lambda row_bytes: row_bytes + 1, lambda _: 0, lambda n: 5 * n]
)
def test_padding_that_the_step_does_not_count_is_cut_off(rows, encoding, expected, padding, value, wrong):
    row_bytes = rows.shape[1]
    image, warnings = read(message_of(rows, encoding, wrong(row_bytes), padding, value=value))
    np.testing.assert_array_equal(image, expected)
    (warning,) = warnings
    assert f"step: expected {row_bytes + padding}, as data's {rows.size + len(rows) * padding} bytes" in warning
    assert f"got {wrong(row_bytes)}: rows of {row_bytes + padding} bytes" in warning


@pytest.mark.parametrize("tail", [0, 255, None])
@pytest.mark.parametrize("bytes_per_row", [1, 4, 40])
def test_a_tail_that_might_be_padding_is_left_alone_and_told(rows, encoding, expected, tail, bytes_per_row):
    num_bytes = bytes_per_row * len(rows)
    content = np.random.default_rng(1).bytes(num_bytes) if tail is None else bytes([tail]) * num_bytes
    image, warnings = read(message_of(rows, encoding, rows.shape[1], tail=content))
    np.testing.assert_array_equal(image, expected)
    (warning,) = warnings
    assert f"step: expected {rows.shape[1] + bytes_per_row}, as data's" in warning
    assert f"rows of {rows.shape[1]} bytes are taken" in warning


def test_a_tail_that_cannot_be_padding_is_nothing_to_tell(rows, encoding, expected):
    for num_bytes in (1, 7, HEIGHT - 1, 4096 + 5):
        image, warnings = read(message_of(rows, encoding, rows.shape[1], tail=b"\xab" * num_bytes))
        np.testing.assert_array_equal(image, expected)
        assert not warnings


def test_the_last_row_may_lack_its_padding(rows, encoding, expected):
    message = message_of(rows, encoding, rows.shape[1] + 10, padding=10)
    for lacking in (1, 10):
        message.data = array.array("B", message.data.tobytes()[: len(rows) * (rows.shape[1] + 10) - lacking])
        image, warnings = read(message)
        np.testing.assert_array_equal(image, expected)
        (warning,) = warnings
        assert "the last row is taken without its padding; the publisher must send every row whole" in warning
    message.data.pop()
    with pytest.raises(ImageError, match=r"data: expected .* the publisher must send every row whole"):
        read(message)


def test_rows_that_are_missing_are_not_taken_for_shorter_rows():
    """Twelve of them: that the others have 192 bytes for each row, as if they were not padded, is chance."""
    padded = np.pad(rows_of("rgb8"), ((0, 0), (0, 64)))
    message = message_of(padded[:36], "rgb8", 256)
    assert len(message.data) == 192 * HEIGHT
    with pytest.raises(ImageError, match="data: expected 12288 bytes"):
        read(message)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": 0, "data": 191 * HEIGHT}, r"step: expected at least 192 \(width 64 x 3 bytes of rgb8\), got 0"),
        ({"step": 0, "data": 192 * HEIGHT + 5}, "step: expected at least 192"),
        ({"step": 191, "data": 192 * HEIGHT - 1}, "step: expected at least 192"),
        ({"data": 192 * HEIGHT - 1}, r"data: expected 9216 bytes \(step 192 x height 48\), got 9215; the publisher"),
        ({"step": 256, "data": 192 * HEIGHT + 1}, r"data: expected 12288 bytes \(step 256 x height 48\), got 9217"),
        ({"data": 0}, "data: expected 9216 bytes"),
    ],
)
def test_what_has_no_reading_is_refused(change, said):
    message = message_of(rows_of("rgb8"), "rgb8", change.get("step", 192))
    message.data = array.array("B", np.resize(rows_of("rgb8").ravel(), change["data"]).tobytes())
    with pytest.raises(ImageError, match=said):
        read(message)


@pytest.mark.parametrize("encoding", ["nv12", "nv21", "nv24"])
def test_rows_between_the_planes_are_told(encoding):
    rows = rows_of(encoding)
    more = bytes(int(16 * WIDTH * PLANES[encoding]))
    _, warnings = read(message_of(rows, encoding, WIDTH, tail=more))
    assert any(
        "data's" in warning or "expected the planes of 48 rows, got bytes for 64" in warning for warning in warnings
    )


@pytest.mark.parametrize("step", [0, 64, 128])
@pytest.mark.parametrize("depth", ["16UC1", "32FC1"])
def test_depth_is_read_alike(depth, step):
    depth_m = FRAME.depth_m
    values = depth_m if depth == "32FC1" else np.rint(depth_m * 1000).astype("<u2")
    rows = np.pad(values.view(np.uint8).reshape(HEIGHT, -1), ((0, 0), (0, 16)))
    message = Image(height=HEIGHT, width=WIDTH, encoding=depth, step=step, data=array.array("B", rows.tobytes()))
    warnings = []
    np.testing.assert_allclose(to_depth_m(message, (HEIGHT, WIDTH), warn=warnings.append), depth_m, atol=1e-3)
    (warning,) = warnings
    assert f"depth: step: expected {rows.shape[1]}, as data's {rows.size} bytes / (height 48)" in warning


# --- Over DDS ---


def spoilt(image):
    """The image with padded rows, as if they were not."""
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    image.data = array.array("B", np.pad(rows, ((0, 0), (0, 16))).tobytes())
    return image


def test_the_stream_is_labelled_and_the_log_and_diagnostics_say_what_is_wrong(active_node, ovsr, client):
    expected = ovsr.result("/ovsr/label_map", ovsr.send(ovsr.image()))
    for _ in range(3):
        label_map = ovsr.result("/ovsr/label_map", ovsr.send(spoilt(ovsr.image())))
        assert label_map.data == expected.data
    said = "used all the same: step: expected 496, as data's 59520 bytes / (height 120) is, got 480"
    client.wait(lambda: said in ovsr.status_message("image input"), "what is wrong in /diagnostics")
    assert ovsr.status("image input").level == WARN
    assert ovsr.diagnostic("segmentation", "failed") == "0"
    assert len(client.wait(lambda: [log.msg for log in ovsr.logs if said in log.msg], "a warning in the log")) == 1


def test_segment_image_answers_what_is_wrong(active_node, ovsr, client):
    def segment(image):
        return client.call("/ovsr/segment_image", srv.SegmentImage, srv.SegmentImage.Request(image=image))

    expected, answer = segment(ovsr.image()), segment(spoilt(ovsr.image()))
    assert answer.success
    assert answer.message.startswith("step: expected 496")
    assert answer.label_map.data == expected.label_map.data
    assert not expected.message
    assert ovsr.status("image input").level == OK


@pytest.mark.parametrize(("encoding", "row_bytes"), [("mono8", 2), ("mono16", 4), ("rgb8", 6)])
def test_padding_that_is_not_there_takes_no_memory_whatever_its_size(encoding, row_bytes):
    """The last row may come without its padding; a nonsensical `step` says that this was a gigabyte."""
    message = Image(height=1, width=2, encoding=encoding, step=2**30, data=array.array("B", range(row_bytes)))
    tracemalloc.start()
    try:
        assert to_rgb_array(message).shape == (1, 2, 3)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
