"""The result type: what it refuses, and maps that are made when they are first read."""

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


@pytest.fixture
def calls():
    return []


@pytest.fixture
def deferred(calls):
    def make(name, array):
        return lambda: calls.append(name) or array

    return Segmentation.deferred(make("confidence", CONFIDENCE), make("segment_map", SEGMENT_MAP), **OTHERS)


def test_a_deferred_map_is_made_once_when_it_is_read(deferred, calls):
    assert (deferred.vocabulary_version, deferred.stage_seconds, calls) == (3, {}, [])
    assert not deferred.is_computed("confidence")
    assert deferred.confidence is CONFIDENCE
    assert deferred.confidence is CONFIDENCE
    assert deferred.is_computed("confidence")
    assert calls == ["confidence"]
    assert deferred.segment_map is SEGMENT_MAP
    with pytest.raises(dataclasses.FrozenInstanceError):
        deferred.confidence = CONFIDENCE
    with pytest.raises(AttributeError):
        deferred.no_such_field  # noqa: B018  reading it is what raises


def test_a_copy_reads_nothing_and_replace_reads_both(deferred, calls):
    copy = deferred.with_fields(stage_seconds={"clip": 1.0}, vocabulary_version=4)
    assert (copy.stage_seconds, copy.vocabulary_version, deferred.stage_seconds, calls) == ({"clip": 1.0}, 4, {}, [])
    assert copy.with_fields(confidence=CONFIDENCE + np.uint8(1)).confidence[0, 0] == 1
    assert calls == []
    assert dataclasses.replace(copy, vocabulary_version=5).segment_map is SEGMENT_MAP
    assert calls == ["confidence", "segment_map"]


def test_a_deferred_map_is_checked_when_it_is_read():
    wrong = Segmentation.deferred(lambda: CONFIDENCE, lambda: CONFIDENCE, **OTHERS)
    with pytest.raises(ValueError, match="segment_map: expected"):
        wrong.segment_map  # noqa: B018  reading it is what raises
    with pytest.raises(ValueError, match="label_map"):
        Segmentation.deferred(lambda: CONFIDENCE, lambda: SEGMENT_MAP, **{**OTHERS, "label_map": LABELS[0]})
