"""What the page needs of the network: nodes found, watched, asked. ROS is behind it, see nodes/console/."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ovsr_ros.console.frames import Newest
from ovsr_ros.console.heard_parameters import HeardParameters
from ovsr_ros.console.state import FrameSegments, NodeState, SegmentInfo
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary

OVERLAY, PLAIN = "overlay", "plain"
"""Kinds of pictures: as the node draws it; the camera's with the map of segments, to be drawn by the browser."""


@dataclass(frozen=True)
class Answer:
    """What a node answered. vocabulary: the one in force after it, None where it did not say; message: never empty."""

    success: bool
    message: str
    vocabulary: Vocabulary | None = None


@dataclass(frozen=True)
class Picked:
    """What is at a place of the picture. segment: None where there is none; message: why, else empty.

    outline: `to_runs` of its pixels, 1 inside, in an image of size_hw.
    """

    stamp_ns: int
    segment: SegmentInfo | None
    message: str = ""
    outline: bytes = b""
    size_hw: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Frozen:
    """One image of the camera, kept. handle: names it in `try_words`; jpeg: as a browser shows it."""

    handle: int
    stamp_ns: int
    height: int
    width: int
    jpeg: bytes


@dataclass(frozen=True)
class Trial:
    """How words label a frozen image. label_map: `to_runs` of the class ids, 255 unlabeled; message: what is odd."""

    vocabulary: Vocabulary
    segments: FrameSegments
    label_map: bytes
    message: str = ""


@dataclass(frozen=True)
class ParameterInfo:
    """A parameter as its node describes it. kind: bool, int, float, str, or one of these with [] behind.

    low, high: its range, None where there is none. constraints: in words. value: as it is now.
    """

    name: str
    kind: str
    value: object
    help: str
    constraints: str
    low: float | None
    high: float | None
    is_read_only: bool


@dataclass(frozen=True)
class Lesson:
    """What a word is taught by: the segment at x, y (0 to 1 of the picture) in the frame of that stamp.

    track_id: the segment's, for when that frame is forgotten; 0: none.
    """

    word: str
    stamp_ns: int
    x: float
    y: float
    size_hw: tuple[int, int]
    track_id: int = 0


class LinkError(Exception):
    """A node cannot be asked, or did not answer; the message says which and what to do."""


class Link(Protocol):
    """Every node with `~/set_vocabulary` on the network. Methods return at once; futures end within seconds.

    Futures end with LinkError where the node is not there or does not answer.
    """

    def names(self) -> tuple[str, ...]:
        """Nodes that are or were there since somebody watches, by full name, sorted."""

    def state(self, name: str) -> NodeState:
        """What a node says."""

    def watch(self, name: str) -> None:
        """Listen to a node, until as many calls of `unwatch`."""

    def unwatch(self, name: str) -> None:
        """See `watch`."""

    def pictures(self, name: str, kind: str) -> Newest:
        """Have pictures of a kind made, until as many calls of `release`."""

    def release(self, name: str, kind: str) -> None:
        """See `pictures`."""

    def change(
        self, name: str, operation: Operation, requests: Sequence[CategoryRequest], expected_version: int
    ) -> Future[Answer]:
        """Change the vocabulary. expected_version: refused where another one is in force; 0: any."""

    def vocabulary(self, name: str) -> Future[Vocabulary]:
        """Ask for the vocabulary in force."""

    def pick(self, name: str, stamp_ns: int, x: float, y: float) -> Future[Picked]:
        """What is at x, y (0 to 1 of the picture's width and height), in the frame of that stamp or the next one."""

    def freeze(self, name: str) -> Future[Frozen]:
        """Keep the camera's next image."""

    def try_words(self, name: str, handle: int, requests: Sequence[CategoryRequest]) -> Future[Trial]:
        """Label a frozen image by words that are not in force; none: by those that are."""

    def parameters(self, name: str) -> Future[tuple[ParameterInfo, ...]]:
        """The node's parameters."""

    def heard_parameters(self, name: str) -> HeardParameters:
        """Those that are set while the node is watched, here or elsewhere."""

    def set_parameter(self, name: str, parameter: str, kind: str, value: object) -> Future[Answer]:
        """Set one; the answer's message is the node's reason where it refused."""

    def teach(self, name: str, lesson: Lesson) -> Future[Answer]:
        """Teach a word by example; only nodes with the ability TEACH."""

    def forget_examples(self, name: str, ids: Sequence[int]) -> Future[Answer]:
        """Take examples back."""

    def thumbnail(self, name: str, id: int) -> Future[bytes]:
        """A jpeg of an example."""

    def set_enabled(self, name: str, is_enabled: bool) -> Future[Answer]:
        """Pause a node, or have it go on; only nodes with the ability PAUSE."""
