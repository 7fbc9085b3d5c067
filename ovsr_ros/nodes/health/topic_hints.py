"""Why no image may come, or too few: what the ROS graph has on the topic, which other topics may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rclpy.qos import QoSReliabilityPolicy
from rclpy.utilities import get_rmw_implementation_identifier

from ovsr_ros.nodes.middleware import (
    ENOUGH_BYTES,
    PROFILES,
    RECEIVE_BUFFER_BYTES,
    RECEIVE_UDP,
    UDP,
    chosen_profiles,
    profiles_variable,
    receive_buffer_bytes,
)
from ovsr_ros.nodes.qos import describe_endpoints

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.topic_endpoint_info import TopicEndpointInfo

TYPE_NAMES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
COMPRESSED = "/compressed"
"""What image_transport appends to an image's topic for its compressed images."""

_MAX_CANDIDATES = 5


def explain_silence(node: Node, topic: str, transport: str, how_to_remap: str, num_lost: int = 0) -> str:
    """Why no image comes, and what to do: the topic, its publishers with their QoS, topics of the same type.

    topic: resolved, with its /compressed where the transport is compressed. transport: raw or compressed.
    how_to_remap: what to write. num_lost: images that were lost on the way lately.
    """
    found = node.get_publishers_info_by_topic(topic)
    matching = [info for info in found if info.topic_type == TYPE_NAMES[transport]]
    if matching:
        remedy = (
            f"{topic} has {_count(matching)}, {describe_endpoints(matching)}, "
            f"{'which sends' if len(matching) == 1 else 'which send'} "
        ) + (
            f"images, {num_lost} of which were lost lately: {explain_losses(matching)}"
            if num_lost
            else f"nothing: check the camera (ros2 topic hz {topic}){_beside_the_camera()}"
        )
    elif found:
        remedy = (
            f"{topic} has {_count(found)} of another type than {TYPE_NAMES[transport]}, {describe_endpoints(found)}: "
            f"{_other_transport(node, topic, transport) or f'remap to another topic ({how_to_remap})'}"
        )
    else:
        remedy = f"{topic} has 0 publishers: " + (
            _other_transport(node, topic, transport) or f"start the camera, or remap the topic ({how_to_remap})"
        )
    return f"{remedy}; {_describe_candidates(node, topic, TYPE_NAMES[transport])}"


def explain_losses(publishers: Sequence[TopicEndpointInfo]) -> str:
    """Why images of these publishers are lost on the way, and what to do."""
    remedies = []
    if any(info.qos_profile.reliability != QoSReliabilityPolicy.RELIABLE for info in publishers):
        remedies.append("let the camera publish reliable")
    if _is_fast_dds():
        granted, by_udp = receive_buffer_bytes(), chosen_profiles() in (RECEIVE_UDP, UDP)
        if granted < (RECEIVE_BUFFER_BYTES if by_udp else ENOUGH_BYTES) and chosen_profiles() is not None:
            remedies.append(
                f"let the kernel grant receive buffers of more than {granted / 2**20:.1f} MiB "
                f"(sudo sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES}) and restart the node"
            )
        if not by_udp:
            remedies.append(f"start the camera with {profiles_variable()}={PROFILES}")
    remedies.append("send smaller or compressed images")
    return f"large images are lost where a buffer on the way is too small: {', or '.join(remedies)}"


def _beside_the_camera() -> str:
    """What else to look at where a publisher is seen and not heard."""
    if not _is_fast_dds():
        return ""
    if chosen_profiles() in (RECEIVE_UDP, UDP):
        return "; if it runs in a container or on another machine, let its UDP packets through to this one"
    return (
        "; if it runs in a container or as another user, shared memory does not reach from one to the other: "
        "start both with FASTDDS_BUILTIN_TRANSPORTS=UDPv4"
    )


def _is_fast_dds() -> bool:
    return bool(get_rmw_implementation_identifier().startswith("rmw_fastrtps"))


def _other_transport(node: Node, topic: str, transport: str) -> str:
    """What to do where the images come by the other transport, or the topic was given with its /compressed."""
    if transport == "raw":
        if topic.endswith(COMPRESSED) and _is_published(node, topic, "compressed"):
            return (
                "restart with image_transport:=compressed, and the topic without "
                f"{COMPRESSED} (image:={topic.removesuffix(COMPRESSED)})"
            )
        if _is_published(node, topic + COMPRESSED, "compressed"):
            return f"its images come compressed, on {topic}{COMPRESSED}: restart with image_transport:=compressed"
        return ""
    given = topic.removesuffix(COMPRESSED)
    if _is_published(node, given, "raw"):
        return f"its images come raw, on {given}: restart with image_transport:=raw"
    return ""


def _is_published(node: Node, topic: str, transport: str) -> bool:
    return any(info.topic_type == TYPE_NAMES[transport] for info in node.get_publishers_info_by_topic(topic))


def _describe_candidates(node: Node, topic: str, type_name: str) -> str:
    """The other topics that somebody publishes with this type, the nearest names first."""
    # What nodes like this one publish, in whatever namespace, is no camera's.
    own = f"/{node.get_name()}/"
    names = [
        name
        for name, types in node.get_topic_names_and_types()
        if type_name in types and name != topic and own not in name and node.count_publishers(name)
    ]
    if not names:
        return f"no other topic carries {type_name} now"
    names.sort(key=lambda name: (-difflib.SequenceMatcher(None, topic, name).ratio(), name))
    more = len(names) - _MAX_CANDIDATES
    listed = ", ".join(names[:_MAX_CANDIDATES]) + (f" and {more} more" if more > 0 else "")
    return f"topics that carry {type_name} now: {listed}"


def _count(publishers: list[TopicEndpointInfo]) -> str:
    return f"{len(publishers)} publisher{'s' if len(publishers) != 1 else ''}"
