"""The OVSR system: its stages in the order the data passes them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends import BackendType, SegmenterType
from ovsr_ros.backends.contract import FoundSegments, FrameEmbeddings, Regions, StageClock
from ovsr_ros.backends.decision import decide, paint
from ovsr_ros.backends.ovsr.alignment import AlignmentOptions, score_segments
from ovsr_ros.backends.ovsr.clustering import ClusterOptions, cluster, count_clusters
from ovsr_ros.backends.ovsr.crops import CropOptions, cut_crops
from ovsr_ros.backends.ovsr.embedding import EmbeddingOptions, embed_crops, embed_dense, is_dense
from ovsr_ros.backends.ovsr.examples import ExampleOptions
from ovsr_ros.backends.ovsr.features import (
    FeatureMaps,
    FeatureOptions,
    GridFeatures,
    check_features,
    compute_features,
    look_at,
)
from ovsr_ros.backends.ovsr.latent import LatentOptions, compute_latents
from ovsr_ros.backends.ovsr.refinement import RefinementOptions, refine_clusters
from ovsr_ros.backends.ovsr.regions import RegionOptions, find_regions
from ovsr_ros.backends.ovsr.smoothing import SmoothingOptions, smooth_latents
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.clip_features import FROM_CLIP, ClipFeatures
from ovsr_ros.models.hub import Kind
from ovsr_ros.models.shared import load_shared
from ovsr_ros.models.timm_features import FeatureExtractor
from ovsr_ros.ops.image import to_tensor
from ovsr_ros.ops.masks import coverage
from ovsr_ros.ops.threads import one_thread
from ovsr_ros.options import replace_flat
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary.text_embeddings import TextClassifier


@dataclass(frozen=True)
class OvsrOptions:
    """The options of every stage."""

    features: FeatureOptions = field(default_factory=FeatureOptions)
    latent: LatentOptions = field(default_factory=LatentOptions)
    smoothing: SmoothingOptions = field(default_factory=SmoothingOptions)
    clusters: ClusterOptions = field(default_factory=ClusterOptions)
    refinement: RefinementOptions = field(default_factory=RefinementOptions)
    regions: RegionOptions = field(default_factory=RegionOptions)
    crops: CropOptions = field(default_factory=CropOptions)
    clip: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    examples: ExampleOptions = field(default_factory=ExampleOptions)
    alignment: AlignmentOptions = field(default_factory=AlignmentOptions)


@dataclass(frozen=True)
class OvsrSegmenter:
    """The stages before words, with the feature network alone; see `Segmenter`."""

    options: OvsrOptions
    extractor: FeatureMaps
    device: torch.device

    def __post_init__(self) -> None:
        check_features(self.options.features, self.extractor)

    def with_options(self, options: OvsrOptions) -> OvsrSegmenter:
        return dataclasses.replace(self, options=options)

    @torch.inference_mode()
    def segment(self, image_rgb: NDArray[np.uint8]) -> Regions:
        clock = StageClock(self.device)
        return find_segments(to_tensor(image_rgb, self.device), self.extractor, self.options, clock)[0]


@dataclass(frozen=True)
class OvsrBackend:
    """The OVSR system with its models loaded; see `Backend`.

    Raises ConfigError for options that the models cannot follow, here and in `with_options`.
    """

    options: OvsrOptions
    extractor: FeatureMaps
    clip: ClipModel
    device: torch.device

    def __post_init__(self) -> None:
        # These refuse what the models cannot do, before any image.
        check_features(self.options.features, self.extractor)
        is_dense(self.options.clip, self.clip, self.device)

    @property
    def text_encoder(self) -> ClipModel:
        return self.clip

    @property
    def segmenter(self) -> OvsrSegmenter:
        """Its stages before words."""
        return OvsrSegmenter(self.options, self.extractor, self.device)

    def with_options(self, options: OvsrOptions) -> OvsrBackend:
        return dataclasses.replace(self, options=options)

    def smaller(self) -> OvsrBackend:
        o = self.options
        halves: dict[str, object] = {
            "features.input_short_side": max(32, o.features.input_short_side // 2),
            "features.grid_rows": max(4, o.features.grid_rows // 2),
            "refinement.rows": max(16, o.refinement.rows // 2),
            "clip.dense_short_side": max(32, o.clip.dense_short_side // 2),
            "clip.batch": max(1, o.clip.batch // 4),
        }
        return self.with_options(replace_flat(o, halves))

    def halve_batch(self) -> OvsrBackend | None:
        batch = self.options.clip.batch
        if batch == 1 or is_dense(self.options.clip, self.clip, self.device):
            return None
        return self.with_options(replace_flat(self.options, {"clip.batch": batch // 2}))

    @torch.inference_mode()
    def embed(self, image_rgb: NDArray[np.uint8]) -> FrameEmbeddings:
        return self.find(image_rgb).embed_all()

    @torch.inference_mode()
    def find(self, image_rgb: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None) -> FoundSegments:
        """The stages before CLIP; the others follow for the segments that are asked for."""
        clock = StageClock(self.device)
        image = to_tensor(image_rgb, self.device)
        regions, grid = find_segments(image, self.extractor, self.options, clock, ignored)
        return self._to_found(image, regions, clock, grid.last)

    def embed_regions(self, image: Tensor, regions: Regions, clock: StageClock) -> FrameEmbeddings:
        """The stages after the segments: an image (1, 3, H, W) uint8 with its segments, however they were found."""
        last = None
        if isinstance(self.extractor, ClipFeatures) and self.options.clip.recognition != "crops":
            with clock.stage("features"):
                last = look_at(image, self.extractor, self.options.features)[1].last
        return self._to_found(image, regions, clock, last).embed_all()

    @torch.inference_mode()
    def embed_mask(self, image_rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Tensor:
        """See `MaskEmbedder`."""
        image = to_tensor(image_rgb, self.device)
        labels = torch.from_numpy(mask.astype(np.int32)).to(self.device)
        regions = Regions.from_labels(labels, np.zeros(1, np.int64))
        return self.embed_regions(image, regions, StageClock(self.device)).embeddings[0]

    def _to_found(
        self, image: Tensor, regions: Regions, clock: StageClock, last: Tensor | None = None
    ) -> FoundSegments:
        """last: the map that the image was looked at with already, of which segments are parts."""
        parts = None if self.options.clip.recognition == "crops" else last
        looks_again = parts is None and is_dense(self.options.clip, self.clip, self.device)
        for stage in ("clip",) if looks_again or parts is not None else ("crops", "clip"):
            clock.seconds[stage] = 0.0  # a frame whose embeddings are all reused has these stages, too

        def embed_rows(rows: NDArray[np.int64]) -> Tensor:
            if parts is None:
                return self._embed_rows(image, regions, rows, clock)
            return self._embed_parts(parts, regions, rows, clock)

        return FoundSegments(
            regions=regions,
            stage_seconds=clock.seconds,
            embed_rows=embed_rows,
            width=self.clip.embedding_dim,
            all_at_once=looks_again,
        )

    @torch.inference_mode()
    def _embed_parts(self, last: Tensor, regions: Regions, rows: NDArray[np.int64], clock: StageClock) -> Tensor:
        with clock.stage("clip"):
            weights = coverage(regions.segment_map, len(regions), (last.shape[2], last.shape[3]))
            return self.clip.embed_map(last, weights[torch.from_numpy(rows).to(self.device)])

    @torch.inference_mode()
    def _embed_rows(self, image: Tensor, regions: Regions, rows: NDArray[np.int64], clock: StageClock) -> Tensor:
        options = self.options
        if is_dense(options.clip, self.clip, self.device):
            with clock.stage("clip"):
                embeddings = embed_dense(image, regions.segment_map, len(regions), self.clip, options.clip)
                return embeddings[torch.from_numpy(rows).to(self.device)]
        with clock.stage("crops"), one_thread():
            fill = (self.clip.mean * 255).round().to(torch.uint8)  # what the encoder sees as 0
            crops = cut_crops(image, regions, self.clip.image_size, fill, options.crops, rows)
        with clock.stage("clip"):
            return embed_crops(crops, self.clip, options.clip)

    @torch.inference_mode()
    def label(
        self, frame: FrameEmbeddings, classifier: TextClassifier, score_threshold: float, num_runners_up: int
    ) -> Segmentation:
        clock = StageClock(self.device)
        with clock.stage("alignment"):
            options, scale = self.options, self.clip.logit_scale
            probabilities = score_segments(frame.embeddings, classifier, scale, options.alignment, options.examples)
            decisions = decide(probabilities, classifier.class_ids, score_threshold, num_runners_up)
        with clock.stage("label_map"):
            segmentation = paint(frame, decisions, classifier.vocabulary_version, {})
        return dataclasses.replace(segmentation, stage_seconds={**frame.stage_seconds, **clock.seconds})


def describe_image(
    image: Tensor,
    extractor: FeatureMaps,
    options: OvsrOptions,
    clock: StageClock,
    ignored: NDArray[np.bool_] | None = None,
) -> tuple[GridFeatures, Tensor, Tensor]:
    """The stages before clustering: the grid's features, its latents (N, r), and their singular values.

    ignored: as of `find_segments`.
    """
    with clock.stage("features"):
        grid = compute_features(image, extractor, options.features, ignored)
    with clock.stage("latent"):
        latents, singular_values = compute_latents(grid.features, options.latent)
    with clock.stage("smoothing"), one_thread():
        latents, singular_values = smooth_latents(
            latents, singular_values, grid.image, grid.grid_hw, options.smoothing, grid.kept
        )
    return grid, latents, singular_values


def find_segments(
    image: Tensor,
    extractor: FeatureMaps,
    options: OvsrOptions,
    clock: StageClock,
    ignored: NDArray[np.bool_] | None = None,
) -> tuple[Regions, GridFeatures]:
    """The stages before any word: segments of an image (1, 3, H, W) uint8 on the extractor's device, and its grid.

    ignored: as of `SegmentFinder`. Cells of the grid of which most is ignored are in no matrix and no cluster.
    """
    grid, latents, singular_values = describe_image(image, extractor, options, clock, ignored)
    with clock.stage("clusters"):
        if grid.has_contrast:
            num_clusters = count_clusters(latents, singular_values, grid.grid_hw, options.clusters, grid.kept)
            clusters = cluster(latents, num_clusters, grid.grid_hw, options.clusters, grid.kept)
        else:
            # On an image of one colour, all that features differ by is the network's padding at the border.
            clusters = np.zeros(grid.grid_hw, np.int64)
    with clock.stage("refinement"):
        clusters = refine_clusters(clusters, image, options.refinement)
    with clock.stage("regions"), one_thread():
        size_hw = (image.shape[2], image.shape[3])
        return find_regions(clusters, size_hw, image.device, options.regions, ignored), grid


def load(options: OvsrOptions, device: torch.device, precision: str, allow_download: bool) -> OvsrBackend:
    """Load both models, unless this process has them already. Raises ModelError when one cannot be used."""
    extractor = _load_extractor(options, device, precision, allow_download)
    return OvsrBackend(options, extractor, load_clip(options, device, precision, allow_download), device)


def load_clip(options: OvsrOptions, device: torch.device, precision: str, allow_download: bool) -> ClipModel:
    """CLIP alone, as `load` has it: for words, where no image is looked at. Raises ModelError as that."""
    if options.features.model == FROM_CLIP:
        precision = _precision_of_features(device, precision)
    return load_shared(ClipModel, "open_clip", options.clip.model, device, precision, allow_download=allow_download)


def load_segmenter(options: OvsrOptions, device: torch.device, precision: str, allow_download: bool) -> OvsrSegmenter:
    """Load the feature network, unless this process has it already. Raises ModelError when it cannot be used."""
    return OvsrSegmenter(options, _load_extractor(options, device, precision, allow_download), device)


def _load_extractor(
    options: OvsrOptions, device: torch.device, precision: str, allow_download: bool
) -> FeatureExtractor | ClipFeatures:
    of_features = _precision_of_features(device, precision)
    model, levels = options.features.model, options.features.levels
    if model == FROM_CLIP:
        return ClipFeatures(load_clip(options, device, precision, allow_download), levels)
    return load_shared(FeatureExtractor, "timm", model, levels, device, of_features, allow_download=allow_download)


def _precision_of_features(device: torch.device, precision: str) -> str:
    # Which cells form a cluster hangs on small differences: features in bf16 save a tenth of a frame's time on a CPU
    # and cost 0.015 of the demo scenes' mIoU. CLIP in bf16 costs nothing.
    return "fp32" if precision == "auto" and device.type == "cpu" else precision


def models_of(options: OvsrOptions) -> dict[str, tuple[Kind, str]]:
    """The models that these options use; see `BackendType`."""
    return {**segmenter_models_of(options), "clip": ("open_clip", options.clip.model)}


def segmenter_models_of(options: OvsrOptions) -> dict[str, tuple[Kind, str]]:
    """The models of the stages before words; see `SegmenterType`."""
    if options.features.model == FROM_CLIP:
        return {"clip": ("open_clip", options.clip.model)}
    return {"features": ("timm", options.features.model)}


BACKEND = BackendType(
    OvsrOptions,
    load,
    models_of,
    memory_options=("features.input_short_side", "features.grid_rows"),
    at_top=True,
    for_dataset=lambda dataset: ("demo" if dataset.startswith("scenes") else "ovsr", {}),
    segmenter=SegmenterType(
        load_segmenter,
        segmenter_models_of,
        sections=("features", "latent", "smoothing", "clusters", "refinement", "regions"),
    ),
)
