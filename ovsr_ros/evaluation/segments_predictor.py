"""A backend's segments by themselves, as something that can be judged: no word is read, and no CLIP is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field

from ovsr_ros.backends import backend_type
from ovsr_ros.backends.contract import Segmenter
from ovsr_ros.evaluation.pipeline_predictor import PipelineFactory
from ovsr_ros.evaluation.predictor import Prediction, PredictorFactory
from ovsr_ros.evaluation.protocols import ProtocolOptions
from ovsr_ros.evaluation.provenance import weights_of
from ovsr_ros.evaluation.sample import Sample
from ovsr_ros.ops.image import check_image
from ovsr_ros.pipeline import load_segmenter
from ovsr_ros.settings import PipelineOptions, values_in_use


class SegmentsPredictor:
    """Finds each image's segments and names none."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def predict(self, sample: Sample) -> Prediction:
        """Raises ImageError for an image that the pipeline refuses."""
        check_image(sample.image)
        regions = self.segmenter.segment(sample.image)
        return Prediction(clusters=regions.cluster_map(), segment_map=regions.segment_map.cpu().numpy())


@dataclass(frozen=True)
class SegmentsFactory:
    """Builds predictors of these options' stages before words; errors as of `load_segmenter`."""

    options: PipelineOptions = field(default_factory=PipelineOptions)

    def __call__(self) -> SegmentsPredictor:
        return SegmentsPredictor(load_segmenter(self.options))

    def describe(self) -> dict[str, object]:
        return {
            "options": values_in_use(self.options, before_words=True),
            "weights": weights_of(self.options, before_words=True),
        }


def needs_words(options: PipelineOptions, protocols: ProtocolOptions) -> bool:
    """Whether what is measured takes the whole pipeline; otherwise the backend's stages before words will do."""
    return protocols.needs_labels or backend_type(options.backend).segmenter is None


def predictor_factory(options: PipelineOptions, protocols: ProtocolOptions) -> PredictorFactory:
    """What is judged: the pipeline, or no more of it than the protocols need."""
    return PipelineFactory(options) if needs_words(options, protocols) else SegmentsFactory(options)
