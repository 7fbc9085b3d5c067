"""The fast half: kept frames meet words. No network but the text encoder's is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends.decision import confidences_of, decide, to_segments
from ovsr_ros.backends.ovsr.alignment import score_segments
from ovsr_ros.backends.ovsr.backend import load_clip
from ovsr_ros.errors import ConfigError, RecordingError, VocabularyError
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.device import resolve_device
from ovsr_ros.names import name_key
from ovsr_ros.ops.threads import one_thread
from ovsr_ros.recordings.run_lengths import paint_runs
from ovsr_ros.recordings.table import FrameRow
from ovsr_ros.results import UNLABELED_ID, Segmentation, Segments
from ovsr_ros.settings import PipelineOptions, backend_options
from ovsr_ros.vocabulary.category import (
    MAX_CATEGORIES,
    CategoryRequest,
    Operation,
    Vocabulary,
    join_problems,
    normalise_requests,
    parse_category,
)
from ovsr_ros.vocabulary.registry import VocabularyRegistry
from ovsr_ros.vocabulary.text_embeddings import TextClassifier, TextEmbeddingCache, cache_directory


@dataclass(frozen=True)
class Wording:
    """Words by which frames are labelled, and how.

    options: of the pipeline; of these, thresholds, alignment and text count. clip: what encodes words.
    """

    options: PipelineOptions
    vocabulary: Vocabulary
    classifier: TextClassifier
    clip: ClipModel

    @torch.inference_mode()
    @one_thread()
    def label(self, row: FrameRow) -> Segmentation:
        """The frame, labelled as `Pipeline.label` would."""
        options = self.options
        if not len(row):
            return self._paint(row, Segments.empty(options.num_runners_up), np.zeros(0, np.uint8))
        embeddings = torch.from_numpy(row.embeddings.astype(np.float32)).to(self.classifier.embeddings.device)
        stages = backend_options(options)
        scale = self.clip.logit_scale
        probabilities = score_segments(embeddings, self.classifier, scale, stages.alignment, stages.examples)
        decisions = decide(probabilities, self.classifier.class_ids, options.score_threshold, options.num_runners_up)
        segments = to_segments(decisions, row.track_ids, row.boxes_xyxy, row.areas_px, row.centroids_xy)
        return self._paint(row, segments, confidences_of(decisions).cpu().numpy())

    def _paint(self, row: FrameRow, segments: Segments, confidences: NDArray[np.uint8]) -> Segmentation:
        try:
            maps = [
                paint_runs(table[row.run_values], row.run_lengths, row.size_hw)
                for table in (_table(segments.class_ids, UNLABELED_ID), _table(confidences, 0))
            ]
            segment_map = row.segment_map()
        except (ValueError, IndexError) as error:
            raise RecordingError(f"a frame's segment map is damaged: {error}") from error
        return Segmentation(maps[0], maps[1], segment_map, segments, self.vocabulary.version)


def _table(values: NDArray[np.generic], none: int) -> NDArray[np.uint8]:
    return np.concatenate(([none], values)).astype(np.uint8)


def load_text_encoder(options: PipelineOptions) -> ClipModel:
    """What encodes words as these options' pipeline does. Raises ModelError when it cannot be used."""
    device = resolve_device(options.device)
    return load_clip(backend_options(options), device, options.precision, options.allow_download)


def text_cache(clip: ClipModel, options: PipelineOptions) -> TextEmbeddingCache:
    """The embeddings of words, as the pipeline keeps them."""
    return TextEmbeddingCache(clip, clip.model_id, options.text.templates, cache_directory(options.text))


def choose_words(clip: ClipModel, options: PipelineOptions, vocabulary: Vocabulary) -> Wording:
    """These words, encoded, in the same last digits whatever the number of threads is."""
    with torch.inference_mode(), one_thread():
        texts, others = text_cache(clip, options), options.text.unlabeled_names
        classifier = TextClassifier.build(vocabulary, texts, others, examples_of=clip.model_id)
    return Wording(options, vocabulary, classifier.to(resolve_device(options.device)), clip)


def make_vocabulary(categories: Sequence[str], ids: Sequence[tuple[int, str]] = ()) -> Vocabulary:
    """Categories as version 1, ids in their order; or with ids of a label space, by name.

    ids: (id, "name; synonym") each, of which only the name counts where there are categories; without any, these are
    the words.

    Raises VocabularyError and ConfigError with what cannot be used.
    """
    texts = list(categories) or [text for _, text in ids]
    requests = [parse_category(text) for text in texts]
    if not requests:
        raise ConfigError('no categories to look for; name them: --categories "mug; cup" --categories ball')
    requests, problems = normalise_requests(requests, names_only=False)
    if problems:
        raise VocabularyError(join_problems(problems))
    return VocabularyRegistry().propose(Operation.REPLACE, _with_ids(requests, ids) if ids else requests)


def _with_ids(requests: Sequence[CategoryRequest], ids: Sequence[tuple[int, str]]) -> list[CategoryRequest]:
    wrong = [id for id, _ in ids if not 0 <= id < MAX_CATEGORIES]
    if wrong:
        raise ConfigError(f"--ids: expected ids of 0 to {MAX_CATEGORIES - 1}, got {wrong[0]}")
    given = {name_key(parse_category(text).name): id for id, text in ids}
    missing = [request.name for request in requests if name_key(request.name) not in given]
    if missing:
        raise VocabularyError(f"--ids: no id for {', '.join(repr(name) for name in missing)}; add a line for each")
    for request in requests:
        id = given[name_key(request.name)]
        if request.id not in (None, id):
            raise VocabularyError(f"--ids: {request.name!r} has id {id} there and {request.id} here; leave one out")
    return [replace(request, id=given[name_key(request.name)]) for request in requests]


def check_model(clip: ClipModel, expected: str) -> None:
    """Raises RecordingError when embeddings were made by another model than words would be."""
    if clip.model_id != expected:
        raise RecordingError(
            f"its embeddings were made by {expected}, words would be encoded by {clip.model_id}, which is not "
            "comparable: get that model, or label the bag again"
        )
