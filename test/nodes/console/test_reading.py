"""Messages of a node as the page has them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, Parameter, ParameterDescriptor, ParameterEvent
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ovsr_ros import msg
from ovsr_ros.console.state import PAUSE, TEACH, WARN
from ovsr_ros.messages.stamps import read_stamp_ns
from ovsr_ros.nodes.console.reading import (
    to_category_messages,
    to_frame,
    to_health,
    to_parameter_info,
    to_parameter_value,
    to_set_parameters,
    to_speed,
    to_vocabulary,
)
from ovsr_ros.nodes.console.teaching import find_abilities, to_examples
from ovsr_ros.vocabulary.category import CategoryRequest


@pytest.mark.parametrize("message_type", [Image, msg.SegmentArray])
def test_a_stamp_is_read_without_the_rest(message_type):
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 1_700_000_000, 999_999_999
    assert read_stamp_ns(serialize_message(message_type(header=header))) == 1_700_000_000_999_999_999


def test_words_are_sent_and_read_with_their_colours():
    mug, ball = to_category_messages([CategoryRequest("mug", ("cup",), (255, 0, 51)), CategoryRequest("ball")])
    assert (mug.name, mug.synonyms, mug.color.a) == ("mug", ["cup"], 1.0)
    assert ball.color.a == 0.0, "left to the node"
    (read,) = to_vocabulary(msg.Vocabulary(version=3, categories=[mug])).categories
    assert (read.name, read.synonyms, read.color_rgb) == ("mug", ("cup",), (255, 0, 51))


def test_a_distance_is_known_only_where_there_is_depth():
    near = msg.Segment(id=1, class_id=4, label="mug", area_px=50, depth_count=9, distance=1.5)
    far = msg.Segment(id=2, class_id=255, area_px=25, distance=float("nan"))
    frame = to_frame(msg.SegmentArray(height=10, width=10, segments=[near, far]))
    assert [segment.distance_m for segment in frame.segments] == [1.5, None]
    assert frame.shares() == {4: 0.5}
    assert frame.by_id(2).class_id == 255
    assert frame.by_id(3) is None


def test_of_diagnostics_and_statistics_only_one_nodes_count():
    values = [KeyValue(key="input rate [Hz]", value="9.5"), KeyValue(key="output rate [Hz]", value="nan")]
    array = DiagnosticArray(
        status=[
            DiagnosticStatus(name="front/ovsr: stream", level=b"\1", message="slow", values=values),
            DiagnosticStatus(name="ovsr: stream", level=b"\2", message="another's"),
        ]
    )
    (health,) = to_health(array, "/front/ovsr")
    assert (health.part, health.level, health.message) == ("stream", WARN, "slow")
    assert to_speed(array, "/front/ovsr").input_hz == 9.5
    assert to_speed(array, "/rear/ovsr").input_hz != to_speed(array, "/rear/ovsr").input_hz, "not a number"


@pytest.mark.parametrize(
    ("kind", "value"),
    [("bool", True), ("int", 3), ("float", 0.5), ("str", "a"), ("int[]", [1]), ("float[]", [0.5]), ("str[]", []),
     ("bool[]", [True])],
)  # fmt: skip
def test_a_parameter_is_read_as_it_was_set(kind, value):
    info = to_parameter_info(ParameterDescriptor(name="a"), to_parameter_value(kind, value))
    assert (info.kind, info.value, info.low, info.high) == (kind, value, None, None)


def test_a_range_is_read_and_one_without_an_end_has_none():
    value = to_parameter_value("float", 1)
    wide = ParameterDescriptor(floating_point_range=[FloatingPointRange(from_value=0.0, to_value=float("inf"))])
    assert (to_parameter_info(wide, value).low, to_parameter_info(wide, value).high) == (0.0, None)
    whole = ParameterDescriptor(integer_range=[IntegerRange(from_value=1, to_value=2**63 - 1)])
    assert (to_parameter_info(whole, value).low, to_parameter_info(whole, value).high) == (1.0, None)


@pytest.mark.parametrize(("kind", "value"), [("int[]", 1), ("str[]", "ab"), ("float", "much")])
def test_what_is_no_value_of_the_kind_is_refused(kind, value):
    with pytest.raises((TypeError, ValueError)):
        to_parameter_value(kind, value)


def test_of_what_is_set_only_one_nodes_counts_and_what_has_no_value_does_not():
    changed = [Parameter(name="a", value=to_parameter_value("int[]", [1, 2])), Parameter(name="b")]
    new = [Parameter(name="c", value=to_parameter_value("bool", False))]
    event = ParameterEvent(node="/front/ovsr", new_parameters=new, changed_parameters=changed)
    assert to_set_parameters(event, "/front/ovsr") == {"a": [1, 2], "c": False}
    assert to_set_parameters(event, "/ovsr") == {}


def test_a_node_can_what_it_has_services_for():
    services = {("/a/teach", "ovsr_ros/srv/TeachCategory"), ("/a/set_enabled", "other/srv/SetEnabled")}
    assert find_abilities("/a", services) == {TEACH}
    assert find_abilities("/a", {("/a/set_enabled", "std_srvs/srv/SetBool")}) == {PAUSE}
    assert find_abilities("/b", services) == frozenset()


def test_examples_are_those_of_their_words():
    one = SimpleNamespace(id=7, used=False)
    words = [SimpleNamespace(id=1, examples=[one]), SimpleNamespace(id=2, examples=[]), msg.Category(id=3)]
    (example,) = to_examples(SimpleNamespace(categories=words))[1]
    assert (example.id, example.is_used) == (7, False)
    assert set(to_examples(SimpleNamespace(categories=words))) == {1}
