"""Images are reduced until they keep the budget, batches first; what runs out of memory is done again, smaller."""

from __future__ import annotations

import mmap
from contextlib import closing

import numpy as np
import pytest
import torch

from ovsr_ros.backends.reduction import FULL, MAX_SIZE_HALVINGS, Reduction, reduce
from ovsr_ros.demo.scenes import Scene
from ovsr_ros.errors import OvsrError
from ovsr_ros.nodes.model_access import MemoryBudget, ModelAccess
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings
from ovsr_ros.tracking import Tracker
from ovsr_ros.vocabulary.category import CategoryRequest, Operation

UHD_HW = (2160, 3840)
WORDS = [CategoryRequest(word) for word in ("wall", "floor", "mug")]


def load(**overrides):
    pipeline = Pipeline(
        load_settings("demo", {"features.input_short_side": 128, "clip.batch": 1, **overrides}).pipeline
    )
    pipeline.warm_up()
    return pipeline


class Stream:
    """A pipeline that keeps a budget, as the node does."""

    def __init__(self):
        self.pipeline = load()
        self.warnings = []
        self.budget = MemoryBudget(self.pipeline, self.warnings.append)

    def label(self, image, budget_mib):
        reduction = self.budget.begin(image.shape[:2], budget_mib)
        with self.budget.watched(budget_mib, "lower something"):
            frame = self.pipeline.embed(image, reduction)
        return self.pipeline.label(frame, size_hw=image.shape[:2])


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
        assert stream.label(image, budget_mib).label_map.shape == UHD_HW
    reduction = stream.budget.reduction
    assert 1 <= reduction.size <= 2, stream.warnings
    assert stream.budget.peak_mib <= budget_mib
    assert len(stream.warnings) == reduction.size, "once for each step"
    assert f"memory_budget_mib is {budget_mib}: from now on, resolution 1/2; lower something" in stream.warnings[0]


def test_another_budget_other_options_and_other_sizes_begin_in_full(stream):
    image = scene(UHD_HW)
    stream.label(image, 8)
    assert stream.budget.begin(UHD_HW, 8) == Reduction(size=1)
    assert stream.budget.begin((480, 640), 8) == FULL
    assert stream.budget.begin(UHD_HW, 8) == Reduction(size=1), "each size has its own"
    assert stream.budget.begin(UHD_HW, 10_000) == FULL
    stream.label(image, 8)
    assert stream.budget.begin(UHD_HW, 8) == Reduction(size=1)
    stream.pipeline.update_options({"features.grid_rows": 32})
    assert stream.budget.begin(UHD_HW, 8) == FULL


def test_a_budget_that_nothing_can_keep_is_told_once_and_frames_still_come(stream):
    image = scene(UHD_HW)
    stream.label(image, 1)
    for _ in range(3 + MAX_SIZE_HALVINGS):
        stream.budget.step("out of memory", "lower something")
    assert stream.budget.reduction == Reduction(size=MAX_SIZE_HALVINGS)
    assert [warning for warning in stream.warnings if "nothing is left" in warning] == stream.warnings[-1:]
    assert stream.label(image, 1).label_map.shape == UHD_HW


def test_an_image_that_takes_several_pieces_of_work_is_one_step(stream):
    stream.budget.begin(UHD_HW, 8)
    for _ in range(3):
        with stream.budget.watched(8, "lower something"), closing(mmap.mmap(-1, 2**25)) as held:  # 32 MiB, none kept
            for start in range(0, len(held), mmap.PAGESIZE):
                held[start] = 1
    assert len(stream.warnings) == 1
    assert stream.budget.reduction == Reduction(size=1)


def test_batches_are_halved_before_the_resolution_where_crops_are_encoded():
    pipeline = load(**{"clip.recognition": "crops", "clip.batch": 4})
    backend = pipeline.state.backend
    reductions, reduction = [], FULL
    while reduction is not None:
        reductions.append(str(reduction))
        reduction = reduction.more(backend)
    assert reductions == [
        "none",
        "batches 1/2",
        "batches 1/4",
        "batches 1/4, resolution 1/2",
        "batches 1/4, resolution 1/4",
        "batches 1/4, resolution 1/8",
    ]
    assert reduce(backend, Reduction(batch=2)).options.clip.batch == 1
    assert reduce(backend, FULL) is backend
    assert not FULL
    image = scene((480, 660))
    full, small = (pipeline.embed(image, each).embeddings for each in (FULL, Reduction(batch=2)))
    assert torch.allclose(full, small, atol=2e-2), "smaller batches change nothing but rounding"


class Log:
    """A node, as far as `ModelAccess` needs one."""

    def __init__(self):
        self.warnings = []

    def get_logger(self):
        return self

    def warning(self, text):
        self.warnings.append(text)


SHORTAGE = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")


@pytest.mark.parametrize("stage", ["find", "join"])
def test_work_that_runs_out_of_memory_is_done_again_smaller_and_tracks_go_on(stage):
    pipeline, log, tracker = load(), Log(), Tracker()
    pipeline.set_vocabulary(Operation.REPLACE, WORDS)
    short = []

    class Short:
        """The pipeline, whose one stage has too little memory for whole images while `short` says so."""

        def __getattr__(self, name):
            return getattr(pipeline, name)

        def find(self, image_rgb, reduction=FULL, ignored=None):
            if "find" in short and not reduction:
                raise SHORTAGE
            return pipeline.find(image_rgb, reduction)

        def join(self, found, tracker, time_s):
            frame = pipeline.join(found, tracker, time_s) if not short or found.reduction or stage == "find" else None
            if frame is None:
                raise SHORTAGE
            return frame

    models, image, shown = ModelAccess(log, Short()), Scene(3).render().image, []
    for number, has_room in enumerate((True, False, True)):
        short[:] = [] if has_room else [stage]
        frame = models.join(models.find(image), tracker, 0.1 * number)
        labelled = pipeline.label(frame, size_hw=(480, 640))
        assert labelled.label_map.shape == labelled.segment_map.shape == (480, 640)
        assert (labelled.segments.track_ids > 0).all()
        shown.append(np.concatenate(([0], labelled.segments.track_ids))[labelled.segment_map])
        assert len(log.warnings) == (number > 0)
    assert "this image is labelled at half the resolution; lower features.input_short_side" in log.warnings[0]
    assert len(np.unique(shown[0])) > 2
    for ids in shown[1:]:
        assert (ids == shown[0]).mean() > 0.8, "a frame that is done again is the stream's next like any other"
    short[:] = [stage]
    Short.find = Short.join = lambda self, *_: (_ for _ in ()).throw(SHORTAGE)
    with pytest.raises(OvsrError, match="at half the resolution as well"):
        models.find(image)
