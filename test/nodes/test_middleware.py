"""All outputs of a frame reach a subscriber in another process."""

from __future__ import annotations

import os

import pytest
from sensor_msgs.msg import Image

from ovsr_ros.nodes.middleware import PROFILES, make_room_for_images

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


@pytest.mark.parametrize("name", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"])
def test_settings_of_the_user_s_own_stay(monkeypatch, name):
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.setenv(name, "/own/profiles.xml")
    before = dict(os.environ)
    make_room_for_images()
    assert dict(os.environ) == before


@pytest.mark.parametrize(("distro", "name"), [("jazzy", "FASTRTPS"), ("kilted", "FASTDDS"), ("", "FASTDDS")])
def test_the_file_is_named_as_the_release_reads_it(monkeypatch, distro, name):
    for each in ("FASTDDS", "FASTRTPS"):
        # Set before deleted, so that what is set meanwhile is undone.
        monkeypatch.setenv(f"{each}_DEFAULT_PROFILES_FILE", "")
    monkeypatch.setenv("ROS_DISTRO", distro)
    make_room_for_images()
    assert os.environ[f"{name}_DEFAULT_PROFILES_FILE"] == str(PROFILES)
    assert PROFILES.is_file()
