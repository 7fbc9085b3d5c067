"""What finds regions in place of our clustering: each a frozen set of parameters, with what it is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends.contract import StageClock
from ovsr_ros.backends.ovsr.backend import OvsrSegmenter, describe_image
from ovsr_ros.backends.ovsr.clustering import count_clusters
from ovsr_ros.backends.ovsr.features import GridFeatures
from ovsr_ros.backends.ovsr.refinement import refine_clusters
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.baselines import color
from ovsr_ros.evaluation.extras import import_extra
from ovsr_ros.ops.image import to_tensor
from ovsr_ros.ops.ward import linkage

ADAPTIVE = 0
"""A number of clusters that is counted on each image, as the configuration counts it for our own clustering."""


class RegionFinder(Protocol):
    """Finds an image's regions. Frozen dataclasses: their fields are what is tuned."""

    def find(self, image: NDArray[np.uint8], segmenter: OvsrSegmenter) -> NDArray[np.int64]:
        """Labels from 0, (H, W), or coarser where the method works on a grid. image: (H, W, 3) uint8 RGB."""
        ...


def describe(finder: Any) -> dict[str, object]:
    """The method and its parameters as plain values."""
    return {"method": type(finder).__name__, **dataclasses.asdict(finder)}


@dataclass(frozen=True)
class KMeans:
    """k-means on colour and position. num_clusters: 0: as many as our own count says."""

    num_clusters: int
    position_weight: float

    def find(self, image: NDArray[np.uint8], segmenter: OvsrSegmenter) -> NDArray[np.int64]:
        return color.kmeans_regions(image, self.num_clusters or adaptive_count(image, segmenter), self.position_weight)


@dataclass(frozen=True)
class Slic:
    """SLIC superpixels, merged while neighbours differ by less than `threshold` in L*a*b*.

    threshold 0: merged by Ward's linkage until as many are left as our own count says.
    """

    num_superpixels: int
    compactness: float
    threshold: float

    def find(self, image: NDArray[np.uint8], segmenter: OvsrSegmenter) -> NDArray[np.int64]:
        superpixels = color.slic_superpixels(image, self.num_superpixels, self.compactness)
        if self.threshold == ADAPTIVE:
            return color.merge_to_count(image, superpixels, adaptive_count(image, segmenter))
        return color.merge_by_threshold(image, superpixels, self.threshold)


@dataclass(frozen=True)
class Felzenszwalb:
    """Felzenszwalb and Huttenlocher's regions; their number follows from the scale."""

    scale: float
    sigma: float
    min_size: int

    def find(self, image: NDArray[np.uint8], segmenter: OvsrSegmenter) -> NDArray[np.int64]:
        return color.felzenszwalb_regions(image, self.scale, self.sigma, self.min_size)


@dataclass(frozen=True)
class FeatureWard:
    """Ward's linkage on our features.

    connected: only cells that touch may merge (scikit-learn); otherwise any (the paper's). smoothed: after our
    smoothing along edges, instead of on the SVD's latents as they are; refined: followed by our refinement of borders,
    as the configuration has it. num_clusters: 0: our own count. count_fraction: of the rule energy, where the count is
    our own; 0: the configuration's.
    """

    connected: bool
    num_clusters: int
    smoothed: bool
    refined: bool
    count_fraction: float = 0.0

    def find(self, image: NDArray[np.uint8], segmenter: OvsrSegmenter) -> NDArray[np.int64]:
        head = compute_head(image, segmenter, self.smoothed)
        if not head.grid.has_contrast:
            return np.zeros(head.grid.grid_hw, np.int64)
        clusters = self._cluster(head, segmenter)
        return refine(clusters, image, segmenter) if self.refined else clusters

    def _cluster(self, head: Head, segmenter: OvsrSegmenter) -> NDArray[np.int64]:
        num_clusters = min(self.num_clusters or head.count(segmenter, self.count_fraction), len(head.latents))
        if not self.connected:
            return linkage(head.latents, "ward").cut(num_clusters).reshape(head.grid.grid_hw)
        lattice = import_extra("sklearn.feature_extraction.image").grid_to_graph(*head.grid.grid_hw)
        agglomerative = import_extra("sklearn.cluster").AgglomerativeClustering
        tree = agglomerative(num_clusters, connectivity=lattice, linkage="ward")
        labels = tree.fit_predict(head.latents.double().cpu().numpy())
        return np.asarray(labels, np.int64).reshape(head.grid.grid_hw)


FINDERS: Mapping[str, type[Any]] = {
    "k-means": KMeans,
    "slic": Slic,
    "felzenszwalb": Felzenszwalb,
    "ward": FeatureWard,
}
"""The methods by the names that a file calls them."""


def make_finder(spec: Any, where: str) -> RegionFinder:
    """A finder from a file: its `method`, of FINDERS, and the parameters, which are its class's fields.

    where: names the place in messages. Raises ConfigError for what is not such a mapping, naming what is expected.
    """
    known = ", ".join(FINDERS)
    if not isinstance(spec, Mapping) or spec.get("method") not in FINDERS:
        raise ConfigError(f"{where}: expected a mapping with `method`, one of {known}, got {spec!r}")
    finder = FINDERS[spec["method"]]
    fields = {field.name: field for field in dataclasses.fields(finder)}
    expected = ", ".join(f"{name} ({field.type})" for name, field in fields.items())
    values: dict[str, object] = {}
    for name, value in spec.items():
        if name == "method":
            continue
        if name not in fields or not _fits(value, str(fields[name].type)):
            raise ConfigError(
                f"{where}: {name}: expected parameters of {spec['method']}, {expected}; got {name}: {value!r}"
            )
        values[name] = float(value) if fields[name].type == "float" else value
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in values]
    if missing:
        raise ConfigError(f"{where}: {missing[0]}: missing; expected parameters of {spec['method']}, {expected}")
    made: RegionFinder = finder(**values)
    return made


def _fits(value: object, type_name: str) -> bool:
    if isinstance(value, bool):
        return type_name == "bool"
    return isinstance(value, int) if type_name == "int" else type_name == "float" and isinstance(value, (int, float))


@dataclass(frozen=True)
class Head:
    """Our first stages on one image: latents (N, r) of the grid's cells, and their singular values."""

    grid: GridFeatures
    latents: torch.Tensor
    singular_values: torch.Tensor

    def count(self, segmenter: OvsrSegmenter, count_fraction: float = 0.0) -> int:
        """The number of clusters that the configuration's rule gives."""
        if not self.grid.has_contrast:
            return 1
        options = segmenter.options.clusters
        if count_fraction:
            options = dataclasses.replace(options, count_rule="energy", count_fraction=count_fraction)
        return count_clusters(self.latents, self.singular_values, self.grid.grid_hw, options)


@torch.inference_mode()
def compute_head(image: NDArray[np.uint8], segmenter: OvsrSegmenter, smoothed: bool = True) -> Head:
    """Features, latents and, if wanted, smoothing under the segmenter's options."""
    options = segmenter.options
    if not smoothed:
        options = dataclasses.replace(options, smoothing=dataclasses.replace(options.smoothing, iterations=0))
    clock = StageClock(segmenter.device)
    return Head(*describe_image(to_tensor(image, segmenter.device), segmenter.extractor, options, clock))


@torch.inference_mode()
def refine(clusters: NDArray[np.int64], image: NDArray[np.uint8], segmenter: OvsrSegmenter) -> NDArray[np.int64]:
    """Our refinement of the borders of clusters (rows, columns) of the grid."""
    return refine_clusters(clusters, to_tensor(image, segmenter.device), segmenter.options.refinement)


def adaptive_count(image: NDArray[np.uint8], segmenter: OvsrSegmenter) -> int:
    """The number of clusters that our own clustering would make of an image."""
    return compute_head(image, segmenter).count(segmenter)
