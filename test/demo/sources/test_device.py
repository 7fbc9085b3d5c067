"""A webcam as a source. There is none here: a video file stands in its place, whose end is a cable pulled out."""

from __future__ import annotations

import queue
import threading
import time

import cv2
import pytest
from media_files import LEVEL_STEP, level_of, write_video

from ovsr_ros.demo.sources.device import DeviceSource
from ovsr_ros.errors import SourceError

BOUND_WH = (1280, 1280)
TIMEOUT_S = 20.0


@pytest.fixture
def reports():
    return queue.Queue()


@pytest.fixture
def open_device(reports):
    sources = []

    def start(path, asked_wh=None, bound_wh=BOUND_WH, rate_hz=None, api=cv2.CAP_FFMPEG):
        sources.append(DeviceSource(str(path), asked_wh, bound_wh, rate_hz, reports.put, api))
        return sources[-1]

    yield start
    for source in sources:
        source.close()


def test_size_and_rate_are_the_camera_s_own_unless_others_are_asked_for(tmp_path, open_device):
    path = write_video(tmp_path / "a.avi", rate_hz=15.0, size_wh=(160, 80))
    own = open_device(path)
    assert (own.size_wh, own.rate_hz) == ((160, 80), pytest.approx(15.0))
    asked = open_device(path, asked_wh=(80, 80), bound_wh=(80, 80), rate_hz=3.0)
    assert (asked.size_wh, asked.rate_hz) == ((80, 40), 3.0)


def test_the_newest_image_is_read_once_with_the_time_at_which_it_came(tmp_path, open_device, reports):
    begin = time.monotonic()
    source = open_device(write_video(tmp_path / "a.avi", num_images=20))
    assert "sends no images any more" in reports.get(timeout=TIMEOUT_S)
    frame = source.read()
    assert level_of(frame.image) == 19 * LEVEL_STEP, "all before it are out of date"
    assert begin <= frame.taken_s <= time.monotonic()
    assert source.read() is None


def test_a_camera_that_goes_away_is_told_once_and_waited_for(tmp_path, open_device, reports):
    path = write_video(tmp_path / "a.avi")
    source = open_device(path)
    path.rename(tmp_path / "unplugged.avi")
    assert reports.get(timeout=TIMEOUT_S) == (
        f"{path} sends no images any more; it is looked for every second: plug it in again"
    )
    source.read()
    with pytest.raises(queue.Empty):
        reports.get(timeout=2.5)  # it was looked for twice meanwhile
    assert source.read() is None
    (tmp_path / "unplugged.avi").rename(path)
    assert reports.get(timeout=TIMEOUT_S) == f"{path} is back"
    assert "sends no images any more" in reports.get(timeout=TIMEOUT_S), "the file has ended again"
    assert source.read() is not None


def test_closing_it_ends_its_thread_with_or_without_a_camera(tmp_path, open_device, reports):
    path = write_video(tmp_path / "a.avi")
    source = open_device(path)
    path.unlink()
    reports.get(timeout=TIMEOUT_S)
    source.close()
    source.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]


@pytest.mark.parametrize("what", ["missing", "folder", "null", "text"])
def test_what_cannot_be_opened_is_refused_with_the_reason(tmp_path, open_device, capfd, what):
    path, said = {
        "missing": (tmp_path / "video9", "got: No such file or directory; plug it in again, or name another"),
        "folder": (tmp_path, "got: Is a directory; "),
        "null": ("/dev/null", "in use by another program (fuser -v /dev/null)"),
        "text": (tmp_path / "text", "no camera, a camera's second device (v4l2-ctl --list-devices), or one in use"),
    }[what]
    (tmp_path / "text").write_bytes(bytes(100))
    with pytest.raises(SourceError) as error:
        open_device(path, api=cv2.CAP_V4L2)
    assert str(error.value).startswith(f"{path}: expected a camera that can be opened, got")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]


def test_a_camera_that_sends_nothing_is_refused(tmp_path, open_device):
    path = write_video(tmp_path / "a.avi", num_images=20)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 4])  # a header, and nothing behind it
    with pytest.raises(SourceError, match=r"expected (images, got none|a camera that can be opened)"):
        open_device(path)
