"""The result type: what it refuses, and what a copy shares."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ovsr_ros.results import Segmentation, Segments

LABELS = np.full((4, 6), 255, np.uint8)
CONFIDENCE = np.zeros((4, 6), np.uint8)
SEGMENT_MAP = np.zeros((4, 6), np.uint16)
OTHERS = {"label_map": LABELS, "segments": Segments.empty(), "vocabulary_version": 3}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"label_map": LABELS[0]}, r"label_map: expected shape \(H, W\)"),
        ({"label_map": LABELS.astype(int)}, "label_map: expected .* uint8"),
        ({"confidence": CONFIDENCE[:2]}, "confidence: expected"),
        ({"segment_map": CONFIDENCE}, "segment_map: expected .* uint16, got .* uint8"),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Segmentation(**{**OTHERS, "confidence": CONFIDENCE, "segment_map": SEGMENT_MAP, **wrong})


def test_a_result_cannot_be_changed_and_a_copy_shares_its_maps():
    result = Segmentation(**OTHERS, confidence=CONFIDENCE, segment_map=SEGMENT_MAP)
    assert (result.vocabulary_version, result.stage_seconds) == (3, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.confidence = CONFIDENCE
    copy = dataclasses.replace(result, stage_seconds={"clip": 1.0}, vocabulary_version=4)
    assert (copy.stage_seconds, copy.vocabulary_version, result.stage_seconds) == ({"clip": 1.0}, 4, {})
    assert copy.segment_map is SEGMENT_MAP
    assert copy.confidence is CONFIDENCE
