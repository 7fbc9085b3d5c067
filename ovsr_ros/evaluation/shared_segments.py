"""What runs share that judge segments alone: one loaded network, and what it made of the images."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ovsr_ros.backends.contract import Segmenter
from ovsr_ros.backends.ovsr.backend import OvsrSegmenter
from ovsr_ros.backends.ovsr.features import FeatureMaps
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.baselines.region_finders import RegionFinder, describe
from ovsr_ros.evaluation.baselines.segmented_pipeline import FinderSegmenter
from ovsr_ros.evaluation.segments_predictor import SegmentsFactory, SegmentsPredictor
from ovsr_ros.evaluation.workers import new_key, one_per_process
from ovsr_ros.models.clip_maps import ImageMaps
from ovsr_ros.options import OptionValue, iter_options, to_flat_dict
from ovsr_ros.pipeline import load_segmenter
from ovsr_ros.settings import PipelineOptions, backend_options

CACHE_BYTES = 2**29


class MapStore:
    """Feature maps by the network's input, in at most max_bytes: what is new takes the place of what chance says."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._maps: dict[bytes, ImageMaps] = {}
        self._bytes_left = max_bytes
        self._random = random.Random(0)

    def __len__(self) -> int:
        return len(self._maps)

    def find_or_add(self, images: Tensor, compute: Callable[[Tensor], ImageMaps]) -> ImageMaps:
        """The maps of images (1, 3, H, W), computed now where they are not known."""
        key = hashlib.blake2b(repr(images.shape).encode() + images.cpu().numpy().tobytes()).digest()
        if key in self._maps:
            return self._maps[key]
        maps = compute(images)
        size = _num_bytes(maps)
        while size > self._bytes_left and self._maps:
            self._bytes_left += _num_bytes(self._maps.pop(self._random.choice(list(self._maps))))
        if size <= self._bytes_left:
            self._bytes_left -= size
            self._maps[key] = maps
        return maps


def _num_bytes(maps: ImageMaps) -> int:
    return sum(each.nbytes for each in (*maps.levels, maps.last) if each is not None)


@dataclass(frozen=True)
class StoredMaps:
    """A network whose maps are looked up before they are computed; see `FeatureMaps`."""

    network: FeatureMaps
    store: MapStore

    @property
    def mean(self) -> Tensor:
        return self.network.mean

    @property
    def std(self) -> Tensor:
        return self.network.std

    def look(self, images: Tensor) -> ImageMaps:
        return self.store.find_or_add(images, self.network.look)

    def check_known_words(self) -> None:
        self.network.check_known_words()

    def name_places(self, last: Tensor) -> Tensor:
        return self.network.name_places(last)


class SharedSegmenter:
    """One loaded segmenter for many runs: its options are changed where that is possible, otherwise it is loaded anew.

    The feature maps of the first configuration are kept, for runs that differ from it only after the network. Not for
    several threads. Pickled without what it holds: each worker process loads its own, once.
    """

    def __init__(self) -> None:
        self._segmenter: Segmenter | None = None
        self._loaded_by: dict[str, OptionValue] = {}
        self._kept_for: dict[str, OptionValue] | None = None
        self._maps = MapStore()
        self._key = new_key()
        self.num_loads = 0

    def __reduce__(self) -> tuple[Callable[..., SharedSegmenter], tuple[str, type[SharedSegmenter]]]:
        return one_per_process, (self._key, SharedSegmenter)

    def get(self, options: PipelineOptions, finder: RegionFinder | None = None, reuse_frames: bool = True) -> Segmenter:
        """The stages before words under these options. finder: what finds the regions in place of our clustering.

        Raises ConfigError and ModelError as `load_segmenter`, ConfigError for a finder with another backend than ovsr.
        """
        loaded_by = _loading_options(options)
        if self._segmenter is None or loaded_by != self._loaded_by:
            self._segmenter = None  # its memory is free before the next one is loaded
            self._segmenter = load_segmenter(options)
            self._loaded_by = loaded_by
            self.num_loads += 1
        segmenter = self._segmenter.with_options(backend_options(options))
        if not isinstance(segmenter, OvsrSegmenter):
            if finder is not None:
                raise ConfigError(f"backend: baselines need the stages of 'ovsr', got {options.backend!r}")
            return segmenter
        decisive = {**loaded_by, "features.input_short_side": segmenter.options.features.input_short_side}
        if self._kept_for is None:
            self._kept_for = decisive
        if reuse_frames and decisive == self._kept_for:
            segmenter = dataclasses.replace(segmenter, extractor=StoredMaps(segmenter.extractor, self._maps))
        return segmenter if finder is None else FinderSegmenter(finder, segmenter)


def _loading_options(options: PipelineOptions) -> dict[str, OptionValue]:
    """The options that decide what is loaded."""
    flat = to_flat_dict(options)
    fixed = {info.name for info in iter_options(PipelineOptions) if info.read_only}
    return {name: flat[name] for name in (*sorted(fixed), "precision")}


@dataclass(frozen=True)
class SharedSegmentsFactory:
    """Builds predictors upon a shared segmenter; fields as of `SharedFactory`."""

    options: PipelineOptions
    finder: RegionFinder | None = None
    shared: SharedSegmenter = field(default_factory=SharedSegmenter, compare=False)
    reuse_frames: bool = field(default=True, compare=False)

    def __call__(self) -> SegmentsPredictor:
        return SegmentsPredictor(self.shared.get(self.options, self.finder, self.reuse_frames))

    def describe(self) -> dict[str, object]:
        described = SegmentsFactory(self.options).describe()
        if self.finder is not None:
            described["segmenter"] = describe(self.finder)
        return described
