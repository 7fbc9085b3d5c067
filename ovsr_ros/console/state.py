"""What a node says of itself, as the page shows it. Filled by one thread, read by another."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.category import Vocabulary

OK, WARN, ERROR, STALE = range(4)
"""Levels of health, as diagnostic_msgs/DiagnosticStatus has them."""

TEACH, PAUSE = "teach", "pause"
"""What not every node can do."""

_SILENT_S = 5.0
"""The node says something once a second: for this long nothing means that it is not there, or stuck."""


@dataclass(frozen=True)
class SegmentInfo:
    """A segment of a frame, as `~/segments` has it.

    class_id: 0 to 253, 255 unlabeled. score: 0 to 1. runners_up: words with their scores, descending.
    box_xyxy: pixels, left and top inclusive, right and bottom exclusive. distance_m: None where it is not known.
    """

    id: int
    track_id: int
    class_id: int
    label: str
    score: float
    runners_up: tuple[tuple[str, float], ...]
    box_xyxy: tuple[int, int, int, int]
    area_px: int
    distance_m: float | None = None


@dataclass(frozen=True)
class FrameSegments:
    """The segments of one frame. stamp_ns: the image's; height, width: pixels."""

    stamp_ns: int
    vocabulary_version: int
    height: int
    width: int
    segments: tuple[SegmentInfo, ...]

    def by_id(self, id: int) -> SegmentInfo | None:
        """The segment of that id in this frame; None where there is none."""
        return next((segment for segment in self.segments if segment.id == id), None)

    def shares(self) -> dict[int, float]:
        """The share of the picture, 0 to 1, of each class id that labels something."""
        num_pixels = max(1, self.height * self.width)
        areas: dict[int, int] = {}
        for segment in self.segments:
            if segment.class_id != UNLABELED_ID:
                areas[segment.class_id] = areas.get(segment.class_id, 0) + segment.area_px
        return {class_id: area / num_pixels for class_id, area in areas.items()}


@dataclass(frozen=True)
class Health:
    """One status of /diagnostics: the part it is of, its level (OK to STALE), and what it says, values included."""

    part: str
    level: int
    message: str
    values: tuple[tuple[str, str], ...] = ()

    def value(self, key: str) -> str:
        """The value of that key; empty where there is none."""
        return dict(self.values).get(key, "")


@dataclass(frozen=True)
class Speed:
    """Rates in Hz and durations in ms of the last seconds; NaN where there is nothing to tell."""

    input_hz: float = math.nan
    output_hz: float = math.nan
    latency_mean_ms: float = math.nan
    latency_p95_ms: float = math.nan
    age_mean_ms: float = math.nan


@dataclass(frozen=True)
class ExampleUse:
    """An example of a word. is_used: it was taught to the model that runs."""

    id: int
    is_used: bool


@dataclass(frozen=True)
class WordUse:
    """A word in the picture now. share: 0 to 1 of the picture. unseen_s: since it was last seen, or looked for."""

    share: float
    unseen_s: float


@dataclass(frozen=True)
class NodeState:
    """A node as it was at one moment.

    is_present: whether it is on the network. silent_s: since it last said anything. uses: by class id.
    examples: of the words in force, by class id. abilities: TEACH where words are taught by example, PAUSE where the
    node can be paused. revision: changes with everything but silent_s and unseen_s. away_s: since it went; 0 while it
    is present.
    is_watched: whether it is listened to. picture_age_s: since a frame was labelled; infinite where none was.
    """

    name: str
    is_present: bool
    is_watched: bool
    away_s: float
    silent_s: float
    picture_age_s: float
    revision: int
    vocabulary: Vocabulary
    health: tuple[Health, ...]
    speed: Speed
    uses: dict[int, WordUse]
    examples: dict[int, tuple[ExampleUse, ...]] = field(default_factory=dict)
    abilities: frozenset[str] = frozenset()

    @property
    def is_paused(self) -> bool:
        """Whether the node says that it is paused."""
        segmentation = self.find_health("segmentation")
        return segmentation is not None and segmentation.value("paused") == "true"

    @property
    def worst(self) -> int:
        """The worst level of its health."""
        return max((health.level for health in self.health), default=OK)

    def find_health(self, part: str) -> Health | None:
        """The status of a part, such as "image input"; None before the first."""
        return next((health for health in self.health if health.part == part), None)

    def problems(self) -> list[str]:
        """What is wrong and what to do, in words, the worst first; empty where all is well."""
        if not self.is_present:
            return [
                f"{self.name} is not on the network, since {describe_seconds(self.away_s)}: this page goes on by "
                "itself once it is back. Is its process running, in this ROS domain?"
            ]
        if self.is_watched and self.silent_s > _SILENT_S and not self.health:
            return [f"{self.name} is on the network, but has said nothing for {describe_seconds(self.silent_s)}"]
        bad = sorted((health for health in self.health if health.level > OK), key=lambda health: -health.level)
        problems = [f"{health.part}: {health.message}" for health in bad]
        if self.is_watched and self.health and self.silent_s > _SILENT_S:
            problems.insert(
                0, f"{self.name} has said nothing for {describe_seconds(self.silent_s)}: it is stuck or gone"
            )
        return problems


def describe_seconds(seconds: float) -> str:
    """In words that change seldom: "12 s", "3 min", "2 h"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


@dataclass
class _Seen:
    first: float
    last: float = -math.inf
    share: float = 0.0


@dataclass
class NodeRecord:
    """What is known of one node. Thread-safe. now: a clock in seconds that never steps."""

    name: str
    now: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _revision: int = 0
    _is_present: bool = False
    _is_watched: bool = False
    _since: float = 0.0
    _heard: float = 0.0
    _labelled: float = -math.inf
    _vocabulary: Vocabulary = field(default_factory=Vocabulary)
    _health: tuple[Health, ...] = ()
    _speed: Speed = field(default_factory=Speed)
    _seen: dict[int, _Seen] = field(default_factory=dict)
    _examples: dict[int, tuple[ExampleUse, ...]] = field(default_factory=dict)
    _abilities: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._since = self._heard = self.now()

    def set_present(self, is_present: bool) -> None:
        """Whether the node is on the network now."""
        with self._lock:
            if is_present != self._is_present:
                self._is_present = is_present
                self._since = self._heard = self.now()
                self._revision += 1
                if not is_present:
                    self._health, self._speed = (), Speed()

    def set_abilities(self, abilities: frozenset[str]) -> None:
        """What the node can do."""
        with self._lock:
            self._revision += abilities != self._abilities
            self._abilities = abilities

    def set_watched(self, is_watched: bool) -> None:
        """Whether it is listened to from now on; what was known of its picture is forgotten."""
        with self._lock:
            self._is_watched = is_watched
            self._heard = self.now()
            self._labelled = -math.inf
            self._seen.clear()
            self._health, self._speed = (), Speed()
            self._revision += 1

    def set_vocabulary(
        self, vocabulary: Vocabulary, examples: Mapping[int, tuple[ExampleUse, ...]] | None = None
    ) -> Vocabulary:
        """The words in force, and their examples by class id; returns the words before."""
        with self._lock:
            before, self._vocabulary = self._vocabulary, vocabulary
            self._examples = dict(examples or {})
            in_force = {category.id for category in vocabulary.categories}
            for id in [id for id in self._seen if id not in in_force]:
                del self._seen[id]
            self._heard = self.now()
            self._revision += 1
            return before

    def set_health(self, health: Sequence[Health]) -> None:
        """All statuses that one message had."""
        with self._lock:
            known = {each.part: each for each in self._health}
            known.update((each.part, each) for each in health)
            self._health = tuple(known.values())
            self._heard = self.now()
            self._revision += 1

    def set_speed(self, speed: Speed) -> None:
        """Rates and latencies."""
        with self._lock:
            self._speed = speed
            self._heard = self.now()
            self._revision += 1

    def set_segments(self, frame: FrameSegments) -> None:
        """The segments of a frame."""
        shares = frame.shares()
        with self._lock:
            now = self.now()
            self._heard = self._labelled = now
            for seen in self._seen.values():
                seen.share = 0.0
            for id, share in shares.items():
                seen = self._seen.setdefault(id, _Seen(now))
                seen.share, seen.last = share, now
            self._revision += 1

    def snapshot(self) -> NodeState:
        """The node as it is now."""
        with self._lock:
            now = self.now()
            uses = {}
            for category in self._vocabulary.categories:
                seen = self._seen.setdefault(category.id, _Seen(now))
                uses[category.id] = WordUse(seen.share, now - max(seen.first, seen.last))
            return NodeState(
                name=self.name,
                is_present=self._is_present,
                is_watched=self._is_watched,
                away_s=0.0 if self._is_present else now - self._since,
                silent_s=now - self._heard,
                picture_age_s=now - self._labelled,
                revision=self._revision,
                vocabulary=self._vocabulary,
                health=self._health,
                speed=self._speed,
                uses=uses,
                examples=self._examples,
                abilities=self._abilities,
            )
