"""Options become a source: which one, and what size and rate it has."""

from __future__ import annotations

import numpy as np
import pytest
from media_files import write_image, write_video

from ovsr_ros.demo.scenes import Scene
from ovsr_ros.demo.sources.opening import SourceOptions, open_source
from ovsr_ros.errors import SourceError
from ovsr_ros.options import from_dict


def open_with(**given):
    source = open_source(from_dict(SourceOptions, given), given, lambda text: pytest.fail(text))
    source.close()
    return source


def test_rooms_are_the_drawn_scenes_back_and_forth():
    source = open_with(seed=7, width=64, height=48, rate_hz=5.0, clip_s=0.6)
    frames = [source.read() for _ in range(6)]
    scene = Scene(7, split="test")
    for frame, index in zip(frames, (0, 1, 2, 1, 0, 1), strict=True):
        drawn = scene.render(index / 5.0, (64, 48))
        assert np.array_equal(frame.image, drawn.image)
        assert np.array_equal(frame.category_map, drawn.category_map)
        assert np.array_equal(frame.depth_m, drawn.depth_m)
        assert np.array_equal(frame.camera_matrix, drawn.camera_matrix)
    assert source.description == ", ".join(scene.instance_names)


def test_rooms_and_photos_have_the_default_size_and_rate():
    for name in ("rooms", "photos"):
        source = open_with(source=name)
        assert (source.size_wh, source.rate_hz) == ((640, 480), 10.0)


def test_files_have_their_own_size_up_to_a_bound_unless_one_is_given(tmp_path):
    large = str(write_image(tmp_path / "large.png", 60, (2560, 1280)))
    assert open_with(source=large).size_wh == (1280, 640)
    assert open_with(source=large, width=640, height=640).size_wh == (640, 320)
    assert open_with(source=large, width=2000).size_wh == (2000, 1000)
    assert open_with(source=large, height=4096).size_wh == (2560, 1280)
    video = str(write_video(tmp_path / "a.avi", size_wh=(160, 80)))
    assert open_with(source=video).size_wh == (160, 80)
    assert open_with(source=video, height=40).size_wh == (80, 40)


def test_a_file_is_an_image_or_a_video_by_its_content(tmp_path):
    image = write_image(tmp_path / "a.png", 60).rename(tmp_path / "no_suffix")
    video = write_video(tmp_path / "a.avi", rate_hz=5.0).rename(tmp_path / "picture.png")
    assert open_with(source=str(image)).rate_hz == 10.0
    assert open_with(source=str(video)).rate_hz == pytest.approx(5.0)


def test_a_folder_is_shown_in_its_order(tmp_path):
    for name, level in (("b.png", 120), ("a.png", 60)):
        write_image(tmp_path / name, level)
    source = open_with(source=str(tmp_path), rate_hz=2.0, each_s=1.0)
    assert [int(source.read().image.mean()) for _ in range(5)] == [60, 60, 120, 120, 60]


def test_a_device_that_is_no_camera_is_refused():
    with pytest.raises(SourceError, match="/dev/null: expected a camera that can be opened"):
        open_with(source="/dev/null")
