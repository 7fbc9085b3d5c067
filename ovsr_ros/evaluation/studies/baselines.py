"""Other ways to find regions, each at its fair best, named by our recognition and judged as ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from ovsr_ros.evaluation.baselines.region_finders import (
    ADAPTIVE,
    FeatureWard,
    Felzenszwalb,
    KMeans,
    RegionFinder,
    Slic,
    describe,
)
from ovsr_ros.evaluation.bootstrap import Difference
from ovsr_ros.evaluation.datasets.scenes import ScenesDataset
from ovsr_ros.evaluation.figures import Figures, number
from ovsr_ros.evaluation.measurements import Measurements, Shared, compare_figures
from ovsr_ros.evaluation.report import share
from ovsr_ros.evaluation.segments_predictor import needs_words
from ovsr_ros.evaluation.studies.study import Study, StudyRequest, rows_table
from ovsr_ros.settings import PipelineOptions

NUM_TUNING_IMAGES = 8
"""The first images of the validation split; the whole of our method was tuned on that split, too."""

COUNTS = (8, 12)
"""Fixed numbers of clusters that are tried: the scenes show 4 to 9 categories, most of them 6 or 7."""

FRACTIONS = (0.0, 0.2)
"""Fractions of the rule energy that are tried, besides the configuration's own (0)."""

EXTRAS = ((False, False), (True, False), (True, True))
"""What Ward is tried with: neither of our smoothing and our refinement (the paper's), the first, both."""

METHODS: Mapping[str, Sequence[RegionFinder]] = {
    "k-means, K tuned": [KMeans(k, weight) for k, weight in product(COUNTS, (0.3, 0.8))],
    "k-means, our K": [KMeans(ADAPTIVE, weight) for weight in (0.3, 0.8)],
    "SLIC, merged to a threshold": [Slic(n, c, t) for n, c, t in product((400,), (10.0,), (8.0, 12.0, 16.0, 24.0))],
    "SLIC, merged to our K": [Slic(n, c, ADAPTIVE) for n, c in product((400,), (5.0, 15.0))],
    "Felzenszwalb": [Felzenszwalb(scale, 0.8, least) for scale, least in product((300.0, 1000.0, 3000.0), (200, 600))],
    "grid-connected Ward, K tuned": [FeatureWard(True, k, *extras) for k, extras in product(COUNTS, EXTRAS)],
    "grid-connected Ward, our K": [FeatureWard(True, ADAPTIVE, *extras, f) for extras, f in product(EXTRAS, FRACTIONS)],
    "Ward, K tuned": [FeatureWard(False, k, *extras) for k, extras in product(COUNTS, EXTRAS)],
    "Ward, our K": [FeatureWard(False, ADAPTIVE, *extras, f) for extras, f in product(EXTRAS, FRACTIONS)],
}
"""Per method the parameters that are tried. Ward's are on the same features as ours; see `region_finders`."""

OURS = "ours"


@dataclass(frozen=True)
class Compared:
    """A method on the judged images. tuned: its parameters and the figures of each candidate; None for ours.

    labelled_lead, hungarian_lead: our mIoU less its.
    """

    name: str
    parameters: dict[str, object]
    figures: Figures
    ms: float
    labelled_lead: Difference | None = None
    hungarian_lead: Difference | None = None
    candidates: tuple[dict[str, Any], ...] = ()


def tune(
    measurements: Measurements, options: PipelineOptions, candidates: Sequence[RegionFinder]
) -> tuple[RegionFinder, tuple[dict[str, Any], ...]]:
    """The candidate with the best mean of labelled and Hungarian mIoU, the first of equals; and what each one got.

    Where one of both is not measured, the other decides.
    """
    scored: list[dict[str, Any]] = []
    for candidate in candidates:
        figures = measurements.judge(options, candidate)
        scored.append(
            {**describe(candidate), "miou": number(figures.miou), "hungarian_miou": number(figures.hungarian_miou)}
        )
    best = max(range(len(candidates)), key=lambda i: (scored[i]["miou"] or 0) + (scored[i]["hungarian_miou"] or 0))
    return candidates[best], tuple(scored)


def compare(
    request: StudyRequest,
    methods: Mapping[str, Sequence[RegionFinder]] = METHODS,
    num_tuning_images: int = NUM_TUNING_IMAGES,
) -> list[Compared]:
    """Tune every method on the validation split, then judge it on the request's; ours comes last."""
    with Shared(request.workers) as shared:
        return _compare(request, methods, num_tuning_images, shared)


def _compare(
    request: StudyRequest, methods: Mapping[str, Sequence[RegionFinder]], num_tuning_images: int, shared: Shared
) -> list[Compared]:
    def measurements_on(split: str, count: int) -> Measurements:
        dataset = ScenesDataset(split)
        return Measurements(
            dataset,
            range(min(count, len(dataset))),
            request.out,
            protocols=request.protocols,
            progress=request.progress,
            shared=shared,
        )

    tuning = measurements_on("val", num_tuning_images)
    judged = measurements_on(request.split, request.limit or len(ScenesDataset(request.split)))
    if request.fresh:
        tuning.forget()
        judged.forget()
    options = request.options
    ours = Compared(OURS, {}, judged.judge(options), judged.time_ms(options))
    results = []
    for name, candidates in methods.items():
        if request.progress:
            print(f"{name}: {len(candidates)} candidates on {num_tuning_images} images", file=sys.stderr, flush=True)
        finder, scored = tune(tuning, options, candidates)
        figures = judged.judge(options, finder)
        labelled, hungarian = (
            compare_figures(figures, ours.figures, protocol) for protocol in ("labelled", "hungarian")
        )
        ms = judged.time_ms(options, finder)
        results.append(Compared(name, describe(finder), figures, ms, labelled, hungarian, scored))
    return [*results, ours]


def run(request: StudyRequest) -> Study:
    """Compare all methods; see `compare`. limit: all 200 scenes where not said."""
    return to_study(request, compare(request))


def to_study(request: StudyRequest, results: Sequence[Compared], num_tuning_images: int = NUM_TUNING_IMAGES) -> Study:
    """One row a method, and the parameters that each was tuned to."""
    rows = [_row(result) for result in results]
    judged = results[-1].figures
    behind = [
        result.name
        for result in results
        for lead in (result.labelled_lead, result.hungarian_lead)
        if lead is not None and lead.value <= 0
    ]
    verdict = f"ours is not ahead of: {', '.join(dict.fromkeys(behind))}" if behind else "ours is ahead of each"
    tuned = [
        {"method": result.name, "tried": len(result.candidates), "taken": _show(result.parameters)}
        for result in results
        if result.candidates
    ]
    measured = {"labelled": judged.labelled, "Hungarian": judged.hungarian}
    by = " and ".join(name for name, counts in measured.items() if counts is not None)
    before_words = not needs_words(request.options, request.protocols)
    named = "" if before_words else ", our recognition names them"
    markdown = (
        f"# Baselines: `{request.config}`\n\nscenes {request.split}, {judged.num_images} images. Every method finds "
        "regions its own way; from there on all is the same: small parts join their neighbours, parts that do not "
        f"touch become segments{named}. By {by} mIoU, "
        f"{verdict}. Our lead, with a paired bootstrap's 95 % interval, stands in brackets.\n\n"
        + rows_table(rows)
        + f"\n\nParameters: of those tried, the ones with the best mean of {by} mIoU on the first "
        f"{num_tuning_images} validation images. A number of clusters, or a threshold, of 0: our count.\n\n"
        + rows_table(tuned)
    )
    figures = {
        "images": judged.num_images,
        "ours_is_behind": list(dict.fromkeys(behind)),
        "methods": [
            {
                "name": result.name,
                "parameters": result.parameters,
                **result.figures.to_dict(),
                "ms": result.ms,
                "our_lead": None if result.labelled_lead is None else vars(result.labelled_lead),
                "our_hungarian_lead": None if result.hungarian_lead is None else vars(result.hungarian_lead),
                "candidates": list(result.candidates),
            }
            for result in results
        ],
    }
    return Study("baselines", markdown, figures, before_words=before_words)


def _row(result: Compared) -> dict[str, object]:
    figures = result.figures
    return {
        "method": result.name,
        "labelled_mIoU": f"{share(number(figures.miou))}{_lead(result.labelled_lead)}",
        "Hungarian_mIoU": f"{share(number(figures.hungarian_miou))}{_lead(result.hungarian_lead)}",
        "boundary_F1": figures.boundary.f1 if figures.boundary else float("nan"),
        "cluster_boundary_F1": figures.cluster_boundary.f1 if figures.cluster_boundary else float("nan"),
        "pixel_accuracy": figures.labelled.summary()["pixel_accuracy"] if figures.labelled else float("nan"),
        "segments": f"{figures.mean_segments:.1f}",
        "ms": f"{result.ms:.0f}",
    }


def _lead(lead: Difference | None) -> str:
    return "" if lead is None else f" ({lead.value:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}])"


def _show(parameters: Mapping[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in parameters.items() if name != "method")
