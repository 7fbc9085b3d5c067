"""A video file as a source: real files, whole, cut off, damaged, and such as are none."""

from __future__ import annotations

import os

import pytest
from media_files import LEVEL_STEP, level_of, write_video

from ovsr_ros.demo.sources.video import VideoSource
from ovsr_ros.errors import SourceError

BOUND_WH = (1280, 1280)


@pytest.fixture
def reports():
    return []


@pytest.fixture
def open_video(reports):
    sources = []

    def start(path, bound_wh=BOUND_WH, rate_hz=None):
        sources.append(VideoSource(path, bound_wh, rate_hz, reports.append))
        return sources[-1]

    yield start
    for source in sources:
        source.close()


def levels(source, count):
    return [level_of(source.read().image) for _ in range(count)]


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_every_image_comes_in_its_order_and_then_the_first_again(tmp_path, open_video, reports, name, codec):
    source = open_video(write_video(tmp_path / name, num_images=20, codec=codec))
    once = [LEVEL_STEP * index for index in range(20)]
    assert levels(source, 50) == [*once, *once, *once[:10]]
    assert reports == []


def test_the_rate_is_the_video_s_own_unless_another_is_asked_for(tmp_path, open_video):
    path = write_video(tmp_path / "a.avi", rate_hz=12.5)
    assert open_video(path).rate_hz == pytest.approx(12.5)
    assert open_video(path, rate_hz=4.0).rate_hz == 4.0
    assert open_video(write_video(tmp_path / "fast.avi", rate_hz=240.0)).rate_hz == 120.0


def test_large_images_are_scaled_down_with_their_aspect(tmp_path, open_video):
    source = open_video(write_video(tmp_path / "a.avi", size_wh=(160, 80)), bound_wh=(100, 100))
    assert source.size_wh == (100, 50)
    assert [source.read().image.shape for _ in range(2)] == [(50, 100, 3)] * 2


def test_a_video_that_is_cut_off_is_told_once_and_goes_on_from_the_beginning(tmp_path, open_video, reports):
    path = write_video(tmp_path / "a.avi", size_wh=(640, 480))  # large beside its header and index
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = open_video(path)
    seen = levels(source, 50)
    num_whole = seen.index(0, 1)
    assert 5 <= num_whole <= 15
    assert seen[num_whole : 2 * num_whole] == seen[:num_whole]
    assert reports == [
        f"{path}: expected 20 images, as the video's header says, got {num_whole}: the rest is damaged or missing; it "
        "goes on from the beginning"
    ]


def test_a_file_that_is_gone_at_the_end_of_the_video_ends_the_source(tmp_path, open_video):
    path = write_video(tmp_path / "a.avi", num_images=3)
    source = open_video(path)
    path.unlink()
    assert levels(source, 3) == [0, 12, 24], "an open file stays"
    with pytest.raises(SourceError, match=r"a\.avi: cannot be read: No such file or directory"):
        source.read()


def test_one_that_becomes_something_else_ends_the_source_too(tmp_path, open_video):
    path = write_video(tmp_path / "a.avi", num_images=2)
    source = open_video(path)
    path.unlink()  # the old one stays open
    path.write_text("and now a text\n")
    levels(source, 2)
    with pytest.raises(SourceError, match="expected an image or a video, got text"):
        source.read()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "got a file that OpenCV reads as neither"),
        (os.urandom(5000), "got a file that OpenCV reads as neither"),
        (b"just a text\n" * 500, "got text; convert it"),
        ("täglich\n".encode() * 500, "got text"),
        (b"short", "got text"),
    ],
    ids=["empty", "noise", "text", "text in UTF-8", "short text"],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "frame_001.dat"])
def test_what_is_no_video_is_refused_in_one_line(tmp_path, open_video, content, said, name):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError) as error:
        open_video(path)
    assert str(error.value).startswith(f"{path}: expected an image or a video, ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_video_cut_before_its_index_is_refused(tmp_path, open_video):
    path = write_video(tmp_path / "a.mp4", codec="mp4v")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match="reads as neither: another format, damaged or cut short"):
        open_video(path)


def test_a_video_that_is_too_thin_is_refused(tmp_path, open_video):
    path = write_video(tmp_path / "a.avi", size_wh=(320, 16))
    with pytest.raises(SourceError, match=r"a\.avi: expected an image of at least 16x16 px, got 320x16, 160x8 within"):
        open_video(path, bound_wh=(160, 160))


def test_a_video_may_be_one_image(tmp_path, open_video):
    source = open_video(write_video(tmp_path / "a.avi", num_images=1))
    assert levels(source, 3) == [0, 0, 0]
