"""Backend and vocabulary together: an image in, a labelled `Segmentation` out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends import load_backend, segmenter_type
from ovsr_ros.backends.contract import (
    Backend,
    FoundSegments,
    Frame,
    FrameEmbeddings,
    MaskEmbedder,
    Segmenter,
    SegmentFinder,
)
from ovsr_ros.backends.reduction import FULL, Reduction, enlarge, reduce
from ovsr_ros.errors import ConfigError
from ovsr_ros.models.device import resolve_device
from ovsr_ros.models.memory import free_unused_memory, resident_bytes
from ovsr_ros.ops.image import check_image
from ovsr_ros.options import iter_options, replace_flat, to_flat_dict, validate
from ovsr_ros.results import Segmentation
from ovsr_ros.settings import PipelineOptions, backend_options
from ovsr_ros.tracking import Tracker
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary
from ovsr_ros.vocabulary.change import Change
from ovsr_ros.vocabulary.registry import VocabularyRegistry
from ovsr_ros.vocabulary.text_embeddings import TextClassifier, TextEmbeddingCache, TextOptions, cache_directory

ONE_OFF_VERSION = 0
"""Version of a vocabulary that was made for single calls and never put in force."""


@dataclass(frozen=True)
class State:
    """All that decides how an image is segmented and labelled; made by a `Pipeline`, and never changed.

    vocabulary, classifier: the words, and the rows that stand for them on the backend's device. texts: where their
    embeddings come from. number: one more than that of the state it was prepared from.
    """

    options: PipelineOptions
    backend: Backend[Any]
    vocabulary: Vocabulary
    classifier: TextClassifier
    texts: TextEmbeddingCache
    number: int = 0

    @property
    def example_model_id(self) -> str:
        """Of the model whose examples count; empty where none do: this backend compares its images with words only."""
        return _example_model_id(self.backend)


@dataclass(frozen=True)
class FoundImage:
    """What is known of an image, (H, W, 3) uint8 RGB, by itself, before it joins a stream; made by `Pipeline.find`.

    frame: of the image, or of a smaller one where `reduction` says so. options: those in force when that began.
    ignored: as given to that.
    """

    image_rgb: NDArray[np.uint8]
    frame: Frame | FoundSegments
    options: PipelineOptions
    reduction: Reduction
    ignored: NDArray[np.bool_] | None = None


class Pipeline:
    """Segments images and labels them by a vocabulary that can change meanwhile. Loads its models when constructed.

    Everything that is in force is one `State`. `prepare` makes another one, which takes a while and changes nothing;
    `commit` puts it in force, at once and whole. Thread-safe: a call uses the state that is in force when it begins, or
    the one that it is given.

    registry: where ids, colours and versions come from; pass the same one to let them outlive the pipeline. Of two
        pipelines, only one may change its vocabulary at a time.

    Raises ConfigError for unusable options, ModelError when a model cannot be used.
    """

    def __init__(self, options: PipelineOptions | None = None, registry: VocabularyRegistry | None = None) -> None:
        options = options or PipelineOptions()
        validate(options)
        self._registry = registry or VocabularyRegistry()
        self._commit_lock = threading.Lock()
        self.device = resolve_device(options.device)
        backend = _load(options, self.device)
        self._state: State | None = self._encoded(options, backend, self._registry.current)

    @property
    def state(self) -> State:
        """What is in force. Raises RuntimeError once the pipeline is closed."""
        state = self._state
        if state is None:
            raise RuntimeError("this pipeline was closed; construct a new one")
        return state

    @property
    def options(self) -> PipelineOptions:
        return self.state.options

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary in force: an immutable snapshot; version 0 before the first change."""
        return self.state.vocabulary

    # --- Changes ---

    def prepare(self, options: Mapping[str, object] | None = None, change: Change | None = None) -> State:
        """The state that changes of options, by dotted name, and of the vocabulary would lead to; nothing is changed.

        Slow where words are encoded, or models loaded for another `precision`. Any thread.

        Raises whatever can go wrong with the change: ConfigError for an unknown or read-only option or an unusable
        value, VocabularyError with every reason against the words, ModelError from loading.
        """
        state = self.state
        changed, backend = state.options, state.backend
        if options:
            changed = replace_flat(state.options, options)
            _refuse_read_only(state.options, changed)
        vocabulary = state.vocabulary if change is None else self._registry.propose_change(change)
        if changed.precision != state.options.precision:
            return self._encoded(changed, _load(changed, self.device), vocabulary, number=state.number + 1)
        if options:
            backend = backend.with_options(backend_options(changed))
        texts = state.texts if changed.text == state.options.text else None
        if texts is not None and vocabulary is state.vocabulary:
            return replace(state, options=changed, backend=backend, number=state.number + 1)
        return self._encoded(changed, backend, vocabulary, texts, state.number + 1)

    def commit(self, state: State, announce: Callable[[State], object] = lambda state: None) -> None:
        """Put a prepared state in force: every call that begins later uses it.

        announce: called once nothing else can prevent the change; what it raises does.

        Raises VocabularyError or ConfigError when another change came first; prepare again then.
        """
        with self._commit_lock:
            before = self.state
            has_words = state.vocabulary is not before.vocabulary
            if has_words:
                self._registry.check(state.vocabulary)
            if state.number != before.number + 1:
                raise ConfigError("something else has changed meanwhile; send the change again")
            announce(state)
            if has_words:
                self._registry.commit(state.vocabulary)
            self._state = state

    def set_vocabulary(self, operation: Operation, requests: Sequence[CategoryRequest]) -> Vocabulary:
        """Prepare and commit a change. Raises VocabularyError, and then nothing has changed."""
        state = self.prepare(change=(operation, requests))
        self.commit(state)
        return state.vocabulary

    def update_options(self, changes: Mapping[str, object]) -> PipelineOptions:
        """Prepare and commit a change of options. Raises ConfigError and ModelError, and then nothing has changed."""
        state = self.prepare(changes)
        self.commit(state)
        return state.options

    def state_for(self, requests: Sequence[CategoryRequest]) -> State:
        """What is in force with other words, of version 0, for single calls: it cannot be committed.

        Names that were ever in force keep their ids; the others get free ones, for these calls only.

        Raises VocabularyError with every reason for which the categories cannot be used.
        """
        state = self.state
        proposed = self._registry.propose(Operation.REPLACE, requests)
        one_off = replace(proposed, version=ONE_OFF_VERSION)
        return self._encoded(state.options, state.backend, one_off, state.texts, number=-1)

    # --- Images ---

    def find(
        self, image_rgb: NDArray[np.uint8], reduction: Reduction = FULL, ignored: NDArray[np.bool_] | None = None
    ) -> FoundImage:
        """What is known of an image by itself: the slow half. Several may be in work at once.

        image_rgb: (H, W, 3) uint8 RGB, both sides at least 16 pixels. reduction: to work in less memory. ignored: what
        is to be in no segment, see `SegmentFinder`; nothing to a backend that is none.

        Raises ImageError for anything else.
        """
        state = self.state
        options = state.options
        reuses = options.tracking.enabled and options.tracking.reuse_embeddings
        frame: Frame | FoundSegments
        if isinstance(state.backend, SegmentFinder) and (reuses or ignored is not None):
            check_image(image_rgb)
            found = reduce(state.backend, reduction).find(reduction.shrink(image_rgb), ignored)
            frame = found if reuses else found.embed_all()
        else:
            frame = self.embed(image_rgb, reduction)
        return FoundImage(image_rgb, frame, options, reduction, ignored)

    def join(self, found: FoundImage, tracker: Tracker, time_s: float) -> Frame:
        """The image becomes the next of a stream: its segments as the tracker follows them, if `tracking.enabled`.

        In the order of the images, one by one. A backend that finds no segments in its slow half has none that could be
        followed. With `tracking.reuse_embeddings`, segments that have not changed are not embedded again. An exception
        leaves the stream as it was.

        time_s: when the image was taken, seconds from anywhere; see `Tracker.follow`.
        """
        options, frame = found.options, found.frame
        if not (options.tracking.enabled and isinstance(frame, (FoundSegments, FrameEmbeddings))):
            assert not isinstance(frame, FoundSegments)
            tracker.restart()
            return frame
        source = embedding_source(options, found.reduction)
        return tracker.follow(found.image_rgb, frame, time_s, options.tracking, source)

    def embed(self, image_rgb: NDArray[np.uint8], reduction: Reduction = FULL) -> Frame:
        """An image that is part of no stream, ready for `label`; arguments and errors as of `find`."""
        check_image(image_rgb)
        frame: Frame = reduce(self.state.backend, reduction).embed(reduction.shrink(image_rgb))
        return frame

    def label(self, frame: Frame, state: State | None = None, size_hw: tuple[int, int] | None = None) -> Segmentation:
        """Label a frame: the fast half.

        state: None: what is in force. size_hw: of the image, where the frame is of a smaller one.
        """
        state = state or self.state
        options = state.options
        labelled = state.backend.label(frame, state.classifier, options.score_threshold, options.num_runners_up)
        return labelled if size_hw in (None, labelled.label_map.shape) else enlarge(labelled, size_hw)

    def segment(
        self, image_rgb: NDArray[np.uint8], categories: Sequence[CategoryRequest] | State | None = None
    ) -> Segmentation:
        """Both halves: `label(embed(image_rgb))`. categories: for this call only; None: the vocabulary in force.

        Raises ImageError and VocabularyError.
        """
        if categories is not None and not isinstance(categories, State):
            categories = self.state_for(categories)
        return self.label(self.embed(image_rgb), categories)

    def warm_up(self, size_hw: tuple[int, int] = (480, 640)) -> None:
        """Segment one synthetic image, so that the first real one does not pay for lazy initialisation."""
        height, width = size_hw
        pattern = np.random.default_rng(0).integers(0, 255, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
        image = pattern.repeat(16, 0).repeat(16, 1)[:height, :width]
        self.segment(np.ascontiguousarray(image))

    # --- Resources ---

    def memory_bytes(self) -> int:
        """Memory in use: on a GPU what its tensors take there, on the CPU the process's resident set."""
        if self.device.type == "cuda":
            return int(torch.cuda.memory_allocated(self.device))
        return resident_bytes()

    def close(self) -> None:
        """Free the models and the device's memory; any later call raises RuntimeError."""
        with self._commit_lock:
            self._state = None
        free_unused_memory()

    def _encoded(
        self,
        options: PipelineOptions,
        backend: Backend[Any],
        vocabulary: Vocabulary,
        texts: TextEmbeddingCache | None = None,
        number: int = 0,
    ) -> State:
        texts = texts or _text_cache(backend, options.text)
        with torch.inference_mode():
            model_id = _example_model_id(backend)
            names = options.text.unlabeled_names
            classifier = TextClassifier.build(vocabulary, texts, names, model_id).to(self.device)
        return State(options, backend, vocabulary, classifier, texts, number)


def embedding_source(options: PipelineOptions, reduction: Reduction = FULL) -> object:
    """What embeddings are made by: those of two sources are no average; see `Tracker.follow`."""
    return (backend_options(options), options.precision, reduction)


def load_segmenter(options: PipelineOptions) -> Segmenter:
    """The stages before words of these options' backend, loaded.

    Raises ConfigError for unusable options, or a backend without such stages, ModelError when a model cannot be used.
    """
    validate(options)
    declared = segmenter_type(options.backend)
    device = resolve_device(options.device)
    return declared.load(backend_options(options), device, options.precision, options.allow_download)


def _load(options: PipelineOptions, device: torch.device) -> Backend[Any]:
    return load_backend(options.backend, backend_options(options), device, options.precision, options.allow_download)


def _example_model_id(backend: Backend[Any]) -> str:
    return backend.text_encoder.model_id if isinstance(backend, MaskEmbedder) else ""


def _text_cache(backend: Backend[Any], options: TextOptions) -> TextEmbeddingCache:
    encoder = backend.text_encoder
    return TextEmbeddingCache(encoder, encoder.model_id, options.templates, cache_directory(options))


def _refuse_read_only(before: PipelineOptions, after: PipelineOptions) -> None:
    old, new = to_flat_dict(before), to_flat_dict(after)
    for info in iter_options(PipelineOptions):
        if info.read_only and old[info.name] != new[info.name]:
            raise ConfigError(f"{info.name}: is {old[info.name]!r} and cannot change while running; restart with it")
