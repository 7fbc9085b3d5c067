"""The embedded models, at work: what the node publishes is right, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image

from ovsr_ros import srv
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.messages.images import to_label_array

NUM_FRAMES = 8


def with_truth(label_maps, truths):
    """Each labelled frame and the ground truth of its image, of those whose ground truth came, too."""
    truth_of = {(truth.header.stamp.sec, truth.header.stamp.nanosec): truth for truth in truths}
    pairs = [
        (label_map, truth_of.get((label_map.header.stamp.sec, label_map.header.stamp.nanosec)))
        for label_map in label_maps
    ]
    return [(label_map, truth) for label_map, truth in pairs if truth is not None]


def right_share(label_map, truth, known):
    """The share of right pixels in a labelled frame, among pixels whose category is known."""
    truth = to_label_array(truth)
    return float((to_label_array(label_map) == truth)[np.isin(truth, known)].mean())


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_three_quarters_of_the_pixels_are_right(run_module, ovsr, client, seed):
    truths = client.collect("/demo/ground_truth/label_map", Image)
    run_module(
        "ovsr_ros.nodes.demo_camera", "--ros-args", "-r", "__ns:=/demo", "-p", f"seed:={seed}", "-p", "rate_hz:=2.0"
    )
    words = ", ".join(CATEGORIES)  # ids are given in this order, so they are the ground truth's
    run_module(
        "ovsr_ros.nodes.ovsr_node",
        *("--ros-args", "-p", "config:=demo", "-p", f"categories:=[{words}]", "-r", "image:=/demo/image_raw"),
    )
    # The camera's first frames may be on their way before our subscription to the ground truth is found.
    client.wait(
        lambda: len(with_truth(ovsr.label_maps, truths)) >= NUM_FRAMES,
        f"{NUM_FRAMES} labelled frames and their ground truth",
        timeout_s=120.0,
    )
    shares = [right_share(*pair, range(len(CATEGORIES))) for pair in with_truth(ovsr.label_maps, truths)]
    assert np.mean(shares) >= 0.75, f"seed {seed}: {np.round(shares, 2)}"


def test_a_word_that_is_taken_away_and_given_back_labels_its_pixels_again(run_module, ovsr, client):
    run_module("ovsr_ros.nodes.demo_camera", "--ros-args", "-r", "__ns:=/demo", "-p", "seed:=3", "-p", "rate_hz:=2.0")
    words = ", ".join(CATEGORIES)
    run_module(
        "ovsr_ros.nodes.ovsr_node",
        *("--ros-args", "-p", "config:=demo", "-p", f"categories:=[{words}]", "-r", "image:=/demo/image_raw"),
    )
    wall = CATEGORIES.index("wall")
    client.wait(lambda: ovsr.label_maps, "a labelled frame", timeout_s=120.0)
    for operation, expected in ((srv.SetVocabulary.Request.REMOVE, False), (srv.SetVocabulary.Request.ADD, True)):
        version = ovsr.set_vocabulary(operation, "wall").vocabulary.version
        segments = client.wait(
            lambda version=version: next((s for s in ovsr.segments if s.vocabulary_version == version), None),
            f"a frame labelled by version {version}",
        )
        label_map = to_label_array(ovsr.result("/ovsr/label_map", segments.header))
        assert ((label_map == wall).mean() > 0.2) == expected
