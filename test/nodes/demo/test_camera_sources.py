"""The node `demo_camera` on each kind of source, over DDS; a webcam's place is taken by a video file."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from media_files import LEVEL_STEP, level_of, write_image, write_video
from rcl_interfaces.msg import Log
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from ovsr_ros.demo.sources.device import DeviceSource
from ovsr_ros.demo.sources.photos import PhotoSource
from ovsr_ros.nodes.conversions.images import to_rgb_array
from ovsr_ros.nodes.demo.camera import DemoCamera
from ovsr_ros.nodes.process import EXIT_FAILED

CAMERA = "ovsr_ros.nodes.demo_camera"


@pytest.fixture
def start_camera(context, spin):
    def start(*arguments, **parameters):
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        return spin(DemoCamera((), *arguments, context=context, parameter_overrides=overrides))

    return start


def stamp_of(message):
    return message.header.stamp.sec, message.header.stamp.nanosec


@pytest.fixture
def images(client):
    return client.collect("/image_raw", Image)


@pytest.fixture
def infos(client):
    return client.collect("/camera_info", CameraInfo)


def values_of(camera, *names):
    return [camera.get_parameter(name).value for name in names]


def test_an_image_is_a_camera_that_is_not_calibrated(start_camera, client, images, infos, tmp_path):
    path = write_image(tmp_path / "a.png", 120, (200, 100))
    camera = start_camera(source=str(path), rate_hz=20.0, width=100, height=100)
    client.wait(lambda: len(images) > 3 and infos, "images and camera_info")
    for image in images:
        assert (image.encoding, image.width, image.height, image.step) == ("rgb8", 100, 50, 300)
        assert image.header.frame_id == "camera"
        assert set(image.data) == {120}
    assert {stamp_of(info) for info in infos} & {stamp_of(image) for image in images}
    info = infos[0]
    assert (info.width, info.height, info.header.frame_id) == (100, 50, "camera")
    assert not any([*info.k, *info.p, *info.r, *info.d])
    assert info.distortion_model == ""
    assert values_of(camera, "rate_hz", "width", "height") == [20.0, 100, 50]


def test_only_rooms_have_ground_truth_and_depth(start_camera, client, tmp_path):
    start_camera(source=str(write_image(tmp_path / "a.png", 120)))
    client.wait(lambda: client.node.count_publishers("/image_raw"), "the camera's topics")
    topics = {name for name, _ in client.node.get_topic_names_and_types()}
    assert not [name for name in topics if "ground_truth" in name or "depth" in name]


def test_a_video_is_sent_at_its_own_rate_in_a_loop(start_camera, client, images, tmp_path):
    camera = start_camera(source=str(write_video(tmp_path / "a.avi", num_images=8, rate_hz=20.0)))
    assert values_of(camera, "rate_hz", "width", "height") == [pytest.approx(20.0), 64, 48]
    client.wait(lambda: len(images) >= 20, "two rounds of the video")
    levels = [level_of(to_rgb_array(image)) for image in images]
    for level, after in itertools.pairwise(levels):
        assert after == (level + LEVEL_STEP) % (8 * LEVEL_STEP)


def test_a_folder_is_shown_in_turn_and_damaged_files_are_logged_once(run_module, client, tmp_path):
    for name, level in (("a.png", 60), ("c.png", 120)):
        write_image(tmp_path / name, level)
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    images = client.collect("/here/image_raw", Image)
    camera = run_module(
        CAMERA,
        "--ros-args",
        "-r",
        "__ns:=/here",
        "-p",
        f"source:={tmp_path}",
        "-p",
        "rate_hz:=20.0",
        "-p",
        "each_s:=0.2",
    )
    client.wait(lambda: len(images) >= 24, "three rounds of the folder")
    levels = [level_of(to_rgb_array(image)) for image in images]
    assert set(levels) == {60, 120}
    assert 4 <= sum(level != after for level, after in itertools.pairwise(levels)) <= 7
    assert camera.output.count("image left out: ") == 1
    assert f"{tmp_path / 'b.png'}: expected an image, got a file that is not decodable" in camera.output
    assert f"/here/image_raw shows 3 images of {tmp_path}, 64x48 at 20 Hz" in camera.output


def test_photos_are_sent_as_the_seed_has_them(start_camera, client, images):
    start_camera(source="photos", seed=5, rate_hz=10.0, width=160, height=120)
    client.wait(lambda: len(images) >= 3, "images")
    source = PhotoSource((160, 120), 10.0, 6.0, 5, 1.0)
    expected = [source.read().image for _ in range(60)]
    places = [
        next(place for place, image in enumerate(expected) if np.array_equal(to_rgb_array(message), image))
        for message in images[:3]
    ]
    assert places == list(range(places[0], places[0] + 3))


def test_a_webcam_is_sent_with_the_time_at_which_its_image_came(start_camera, client, images, tmp_path):
    path = write_video(tmp_path / "a.avi", rate_hz=20.0)

    def open_webcam(options, given, report):
        return DeviceSource(options.source, None, (1280, 1280), None, report, api=cv2.CAP_FFMPEG)

    logs = client.collect("/rosout", Log)
    camera = start_camera(lambda code: None, open_webcam, source=str(path))
    assert values_of(camera, "rate_hz", "width") == [pytest.approx(20.0), 64]
    client.wait(lambda: images, "an image of the webcam")
    client.wait(lambda: [log for log in logs if "sends no images any more" in log.msg], "word that it went away")
    client.wait(lambda: [log for log in logs if log.msg.endswith("a.avi is back")], "word that it is back")
    num_images = len(images)
    client.wait(lambda: len(images) > num_images, "an image after that")
    now_s = camera.get_clock().now().nanoseconds / 1e9
    for image in images:
        assert now_s - 60 < image.header.stamp.sec + image.header.stamp.nanosec / 1e9 <= now_s


def test_a_source_that_breaks_down_ends_the_process_with_1(run_module, client, tmp_path):
    path = write_video(tmp_path / "a.avi", rate_hz=10.0)
    images = client.collect("/image_raw", Image)
    camera = run_module(CAMERA, "--ros-args", "-p", f"source:={path}")
    client.wait(lambda: images, "an image")
    path.unlink()
    assert camera.wait() == EXIT_FAILED
    assert f"{path}: cannot be read: No such file or directory" in camera.output
    assert "Traceback" not in camera.output


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/no/such/file", "/no/such/file: expected rooms, photos, an image, a folder of images, a video or a camera"),
        ("/dev/null", "/dev/null: expected a camera that can be opened, got a device that OpenCV cannot: "),
        ("cut.mp4", "expected an image or a video, got a file that OpenCV reads as neither: another format, damaged"),
        ("cut.png", "expected an image, got a file that is damaged: a png image with a part 'IDAT' of "),
        ("folder", "expected a folder with images (.bmp, "),
    ],
)
def test_a_source_that_cannot_be_opened_ends_the_process_with_2_and_one_line(run_module, tmp_path, source, said):
    (tmp_path / "folder").mkdir()
    for path in (write_image(tmp_path / "cut.png", 60), write_video(tmp_path / "cut.mp4", codec="mp4v")):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    path = source if source.startswith("/") else str(tmp_path / source)
    camera = run_module(CAMERA, "--ros-args", "-p", f"source:={path}")
    assert camera.wait() == 2
    assert len(camera.lines) == 1, camera.output
    assert said in camera.output
