"""Images and outputs get through to other processes whole, and the user's own settings of the middleware stay."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

from ovsr_ros.nodes.middleware import (
    ENOUGH_BYTES,
    PROFILES,
    RECEIVE_UDP,
    UDP,
    choose_profiles,
    make_room_for_images,
    receive_buffer_bytes,
)

BEST_EFFORT = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
NUM_FRAMES = 12
IMAGES = ("label_map", "confidence", "segment_map", "overlay")


def test_of_every_frame_all_images_arrive(run_module, ovsr, client, node_config):
    # A domain participant reads its profiles when it is made, so that only a process of its own shows this.
    received = {name: client.collect(f"/ovsr/{name}", Image) for name in IMAGES}
    run_module("ovsr_ros.nodes.ovsr_node", "--ros-args", "-p", f"config:={node_config}")
    ovsr.wait_until_active()
    headers = []
    for seed in range(NUM_FRAMES):
        headers.append(ovsr.send(ovsr.image((480, 640), seed=seed)))
        ovsr.result("/ovsr/overlay", headers[-1])  # the last that is sent
    for name, messages in received.items():
        client.wait(
            lambda messages=messages: {str(message.header) for message in messages} >= {str(h) for h in headers},
            f"{NUM_FRAMES} messages on {name}",
            timeout_s=5.0,
        )


def wait_until_heard(client, ovsr):
    """A best-effort publisher whose images arrive: it knows a subscriber before that one knows it."""
    publisher = client.publisher("/image", Image, BEST_EFFORT)

    def is_heard():
        publisher.publish(ovsr.image())
        return ovsr.segments

    client.wait(is_heard, "a first small image")
    return publisher


@pytest.mark.skipif(receive_buffer_bytes() < ENOUGH_BYTES, reason="the kernel's receive buffers hold no image")
@pytest.mark.parametrize("transports", ["", "UDPv4"])
def test_every_image_of_a_best_effort_camera_in_another_process_arrives(
    run_module, ovsr, client, node_config, transports
):
    # An image is larger than the segment of shared memory that Fast DDS gives the camera, which is this process.
    environment = {**os.environ, "FASTDDS_BUILTIN_TRANSPORTS": transports}
    run_module("ovsr_ros.nodes.ovsr_node", "--ros-args", "-p", f"config:={node_config}", environment=environment)
    ovsr.wait_until_active()
    wait_until_heard(client, ovsr)
    for seed in range(NUM_FRAMES):
        ovsr.result("/ovsr/segments", ovsr.send(ovsr.image((480, 640), seed=seed), qos=BEST_EFFORT))
    assert ovsr.diagnostic("image input", "lost on the way in the window") == "0"


def test_images_that_are_lost_on_the_way_are_counted_and_told_with_a_remedy(run_module, ovsr, client, node_config):
    options = (f"config:={node_config}", "image_timeout_s:=100.0", "statistics_window_s:=120.0")
    arguments = [part for option in options for part in ("-p", option)]
    process = run_module("ovsr_ros.nodes.ovsr_node", "--ros-args", *arguments).popen
    ovsr.wait_until_active()
    image = ovsr.image((480, 640))
    publisher = wait_until_heard(client, ovsr)
    process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(80):  # more than any buffer holds
            publisher.publish(image)
    finally:
        process.send_signal(signal.SIGCONT)

    def told():
        publisher.publish(ovsr.image())  # small ones arrive; by the next one a lost one is noticed
        said = ovsr.status_message("image input")
        # The first are told while the others are still to be noticed.
        return " Hz arrive on /image (best effort, volatile): large images are lost" in said and (
            int(ovsr.diagnostic("image input", "lost on the way in the window")) > 20
        )

    client.wait(told, "the losses in /diagnostics")
    assert ovsr.status("image input").level == b"\x01"
    assert "let the camera publish reliable" in ovsr.status_message("image input")
    client.wait(lambda: any(log.msg.startswith("large images are lost") for log in ovsr.logs), "the warning in the log")


# --- Which settings the middleware is given ---


@pytest.fixture
def plain_environment(monkeypatch):
    """Nothing chosen for the middleware; what the test or the node sets is undone."""
    names = ("DEFAULT_PROFILES_FILE", "BUILTIN_TRANSPORTS", "ENVIRONMENT_FILE")
    for name in (*(f"FASTDDS_{each}" for each in names), "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS2_EASY_MODE"):
        # Set, not deleted, so that what is set meanwhile is undone.
        monkeypatch.setenv(name, "")
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FASTDDS_DEFAULT_PROFILES_FILE", "/own/profiles.xml"),
        ("FASTRTPS_DEFAULT_PROFILES_FILE", "/own/profiles.xml"),
        ("FASTDDS_BUILTIN_TRANSPORTS", "UDPv6"),
        ("FASTDDS_BUILTIN_TRANSPORTS", "SHM"),
        ("FASTDDS_BUILTIN_TRANSPORTS", "LARGE_DATA"),
        ("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4?sockets_size=1MB"),
        ("ROS2_EASY_MODE", "127.0.0.1"),
    ],
)
def test_settings_of_the_user_s_own_stay(plain_environment, name, value):
    plain_environment.setenv(name, value)
    before = dict(os.environ)
    make_room_for_images()
    assert dict(os.environ) == before


@pytest.mark.parametrize(("distro", "name"), [("jazzy", "FASTRTPS"), ("kilted", "FASTDDS"), ("", "FASTDDS")])
def test_the_file_is_named_as_the_release_reads_it(plain_environment, distro, name):
    plain_environment.setenv("ROS_DISTRO", distro)
    make_room_for_images()
    assert os.environ[f"{name}_DEFAULT_PROFILES_FILE"] in (str(PROFILES), str(RECEIVE_UDP))


@pytest.mark.parametrize(
    ("environment", "buffer_bytes", "expected"),
    [
        ({}, ENOUGH_BYTES, RECEIVE_UDP),
        ({}, 212992, PROFILES),  # the default before Linux 6.15
        ({}, 0, PROFILES),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, ENOUGH_BYTES, UDP),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, 212992, UDP),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "DEFAULT"}, ENOUGH_BYTES, None),
        ({"ROS_LOCALHOST_ONLY": "1", "ROS_DISTRO": "humble"}, ENOUGH_BYTES, PROFILES),
        ({"ROS_LOCALHOST_ONLY": "1", "ROS_DISTRO": "kilted"}, ENOUGH_BYTES, RECEIVE_UDP),
        ({"ROS_DISCOVERY_SERVER": "TCPv4:[10.0.0.1]:42100"}, ENOUGH_BYTES, PROFILES),
        ({"ROS_DISCOVERY_SERVER": "10.0.0.1:11811"}, ENOUGH_BYTES, RECEIVE_UDP),
    ],
)
def test_the_file_suits_the_machine_and_the_user_s_choices(environment, buffer_bytes, expected):
    assert choose_profiles(environment, buffer_bytes) == expected
    assert expected is None or expected.is_file()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}', None),
        ('{"ROS_DISCOVERY_SERVER": ""}', UDP),
        ("{", UDP),
        ("[]", UDP),
    ],
)
def test_fast_dds_own_file_of_variables_comes_first(tmp_path, text, expected):
    path = tmp_path / "variables.json"
    path.write_text(text, encoding="utf-8")
    environment = {"FASTDDS_ENVIRONMENT_FILE": str(path), "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    assert choose_profiles(environment, ENOUGH_BYTES) == expected


SHOW_SHARED_MEMORY = """
import rclpy
from ovsr_ros.nodes.middleware import make_room_for_images
make_room_for_images()
rclpy.init()
node = rclpy.create_node("shows_shared_memory")
print(open("/proc/self/maps").read())
"""


@pytest.mark.parametrize("transports", ["", "UDPv4"])
def test_shared_memory_is_not_received_from_where_udp_can_do_it_nor_added_where_it_is_switched_off(transports):
    environment = {**os.environ, "FASTDDS_BUILTIN_TRANSPORTS": transports, "FASTDDS_DEFAULT_PROFILES_FILE": ""}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW_SHARED_MEMORY], env=environment, capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 0, shown.stderr
    mapped = re.findall(r"^(\w+)-(\w+) .*/dev/shm/fast(?:dds|rtps)_(\w+)$", shown.stdout, re.MULTILINE)
    by_udp = transports == "UDPv4" or receive_buffer_bytes() >= ENOUGH_BYTES
    assert any(name.startswith("port") for _, _, name in mapped) == (not by_udp)
    # rclpy itself adds a small segment where discovery is limited to this machine.
    is_large = [int(end, 16) - int(begin, 16) > 1 << 24 for begin, end, _ in mapped]
    assert any(is_large) == (transports != "UDPv4")
