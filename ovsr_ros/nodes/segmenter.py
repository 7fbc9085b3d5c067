"""A loaded pipeline at work: frames in, outputs out, vocabulary changes between two frames."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from ovsr_ros.backends.contract import Frame, FrameEmbeddings
from ovsr_ros.backends.view import View
from ovsr_ros.messages.images import decode_compressed
from ovsr_ros.messages.row_layout import Warn
from ovsr_ros.nodes.conversions.images import to_rgb_array
from ovsr_ros.nodes.conversions.stamps import image_age_s, to_ns
from ovsr_ros.nodes.health.monitor import StreamMonitor
from ovsr_ros.nodes.input.depth_source import WantedDepth
from ovsr_ros.nodes.input.image_source import ImageMessage
from ovsr_ros.nodes.labelled_frame import LabelledFrame
from ovsr_ros.nodes.model_access import ModelAccess
from ovsr_ros.nodes.outputs import Outputs
from ovsr_ros.nodes.recent_frames import RecentFrames
from ovsr_ros.nodes.target_frame import TargetFrame
from ovsr_ros.nodes.worker import WaitForTurn
from ovsr_ros.pipeline import Pipeline, State
from ovsr_ros.results import Segmentation
from ovsr_ros.teaching import explain_unused
from ovsr_ros.tracking import Tracker
from ovsr_ros.vocabulary.category import CategoryRequest, Vocabulary

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


class Segmenter:
    """Embeds frames outside of any lock, labels one at a time, and publishes them under the lock of changes.

    What another state labelled than the one in force by then is labelled again instead of published: once `commit` has
    returned, whatever is published is labelled by the new one.

    models: the pipeline's. warn_of_image: told what is wrong with an image that is used. track_ids: where the ids of
        tracks come from. is_paused: whether no frame is to be published for now.
    look: how an image of the stream of a height and width is turned, and what is ignored in it; asked when it is taken.
    target_frame: where things are placed; None: in the camera's optical frame.
    recent: the frames published last, to be pointed at.
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
        is_paused: Callable[[], bool] = lambda: False,
        look: Callable[[tuple[int, int]], View] = lambda size_hw: View(),
        target_frame: TargetFrame | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.models = models
        self._node = node
        self._outputs = outputs
        self._monitor = monitor
        self._warn_of_image = warn_of_image
        self._tracker = Tracker(track_ids)
        self._is_paused = is_paused
        self._look = look
        self._target_frame = target_frame
        self.recent = RecentFrames()
        self._publishing = False
        self._frame_lock = threading.Lock()
        # One frame is labelled at a time, for memory's sake. Taken before the frame lock where both are.
        self._label_lock = threading.Lock()

    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to what is published of a frame."""
        return self._outputs.has_subscribers()

    def asks_for_depth(self) -> bool:
        """Whether anybody subscribes to what there is with depth only."""
        return self._outputs.asks_for_depth()

    def explain_unserved(self) -> str:
        """Who subscribes and gets nothing, why, and what to do, or empty."""
        return self._outputs.explain_unserved()

    def start(self) -> None:
        """Let frames be published; tracks begin anew."""
        self._tracker.restart()
        self.recent.clear()
        with self._frame_lock:
            self._publishing = True

    def stop(self) -> None:
        """After this returns, no frame is published, though one may still be in work."""
        with self._frame_lock:
            self._publishing = False

    def explain_unused_examples(self) -> str:
        """Which examples in force count for nothing, and why; empty where all count, or nothing is in force."""
        try:
            state = self.pipeline.state
        except RuntimeError:  # closed, by whoever cleans the node up
            return ""
        return explain_unused(state)

    def settle(self) -> None:
        """Returns once whatever is being published is: after that, what is paused stays unpublished."""
        with self._frame_lock:
            pass

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
        view = self._look(image.shape[:2])
        upright = view.upright(image)
        found = self.models.find(upright, view.upright_mask(image.shape[:2]))
        is_found = time.monotonic()
        wait_for_turn()
        begin_turn = time.monotonic()
        if self._is_stopped():  # nobody is to wait for the other half
            return
        frame = self.models.join(found, self._tracker, time_s)
        embedded = time.monotonic()
        # Before the lock: who changes the vocabulary is not to wait for a depth image.
        depth = None if wanted is None else wanted.take(image.shape[:2])
        target = None
        if self._target_frame is not None:
            is_wanted = depth is not None and self._outputs.wants_places()
            find = self._target_frame.find if is_wanted else self._target_frame.nowhere
            target = find(message.header)
        depth_taken = time.monotonic()
        with self._labelled(frame, upright.shape[:2], self._is_publishing) as labelled:
            if labelled is None:
                return
            segmentation = view.own(labelled.segmentation)
            labelled_at = time.monotonic()
            embeddings = None
            if isinstance(frame, FrameEmbeddings):  # before: who has seen it may point at it
                self.recent.remember(message.header.stamp, image, segmentation, frame)
                embeddings = frame.embeddings
            published_frame = LabelledFrame(
                image,
                segmentation,
                labelled.vocabulary,
                message.header,
                depth,
                embeddings,
                self.pipeline.state.example_model_id,
                target,
            )
            self._outputs.publish_frame(published_frame)
        published = time.monotonic()
        stages = {
            "wait": begin - arrival,
            "convert": converted - begin,
            "turn": begin_turn - is_found,
            **segmentation.stage_seconds,
            **({} if wanted is None else {"depth": depth_taken - embedded}),
            "publish": published - labelled_at,
        }
        age_s = image_age_s(message.header.stamp, self._node.get_clock().now())
        counts = (frame.num_found, frame.num_embedded) if isinstance(frame, FrameEmbeddings) else (0, 0)
        self._monitor.frame_published(published - arrival, age_s, stages, *counts)

    def commit(self, state: State) -> None:
        """Put a prepared state in force and make it known, before any frame that it labels; or neither.

        Raises VocabularyError or ConfigError when another change came first, and whatever publishing raises.
        """
        before = self.pipeline.state

        def announce(state: State) -> None:
            try:
                self._outputs.announce(before, state)
            except BaseException:
                with contextlib.suppress(Exception):  # whatever can still be published is to say what stays in force
                    self._outputs.announce(state, before)
                raise

        with self._frame_lock:
            self.pipeline.commit(state, announce)

    def segment_once(self, image: NDArray[np.uint8], requests: Sequence[CategoryRequest]) -> LabelledImage:
        """Segment an image beside the stream, by categories of its own or (none given) by those in force; no tracks.

        image: (H, W, 3) uint8 RGB.

        Raises ImageError, and VocabularyError when the categories cannot be used.
        """
        one_off = self.pipeline.state_for(requests) if requests else None
        frame = self.models.embed(image)
        if one_off is not None:
            with self._label_lock:
                return LabelledImage(self.pipeline.label(frame, one_off, image.shape[:2]), one_off.vocabulary)
        with self._labelled(frame, image.shape[:2], lambda: True) as labelled:
            assert labelled is not None
            return labelled

    def close(self) -> None:
        """Free the models and take the topics back."""
        with self.models.closed(), self._label_lock, self._frame_lock:
            self._publishing = False
            self.recent.clear()
            self._outputs.close()
            self.pipeline.close()

    def _is_stopped(self) -> bool:
        with self._frame_lock:
            return not self._is_publishing()

    def _is_publishing(self) -> bool:
        """To be asked under the lock of frames."""
        return self._publishing and not self._is_paused()

    @contextlib.contextmanager
    def _labelled(
        self, frame: Frame, size_hw: tuple[int, int], is_wanted: Callable[[], bool]
    ) -> Iterator[LabelledImage | None]:
        """A frame's labels by a vocabulary that stays in force until the context ends; None once they are not wanted.

        Trident's masks take seconds, and who changes the vocabulary is not to wait for them: labelling comes before the
        lock, and once more where another state was put in force meanwhile. What is quick is then done within
        the lock, and so is what was in vain a few times: frames are published however often the words change.
        """
        for _ in range(_MOST_TRIES):
            begin = time.monotonic()
            state: State | None = None
            with self._label_lock:  # as `close` does, which ends what is wanted
                if is_wanted():
                    state = self.pipeline.state
                    labels = self.pipeline.label(frame, state, size_hw)
            seconds = time.monotonic() - begin
            with self._frame_lock:
                if state is None or not is_wanted():
                    yield None
                    return
                if state is self.pipeline.state:
                    yield LabelledImage(labels, state.vocabulary)
                    return
            if seconds <= _QUICK_S:
                break
        with self._label_lock, self._frame_lock:
            if is_wanted():
                state = self.pipeline.state
                yield LabelledImage(self.pipeline.label(frame, state, size_hw), state.vocabulary)
            else:
                yield None
