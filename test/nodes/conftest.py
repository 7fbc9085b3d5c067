"""Real nodes over real DDS, seen by a client of its own; every wait is bounded and says what it waited for."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

# Before anything of ROS is loaded. A domain of our own: no other robot, demo or test run on this machine hears us.
os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 90 + 10))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
# Several processes infer at once here: threads that spin while they wait for each other would slow all of them down.
os.environ["OMP_NUM_THREADS"] = "1"

with warnings.catch_warnings():
    # ROS's generator, which each message type imports when it is first used, imports deprecated modules of Python's.
    warnings.simplefilter("ignore", DeprecationWarning)
    import rosidl_generator_py  # noqa: F401

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Log
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ovsr_ros import msg, srv
from ovsr_ros.nodes.conversions import to_image_message

torch.set_num_threads(1)

TIMEOUT_S = 30.0
LOG_LEVEL_ERROR = 40
RELIABLE = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=10, reliability=QoSReliabilityPolicy.RELIABLE, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL
)


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
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self._subscriptions: dict[str, Any] = {}

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(TIMEOUT_S)
        self.node.destroy_node()

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
        self._subscriptions[topic] = self.node.create_subscription(message_type, topic, store, qos)
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
        """The first true value of the condition, looked at after each message; fails naming what did not happen."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while True:
                value = condition()
                if value:
                    return value
                if time.monotonic() > deadline:
                    counts = {topic: len(messages) for topic, messages in self.received.items()}
                    pytest.fail(f"waited {timeout_s:g} s for {what}; received {counts}")
                self.changed.wait(0.05)

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
        return client.call_async(request)


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


@pytest.fixture(scope="session")
def node_config(seeded_models: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config file for the node: real architectures with seeded weights, few categories."""
    path = tmp_path_factory.mktemp("node") / "seeded.yaml"
    options = {
        "features.model": seeded_models.features,
        "clip.model": seeded_models.clip,
        "text.cache_directory": "none",
        "score_threshold": 0.0,
        "text.something_else": [],
        "features.grid_rows": 16,
        "features.input_short_side": 64,
        "rate_hz": 50.0,
        "categories": ["mug; cup", "ball"],
    }
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    return path


@contextmanager
def _new_context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context)
    try:
        yield context
    finally:
        rclpy.try_shutdown(context=context)


@contextmanager
def _spinning(node: Any, context: Context) -> Iterator[None]:
    executor = MultiThreadedExecutor(4, context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join(TIMEOUT_S)
        node.destroy_node()


def _new_node(context: Context, config: Path, request_exit: Callable[[int], None], parameters: dict[str, Any]) -> Any:
    from ovsr_ros.nodes.segmentation_node import OvsrNode

    # A lifecycle node's state machine keeps the node's handle until it is collected, and when that goes, so does the
    # /rosout of whatever node has its name then.
    gc.collect()
    values = {"config": str(config), **parameters}
    overrides = [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]
    return OvsrNode(request_exit, context=context, parameter_overrides=overrides, use_global_arguments=False)


@pytest.fixture
def context() -> Iterator[Context]:
    with _new_context() as context:
        yield context


@pytest.fixture
def client(context: Context) -> Iterator[Client]:
    client = Client(context)
    yield client
    client.close()


@pytest.fixture
def ovsr(client: Client) -> Ovsr:
    return Ovsr(client)


@pytest.fixture
def new_ovsr() -> type[Ovsr]:
    """For tests that are to choose what is subscribed to."""
    return Ovsr


@pytest.fixture
def start_node(context: Context, node_config: Path) -> Iterator[Callable[..., Any]]:
    """Starts an OvsrNode in this process, spun by its own executor; parameters as keywords, '__' for '.'."""
    with ExitStack() as cleanup:

        def start(request_exit: Callable[[int], None] = lambda code: None, **parameters: Any) -> Any:
            node = _new_node(context, node_config, request_exit, parameters)
            cleanup.enter_context(_spinning(node, context))
            return node

        yield start


@pytest.fixture
def active_node(start_node: Callable[..., Any], ovsr: Ovsr) -> Any:
    """A node that has started itself, and that listens to /image."""
    node = start_node()
    ovsr.wait_until_active()
    return node


@pytest.fixture(scope="module")
def shared_ovsr(node_config: Path) -> Iterator[Ovsr]:
    """An active node for all tests of a module that leave it as they found it."""
    with _new_context() as context:
        client = Client(context)
        node = _new_node(context, node_config, lambda code: None, {})
        with _spinning(node, context):
            ovsr = Ovsr(client)
            ovsr.wait_until_active()
            yield ovsr
        client.close()


class Process:
    """A module of this package run by python -m, in a process of its own; environment: None for this one's."""

    def __init__(self, module: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self.popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """The exit code."""
        try:
            code = self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {timeout_s:g} s; it printed:\n{self.output}")
        self._reader.join(5.0)
        return code

    def wait_for_line(self, text: str, timeout_s: float = TIMEOUT_S) -> str:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if text in line:
                    return line
            time.sleep(0.02)
        pytest.fail(f"waited {timeout_s:g} s for '{text}' to be printed; it printed:\n{self.output}")

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self._reader.join(5.0)
        assert self.popen.stdout is not None
        self.popen.stdout.close()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))


@pytest.fixture
def run_module() -> Iterator[Callable[..., Process]]:
    with ExitStack() as cleanup:

        def run(module: str, *arguments: str, environment: dict[str, str] | None = None) -> Process:
            process = Process(module, *arguments, environment=environment)
            cleanup.callback(process.close)
            return process

        yield run


_SUBSCRIBER = """
import os, sys, rclpy
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node(f"subscriber_{os.getpid()}")
reliable = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE)
node.create_subscription(Image, sys.argv[1], lambda message: None, reliable)
while not node.count_publishers(sys.argv[1]):
    rclpy.spin_once(node, timeout_sec=0.1)
print("subscribed", flush=True)
rclpy.spin(node)
"""


@pytest.fixture
def stalled_subscriber() -> Iterator[Callable[[str], Any]]:
    """Starts a process that subscribes to a topic of images, reliably, and stops it before it has taken anything."""
    with ExitStack() as cleanup:

        def start(topic: str) -> Any:
            process = subprocess.Popen([sys.executable, "-c", _SUBSCRIBER, topic], stdout=subprocess.PIPE, text=True)
            cleanup.callback(_end, process)
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "subscribed"
            process.send_signal(signal.SIGSTOP)
            return process

        yield start


def _end(process: Any) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def busy_factor() -> Callable[[], float]:
    """How much longer things take on this machine now: threads that wait for each core, at least 1."""

    def factor() -> float:
        return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))

    return factor
