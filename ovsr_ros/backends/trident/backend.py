"""The Trident system: its stages in the order the data passes them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends import BackendType
from ovsr_ros.backends.contract import StageClock
from ovsr_ros.backends.trident.aggregation import NO_MODEL, Aggregated, SamOptions, aggregate
from ovsr_ros.backends.trident.decision import DecisionOptions, decide
from ovsr_ros.backends.trident.presets import PRESETS
from ovsr_ros.backends.trident.proxy import ProxyOptions, encode_windows
from ovsr_ros.backends.trident.refinement import MaskOptions, refine_by_pamr, refine_by_sam
from ovsr_ros.backends.trident.segments import SegmentOptions, build_segmentation
from ovsr_ros.backends.trident.windows import WindowOptions, cut_windows, splice
from ovsr_ros.errors import ConfigError
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.hub import Kind
from ovsr_ros.models.memory import free_unused_memory
from ovsr_ros.models.proxy_vit import ProxyViT
from ovsr_ros.models.sam import SamFrame, SamModel
from ovsr_ros.options import option
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

_LEAST_MEMORY_MB = 16


@dataclass(frozen=True)
class TridentClipOptions:
    """Which CLIP reads the windows and the words."""

    model: str = option(
        "ViT-B-16/openai", help="open_clip model: architecture/tag, local file or folder, or demo", read_only=True
    )


@dataclass(frozen=True)
class TridentOptions:
    """The options of every stage."""

    windows: WindowOptions = field(default_factory=WindowOptions)
    clip: TridentClipOptions = field(default_factory=TridentClipOptions)
    proxy: ProxyOptions = field(default_factory=ProxyOptions)
    sam: SamOptions = field(default_factory=SamOptions)
    decision: DecisionOptions = field(default_factory=DecisionOptions)
    masks: MaskOptions = field(default_factory=MaskOptions)
    segments: SegmentOptions = field(default_factory=SegmentOptions)


@dataclass(frozen=True)
class TridentFrame:
    """An image's places before any vocabulary is looked at.

    embeddings: (D, rows, columns) float32 on the device, of length 1, in CLIP's joint space.
    image_hw: the image's size. guide: (1, 3, h, w) float32, the resized image, for pamr.
    sam_embedding, sam_frame: for refinement by SAM, otherwise None. stage_seconds: as in `Segmentation`.
    """

    embeddings: Tensor
    image_hw: tuple[int, int]
    guide: Tensor
    sam_embedding: Tensor | None
    sam_frame: SamFrame | None
    stage_seconds: dict[str, float]


@dataclass(frozen=True)
class TridentBackend:
    """The Trident system with its models loaded; see `Backend`.

    The slow half ends with an embedding of each place; SAM's encoder runs there, once. The fast half compares them with
    the words; refinement belongs to it, since its prompts come from the labels.

    Raises ConfigError for options that the models cannot follow, here and in `with_options`.
    """

    options: TridentOptions
    clip: ClipModel
    proxy: ProxyViT
    sam: SamModel | None
    device: torch.device

    def __post_init__(self) -> None:
        options, patch = self.options, self.clip.patch_size
        window, stride = options.windows.size, options.windows.stride
        for name, side, patch_size in (
            ("size", window, patch),
            ("size", window, self.proxy.patch_size),
            ("stride", stride, patch),
        ):
            if side % patch_size:
                raise ConfigError(f"trident.windows.{name}: expected a multiple of the patch, {patch_size}, got {side}")
        if stride > window:
            raise ConfigError(f"trident.windows.stride: {stride} leaves gaps between windows of {window}")
        if options.masks.method == "sam" and self.sam is None:
            raise ConfigError("trident.masks.method: sam needs a model in trident.sam.model; take none or pamr")

    @property
    def text_encoder(self) -> ClipModel:
        return self.clip

    def with_options(self, options: TridentOptions) -> TridentBackend:
        return dataclasses.replace(self, options=options)

    def smaller(self) -> TridentBackend:
        windows = self.options.windows
        short_side, long_side = max(64, windows.short_side // 2), max(64, windows.long_side // 2)
        halved = dataclasses.replace(
            windows, short_side=short_side, long_side=long_side, memory_mb=max(_LEAST_MEMORY_MB, windows.memory_mb // 4)
        )
        return self.with_options(dataclasses.replace(self.options, windows=halved))

    def halve_batch(self) -> TridentBackend | None:
        windows = self.options.windows
        if windows.memory_mb <= _LEAST_MEMORY_MB:
            return None
        halved = dataclasses.replace(windows, memory_mb=max(_LEAST_MEMORY_MB, windows.memory_mb // 2))
        return self.with_options(dataclasses.replace(self.options, windows=halved))

    @torch.inference_mode()
    def embed(self, image_rgb: NDArray[np.uint8]) -> TridentFrame:
        options, clock = self.options, StageClock(self.device)
        with clock.stage("windows"):
            windowed = cut_windows(image_rgb, self.clip.patch_size, self.device, options.windows)
        with clock.stage("proxy"):
            maps = encode_windows(windowed, self.clip, self.proxy, options.windows.memory_mb, options.proxy)
        with clock.stage("splice"):
            features = splice(maps, windowed.windows, windowed.grid_hw, self.clip.patch_size)
        with clock.stage("sam"):
            aggregated = self._aggregate(image_rgb, features)
        with clock.stage("embeddings"):
            places = aggregated.features.flatten(1).T  # (rows * columns, width)
            embeddings = self.clip.project_mixed(places).T.view(-1, *aggregated.features.shape[1:])
        return TridentFrame(
            embeddings=embeddings,
            image_hw=(image_rgb.shape[0], image_rgb.shape[1]),
            guide=windowed.resized,
            sam_embedding=aggregated.embedding,
            sam_frame=aggregated.sam_frame,
            stage_seconds=clock.seconds,
        )

    def _aggregate(self, image_rgb: NDArray[np.uint8], features: Tensor) -> Aggregated:
        if self.sam is None:
            return Aggregated(features, None, None)
        wants_embedding = self.options.masks.method == "sam"
        return aggregate(image_rgb, features, self.sam, self.clip.patch_size, wants_embedding, self.options.sam)

    @torch.inference_mode()
    def label(
        self, frame: TridentFrame, classifier: TextClassifier, score_threshold: float, num_runners_up: int
    ) -> Segmentation:
        """See `Backend`. score_threshold: for each pixel's best category."""
        options, clock = self.options, StageClock(self.device)
        with clock.stage("decision"):
            cosines = place_cosines(frame, classifier)
            if options.masks.method == "pamr":
                cosines = refine_by_pamr(cosines, frame.guide, frame.image_hw, options.masks)
            decided = decide(cosines, frame.image_hw, classifier, score_threshold, options.decision)
            labels, confidence = decided.labels, decided.confidence
        if self.sam and frame.sam_frame and frame.sam_embedding is not None and options.masks.method == "sam":
            with clock.stage("masks"):
                refined = refine_by_sam(decided, frame.sam_embedding, frame.sam_frame, self.sam, options.masks)
                labels, confidence = refined.labels, refined.confidence
        with clock.stage("label_map"):
            version = classifier.vocabulary_version
            segmentation = build_segmentation(
                labels, confidence, decided.maps, version, num_runners_up, options.segments
            )
        return dataclasses.replace(segmentation, stage_seconds={**frame.stage_seconds, **clock.seconds})


def place_cosines(frame: TridentFrame, classifier: TextClassifier) -> Tensor:
    """Cosines (T, rows, columns) of a frame's places with each of the classifier's rows."""
    return torch.einsum("td,dhw->thw", classifier.embeddings, frame.embeddings)


def full_cosines(frame: TridentFrame, classifier: TextClassifier) -> Tensor:
    """Cosines (T, H, W) at the image's size, whole: for looking at; labelling does not hold them."""
    cosines = place_cosines(frame, classifier)
    return functional.interpolate(cosines[None], frame.image_hw, mode="bilinear", align_corners=False)[0]


def load(
    options: TridentOptions, device: torch.device, precision: str, allow_download: bool, packed: bool = True
) -> TridentBackend:
    """Load the three models. packed: made faster where the device allows, see `models.packed`.

    Raises ModelError when one cannot be used, ConfigError for options that do not fit.
    """
    clip = ClipModel(options.clip.model, device, precision, allow_download)
    proxy = ProxyViT(options.proxy.model, device, precision, allow_download)
    sam = None
    if options.sam.model != NO_MODEL:
        sam = SamModel(options.sam.model, device, precision, allow_download)
    backend = TridentBackend(options, clip, proxy, sam, device)
    if packed:
        clip.pack_patches()
        proxy.pack()
        if sam is not None:
            sam.pack()
        free_unused_memory()  # 600 MB of weights in their former layout
    return backend


def models_of(options: TridentOptions) -> dict[str, tuple[Kind, str]]:
    """The models that these options use; see `BackendType`."""
    models: dict[str, tuple[Kind, str]] = {
        "clip": ("open_clip", options.clip.model),
        "proxy": ("timm", options.proxy.model),
    }
    return models if options.sam.model == NO_MODEL else {**models, "sam": ("sam", options.sam.model)}


BACKEND = BackendType(
    TridentOptions,
    load,
    models_of,
    memory_options=("trident.windows.memory_mb", "trident.windows.short_side"),
    fills_cpu=True,
    unused=("tracking",),
    for_dataset=lambda dataset: ("trident", PRESETS.get(dataset, {})),
)
