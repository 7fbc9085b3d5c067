"""The pipeline as something that can be judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.backends.contract import Frame, FrameEmbeddings
from ovsr_ros.evaluation.predictor import UNLABELED, Prediction
from ovsr_ros.evaluation.provenance import weights_of
from ovsr_ros.evaluation.sample import Dataset, Sample
from ovsr_ros.names import name_key
from ovsr_ros.pipeline import Pipeline, State
from ovsr_ros.results import Segmentation
from ovsr_ros.settings import PipelineOptions, values_in_use
from ovsr_ros.vocabulary.category import parse_category


class PipelinePredictor:
    """Embeds each image once and labels it with the sample's words."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._words: tuple[str, ...] = ()
        self._state: State | None = None

    def predict(self, sample: Sample) -> Prediction:
        """Raises ImageError for an image that the pipeline refuses, VocabularyError for words that it does."""
        state = self.state_for(sample.words)
        frame = self.pipeline.embed(sample.image)
        segmentation = self.pipeline.label(frame, state)
        return Prediction(
            clusters=_clusters(frame, segmentation),
            label_map=word_of_id(state, sample.words)[segmentation.label_map],
            segment_map=segmentation.segment_map,
        )

    def state_for(self, words: tuple[str, ...]) -> State:
        """What labels by these words; encoded once while the words stay the same."""
        if self._state is None or words != self._words:
            self._state = self.pipeline.state_for([parse_category(word) for word in words])
            self._words = words
        return self._state


def _clusters(frame: Frame, segmentation: Segmentation) -> NDArray[np.int64]:
    """(H, W): what looks alike, from 1; a backend that does not cluster is taken by what it labels alike."""
    if isinstance(frame, FrameEmbeddings):
        return frame.regions.cluster_map()
    return segmentation.label_map.astype(np.int64) + 1


def word_of_id(state: State, words: Sequence[str]) -> NDArray[np.uint8]:
    """(256,) uint8: per class id of the vocabulary, the index of its word."""
    index = {name_key(parse_category(word).name): i for i, word in enumerate(words)}
    table = np.full(256, UNLABELED, np.uint8)
    for category in state.vocabulary.categories:
        table[category.id] = index[name_key(category.name)]
    return table


@dataclass(frozen=True)
class PipelineFactory:
    """Builds pipelines of these options. Raises ModelError, when called or described, for a model that is not here."""

    options: PipelineOptions = field(default_factory=PipelineOptions)

    def __call__(self) -> PipelinePredictor:
        return PipelinePredictor(Pipeline(self.options))

    def describe(self) -> dict[str, object]:
        options = values_in_use(self.options)
        options.pop("text.cache_directory")  # decides where embeddings are kept, not what they are
        return {"options": options, "weights": weights_of(self.options)}


def with_background_names(options: PipelineOptions, dataset: Dataset) -> PipelineOptions:
    """The options with the data set's names for its background as `text.background_names`.

    Left as they are where the data set has none, or where the option has names already.
    """
    if not dataset.background_names or options.text.background_names:
        return options
    names = dataset.background_names
    return dataclasses.replace(options, text=dataclasses.replace(options.text, background_names=names))
