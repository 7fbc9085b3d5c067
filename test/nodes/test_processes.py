"""Camera and node as processes of their own: how they start, and how they end."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from ovsr_ros import msg
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.messages.images import to_label_array

NODE, CAMERA = "ovsr_ros.nodes.ovsr_node", "ovsr_ros.nodes.demo_camera"
SMALL_CAMERA = ("--ros-args", "-p", "width:=160", "-p", "height:=120")
LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
END_S = 2.0


def end(process, number):
    """The exit code after a signal, which is to come within two seconds."""
    begin = time.monotonic()
    process.popen.send_signal(number)
    code = process.wait()
    assert time.monotonic() - begin < END_S
    assert "Traceback" not in process.output
    return code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_in_good_order(run_module, ovsr, client, node_config, number):
    node = run_module(NODE, "--ros-args", "-p", f"config:={node_config}", fresh=True)
    ovsr.wait_until_active()
    ovsr.label()
    assert end(node, number) == 0


@pytest.mark.parametrize("delay_s", [0.0, 0.3, 1.0])
def test_a_signal_ends_a_node_that_is_still_starting(run_module, node_config, delay_s):
    node = run_module(NODE, "--ros-args", "-p", f"config:={node_config}", fresh=True)
    # The interpreter itself needs a moment before any code of ours can take a signal.
    time.sleep(1.0 + delay_s)
    assert end(node, signal.SIGINT) == 0


def test_a_signal_ends_a_node_at_work_on_frames(run_module, ovsr, client, node_config):
    node = run_module(NODE, "--ros-args", "-p", f"config:={node_config}", "-p", "features.grid_rows:=64")
    ovsr.wait_until_active()
    for _ in range(3):
        ovsr.send(ovsr.image((480, 640)))
        time.sleep(0.1)
    assert end(node, signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-p", "config:=no_such_preset"], 2, "no_such_preset"),
        (["-p", "score_treshold:=0.5"], 2, "the nearest known key is 'score_threshold'"),
        (["-p", "rate_hz:=1000.0"], 2, "rate_hz: expected 0.1 to 120 Hz, got 1000"),
        (["-p", "categories:=[mug, mug]"], 2, "duplicate"),
        (["-p", "categories:=['#00ff00']"], 2, "a name before it"),
        (["-p", b"categories:=[caf\xe9]"], 2, "is not UTF-8: byte 0xE9 at character 17"),
        (["-p", "text.background_names:=['\u3164']"], 2, "text.background_names: name 1: is empty"),
        (["--params-file", "/no/such/file.yaml"], 2, "/no/such/file.yaml"),
        (["-p", "use_sim_time:=1"], 2, "cannot start: Trying to set parameter 'use_sim_time' to '1'"),
        (["-p", "features.model:=/no/such/model"], 1, "/no/such/model"),
        (["-p", "features.model:=efficientnet_b3.ra2_in1k"], 1, "ovsr models download efficientnet_b3.ra2_in1k"),
    ],
)
def test_a_node_that_cannot_start_says_why_and_fails(run_module, node_config, arguments, code, said):
    config = [] if "config:=no" in str(arguments[1]) else ["-p", f"config:={node_config}"]
    node = run_module(NODE, "--ros-args", *config, *arguments)
    assert node.wait(60.0) == code, node.output
    assert said in node.output
    assert "Traceback" not in node.output


def test_one_of_several_cameras_that_cannot_start_ends_in_one_line(run_module, node_config):
    arguments = ("--cameras", "front, rear", "--ros-args", "-p", f"config:={node_config}")
    node = run_module(NODE, *arguments, "-p", "start_type_description_service:=no_bool")
    assert node.wait(60.0) == 2, node.output
    assert "start_type_description_service" in node.output
    assert "Traceback" not in node.output


def test_a_node_that_has_ended_is_gone_from_the_graph(run_module, ovsr, client, node_config):
    node = run_module(NODE, "--ros-args", "-p", f"config:={node_config}")
    ovsr.wait_until_active()
    assert end(node, signal.SIGINT) == 0
    # Left to itself, what the lifecycle's state machine kept was there for 20 s: the lease of a participant.
    client.wait(lambda: "ovsr" not in client.node.get_node_names(), "the node's name to go", 12.0)


def test_a_parameter_file_in_rclpys_layout_configures_the_node(run_module, ovsr, node_config, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(
        f"/**:\n  ros__parameters:\n    config: {node_config}\n    rate_hz: 5\n    categories: []\n"
        "    clusters:\n      k_max: 7\n"
    )
    run_module(NODE, "--ros-args", "--params-file", str(file))
    ovsr.wait_until_active()
    assert ovsr.get_parameter("rate_hz") == 5.0
    assert ovsr.get_parameter("clusters.k_max") == 7


def test_the_camera_shows_images_with_their_ground_truth(run_module, client):
    images = client.collect("/image_raw", Image)
    infos = client.collect("/camera_info", CameraInfo)
    truths = client.collect("/ground_truth/label_map", Image)
    names = client.collect("/ground_truth/vocabulary", msg.Vocabulary, LATCHED)
    camera = run_module(CAMERA, *SMALL_CAMERA)
    client.wait(lambda: min(map(len, (images, infos, truths, names))) > 0 and len(images) > 5, "images of the camera")
    image = images[-1]
    client.wait(lambda: truths[-1].header == images[-1].header == infos[-1].header, "one header on all topics")
    assert (image.width, image.height, image.encoding, image.header.frame_id) == (160, 120, "rgb8", "camera")
    assert [category.name for category in names[0].categories] == list(CATEGORIES)
    values = np.unique(to_label_array(truths[-1]))
    assert len(values) > 2
    assert values.max() < len(CATEGORIES)
    assert infos[-1].k[0] > 0
    assert (infos[-1].k[2], infos[-1].k[5]) != (0, 0)
    stamps = [image.header.stamp.sec * 10**9 + image.header.stamp.nanosec for image in images]
    assert stamps == sorted(set(stamps))
    assert end(camera, signal.SIGINT) == 0


def test_the_camera_keeps_its_rate(run_module, client):
    images = client.collect("/image_raw", Image)
    run_module(CAMERA, *SMALL_CAMERA, "-p", "rate_hz:=5.0", "-p", "clip_s:=1.0")
    client.wait(lambda: len(images) >= 20, "20 images")
    seconds = [image.header.stamp.sec + image.header.stamp.nanosec / 1e9 for image in images[8:20]]
    assert abs((seconds[-1] - seconds[0]) / 11 - 0.2) < 0.02


def test_the_same_seed_shows_the_same_room(run_module, client):
    received = []
    for _ in range(2):
        images = client.collect("/image_raw", Image)
        count = len(images)
        camera = run_module(CAMERA, *SMALL_CAMERA, "-p", "seed:=3", "-p", "speed:=0.0")
        client.wait(lambda count=count, images=images: len(images) > count, "an image")
        received.append(bytes(images[-1].data))
        end(camera, signal.SIGTERM)
    first, second = (np.frombuffer(data, np.uint8).astype(int) for data in received)
    assert np.abs(first - second).mean() < 1.0


@pytest.mark.parametrize(
    ("argument", "said"),
    [("widht:=64", "the nearest known key is 'width'"), ("width:=8", "width: expected 16 to 4096 px, got 8")],
)
def test_a_camera_that_cannot_start_says_why(run_module, argument, said):
    camera = run_module(CAMERA, "--ros-args", "-p", argument)
    assert camera.wait() == 2
    assert said in camera.output


def test_camera_images_come_out_labelled(run_module, ovsr, client, node_config):
    run_module(CAMERA, *SMALL_CAMERA, "-r", "__ns:=/camera")
    truths = client.collect("/camera/ground_truth/label_map", Image)
    run_module(NODE, "--ros-args", "-p", f"config:={node_config}", "-r", "image:=/camera/image_raw")
    client.wait(lambda: len(ovsr.label_maps) >= 3, "label maps of the camera's images")

    def find_pair():
        pairs = ((ours, truth) for ours in ovsr.label_maps for truth in truths if truth.header == ours.header)
        return next(pairs, None)

    label_map, truth = client.wait(find_pair, "a label map and the ground truth of its header")
    assert (label_map.height, label_map.width, label_map.encoding) == (truth.height, truth.width, "mono8")
    assert set(np.unique(to_label_array(label_map))) <= {0, 1, 255}
