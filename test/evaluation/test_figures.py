"""From what each image added to the figures of a data set."""

import dataclasses
import json

import numpy as np
import pytest

from ovsr_ros.evaluation.figures import Figures, image_miou
from ovsr_ros.evaluation.protocols import ImageRow, ProtocolOptions

ALL = ProtocolOptions(names=("openvocab", "hungarian", "hungarian-dataset"))
CLASSES = ("mug", "ball", "book")
ROWS = (
    ImageRow(
        index=0,
        name="a",
        labelled=((0, 0, 8), (0, 1, 2)),
        hungarian=((0, 0, 10),),
        boundary=(1.0, 0.5),
        class_boundary=((0, 0.6),),
        cluster_boundary=(0.5, 0.5),
        objects=(2, 2, 1),
        num_segments=4,
        seconds=1.5,
    ),
    ImageRow(
        index=1,
        name="b",
        labelled=((0, 0, 2), (1, 1, 5), (1, 3, 3)),
        hungarian=((0, 0, 2), (1, 1, 8)),
        boundary=(0.0, 0.0),
        class_boundary=((0, 0.2), (1, 1.0)),
        cluster_boundary=(1.0, 1.0),
        objects=None,
        num_segments=7,
        seconds=0.25,
    ),
)


def figures_of(rows=ROWS, options=ALL, skipped=()):
    return Figures.from_rows(rows, skipped, CLASSES, options)


def test_pixels_are_summed_before_anything_is_divided():
    figures = figures_of()
    assert figures.labelled.true_positive.tolist() == [10, 5, 0]
    assert figures.labelled.false_positive.tolist() == [0, 2, 0]
    assert figures.labelled.false_negative.tolist() == [2, 3, 0]
    assert figures.miou == pytest.approx((10 / 12 + 5 / 10) / 2)
    assert figures.hungarian_miou == 1.0
    assert figures.hungarian_dataset.true_positive.tolist() == [10, 5, 0]


def test_borders_are_averaged_over_images_and_over_classes():
    boundary = figures_of().boundary
    assert (boundary.precision, boundary.recall) == (0.5, 0.25)
    assert boundary.f1 == pytest.approx((2 / 3 + 0) / 2)
    assert boundary.class_f1 == pytest.approx(((0.6 + 0.2) / 2 + 1.0) / 2)
    assert figures_of().cluster_boundary.f1 == 0.75
    assert np.isnan(figures_of().cluster_boundary.class_f1)


def test_the_rest_is_counted():
    figures = figures_of(skipped=[("c", "no mask")])
    assert figures.num_images == 2
    assert figures.mean_segments == 5.5
    assert figures.seconds == 1.75
    assert figures.held_out.accuracy == 0.5
    assert figures.skipped == (("c", "no mask"),)


def test_the_order_in_which_images_were_judged_does_not_matter():
    assert json.dumps(figures_of(ROWS[::-1]).to_dict()) == json.dumps(figures_of(ROWS).to_dict())


def test_what_was_not_asked_for_is_not_there():
    figures = figures_of(options=ProtocolOptions(names=("hungarian-dataset",)))
    assert figures.labelled is None
    assert np.isnan(figures.miou)
    assert figures.hungarian_dataset is not None
    bare = figures_of([dataclasses.replace(ROWS[0], labelled=None, boundary=None, class_boundary=None, objects=None)])
    assert bare.hungarian_dataset is bare.boundary is bare.held_out is None
    assert set(bare.to_dict()) == {
        "images", "hungarian_miou", "hungarian", "cluster_boundary", "per_class", "mean_segments", "skipped", "seconds"
    }  # fmt: skip


def test_without_images_there_are_no_figures():
    described = figures_of([]).to_dict()
    assert described["images"] == described["mean_segments"] == 0
    assert "miou" not in described


def test_a_class_that_the_truth_lacks_has_no_figure():
    rows = [dataclasses.replace(ROWS[0], labelled=((0, 0, 8), (0, 2, 2)))]
    described = figures_of(rows).to_dict()
    assert described["per_class"]["mug"]["iou"] == 0.8
    assert described["per_class"]["book"] == dict.fromkeys(described["per_class"]["mug"])
    assert described["miou"] == 0.8
    assert described["labelled"]["miou_all"] == 0.4


def test_a_figure_without_pixels_is_none_and_json_can_hold_it():
    rows = [dataclasses.replace(ROWS[0], labelled=((0, 3, 10),))]
    described = json.loads(json.dumps(figures_of(rows).to_dict(), allow_nan=False))
    assert described["per_class"]["mug"]["precision"] is None
    assert described["per_class"]["mug"]["recall"] == 0.0
    assert described["labelled"]["precision"] is None


def test_an_images_own_miou():
    assert image_miou(ROWS[0], 3) == 0.8
    assert image_miou(ROWS[1], 3) == pytest.approx((1 + 5 / 8) / 2)
    assert image_miou(dataclasses.replace(ROWS[1], labelled=None), 3) == 1.0
    assert np.isnan(image_miou(dataclasses.replace(ROWS[1], labelled=None, hungarian=None), 3))
