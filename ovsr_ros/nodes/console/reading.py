"""Messages of a node as the page has them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor, ParameterEvent, ParameterType, ParameterValue
from std_msgs.msg import ColorRGBA

from ovsr_ros import msg
from ovsr_ros.console.link import ParameterInfo
from ovsr_ros.console.state import FrameSegments, Health, SegmentInfo, Speed
from ovsr_ros.nodes.conversions.stamps import to_ns
from ovsr_ros.vocabulary.category import Category, CategoryRequest, Vocabulary

_KINDS = {
    ParameterType.PARAMETER_BOOL: ("bool", "bool_value"),
    ParameterType.PARAMETER_INTEGER: ("int", "integer_value"),
    ParameterType.PARAMETER_DOUBLE: ("float", "double_value"),
    ParameterType.PARAMETER_STRING: ("str", "string_value"),
    ParameterType.PARAMETER_BOOL_ARRAY: ("bool[]", "bool_array_value"),
    ParameterType.PARAMETER_INTEGER_ARRAY: ("int[]", "integer_array_value"),
    ParameterType.PARAMETER_DOUBLE_ARRAY: ("float[]", "double_array_value"),
    ParameterType.PARAMETER_STRING_ARRAY: ("str[]", "string_array_value"),
}
_TYPES = {kind: (type, field) for type, (kind, field) in _KINDS.items()}
_LIMIT = 2.0**62


def to_vocabulary(message: msg.Vocabulary) -> Vocabulary:
    """The vocabulary that a message holds."""
    return Vocabulary(
        int(message.version),
        tuple(
            Category(
                int(each.id),
                str(each.name),
                tuple(each.synonyms),
                _to_rgb(each.color),
                is_id_chosen=bool(each.id_chosen),
            )
            for each in message.categories
        ),
    )


def to_category_messages(requests: Iterable[CategoryRequest]) -> list[msg.Category]:
    """Categories as a service takes them; a colour of None is left to the node."""
    messages = []
    for request in requests:
        message = msg.Category(name=request.name, synonyms=list(request.synonyms))
        if request.id is not None:
            message.id, message.id_chosen = request.id, True
        if request.color_rgb is not None:
            red, green, blue = (value / 255 for value in request.color_rgb)
            message.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
        messages.append(message)
    return messages


def to_frame(message: msg.SegmentArray) -> FrameSegments:
    """The segments of a frame."""
    return FrameSegments(
        to_ns(message.header.stamp),
        int(message.vocabulary_version),
        int(message.height),
        int(message.width),
        tuple(_to_segment(segment) for segment in message.segments),
    )


def to_health(array: DiagnosticArray, node: str) -> list[Health]:
    """What /diagnostics says of this node, whose full name begins with a slash; empty where it says nothing of it."""
    prefix = f"{node.lstrip('/')}: "
    return [
        Health(
            status.name.removeprefix(prefix),
            status.level[0] if isinstance(status.level, bytes) else int(status.level),
            status.message,
            tuple((value.key, value.value) for value in status.values),
        )
        for status in array.status
        if status.name.startswith(prefix)
    ]


def to_speed(array: DiagnosticArray, node: str) -> Speed:
    """Rates and latencies of `~/statistics`."""
    prefix = f"{node.lstrip('/')}: "
    values = {
        (status.name.removeprefix(prefix), value.key): value.value for status in array.status for value in status.values
    }

    def read(part: str, key: str) -> float:
        try:
            return float(values.get((part, key), "nan"))
        except ValueError:
            return math.nan

    return Speed(
        read("stream", "input rate [Hz]"),
        read("stream", "output rate [Hz]"),
        read("latency", "mean [ms]"),
        read("latency", "p95 [ms]"),
        read("age", "mean [ms]"),
    )


def to_parameter_info(descriptor: ParameterDescriptor, value: ParameterValue) -> ParameterInfo | None:
    """A parameter with its description; None where it has no value."""
    if value.type not in _KINDS:
        return None
    low, high = _find_range(descriptor)
    return ParameterInfo(
        descriptor.name,
        _KINDS[value.type][0],
        _read_value(value),
        descriptor.description,
        descriptor.additional_constraints,
        low,
        high,
        bool(descriptor.read_only),
    )


def to_set_parameters(event: ParameterEvent, node: str) -> dict[str, object]:
    """The values that an event says were set, by name; none where it is another node's."""
    if event.node != node:
        return {}
    parameters = (*event.new_parameters, *event.changed_parameters)
    return {each.name: _read_value(each.value) for each in parameters if each.value.type in _KINDS}


def to_parameter_value(kind: str, value: object) -> ParameterValue:
    """A value of that kind. Raises TypeError or ValueError where it is none."""
    type, field = _TYPES[kind]
    convert: Any = {"bool": bool, "int": int, "float": float, "str": str}[kind.removesuffix("[]")]
    if kind.endswith("[]"):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise TypeError(f"expected a list, got {value!r}")
        return ParameterValue(type=type, **{field: [convert(each) for each in value]})
    return ParameterValue(type=type, **{field: convert(value)})


def _read_value(value: ParameterValue) -> object:
    kind, field = _KINDS[value.type]
    content = getattr(value, field)
    return list(content) if kind.endswith("[]") else content


def _find_range(descriptor: ParameterDescriptor) -> tuple[float | None, float | None]:
    for each in (*descriptor.floating_point_range, *descriptor.integer_range):
        low, high = float(each.from_value), float(each.to_value)
        return (low if abs(low) < _LIMIT else None), (high if abs(high) < _LIMIT else None)
    return None, None


def _to_segment(segment: msg.Segment) -> SegmentInfo:
    return SegmentInfo(
        int(segment.id),
        int(segment.track_id),
        int(segment.class_id),
        str(segment.label),
        float(segment.score),
        tuple((str(each.label), float(each.score)) for each in segment.runners_up),
        (int(segment.x_min), int(segment.y_min), int(segment.x_max), int(segment.y_max)),
        int(segment.area_px),
        float(segment.distance) if segment.depth_count else None,
    )


def _to_rgb(color: ColorRGBA) -> tuple[int, int, int]:
    return round(color.r * 255), round(color.g * 255), round(color.b * 255)
