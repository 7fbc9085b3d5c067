"""The reference does the same work as our preset `faithful`: the comparison of their times is fair."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsr_ros.benchmark.rooms import render_scenes

CATEGORIES = ["wall", "floor", "mug", "ball", "table"]


@pytest.fixture
def frame(load_script):
    return load_script("frame")


def test_both_find_the_same_segments_and_labels(frame, load_script):
    common, reference = load_script("common"), load_script("reference")
    options = common.preset("faithful", "cpu", features__model="demo", clip__model="demo", precision="fp32")
    theirs = reference.Reference("demo", "demo", CATEGORIES, torch.device("cpu"))
    ours = common.make_pipeline(options, CATEGORIES)
    for image in render_scenes((320, 240), 2):
        expected, found = theirs.segment(image), ours.segment(image)
        assert expected.num_segments == len(found.segments)
        assert frame.adjusted_rand(expected.segment_map, found.segment_map) > 0.97
        assert frame.matched_miou(expected.segment_map, found.segment_map) > 0.95
        # A pixel more or less in a crop tips a doubtful segment now and then, in a joint space of this few vectors.
        assert num_labelled_otherwise(expected, found) <= 1
    ours.close()


def num_labelled_otherwise(expected, found):
    """How many of the reference's segments have, on most of their pixels, another label than ours."""
    segments = [expected.segment_map == number for number in range(1, expected.num_segments + 1)]
    return sum((expected.label_map == found.label_map)[mask].mean() < 0.5 for mask in segments)


@pytest.mark.parametrize(
    ("a", "b", "rand", "miou"),
    [
        ([0, 0, 1, 1], [5, 5, 3, 3], 1.0, 1.0),
        ([0, 0, 0, 0], [1, 1, 1, 1], 1.0, 1.0),
        ([0, 0, 1, 1], [0, 1, 0, 1], -0.5, 1 / 3),
        ([0, 0, 1, 1], [0, 0, 0, 1], 0.0, 7 / 12),
    ],
)
def test_likeness_of_partitions(frame, a, b, rand, miou):
    assert frame.adjusted_rand(np.array(a), np.array(b)) == pytest.approx(rand)
    assert frame.matched_miou(np.array(a), np.array(b)) == pytest.approx(miou)


@pytest.mark.parametrize(
    ("box", "expected"),
    [((40, 40, 60, 60), (38, 38, 62, 62)), ((0, 0, 10, 20), (0, 0, 24, 24)), ((0, 0, 100, 50), (-10, -10, 110, 110))],
)
def test_crops_are_squares_inside_the_image(load_script, box, expected):
    assert load_script("reference").square_around(*box, (100, 100)) == expected
