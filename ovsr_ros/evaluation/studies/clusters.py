"""The adaptive number of clusters, judged by itself: scenes with a known number of regions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tqdm import tqdm

from ovsr_ros.backends.ovsr.backend import OvsrOptions, OvsrSegmenter
from ovsr_ros.demo.scenes import CATEGORIES, Scene
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.assignment import match_clusters
from ovsr_ros.evaluation.bootstrap import compare_miou
from ovsr_ros.evaluation.metrics import ClassCounts, count_labels
from ovsr_ros.evaluation.studies.plots import plot_counts
from ovsr_ros.evaluation.studies.study import Study, StudyRequest, rows_table
from ovsr_ros.options import replace_flat
from ovsr_ros.pipeline import load_segmenter

NUM_OBJECTS = range(13)
"""With the wall and the floor, 2 to 14 regions, where none hides another."""

MIN_SHARE = 0.001
"""A region of which less of the image is in view is not counted: a strip behind another object."""

DEFAULT_SCENES = 12 * len(NUM_OBJECTS)

ADAPTIVE = "adaptive"
FIXED: tuple[int, ...] = (8, 12)


@dataclass(frozen=True)
class CountedScene:
    """An image with its regions counted.

    image: (H, W, 3) uint8 RGB. truth: (H, W) uint8, index into CATEGORIES. num_categories: different categories in
    view; num_instances: wall, floor and objects in view, two of a kind as two.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    num_categories: int
    num_instances: int


def counted_scenes(split: str, per_count: int) -> Iterator[CountedScene]:
    """Scenes of 0 to 12 objects, per_count of each number, from seeds that the data sets do not use."""
    for num_objects in NUM_OBJECTS:
        for place in range(per_count):
            seed = 100_000 + 1000 * num_objects + place
            frame = Scene(seed, num_objects, split).render(float(np.random.default_rng([17, seed]).uniform(0, 60)))
            least = MIN_SHARE * frame.category_map.size
            yield CountedScene(
                frame.image,
                frame.category_map,
                int((np.bincount(frame.category_map.ravel()) >= least).sum()),
                int((np.bincount(frame.instance_map.ravel()) >= least).sum()),
            )


@dataclass(frozen=True)
class SceneCounts:
    """What each setting made of one scene: number of clusters and of segments, and the Hungarian protocol's counts."""

    num_categories: int
    num_instances: int
    num_clusters: Mapping[str, int]
    num_segments: Mapping[str, int]
    hungarian: Mapping[str, ClassCounts]


def settings_of(own: OvsrOptions) -> dict[str, dict[str, object]]:
    """The options of each setting, over the configuration's. Raises ConfigError where nothing adapts its count."""
    if own.clusters.count_rule == "fixed":
        raise ConfigError("clusters.count_rule: is 'fixed'; this study judges an adaptive rule, such as 'energy'")
    bounds = {
        "clusters.k_min": min(own.clusters.k_min, *FIXED),
        "clusters.k_max": max(own.clusters.k_max, *FIXED),
    }
    fixed = {f"K = {k}": {"clusters.count_rule": "fixed", "clusters.fixed": k, **bounds} for k in FIXED}
    return {ADAPTIVE: {}, **fixed}


def count_scenes(segmenter: OvsrSegmenter, scenes: Iterable[CountedScene]) -> list[SceneCounts]:
    """Segment every scene under every setting. Raises ConfigError as `settings_of`."""
    settings = {
        name: segmenter.with_options(replace_flat(segmenter.options, changes))
        for name, changes in settings_of(segmenter.options).items()
    }
    results = []
    for scene in scenes:
        clusters: dict[str, int] = {}
        segments: dict[str, int] = {}
        hungarian: dict[str, ClassCounts] = {}
        for name, setting in settings.items():
            regions = setting.segment(scene.image)
            cluster_map = regions.cluster_map()
            matched = match_clusters(cluster_map, scene.truth, len(CATEGORIES))
            hungarian[name] = count_labels(matched, scene.truth, len(CATEGORIES))
            clusters[name] = len(np.unique(cluster_map))
            segments[name] = len(regions)
        results.append(SceneCounts(scene.num_categories, scene.num_instances, clusters, segments, hungarian))
    return results


@dataclass(frozen=True)
class Agreement:
    """How a predicted number goes with the true one, over scenes. Correlations are NaN where either never varies."""

    pearson: float
    spearman: float
    mean_absolute_error: float
    bias: float


def compare_counts(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> Agreement:
    """Agreement of two lists of numbers, (N,) each. bias: mean of predicted less true."""
    varies = len(true) > 1 and np.ptp(true) > 0 and np.ptp(predicted) > 0
    difference = predicted.astype(np.float64) - true
    return Agreement(
        pearson=float(stats.pearsonr(true, predicted)[0]) if varies else float("nan"),
        spearman=float(stats.spearmanr(true, predicted)[0]) if varies else float("nan"),
        mean_absolute_error=float(np.abs(difference).mean()),
        bias=float(difference.mean()),
    )


def sum_counts(counts: Iterable[ClassCounts]) -> ClassCounts:
    """The counts of several images together."""
    total = ClassCounts.zeros(len(CATEGORIES))
    for one in counts:
        total += one
    return total


def run(request: StudyRequest) -> Study:
    """Judge the configuration's count; see `count_scenes`. limit: 156 scenes where not said, 12 of each number."""
    segmenter = load_segmenter(request.options)
    if not isinstance(segmenter, OvsrSegmenter):
        raise ConfigError(f"backend: this study needs 'ovsr', got {request.options.backend!r}")
    per_count = max((request.limit or DEFAULT_SCENES) // len(NUM_OBJECTS), 1)
    scenes = tqdm(
        counted_scenes(request.split, per_count),
        total=per_count * len(NUM_OBJECTS),
        unit="image",
        disable=not request.progress,
    )
    return _to_study(request, count_scenes(segmenter, scenes))


def _to_study(request: StudyRequest, scenes: Sequence[SceneCounts]) -> Study:
    categories = np.array([scene.num_categories for scene in scenes])
    instances = np.array([scene.num_instances for scene in scenes])
    clusters = np.array([scene.num_clusters[ADAPTIVE] for scene in scenes])
    segments = np.array([scene.num_segments[ADAPTIVE] for scene in scenes])
    agreements = {
        "clusters, categories in view": compare_counts(categories, clusters),
        "clusters, instances in view": compare_counts(instances, clusters),
        "segments, instances in view": compare_counts(instances, segments),
    }
    names = list(scenes[0].hungarian)
    changes = {
        name: compare_miou([s.hungarian[name] for s in scenes], [s.hungarian[ADAPTIVE] for s in scenes])
        for name in names
        if name != ADAPTIVE
    }
    by_count = {count: [s for s in scenes if s.num_categories == count] for count in sorted(set(categories.tolist()))}
    rows = [
        {
            "categories": count,
            "scenes": len(group),
            "mean_clusters": float(np.mean([s.num_clusters[ADAPTIVE] for s in group])),
            "mean_absolute_error": float(np.mean([abs(s.num_clusters[ADAPTIVE] - count) for s in group])),
            "mean_segments": float(np.mean([s.num_segments[ADAPTIVE] for s in group])),
            **{f"hungarian_miou_{name}": miou_of(group, name) for name in names},
        }
        for count, group in by_count.items()
    ]
    overall = {name: miou_of(scenes, name) for name in names}
    ahead = "; ".join(
        f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}] against {name}"
        for name, change in changes.items()
    )
    where = f"{len(scenes)} scenes of 2 to 14 regions ({request.split})"
    markdown = (
        f"# The adaptive number of clusters: `{request.config}`\n\n{where}; a region counts from {MIN_SHARE:.1%} of "
        "the image. Clustering groups by look, so two mugs of one colour may be one cluster: both counts are given.\n\n"
        + rows_table([{"predicted, true": name, **vars(agreement)} for name, agreement in agreements.items()])
        + "\n\nHungarian mIoU (per category), same scenes: "
        + ", ".join(f"{name} {value:.3f}" for name, value in overall.items())
        + f". Adaptive less fixed, with a paired bootstrap's 95 % interval: {ahead}.\n\n"
        + rows_table(rows)
    )
    figures = {
        "scenes": len(scenes),
        "minimal_share_in_view": MIN_SHARE,
        "agreement": {name: vars(agreement) for name, agreement in agreements.items()},
        "hungarian_miou": overall,
        "adaptive_less": {name: vars(change) for name, change in changes.items()},
        "by_categories": rows,
    }
    series = {name: {count: miou_of(group, name) for count, group in by_count.items()} for name in names}
    correlation = agreements["clusters, categories in view"]
    caption = (
        f"Adaptive number of clusters over {where}. Pearson {correlation.pearson:.2f}, mean absolute error "
        f"{correlation.mean_absolute_error:.2f}."
    )
    return Study("clusters", markdown, figures, {"counts": plot_counts(categories, clusters, series, caption)}, True)


def miou_of(scenes: Iterable[SceneCounts], setting: str) -> float:
    """Hungarian mIoU of several scenes together under a setting."""
    return sum_counts(scene.hungarian[setting] for scene in scenes).summary()["miou"]
