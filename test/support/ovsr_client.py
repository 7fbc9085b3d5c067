"""A client of the node under test, over real DDS; every wait is bounded and says what it waited for."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Log
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from spinning import TIMEOUT_S, Spinner
from std_msgs.msg import Header

from ovsr_ros import msg, srv
from ovsr_ros.nodes.conversions.images import to_image_message

LOG_LEVEL_ERROR = 40
RELIABLE = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.RELIABLE)


class Client:
    """A node beside the one under test: publishes images, collects what comes back, calls services.

    received: messages by topic, in order of arrival; published_ns: when their publisher sent each. Both are guarded by
        `changed`.
    """

    def __init__(self, context: Context) -> None:
        self.node = Node("test_client", context=context, use_global_arguments=False)
        self.received: dict[str, list[Any]] = defaultdict(list)
        self.published_ns: dict[str, list[int]] = defaultdict(list)
        self.changed = threading.Condition()
        self._spinner = Spinner(SingleThreadedExecutor(context=context), self.node)
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self._subscriptions: dict[str, Any] = {}

    def close(self) -> None:
        self._spinner.close()

    def collect(self, topic: str, message_type: Any, qos: QoSProfile = RELIABLE) -> list[Any]:
        """Subscribe, once; the list returned grows with each message."""
        if topic in self.received:
            return self.received[topic]

        def store(message: Any, info: Any) -> None:
            with self.changed:
                self.received[topic].append(message)
                self.published_ns[topic].append(info["source_timestamp"])
                self.changed.notify_all()

        messages = self.received[topic]
        silent = SubscriptionEventCallbacks(use_default_callbacks=False)
        self._subscriptions[topic] = self.node.create_subscription(
            message_type, topic, store, qos, event_callbacks=silent
        )
        return messages

    def stop_collecting(self, topic: str) -> None:
        """Unsubscribe; the list returned by `collect` grows no more."""
        self.node.destroy_subscription(self._subscriptions.pop(topic))
        with self.changed:
            self.received.pop(topic)
            self.published_ns.pop(topic, None)

    def with_times(self, topic: str) -> list[tuple[Any, int]]:
        """Messages received so far, each with the time at which its publisher sent it."""
        with self.changed:
            return list(zip(self.received[topic], self.published_ns[topic], strict=True))

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
        """The first true value of the condition, looked at after each message or answer; fails naming what it was."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while True:
                value = condition()
                if value:
                    return value
                if time.monotonic() > deadline:
                    pytest.fail(f"waited {timeout_s:g} s for {what}; {self._describe_received()}")
                self.changed.wait(0.05)

    def _describe_received(self) -> str:
        """How many messages of each topic came, and what the nodes said last."""
        counts = {topic: len(messages) for topic, messages in self.received.items()}
        lines = [f"received {counts}", *(f"log: {log.msg}" for log in self.received.get("/rosout", [])[-5:])]
        for status in [status for array in self.received.get("/diagnostics", [])[-1:] for status in array.status]:
            lines.append(f"{status.name}: {status.message}; { ({value.key: value.value for value in status.values}) }")
        return "\n".join(lines)

    def publisher(self, topic: str, message_type: Any, qos: QoSProfile, subscribed: bool = True) -> Any:
        """A publisher, once somebody has subscribed to it."""
        publisher = self._publishers.get(topic)
        if publisher is None:
            publisher = self._publishers[topic] = self.node.create_publisher(
                message_type, topic, qos, event_callbacks=PublisherEventCallbacks(use_default_callbacks=False)
            )
        if subscribed:
            self.wait(lambda: self._is_matched(publisher), f"a subscriber of {topic} with the publisher's reliability")
        return publisher

    def _is_matched(self, publisher: Any) -> bool:
        """Whether the node has seen the publisher, and subscribed (anew) as it offers: from then on nothing is lost."""
        subscribers = self.node.get_subscriptions_info_by_topic(publisher.topic_name)
        wanted = publisher.qos_profile.reliability
        return publisher.get_subscription_count() > 0 and all(
            info.qos_profile.reliability == wanted for info in subscribers
        )

    def remove_publisher(self, topic: str) -> None:
        self.node.destroy_publisher(self._publishers.pop(topic))

    def call(self, service: str, service_type: Any, request: Any) -> Any:
        """A service's answer."""
        return self.wait(self.call_async(service, service_type, request).result, f"an answer of {service}")

    def call_async(self, service: str, service_type: Any, request: Any) -> Any:
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self.node.create_client(service_type, service)
        self.wait(client.service_is_ready, f"the service {service}")
        answer = client.call_async(request)
        answer.add_done_callback(self._on_answer)
        return answer

    def _on_answer(self, answer: Any) -> None:
        with self.changed:
            self.changed.notify_all()


class Ovsr:
    """What the tests say to a node named /ovsr, in this process or another.

    subscribe: to segments and label maps; a node without any subscriber to its results rests.
    """

    def __init__(self, client: Client, subscribe: bool = True) -> None:
        self.client = client
        self._next_stamp = 1
        self.segments = client.collect("/ovsr/segments", msg.SegmentArray) if subscribe else []
        self.label_maps = client.collect("/ovsr/label_map", Image) if subscribe else []
        self.diagnostics = client.collect("/diagnostics", DiagnosticArray)
        self.logs = client.collect("/rosout", Log)

    # --- Images ---

    def send(self, message: Image, topic: str = "/image", qos: QoSProfile = RELIABLE) -> Header:
        """Publish an image; returns its header."""
        self.client.publisher(topic, Image, qos).publish(message)
        return message.header

    def new_header(self) -> Header:
        """A header with a stamp that no other of this test has."""
        header = Header(frame_id="some_camera")
        header.stamp.sec, header.stamp.nanosec = 1000 + self._next_stamp, 123456
        self._next_stamp += 1
        return header

    def image(self, size_hw: tuple[int, int] = (120, 160), encoding: str = "rgb8", seed: int = 0) -> Image:
        """An image of coloured blocks."""
        height, width = size_hw
        blocks = np.random.default_rng(seed).integers(0, 255, (height // 40 + 1, width // 40 + 1, 3), np.uint8)
        pixels = blocks.repeat(40, 0).repeat(40, 1)[:height, :width]
        if encoding == "mono8":
            pixels = pixels[..., 0]
        return to_image_message(pixels, encoding, self.new_header())

    def result(self, topic: str, header: Header, timeout_s: float = TIMEOUT_S) -> Any:
        """The output on a topic that carries this header."""

        def find() -> Any:
            return next((message for message in self.client.received[topic] if message.header == header), None)

        return self.client.wait(find, f"{topic} with the header of the image sent ({header})", timeout_s)

    def label(self, message: Image | None = None) -> Any:
        """Send an image and wait for its segments."""
        header = self.send(self.image() if message is None else message)
        return self.result("/ovsr/segments", header)

    def watch(self, node: Any, topic: str, message_type: Any) -> list[Any]:
        """Collect an output of a node of this process; once this returns, the node knows of it: nothing is missed."""
        messages = self.client.collect(topic, message_type)

        def is_known() -> bool:
            return any(each.topic_name == topic and each.get_subscription_count() for each in node.publishers)

        self.client.wait(is_known, f"the node to know of the subscription of {topic}")
        return messages

    # --- Services ---

    def set_vocabulary(self, operation: int, *names: str) -> Any:
        return self.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, vocabulary_request(operation, *names))

    def get_vocabulary(self) -> Any:
        return self.client.call("/ovsr/get_vocabulary", srv.GetVocabulary, srv.GetVocabulary.Request()).vocabulary

    def get_parameter(self, name: str) -> Any:
        answer = self.client.call("/ovsr/get_parameters", GetParameters, GetParameters.Request(names=[name]))
        assert answer.values, f"parameter {name} is not declared"
        value = Parameter.from_parameter_msg(_parameter_message(name, answer.values[0])).value
        return list(value) if isinstance(value, (list, tuple)) else value

    def describe_parameter(self, name: str) -> Any:
        request = DescribeParameters.Request(names=[name])
        return self.client.call("/ovsr/describe_parameters", DescribeParameters, request).descriptors[0]

    def set_parameters(self, **values: Any) -> Any:
        """Set parameters atomically; '__' in a keyword stands for '.'."""
        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        request = SetParametersAtomically.Request(parameters=parameters)
        return self.client.call("/ovsr/set_parameters_atomically", SetParametersAtomically, request).result

    def change_state(self, transition: str) -> bool:
        request = ChangeState.Request()
        request.transition.label = transition
        return bool(self.client.call("/ovsr/change_state", ChangeState, request).success)

    def state(self) -> str:
        return str(self.client.call("/ovsr/get_state", GetState, GetState.Request()).current_state.label)

    def wait_until_active(self, timeout_s: float = 2 * TIMEOUT_S) -> None:
        def is_active() -> bool:
            return self.diagnostic("segmentation", "state") == "active"

        self.client.wait(is_active, "the node to be active", timeout_s)

    # --- Health ---

    def status(self, part: str) -> Any:
        """The last diagnostic status of a part: image input, segmentation, vocabulary; None before the first."""
        for array in reversed(self.diagnostics):
            for status in array.status:
                if status.name == f"ovsr: {part}":
                    return status
        return None

    def status_message(self, part: str) -> str:
        status = self.status(part)
        return "" if status is None else str(status.message)

    def diagnostic(self, part: str, key: str) -> str:
        status = self.status(part)
        return "" if status is None else {value.key: value.value for value in status.values}[key]

    def errors(self, text: str) -> list[str]:
        """What the nodes logged as errors that contains the text."""
        return [log.msg for log in self.logs if log.level >= LOG_LEVEL_ERROR and text in log.msg]


def vocabulary_request(operation: int, *names: str) -> Any:
    request = srv.SetVocabulary.Request(operation=operation)
    request.categories = [msg.Category(name=name) for name in names]
    return request


def _parameter_message(name: str, value: Any) -> Any:
    return ParameterMessage(name=name, value=value)
