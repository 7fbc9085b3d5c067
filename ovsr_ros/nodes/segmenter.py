"""A loaded pipeline at work: frames in, outputs out, vocabulary changes between two frames."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from ovsr_ros.backends.contract import Frame, FrameEmbeddings
from ovsr_ros.backends.reduction import Reduction
from ovsr_ros.nodes.conversions.images import decode_compressed, to_rgb_array
from ovsr_ros.nodes.conversions.row_layout import Warn
from ovsr_ros.nodes.conversions.stamps import image_age_s, to_ns
from ovsr_ros.nodes.health.monitor import StreamMonitor
from ovsr_ros.nodes.input.depth_source import WantedDepth
from ovsr_ros.nodes.input.image_source import ImageMessage
from ovsr_ros.nodes.model_access import ModelAccess
from ovsr_ros.nodes.out_of_memory import enlarge
from ovsr_ros.nodes.outputs import Outputs
from ovsr_ros.nodes.worker import WaitForTurn
from ovsr_ros.pipeline import FoundImage, Pipeline, PreparedVocabulary
from ovsr_ros.results import Segmentation
from ovsr_ros.tracking import Tracker
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary
from ovsr_ros.vocabulary.change import VocabularyChange

if TYPE_CHECKING:
    from rclpy.node import Node


_QUICK_S = 0.5
"""Who changes the vocabulary waits for labelling that took no longer."""

_MOST_TRIES = 3
"""How often a frame is labelled in vain, its words changed meanwhile; then whoever changes them waits, however long."""


@dataclass(frozen=True)
class ArrivedImage:
    """An image of the stream, with what comes for it."""

    message: ImageMessage
    depth: WantedDepth | None = None


@dataclass(frozen=True)
class LabelledImage:
    """A segmentation with the vocabulary that labelled it."""

    segmentation: Segmentation
    vocabulary: Vocabulary


@dataclass(frozen=True)
class _Labels:
    """A segmentation with the threshold that was in force before it was made, and how long that took."""

    segmentation: Segmentation
    score_threshold: float
    seconds: float


class Segmenter:
    """Embeds and labels frames outside of any lock; publishes and changes the vocabulary under one lock.

    What another vocabulary labelled than the one in force by then is labelled again instead of published. So a frame is
    labelled by exactly one vocabulary, and once `change_vocabulary` has returned, whatever is published is labelled by
    the new one.

    models: the pipeline's. warn_of_image: told what is wrong with an image that is used. track_ids: where the ids of
        tracks come from.
    """

    def __init__(
        self,
        node: Node,
        pipeline: Pipeline,
        models: ModelAccess,
        outputs: Outputs,
        monitor: StreamMonitor,
        warn_of_image: Warn,
        track_ids: Iterator[int],
    ) -> None:
        self.pipeline = pipeline
        self.models = models
        self._node = node
        self._outputs = outputs
        self._monitor = monitor
        self._warn_of_image = warn_of_image
        self._vocabulary = pipeline.vocabulary
        self._tracker = Tracker(track_ids)
        self._publishing = False
        self._frame_lock = threading.Lock()
        # One frame is labelled at a time, for memory's sake. Taken before the frame lock where both are.
        self._label_lock = threading.Lock()

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary in force; after `close`, the last one."""
        return self._vocabulary

    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to what is published of a frame."""
        return self._outputs.has_subscribers()

    def wants_points(self) -> bool:
        """Whether anybody subscribes to the labelled points."""
        return self._outputs.wants_points()

    def explain_unserved(self) -> str:
        """Who subscribes and gets nothing, why, and what to do, or empty."""
        return self._outputs.explain_unserved()

    def start(self) -> None:
        """Let frames be published; tracks begin anew."""
        self._tracker.restart()
        with self._frame_lock:
            self._publishing = True

    def stop(self) -> None:
        """After this returns, no frame is published, though one may still be in work."""
        with self._frame_lock:
            self._publishing = False

    def process(self, arrived: ArrivedImage, arrival: float, wait_for_turn: WaitForTurn) -> None:
        """Segment one image and publish the outputs under its header.

        arrival: monotonic time at which it came in. wait_for_turn: returns when the images before it are done.

        Raises ImageError for a message that is no usable image, and whatever the pipeline raises.
        """
        begin = time.monotonic()
        message, wanted = arrived.message, arrived.depth if self._outputs.wants_depth() else None
        if isinstance(message, CompressedImage):
            image = decode_compressed(message)
        else:
            image = to_rgb_array(message, self._warn_of_image)
        converted = time.monotonic()
        # A stamp of 0 is none; the tracks need to know how much time has passed all the same.
        time_s = to_ns(message.header.stamp) / 1e9 or arrival
        alone = self.models.has_budget  # then nothing runs beside it
        found = None if alone else self.models.use(image, self.pipeline.find)
        is_found = time.monotonic()
        wait_for_turn()
        begin_turn = time.monotonic()
        if self._is_stopped():  # nobody is to wait for the other half
            return
        frame = self._follow(image, found, time_s)
        embedded = time.monotonic()
        # Before the lock: who changes the vocabulary is not to wait for a depth image.
        depth = None if wanted is None else wanted.take(image.shape[:2])
        depth_taken = time.monotonic()
        with self._labelled(frame, image.shape[:2], lambda: self._publishing) as labelled:
            if labelled is None:
                return
            segmentation = labelled.segmentation
            painting = self._outputs.paint(segmentation)
            painted = time.monotonic()
            self._outputs.publish_frame(image, segmentation, labelled.vocabulary, message.header, depth)
        published = time.monotonic()
        stages = {
            "wait": begin - arrival,
            "convert": converted - begin,
            "turn": begin_turn - is_found,
            **segmentation.stage_seconds,
            **({} if wanted is None else {"depth": depth_taken - embedded}),
            **painting,
            "publish": published - painted,
        }
        age_s = image_age_s(message.header.stamp, self._node.get_clock().now())
        counts = (frame.num_found, frame.num_embedded) if isinstance(frame, FrameEmbeddings) else (0, 0)
        self._monitor.frame_published(published - arrival, age_s, stages, *counts)

    def change_vocabulary(
        self, operation: Operation, requests: Sequence[CategoryRequest], before_commit: Callable[[], None] | None = None
    ) -> VocabularyChange:
        """Change the vocabulary whole or not at all, publish it before any frame that it labels, and log the change.

        before_commit: called once the change is known to be possible; what it raises prevents the change.

        Raises VocabularyError with every reason against the change. Calls must not overlap: of two changes prepared
        from one vocabulary, the later is refused.
        """
        prepared = self.pipeline.prepare_vocabulary(operation, requests)
        if before_commit is not None:
            before_commit()
            if prepared.text_options != self.pipeline.options.text:
                prepared = self.pipeline.prepare_vocabulary(operation, requests)
        with self._frame_lock:
            before, self._vocabulary = self._vocabulary, self.pipeline.commit_vocabulary(prepared)
            self._outputs.publish_vocabulary(self._vocabulary, self.pipeline.options.score_threshold)
            change = VocabularyChange(before, self._vocabulary)
        self._node.get_logger().info(f"vocabulary, {change.describe()}")
        return change

    def update_options(self, changes: Mapping[str, object]) -> None:
        """Change the pipeline's options by dotted name, all or none; frames that are labelled later follow them.

        Raises ConfigError and ModelError as `Pipeline.update_options`.
        """
        before = self.pipeline.options.score_threshold
        after = self.pipeline.update_options(changes).score_threshold
        if after != before:
            with self._frame_lock:
                self._outputs.publish_threshold(self._vocabulary, after)

    def segment_once(self, image: NDArray[np.uint8], requests: Sequence[CategoryRequest]) -> LabelledImage:
        """Segment an image beside the stream, by categories of its own or (none given) by those in force; no tracks.

        image: (H, W, 3) uint8 RGB.

        Raises ImageError, and VocabularyError when the categories cannot be used.
        """
        one_off = self.pipeline.classifier_for(requests) if requests else None
        frame = self.models.use(image, self.pipeline.embed_reduced)
        if one_off is not None:
            with self._label_lock:
                labels = self._label(frame, image.shape[:2], one_off)
            return LabelledImage(labels.segmentation, one_off.vocabulary)
        with self._labelled(frame, image.shape[:2], lambda: True) as labelled:
            assert labelled is not None
            return labelled

    def close(self) -> None:
        """Free the models and take the topics back."""
        with self.models.closed(), self._label_lock, self._frame_lock:
            self._publishing = False
            self._outputs.close()
            self.pipeline.close()

    def _follow(self, image: NDArray[np.uint8], found: FoundImage | Frame | None, time_s: float) -> Frame:
        """The image as the stream's next. found: what `find` made of it, or already a frame; None: not begun."""
        if found is not None and not isinstance(found, FoundImage):
            return found
        tracker = self._tracker

        def follow(image: NDArray[np.uint8], reduction: Reduction) -> Frame:
            begun = self.pipeline.find(image, reduction) if found is None else found
            return self.pipeline.join(begun, tracker, time_s)

        return self.models.use(image, follow)

    def _is_stopped(self) -> bool:
        with self._frame_lock:
            return not self._publishing

    @contextlib.contextmanager
    def _labelled(
        self, frame: Frame, size_hw: tuple[int, int], is_wanted: Callable[[], bool]
    ) -> Iterator[LabelledImage | None]:
        """A frame's labels by a vocabulary that stays in force until the context ends; None once they are not wanted.

        Trident's masks take seconds, and who changes the vocabulary is not to wait for them: labelling comes before the
        lock, and once more where the vocabulary, or the threshold, changed meanwhile. What is quick is then done within
        the lock, and so is what was in vain a few times: frames are published however often the words change.
        """
        for _ in range(_MOST_TRIES):
            with self._label_lock:  # as `close` does, which ends what is wanted
                labels = self._label(frame, size_hw, None) if is_wanted() else None
            with self._frame_lock:
                if labels is None or not is_wanted():
                    yield None
                    return
                if self._is_in_force(labels):
                    yield LabelledImage(labels.segmentation, self._vocabulary)
                    return
            if labels.seconds <= _QUICK_S:
                break
        with self._label_lock, self._frame_lock:
            if is_wanted():
                labels = self._label(frame, size_hw, None)
                yield LabelledImage(labels.segmentation, self._vocabulary)
            else:
                yield None

    def _is_in_force(self, labels: _Labels) -> bool:
        return (
            labels.segmentation.vocabulary_version == self._vocabulary.version
            and labels.score_threshold == self.pipeline.options.score_threshold
        )

    def _label(self, frame: Frame, size_hw: tuple[int, int], one_off: PreparedVocabulary | None) -> _Labels:
        """The caller holds `_label_lock`."""
        begin, threshold = time.monotonic(), self.pipeline.options.score_threshold
        segmentation = self.pipeline.label(frame, one_off)
        if segmentation.label_map.shape != size_hw:
            segmentation = enlarge(segmentation, size_hw)
        return _Labels(segmentation, threshold, time.monotonic() - begin)
