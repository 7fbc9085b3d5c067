"""Backend and vocabulary together: an image in, a labelled `Segmentation` out."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends import (
    Backend,
    FoundSegments,
    Frame,
    FrameEmbeddings,
    SegmentFinder,
    load_backend,
)
from ovsr_ros.backends.reduction import FULL, Reduction, reduce
from ovsr_ros.errors import ConfigError, VocabularyError
from ovsr_ros.models.device import free_unused_memory, resolve_device
from ovsr_ros.models.memory import resident_bytes
from ovsr_ros.ops.image import check_image
from ovsr_ros.options import iter_options, replace_flat, to_flat_dict, validate
from ovsr_ros.results import Segmentation
from ovsr_ros.settings import PipelineOptions, backend_options
from ovsr_ros.tracking import Tracker
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary
from ovsr_ros.vocabulary.registry import VocabularyRegistry
from ovsr_ros.vocabulary.text_embeddings import TextClassifier, TextEmbeddingCache, TextOptions, cache_directory

ONE_OFF_VERSION = 0
"""Version of a vocabulary that was made for one call and never put in force."""


@dataclass(frozen=True)
class PreparedVocabulary:
    """A validated vocabulary and its text embeddings, ready to label; made by a `Pipeline`."""

    vocabulary: Vocabulary
    classifier: TextClassifier
    text_options: TextOptions


@dataclass(frozen=True)
class FoundImage:
    """What is known of an image, (H, W, 3) uint8 RGB, by itself, before it joins a stream; made by `Pipeline.find`.

    options: those in force when that began. reduction: of the backend then.
    """

    image_rgb: NDArray[np.uint8]
    frame: Frame | FoundSegments
    options: PipelineOptions
    reduction: Reduction


@dataclass(frozen=True)
class _State:
    options: PipelineOptions
    backend: Backend[Any]
    cache: TextEmbeddingCache
    active: PreparedVocabulary


class Pipeline:
    """Segments images and labels them by a vocabulary that can change meanwhile. Loads its models when constructed.

    Thread-safe: everything that a call uses is one immutable snapshot, taken when the call begins. A frame is labelled
    by exactly one vocabulary version, and `commit_vocabulary` returns before any later `label` begins.

    registry: where ids, colours and versions come from; pass the same one to let them outlive the pipeline.

    Raises ConfigError for unusable options, ModelError when a model cannot be used.
    """

    def __init__(self, options: PipelineOptions | None = None, registry: VocabularyRegistry | None = None) -> None:
        options = options or PipelineOptions()
        validate(options)
        self._registry = registry or VocabularyRegistry()
        self._write_lock = threading.Lock()  # held while the state is replaced, never while it is used
        self.device = resolve_device(options.device)
        backend = _load(options, self.device)
        cache = _text_cache(backend, options.text)
        active = self._encode(self._registry.current, cache, options.text)
        self._state: _State | None = _State(options, backend, cache, active)

    @property
    def options(self) -> PipelineOptions:
        return self._snapshot().options

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary in force: an immutable snapshot; version 0 before the first change."""
        return self._snapshot().active.vocabulary

    # --- Images ---

    def embed(self, image_rgb: NDArray[np.uint8]) -> Frame:
        """Everything about an image that needs no vocabulary: the slow half. What comes back is for `label`.

        image_rgb: (H, W, 3) uint8 RGB, both sides at least 16 pixels. Raises ImageError for anything else.
        """
        check_image(image_rgb)
        frame: Frame = self._snapshot().backend.embed(image_rgb)
        return frame

    def reduce_further(self, reduction: Reduction) -> Reduction | None:
        """What takes less memory than this, or None; see `Reduction.more`."""
        return reduction.more(self._snapshot().backend)

    def embed_reduced(self, image_rgb: NDArray[np.uint8], reduction: Reduction = FULL) -> Frame:
        """As `embed`, in less memory: smaller batches, lower resolution of every stage; the image's is the caller's."""
        check_image(image_rgb)
        frame: Frame = reduce(self._snapshot().backend, reduction).embed(image_rgb)
        return frame

    def follow(self, image_rgb: NDArray[np.uint8], tracker: Tracker, time_s: float) -> Frame:
        """`embed` for the next image of a stream: its segments as the tracker follows them, if `tracking.enabled`.

        A backend that finds no segments in its slow half has none that could be followed. With
        `tracking.reuse_embeddings`, segments that have not changed are not embedded again.

        time_s: when the image was taken, seconds from anywhere; see `Tracker.follow`. Raises ImageError as `embed`.
        """
        return self.join(self.find(image_rgb), tracker, time_s)

    def find(self, image_rgb: NDArray[np.uint8], reduction: Reduction = FULL) -> FoundImage:
        """The first half of `follow`: what needs no other image of the stream. Several may be in work at once.

        reduction: as in `embed_reduced`. Raises ImageError as `embed`.
        """
        check_image(image_rgb)
        state = self._snapshot()
        options, backend = state.options, reduce(state.backend, reduction)
        if options.tracking.enabled and options.tracking.reuse_embeddings and isinstance(backend, SegmentFinder):
            return FoundImage(image_rgb, backend.find(image_rgb), options, reduction)
        return FoundImage(image_rgb, backend.embed(image_rgb), options, reduction)

    def join(self, found: FoundImage, tracker: Tracker, time_s: float) -> Frame:
        """The second half of `follow`: the image becomes the stream's next. In the order of the images, one by one."""
        options, frame = found.options, found.frame
        if not (options.tracking.enabled and isinstance(frame, (FoundSegments, FrameEmbeddings))):
            assert not isinstance(frame, FoundSegments)
            tracker.restart()
            return frame
        source = (backend_options(options), options.precision, found.reduction)
        return tracker.follow(found.image_rgb, frame, time_s, options.tracking, source)

    def label(self, frame: Frame, categories: PreparedVocabulary | None = None) -> Segmentation:
        """Label an embedded frame: the fast half. categories: from `classifier_for`; None: the vocabulary in force."""
        state = self._snapshot()
        active = categories or state.active
        options = state.options
        return state.backend.label(frame, active.classifier, options.score_threshold, options.num_runners_up)

    def segment(
        self, image_rgb: NDArray[np.uint8], categories: Sequence[CategoryRequest] | PreparedVocabulary | None = None
    ) -> Segmentation:
        """Both halves: `label(embed(image_rgb))`. categories: for this call only; None: the vocabulary in force.

        Raises ImageError and VocabularyError.
        """
        if categories is not None and not isinstance(categories, PreparedVocabulary):
            categories = self.classifier_for(categories)
        return self.label(self.embed(image_rgb), categories)

    def warm_up(self, size_hw: tuple[int, int] = (480, 640)) -> None:
        """Segment one synthetic image, so that the first real one does not pay for lazy initialisation."""
        height, width = size_hw
        pattern = np.random.default_rng(0).integers(0, 255, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
        image = pattern.repeat(16, 0).repeat(16, 1)[:height, :width]
        self.segment(np.ascontiguousarray(image))

    # --- Vocabulary ---

    def prepare_vocabulary(self, operation: Operation, requests: Sequence[CategoryRequest]) -> PreparedVocabulary:
        """Validate a change and encode its texts: slow, from any thread, and nothing is changed.

        Raises VocabularyError with every reason for which the change is refused.
        """
        state = self._snapshot()
        return self._encode(self._registry.propose(operation, requests), state.cache, state.options.text)

    def commit_vocabulary(self, prepared: PreparedVocabulary) -> Vocabulary:
        """Put a prepared vocabulary in force, at once: every `label` that begins later uses it.

        Raises VocabularyError when another change came first; prepare again then.
        """
        with self._write_lock:
            state = self._snapshot()
            if prepared.text_options != state.options.text:
                raise VocabularyError("the text options have changed meanwhile; send the change again")
            vocabulary = self._registry.commit(prepared.vocabulary)
            self._state = dataclasses.replace(state, active=prepared)
            return vocabulary

    def set_vocabulary(self, operation: Operation, requests: Sequence[CategoryRequest]) -> Vocabulary:
        """Prepare and commit a change. Raises VocabularyError, and then nothing has changed."""
        return self.commit_vocabulary(self.prepare_vocabulary(operation, requests))

    def classifier_for(self, requests: Sequence[CategoryRequest]) -> PreparedVocabulary:
        """A vocabulary for single calls, of version 0, beside the one in force.

        Names that were ever in force keep their ids; the others get free ones, for these calls only.

        Raises VocabularyError with every reason for which the categories cannot be used.
        """
        state = self._snapshot()
        proposed = self._registry.propose(Operation.REPLACE, requests)
        one_off = dataclasses.replace(proposed, version=ONE_OFF_VERSION)
        return self._encode(one_off, state.cache, state.options.text)

    # --- Options and resources ---

    def update_options(self, changes: Mapping[str, object]) -> PipelineOptions:
        """Change options by dotted name, all or none; calls that begin later use them.

        Another `precision` loads the models anew, other `text` options encode the vocabulary anew: both take a while.

        Raises ConfigError for an unknown or read-only option or an unusable value, ModelError from loading.
        """
        with self._write_lock:
            state = self._snapshot()
            options = replace_flat(state.options, changes)
            _refuse_read_only(state.options, options)
            if options.precision != state.options.precision:
                backend = _load(options, self.device)
            else:
                backend = state.backend.with_options(backend_options(options))
            cache, active = state.cache, state.active
            if options.text != state.options.text or options.precision != state.options.precision:
                cache = _text_cache(backend, options.text)
                active = self._encode(active.vocabulary, cache, options.text)
            self._state = _State(options, backend, cache, active)
            return options

    def memory_bytes(self) -> int:
        """Memory in use: on a GPU what its tensors take there, on the CPU the process's resident set."""
        if self.device.type == "cuda":
            return int(torch.cuda.memory_allocated(self.device))
        return resident_bytes()

    def close(self) -> None:
        """Free the models and the device's memory; any later call raises RuntimeError."""
        with self._write_lock:
            self._state = None
        free_unused_memory()

    def _snapshot(self) -> _State:
        state = self._state
        if state is None:
            raise RuntimeError("this pipeline was closed; construct a new one")
        return state

    def _encode(self, vocabulary: Vocabulary, cache: TextEmbeddingCache, options: TextOptions) -> PreparedVocabulary:
        with torch.inference_mode():
            classifier = TextClassifier.build(vocabulary, cache, options.unlabeled_names).to(self.device)
        return PreparedVocabulary(vocabulary, classifier, options)


def _load(options: PipelineOptions, device: torch.device) -> Backend[Any]:
    return load_backend(options.backend, backend_options(options), device, options.precision, options.allow_download)


def _text_cache(backend: Backend[Any], options: TextOptions) -> TextEmbeddingCache:
    encoder = backend.text_encoder
    return TextEmbeddingCache(encoder, encoder.model_id, options.templates, cache_directory(options))


def _refuse_read_only(before: PipelineOptions, after: PipelineOptions) -> None:
    old, new = to_flat_dict(before), to_flat_dict(after)
    for info in iter_options(PipelineOptions):
        if info.read_only and old[info.name] != new[info.name]:
            raise ConfigError(f"{info.name}: is {old[info.name]!r} and cannot change while running; restart with it")
