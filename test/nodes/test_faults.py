"""What goes wrong around the node: it says so, with the cause and the remedy, and labels again afterwards."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ovsr_ros import srv

WARN = 30

CAMERA = """
import sys, time, rclpy
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "image", QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE))
image = Image(height=120, width=160, step=480, encoding="rgb8", data=bytes(range(256)) * 225)
image.header.frame_id = sys.argv[1]
while True:
    image.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(image)
    time.sleep(0.05)
"""

PASSER_BY = """
import os, signal, sys, rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
rclpy.init()
nodes = [rclpy.create_node(f"passer_by_{os.getpid()}_{number}") for number in range(3)]
for node in nodes:
    node.create_publisher(Image, "image", 1)
    node.create_subscription(Image, "/ovsr/overlay", lambda message: None, 1)
    node.create_subscription(Image, "/ovsr/label_map", lambda message: None, 1)
    rclpy.spin_once(node, timeout_sec=0.2)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
rclpy.shutdown()
"""


@pytest.fixture
def run_script():
    """Runs Python code in a process of its own."""
    processes = []

    def run(code, *arguments):
        processes.append(subprocess.Popen([sys.executable, "-c", code, *arguments]))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def warnings(ovsr, text):
    return [log.msg for log in ovsr.logs if log.level >= WARN and text in log.msg]


# --- Models ---


@pytest.fixture
def features(seeded_models, tmp_path):
    """A copy of the feature network's folder, to be spoilt."""
    return Path(shutil.copytree(seeded_models.features, tmp_path / "features"))


def cut_short(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def of_another_architecture(folder):
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "architecture": "efficientnet_b1"}))


@pytest.mark.parametrize(
    ("spoil", "cause", "remedy"),
    [
        (cut_short, "model.safetensors: cut short, damaged, or not a weight file", "get it again"),
        (of_another_architecture, "model.safetensors for efficientnet_b1", "the weights are another architecture's"),
    ],
)
def test_a_spoilt_model_is_named_and_once_it_is_mended_configure_works(
    start_node, ovsr, client, seeded_models, features, spoil, cause, remedy
):
    spoil(features)
    start_node(autostart=False, features__model=str(features))
    assert not ovsr.change_state("configure")
    assert ovsr.state() == "unconfigured"
    (error,) = client.wait(lambda: ovsr.errors(cause), "an error that names the file")
    assert remedy in error
    client.wait(lambda: cause in ovsr.status_message("segmentation"), "the cause in /diagnostics")
    shutil.copytree(seeded_models.features, features, dirs_exist_ok=True)
    assert ovsr.change_state("configure")
    assert ovsr.change_state("activate")
    assert ovsr.label().segments


# --- The cache of text embeddings ---


@pytest.mark.parametrize("name", ["file", 300 * "x"], ids=["a file", "a name too long"])
def test_a_cache_folder_that_cannot_be_is_said_once_and_words_work(start_node, ovsr, client, tmp_path, name):
    (tmp_path / "file").write_text("a file where a folder is wanted")
    blocked = tmp_path / name
    start_node(text__cache_directory=str(blocked))
    ovsr.wait_until_active()
    for word in ("wall", "floor", "door"):
        assert ovsr.set_vocabulary(srv.SetVocabulary.Request.ADD, word).success
    assert ovsr.label().segments
    (warning,) = client.wait(lambda: warnings(ovsr, "are not stored on disk"), "a warning about the cache")
    assert str(blocked) in warning
    assert "text.cache_directory" in warning


def test_a_full_disk_under_the_cache_is_said_once_and_words_work(start_node, ovsr, client, tmp_path, full_disk):
    start_node(text__cache_directory=str(full_disk))
    ovsr.wait_until_active()
    for word in ("wall", "floor", "door"):
        assert ovsr.set_vocabulary(srv.SetVocabulary.Request.ADD, word).success
    assert ovsr.label().segments
    (warning,) = client.wait(lambda: warnings(ovsr, "are not stored on disk"), "a warning about the cache")
    assert "No space left on device" in warning
    assert not list(full_disk.rglob("*.part")), "what could not be written whole is to be removed"


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a file system of 64 KiB that is full."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("file systems can be mounted by root only")
    (folder / "filler").write_bytes(bytes(60 * 1024))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_cache_file_cut_short_is_named_and_written_anew(start_node, ovsr, client, tmp_path):
    start_node(text__cache_directory=str(tmp_path), autostart=False)
    assert ovsr.change_state("configure")
    assert ovsr.change_state("cleanup")
    stored = sorted(tmp_path.rglob("*.npy"))
    whole = stored[0].read_bytes()
    stored[0].write_bytes(whole[: len(whole) // 2])
    assert ovsr.change_state("configure")
    assert ovsr.change_state("activate")
    assert ovsr.label().segments
    (warning,) = client.wait(lambda: warnings(ovsr, "not a text embedding"), "a warning about the file")
    assert stored[0].name in warning
    assert "encoded anew" in warning
    assert np.allclose(np.load(stored[0]), np.load(io.BytesIO(whole)), atol=1e-5)


# --- Others on the network ---


def test_a_camera_that_is_killed_is_missed_and_its_successor_is_labelled(start_node, ovsr, client, run_script):
    start_node(image_timeout_s=1.0)
    ovsr.wait_until_active()

    def labelled(camera):
        return any(label_map.header.frame_id == camera for label_map in ovsr.label_maps)

    first = run_script(CAMERA, "first")
    client.wait(lambda: labelled("first"), "a label map of the first camera's image")
    first.send_signal(signal.SIGKILL)
    (warning, *_) = client.wait(lambda: warnings(ovsr, "no image for more than 1 s"), "a warning of the silence")
    assert "/image has" in warning
    assert "camera" in warning
    run_script(CAMERA, "second")
    client.wait(lambda: labelled("second"), "a label map of the second camera's image")
    client.wait(lambda: ovsr.status("image input").level == b"\x00", "an end of the warning in /diagnostics")


def test_a_subscriber_that_stalls_holds_up_neither_frames_nor_other_subscribers(
    start_node, ovsr, client, stalled_subscriber
):
    start_node()
    ovsr.wait_until_active()

    def seconds_for(num_images):
        begin = time.monotonic()
        for _ in range(num_images):
            header = ovsr.send(ovsr.image((1080, 1920)))
            assert ovsr.result("/ovsr/label_map", header)
        return time.monotonic() - begin

    seconds_for(2)
    alone = seconds_for(8)
    stalled_subscriber("/ovsr/label_map")
    client.wait(lambda: client.node.count_subscribers("/ovsr/label_map") == 2, "the second subscriber")
    beside = seconds_for(8)
    publish_ms = float(ovsr.diagnostic("segmentation", "stage publish [ms]"))
    assert beside < 2 * alone + 2.0, "a frame is not to wait for who does not take it"
    assert publish_ms < 300.0


def test_participants_that_come_and_go_are_not_noticed(start_node, ovsr, client, run_script):
    start_node()
    ovsr.wait_until_active()
    ovsr.label()
    for _ in range(3):
        passers_by = [run_script(PASSER_BY, how) for how in ("killed", "in good order") * 2]
        while any(passer_by.poll() is None for passer_by in passers_by):
            assert ovsr.label().segments
    assert ovsr.label().segments
    assert not ovsr.errors("")
    assert int(ovsr.diagnostic("segmentation", "failed")) == 0


# --- The worker ---


def test_what_nobody_foresaw_is_reported_with_its_traceback_and_what_to_do(start_node, ovsr, client):
    node = start_node()
    ovsr.wait_until_active()
    ovsr.label()
    # Models that are gone under the running worker: each frame raises.
    node.segmenter.pipeline.close()
    for _ in range(3):
        ovsr.send(ovsr.image())
    (error,) = client.wait(lambda: ovsr.errors("image skipped: RuntimeError"), "an error about the frame")
    assert "this pipeline was closed" in error
    assert "Traceback" in error
    client.wait(lambda: "the last frame failed" in ovsr.status_message("segmentation"), "the error in /diagnostics")
    # What it says to do.
    assert "clean the node up and configure it anew" in error
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        assert ovsr.change_state(transition), transition
    assert ovsr.label().segments


def test_an_activation_that_fails_says_so_and_can_be_tried_again(start_node, ovsr, client):
    node = start_node(autostart=False)
    assert ovsr.change_state("configure")
    node._worker.start()  # a worker that is there already is what makes the activation raise
    assert not ovsr.change_state("activate")
    assert ovsr.state() == "inactive"
    (error,) = client.wait(lambda: ovsr.errors("activate failed"), "an error about the activation")
    assert "already started" in error
    assert "ros2 lifecycle set /ovsr activate" in error
    client.wait(lambda: "activate failed" in ovsr.status_message("segmentation"), "the failure in /diagnostics")
    assert ovsr.change_state("activate")
    assert ovsr.label().segments
