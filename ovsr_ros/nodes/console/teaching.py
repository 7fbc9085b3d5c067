"""Words by example and pauses, asked of nodes that have `~/teach` and `~/set_enabled`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from builtin_interfaces.msg import Time

from ovsr_ros import msg
from ovsr_ros.console.link import Answer, Lesson, LinkError
from ovsr_ros.console.state import PAUSE, TEACH, ExampleUse
from ovsr_ros.nodes.console.calls import Calls
from ovsr_ros.nodes.console.reading import to_vocabulary

_SERVICES = {TEACH: ("teach", "ovsr_ros/srv/TeachCategory"), PAUSE: ("set_enabled", "std_srvs/srv/SetBool")}
_TEACH_S, _ASK_S = 30.0, 5.0


def find_abilities(name: str, services: Collection[tuple[str, str]]) -> frozenset[str]:
    """What a node can do, by the services on the network, each with its type."""
    return frozenset(
        ability for ability, (service, type) in _SERVICES.items() if (f"{name}/{service}", type) in services
    )


def to_examples(message: msg.Vocabulary) -> dict[int, tuple[ExampleUse, ...]]:
    """The examples of each word, by class id."""
    found = {
        int(category.id): tuple(
            ExampleUse(int(example.id), bool(example.used))
            for example in getattr(category, "examples", ())  # none where the messages were built before there were any
        )
        for category in message.categories
    }
    return {id: examples for id, examples in found.items() if examples}


def teach(calls: Calls, name: str, lesson: Lesson) -> Answer:
    """Ask by frame and place; where the node has forgotten that frame, by the segment's track. Raises LinkError."""
    from ovsr_ros.srv import TeachCategory

    def ask(**where: Any) -> Any:
        request = TeachCategory.Request(operation=TeachCategory.Request.ADD, name=lesson.word, **where)
        return calls.call(f"{name}/teach", TeachCategory, request, _TEACH_S)

    height, width = lesson.size_hw
    stamp = Time(sec=lesson.stamp_ns // 10**9, nanosec=lesson.stamp_ns % 10**9)
    answer = ask(stamp=stamp, x=min(int(lesson.x * width), width - 1), y=min(int(lesson.y * height), height - 1))
    if not answer.success and lesson.track_id:
        by_track = ask(track_id=lesson.track_id)
        answer = by_track if by_track.success else answer
    return _to_answer(answer)


def forget(calls: Calls, name: str, ids: Sequence[int]) -> Answer:
    """Take examples back. Raises LinkError."""
    from ovsr_ros.srv import TeachCategory

    request = TeachCategory.Request(operation=TeachCategory.Request.REMOVE, example_ids=list(ids))
    return _to_answer(calls.call(f"{name}/teach", TeachCategory, request, _TEACH_S))


def find_thumbnail(calls: Calls, name: str, id: int) -> bytes:
    """A jpeg of an example. Raises LinkError where there is none."""
    from ovsr_ros.srv import GetExamples

    answer = calls.call(f"{name}/get_examples", GetExamples, GetExamples.Request(ids=[id]), _ASK_S)
    if not answer.success or not answer.thumbnails:
        raise LinkError(str(answer.message) or f"example {id} has no picture")
    return bytes(memoryview(answer.thumbnails[0].data))


def set_enabled(calls: Calls, name: str, is_enabled: bool) -> Answer:
    """Pause a node, or have it go on. Raises LinkError."""
    from std_srvs.srv import SetBool

    answer = calls.call(f"{name}/set_enabled", SetBool, SetBool.Request(data=is_enabled), _ASK_S)
    return Answer(bool(answer.success), str(answer.message))


def _to_answer(answer: Any) -> Answer:
    return Answer(bool(answer.success), str(answer.message), to_vocabulary(answer.vocabulary))
