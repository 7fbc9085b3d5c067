"""Frames are reduced until they keep the budget, batches first, and larger again where that will fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsr_ros.backends.memory_budget import MemoryBudget
from ovsr_ros.backends.reduction import FULL, MAX_SIZE_HALVINGS, Reduction, halve, reduce
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings

CPU = torch.device("cpu")
UHD_HW = (2160, 3840)


class Stream:
    """A pipeline that keeps a budget, as the node does."""

    def __init__(self, overrides=None, patience_s=1e9):
        options = {"features.input_short_side": 128, "clip.batch": 1, **(overrides or {})}
        self.pipeline = Pipeline(load_settings("demo", options).pipeline)
        self.pipeline.warm_up()
        self.warnings = []
        self.budget = MemoryBudget(CPU, self.pipeline.reduce_further, self.warnings.append, patience_s)

    def label(self, image, budget_mib):
        reduction = self.budget.begin(image.shape[:2], (budget_mib, self.pipeline.options))
        for _ in range(reduction.size):
            image = halve(image)
        with self.budget.watch(budget_mib, "lower something"):
            frame = self.pipeline.embed_reduced(image, reduction)
        return self.pipeline.label(frame)


@pytest.fixture
def stream():
    return Stream()


def scene(size_hw, seed=0):
    height, width = size_hw
    cells = np.random.default_rng(seed).integers(0, 256, (height // 60, width // 60, 3), np.uint8)
    return np.ascontiguousarray(cells.repeat(60, 0).repeat(60, 1))


def test_a_large_image_is_reduced_until_it_keeps_the_budget(stream):
    image = scene(UHD_HW)
    stream.label(image, 10_000)
    full_mib = stream.budget.peak_mib
    assert stream.warnings == []
    budget_mib = max(8, int(full_mib / 2))
    for _ in range(1 + MAX_SIZE_HALVINGS):
        assert stream.label(image, budget_mib).label_map.size > 0
    reduction = stream.budget.reduction
    assert 1 <= reduction.size <= 2, stream.warnings
    assert stream.budget.peak_mib <= budget_mib
    assert len(stream.warnings) == reduction.size, "once for each step"
    assert f"memory_budget_mib is {budget_mib}: from now on, resolution 1/2; lower something" in stream.warnings[0]


def test_another_budget_other_options_and_other_sizes_begin_in_full(stream):
    image = scene(UHD_HW)
    stream.label(image, 8)
    assert stream.budget.begin(UHD_HW, (8, stream.pipeline.options)) == Reduction(size=1)
    assert stream.budget.begin((480, 640), (8, stream.pipeline.options)) == FULL
    assert stream.budget.begin(UHD_HW, (8, stream.pipeline.options)) == Reduction(size=1), "each size has its own"
    assert stream.budget.begin(UHD_HW, (10_000, stream.pipeline.options)) == FULL


def test_a_budget_that_nothing_can_keep_is_told_once_and_frames_still_come(stream):
    image = scene(UHD_HW)
    stream.label(image, 1)
    for _ in range(3 + MAX_SIZE_HALVINGS):
        stream.budget.step("out of memory", "lower something")
    assert stream.budget.reduction == Reduction(size=MAX_SIZE_HALVINGS)
    assert [warning for warning in stream.warnings if "nothing is left" in warning] == stream.warnings[-1:]
    assert stream.label(image, 1).label_map.shape == (270, 480)


def test_larger_frames_are_tried_again_when_they_must_fit():
    stream = Stream(patience_s=0.0)
    image = scene((480, 660))
    stream.label(image, 10_000)
    stream.budget.step("something else took the memory", "wait")
    for _ in range(3):
        stream.label(image, 10_000)
    assert stream.budget.reduction == FULL


def test_they_are_not_where_they_would_not():
    stream = Stream(patience_s=0.0)
    image = scene(UHD_HW)
    peaks = []
    for _ in range(3):  # the first one pays for what stays
        stream.label(image, 10_000)
        peaks.append(stream.budget.peak_mib)
    budget_mib = max(8, int(min(peaks) * 0.6))
    for _ in range(6):
        stream.label(image, budget_mib)
    assert stream.budget.reduction.size == 1
    assert len(stream.warnings) <= 2, "larger ones may be tried once, but there is no going to and fro"


def test_batches_are_halved_before_the_resolution_where_crops_are_encoded():
    pipeline = Stream({"clip.recognition": "crops", "clip.batch": 4}).pipeline
    reductions, reduction = [], FULL
    while reduction is not None:
        reductions.append(str(reduction))
        reduction = pipeline.reduce_further(reduction)
    assert reductions == [
        "none",
        "batches 1/2",
        "batches 1/4",
        "batches 1/4, resolution 1/2",
        "batches 1/4, resolution 1/4",
        "batches 1/4, resolution 1/8",
    ]
    backend = pipeline._snapshot().backend
    assert reduce(backend, Reduction(batch=2)).options.clip.batch == 1
    assert reduce(backend, FULL) is backend
    image = scene((480, 660))
    full, small = (pipeline.embed_reduced(image, each).embeddings for each in (FULL, Reduction(batch=2)))
    assert torch.allclose(full, small, atol=2e-2), "smaller batches change nothing but rounding"


def test_a_step_back_is_the_way_down_in_reverse():
    assert Reduction(2, 1).less() == Reduction(2, 0)
    assert Reduction(2, 0).less() == Reduction(1, 0)
    assert FULL.less() == FULL
    assert not FULL
