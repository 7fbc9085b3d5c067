"""docs/interfaces.md says of topics and services what the running node does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "interfaces.md"
OWN = "/ovsr"


def rows(section):
    """The cells of a section's first table, without its heading; code marks are taken off the first cell."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].strip().split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()[2:]]


def full_name(cell):
    return cell.strip("`").replace("~", OWN)


@pytest.fixture
def ovsr(shared_ovsr):
    return shared_ovsr


def test_every_topic_is_there_with_its_type_and_quality_of_service(ovsr):
    node = ovsr.client.node
    described = {full_name(cells[0]): cells for cells in rows("Topics") if "(in)" not in cells[0]}
    if importlib.util.find_spec("vision_msgs") is None:
        for topic in ("label_info", "detections", "detections_3d"):
            assert described.pop(f"{OWN}/{topic}")[3].startswith("where vision_msgs is installed")
    ovsr.client.wait(
        lambda: all(node.count_publishers(topic) for topic in described), f"publishers of {', '.join(described)}"
    )
    for topic, (_, type_name, qos, _) in described.items():
        (publisher,) = [info for info in node.get_publishers_info_by_topic(topic) if info.node_name == "ovsr"]
        assert publisher.topic_type.replace("/msg/", "/") == type_name.split(",")[0], topic
        reliability, durability, _ = qos.split(", ")
        assert publisher.qos_profile.reliability.name.lower() == reliability.replace(" ", "_"), topic
        assert publisher.qos_profile.durability.name.lower() == durability.replace(" ", "_"), topic
    topics = node.get_publisher_names_and_types_by_node("ovsr", "/")
    assert {name for name, _ in topics if name.startswith(f"{OWN}/")} <= {*described, f"{OWN}/transition_event"}


def test_every_service_is_there_with_its_type(ovsr):
    described = {full_name(cells[0]): cells[1] for cells in rows("Services")}
    found = {
        name: types[0].replace("/srv/", "/")
        for name, types in ovsr.client.node.get_service_names_and_types_by_node("ovsr", "/")
        if types[0].startswith(("ovsr_ros/", "std_srvs/"))
    }
    assert found == described


def test_rviz_is_told_of_topics_that_are_there():
    displays = yaml.safe_load((PAGE.parent.parent / "config" / "ovsr.rviz").read_text(encoding="utf-8"))
    shown = [display["Topic"]["Value"] for display in displays["Visualization Manager"]["Displays"]]
    described = {full_name(cells[0]): cells[1] for cells in rows("Topics")}
    own = [topic for topic in shown if topic.startswith(OWN)]
    assert f"{OWN}/markers" in own
    assert set(own) <= described.keys()
