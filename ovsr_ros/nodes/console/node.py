"""The node `ovsr_console`: every node with `~/set_vocabulary` on the network, for the page."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from rcl_interfaces.msg import Parameter
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParametersAtomically
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ovsr_ros import srv
from ovsr_ros.console.changes import ChangeLog
from ovsr_ros.console.drawn import to_jpeg
from ovsr_ros.console.frames import Newest, to_runs
from ovsr_ros.console.heard_parameters import HeardParameters
from ovsr_ros.console.link import Answer, Frozen, Lesson, LinkError, ParameterInfo, Picked, Trial
from ovsr_ros.console.state import NodeState
from ovsr_ros.errors import ImageError
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.console import teaching
from ovsr_ros.nodes.console.calls import Calls
from ovsr_ros.nodes.console.reading import (
    to_category_messages,
    to_frame,
    to_parameter_info,
    to_parameter_value,
    to_vocabulary,
)
from ovsr_ros.nodes.console.watched import WatchedNode
from ovsr_ros.nodes.conversions.images import to_image_message
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary

_PERIOD_S = 0.1
_GRAPH_PERIOD_S = 1.0
_SERVICE = "/set_vocabulary"
_TYPE = "ovsr_ros/srv/SetVocabulary"
_MOST_FROZEN = 8
_ASKED_S = 5.0
_CHANGE_S, _SEGMENT_S, _PARAMETER_S, _PICK_S, _IMAGE_S = 30.0, 60.0, 5.0, 4.0, 6.0


class ConsoleNode(Node):
    """A Link, see there. Subscribes to nothing while nobody watches."""

    def __init__(self, log: ChangeLog, **node_arguments: Any) -> None:
        super().__init__("ovsr_console", enable_rosout=True, **node_arguments)
        self._log = log
        self._lock = threading.Lock()
        self._watched: dict[str, WatchedNode] = {}
        self._calls = Calls(self)
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="call")
        self._changing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._frozen: OrderedDict[int, Image] = OrderedDict()
        self._handles = itertools.count(1)
        self._next_graph = self._asked = 0.0
        self._on_close: list[Callable[[], None]] = []
        self.create_timer(_PERIOD_S, self._reconcile, callback_group=MutuallyExclusiveCallbackGroup())

    def on_close(self, action: Callable[[], None]) -> None:
        """Have something ended before this node is."""
        self._on_close.append(action)

    def destroy_node(self) -> None:
        for action in self._on_close:
            action()
        self._pool.shutdown(wait=False, cancel_futures=True)
        super().destroy_node()

    # --- Link ---

    def names(self) -> tuple[str, ...]:
        self._asked = time.monotonic()
        if self._next_graph == 0.0:
            self._look_around()
        with self._lock:
            return tuple(sorted(self._watched))

    def state(self, name: str) -> NodeState:
        return self._of(name).record.snapshot()

    def watch(self, name: str) -> None:
        self._of(name).watch(1)

    def unwatch(self, name: str) -> None:
        self._of(name).watch(-1)

    def pictures(self, name: str, kind: str) -> Newest:
        watched = self._of(name)
        watched.look(kind, 1)
        return watched.pictures[kind]

    def release(self, name: str, kind: str) -> None:
        self._of(name).look(kind, -1)

    def change(
        self, name: str, operation: Operation, requests: Sequence[CategoryRequest], expected_version: int
    ) -> Future[Answer]:
        return self._pool.submit(self._change, name, operation, list(requests), expected_version)

    def vocabulary(self, name: str) -> Future[Vocabulary]:
        return self._pool.submit(self._vocabulary, name)

    def pick(self, name: str, stamp_ns: int, x: float, y: float) -> Future[Picked]:
        return self._pool.submit(self._pick, name, stamp_ns, x, y)

    def freeze(self, name: str) -> Future[Frozen]:
        return self._pool.submit(self._freeze, name)

    def try_words(self, name: str, handle: int, requests: Sequence[CategoryRequest]) -> Future[Trial]:
        return self._pool.submit(self._try_words, name, handle, list(requests))

    def parameters(self, name: str) -> Future[tuple[ParameterInfo, ...]]:
        return self._pool.submit(self._read_parameters, name)

    def heard_parameters(self, name: str) -> HeardParameters:
        return self._of(name).parameters

    def set_parameter(self, name: str, parameter: str, kind: str, value: object) -> Future[Answer]:
        return self._pool.submit(self._set_parameter, name, parameter, kind, value)

    def teach(self, name: str, lesson: Lesson) -> Future[Answer]:
        return self._pool.submit(teaching.teach, self._calls, name, lesson)

    def forget_examples(self, name: str, ids: Sequence[int]) -> Future[Answer]:
        return self._pool.submit(teaching.forget, self._calls, name, ids)

    def thumbnail(self, name: str, id: int) -> Future[bytes]:
        return self._pool.submit(teaching.find_thumbnail, self._calls, name, id)

    def set_enabled(self, name: str, is_enabled: bool) -> Future[Answer]:
        return self._pool.submit(teaching.set_enabled, self._calls, name, is_enabled)

    # --- The network ---

    def _of(self, name: str) -> WatchedNode:
        with self._lock:
            if name not in self._watched:
                self._watched[name] = WatchedNode(self, name, self._log.saw)
            return self._watched[name]

    def _reconcile(self) -> None:
        now = time.monotonic()
        with self._lock:
            watched = list(self._watched.values())
        is_asked = now - self._asked < _ASKED_S or any(each.is_wanted for each in watched)
        if is_asked and now >= self._next_graph:
            self._look_around()
        for each in watched:
            each.reconcile()

    def _look_around(self) -> None:
        self._next_graph = time.monotonic() + _GRAPH_PERIOD_S
        services = {(service, type) for service, types in self.get_service_names_and_types() for type in types}
        present = {
            service.removesuffix(_SERVICE) for service, type in services if service.endswith(_SERVICE) and type == _TYPE
        }
        for name in present:
            self._of(name)
        with self._lock:
            watched = dict(self._watched)
        for name, each in watched.items():
            if name not in present and not each.is_wanted:
                each.close()
                self._calls.forget(f"{name}/")
                with self._lock:
                    self._watched.pop(name, None)
            else:
                each.set_present(name in present)
                each.record.set_abilities(teaching.find_abilities(name, services))

    # --- Questions, in threads that may wait ---

    def _change(
        self, name: str, operation: Operation, requests: list[CategoryRequest], expected_version: int
    ) -> Answer:
        request = srv.SetVocabulary.Request(
            operation=int(operation), categories=to_category_messages(requests), expected_version=expected_version
        )
        with self._changing[name]:
            answer = self._calls.call(f"{name}/set_vocabulary", srv.SetVocabulary, request, _CHANGE_S)
        return Answer(bool(answer.success), str(answer.message), to_vocabulary(answer.vocabulary))

    def _vocabulary(self, name: str) -> Vocabulary:
        request = srv.GetVocabulary.Request()
        answer = self._calls.call(f"{name}/get_vocabulary", srv.GetVocabulary, request, _PARAMETER_S)
        return to_vocabulary(answer.vocabulary)

    def _pick(self, name: str, stamp_ns: int, x: float, y: float) -> Picked:
        found = self._of(name).wait_for_map(stamp_ns, _PICK_S)
        if found is None:
            raise LinkError(f"no map of segments came from {name}/segment_map within {_PICK_S:g} s: is it labelling?")
        stamp, segment_map, frame = found
        height, width = segment_map.shape
        row = min(max(int(y * height), 0), height - 1)
        column = min(max(int(x * width), 0), width - 1)
        id = int(segment_map[row, column])
        segment = frame.by_id(id) if id else None
        if segment is None:
            return Picked(stamp, None, "no segment is here")
        outline = to_runs(np.equal(segment_map, id).view(np.uint8))
        return Picked(stamp, segment, "", outline, (height, width))

    def _freeze(self, name: str) -> Frozen:
        watched = self._of(name)
        try:
            found = watched.wait_for_image(_IMAGE_S)
        except ImageError as error:
            raise LinkError(f"the camera's image cannot be read: {error}") from error
        if found is None:
            where = watched.camera or "a topic that the node has not told yet"
            raise LinkError(f"no image came on {where} within {_IMAGE_S:g} s")
        stamp, image = found
        handle = next(self._handles)
        with self._lock:
            self._frozen[handle] = to_image_message(image, "rgb8", Header(frame_id="frozen"))
            while len(self._frozen) > _MOST_FROZEN:
                self._frozen.popitem(last=False)
        height, width = image.shape[:2]
        return Frozen(handle, stamp, height, width, to_jpeg(image))

    def _try_words(self, name: str, handle: int, requests: list[CategoryRequest]) -> Trial:
        with self._lock:
            image = self._frozen.get(handle)
        if image is None:
            raise LinkError("this picture is no longer kept: freeze another one")
        request = srv.SegmentImage.Request(image=image, categories=to_category_messages(requests))
        answer = self._calls.call(f"{name}/segment_image", srv.SegmentImage, request, _SEGMENT_S)
        if not answer.success:
            raise LinkError(str(answer.message))
        labels = to_runs(to_label_array(answer.label_map))
        return Trial(to_vocabulary(answer.vocabulary), to_frame(answer.segments), labels, str(answer.message))

    def _read_parameters(self, name: str) -> tuple[ParameterInfo, ...]:
        listed = self._calls.call(f"{name}/list_parameters", ListParameters, ListParameters.Request(), _PARAMETER_S)
        names = list(listed.result.names)
        describe = DescribeParameters.Request(names=names)
        described = self._calls.call(f"{name}/describe_parameters", DescribeParameters, describe, _PARAMETER_S)
        got = self._calls.call(
            f"{name}/get_parameters", GetParameters, GetParameters.Request(names=names), _PARAMETER_S
        )
        infos = map(to_parameter_info, described.descriptors, got.values)
        return tuple(info for info in infos if info is not None)

    def _set_parameter(self, name: str, parameter: str, kind: str, value: object) -> Answer:
        try:
            content = to_parameter_value(kind, value)
        except (TypeError, ValueError) as error:
            return Answer(False, f"{parameter}: {error}")
        request = SetParametersAtomically.Request(parameters=[Parameter(name=parameter, value=content)])
        call = f"{name}/set_parameters_atomically"
        result = self._calls.call(call, SetParametersAtomically, request, _CHANGE_S).result
        return Answer(bool(result.successful), str(result.reason) or f"{parameter} is set")
