"""docs/nav2.md: what it tells Nav2 of this node is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from ovsr_ros.vocabulary.category import CategoryRequest, Operation
from ovsr_ros.vocabulary.registry import VocabularyRegistry

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "nav2.md").read_text(encoding="utf-8")

READ_AS = {
    "segmentation_topic": "sensor_msgs/Image, mono8",
    "confidence_topic": "sensor_msgs/Image, mono8",
    "labels_topic": "vision_msgs/LabelInfo",
    "pointcloud_topic": "sensor_msgs/PointCloud2",
}
"""The layer's parameters, and what it subscribes there."""
OTHERS = {
    "observation_persistence",
    "expected_update_rate",
    "max_obstacle_distance",
    "min_obstacle_distance",
    "tile_map_decay_time",
    "visualize_tile_map",
    "use_cost_selection",
    "class_types",
}
OF_A_TYPE = {"classes", "base_cost", "max_cost", "mark_confidence", "samples_to_max_cost", "dominant_priority"}


@pytest.fixture(scope="module")
def camera():
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    layer = yaml.safe_load(blocks[0])["local_costmap"]["local_costmap"]["ros__parameters"][
        "semantic_segmentation_layer"
    ]
    assert layer["plugin"] == "semantic_segmentation_layer::SemanticSegmentationLayer"
    return layer[layer["observation_sources"]]


def test_the_layer_s_topics_are_the_node_s_and_of_the_types_that_it_reads(camera):
    page = (DOCS / "interfaces.md").read_text(encoding="utf-8")
    types = dict(re.findall(r"^\| `(~/\w+)` \| ([^|]*?) \|", page, re.MULTILINE))
    for parameter, expected in READ_AS.items():
        assert types[camera[parameter].replace("/ovsr/", "~/")] == expected, parameter


def test_every_parameter_is_one_of_the_layer_s(camera):
    assert set(camera) <= {*READ_AS, *OTHERS, *camera["class_types"]}
    for name in camera["class_types"]:
        assert set(camera[name]) <= OF_A_TYPE, name
        assert {"classes", "base_cost", "max_cost"} <= set(camera[name]), name
        assert all(0 <= camera[name].get(key, 0) <= 255 for key in ("base_cost", "max_cost", "mark_confidence")), name


def test_every_name_that_the_node_tells_has_an_entry(camera):
    line = re.search(r"ros2 launch ovsr_ros ovsr.launch.py (.*?)```", PAGE, re.DOTALL)[1]
    given = dict(word.split(":=", 1) for word in shlex.split(line.replace("\\\n", " ")))
    words = [CategoryRequest(word.strip()) for word in given["categories"].split(",")]
    names = VocabularyRegistry().propose(Operation.REPLACE, words).names
    entries = [name for kind in camera["class_types"] for name in camera[kind]["classes"]]
    assert sorted(entries) == sorted([*names, "unlabeled"])


def test_the_manager_is_told_of_the_node_by_its_name():
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (manager,) = [yaml.safe_load(block) for block in blocks if "lifecycle_manager" in block]
    ((name, content),) = manager.items()
    assert name.startswith("lifecycle_manager")
    assert content["ros__parameters"]["node_names"] == ["ovsr"]
