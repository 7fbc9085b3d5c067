"""What cannot be applied is refused with the reason, and nothing changes."""

from __future__ import annotations

import pytest
from std_msgs.msg import ColorRGBA

from ovsr_ros import msg, srv

REPLACE, ADD, REMOVE = (
    srv.SetVocabulary.Request.REPLACE,
    srv.SetVocabulary.Request.ADD,
    srv.SetVocabulary.Request.REMOVE,
)


def as_set(vocabulary):
    """A vocabulary without its stamp, to compare."""
    return vocabulary.version, [(c.id, c.name, tuple(c.synonyms)) for c in vocabulary.categories]


@pytest.mark.parametrize(
    ("operation", "names", "reason"),
    [
        (REPLACE, ["wall", ""], "empty"),
        (REPLACE, ["wall", "Wall"], "duplicate"),
        (ADD, ["mug"], "duplicate"),
        (ADD, ["pot; cup"], "duplicate"),
        (REPLACE, ["w" * 201], "201 characters"),
        (REPLACE, [f"thing {number}" for number in range(255)], "254"),
        (ADD, [f"thing {number}" for number in range(253)], "254"),
        (REPLACE, ["wall\tpaper"], "control"),
        (REPLACE, ["m\ufffdg"], "U+FFFD at character 2"),
        (REPLACE, ["\u3164"], "empty"),
        (REPLACE, ["something \u200belse"], "built in"),
        (REPLACE, ["#00ff00"], "a name before it"),
        (ADD, ["mug\u200b"], "duplicate"),
        (ADD, ["pot; c\u00adup"], "duplicate"),
        (REMOVE, ["wall"], "unknown"),
        (7, ["wall"], "operation: expected one of 0 (REPLACE), 1 (ADD), 2 (REMOVE), got 7"),
    ],
)
def test_a_refused_change_says_why_and_changes_nothing(shared_ovsr, operation, names, reason):
    ovsr = shared_ovsr
    before = as_set(ovsr.get_vocabulary())
    answer = ovsr.set_vocabulary(operation, *names)
    assert not answer.success
    assert reason in answer.message
    assert as_set(answer.vocabulary) == before
    assert as_set(ovsr.get_vocabulary()) == before
    assert ovsr.get_parameter("categories") == ["mug; cup", "ball"]
    assert ovsr.label().vocabulary_version == before[0]


NAN = float("nan")


@pytest.mark.parametrize(
    ("rgba", "reason"),
    [
        ((7.0, 0.0, 0.0, 1.0), "color.r: expected 0 to 1, got 7"),
        ((0.0, -0.5, 0.0, 1.0), "color.g: expected 0 to 1, got -0.5"),
        ((0.0, 0.0, NAN, 1.0), "color.b: expected 0 to 1, got nan"),
        ((0.0, 1.0, 0.0, NAN), "color.a: expected 0 to 1, got nan"),
        ((0.0, 1.0, 0.0, -1.0), "color.a: expected 0 to 1, got -1"),
        ((0.0, 1.0, 0.0, 255.0), "color.a: expected 0 to 1, got 255"),
        ((float("inf"), 1.0, 0.0, 1.0), "color.r: expected 0 to 1, got inf"),
        ((NAN, 0.0, 0.0, 0.0), "color.r: expected 0 to 1, got nan"),
        ((-1.0, 0.0, 0.0, 0.0), "color.r: expected 0 to 1, got -1"),
        ((0.0, 1.0, 0.0, 0.0), "color.a: is 0, for no colour, but color.g is not; set a to 1, or all four to 0"),
    ],
)
def test_a_color_that_cannot_be_is_refused_by_its_field(shared_ovsr, rgba, reason):
    red, green, blue, alpha = rgba
    wall = msg.Category(name="wall", color=ColorRGBA(r=red, g=green, b=blue, a=alpha))
    empty = msg.Category(name="\u200b")
    request = srv.SetVocabulary.Request(operation=ADD, categories=[msg.Category(name="pot"), wall, empty])
    answer = shared_ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, request)
    assert not answer.success
    assert f"category 2 ('wall'): {reason}" in answer.message
    assert "category 3: is empty" in answer.message, "every reason is given"
    once = srv.SegmentImage.Request(image=shared_ovsr.image(), categories=[wall])
    answer = shared_ovsr.client.call("/ovsr/segment_image", srv.SegmentImage, once)
    assert not answer.success
    assert reason in answer.message


def test_a_refused_parameter_says_why_and_changes_nothing(shared_ovsr):
    ovsr = shared_ovsr
    before = as_set(ovsr.get_vocabulary())
    result = ovsr.set_parameters(categories=["wall", "wall"], score_threshold=0.9)
    assert not result.successful
    assert "duplicate" in result.reason
    assert as_set(ovsr.get_vocabulary()) == before
    assert ovsr.get_parameter("categories") == ["mug; cup", "ball"]
    assert ovsr.get_parameter("score_threshold") == 0.0


def test_parameters_describe_themselves(shared_ovsr):
    rate = shared_ovsr.describe_parameter("rate_hz")
    assert rate.description
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (0.1, 120.0)
    assert shared_ovsr.describe_parameter("device").read_only
    assert shared_ovsr.describe_parameter("clusters.k_max").integer_range[0].to_value == 256
    assert "ward" in shared_ovsr.describe_parameter("clusters.linkage").additional_constraints


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"score_threshold": 1.5}, "score_threshold"),
        ({"score_threshold": "high"}, "score_threshold: expected float"),
        ({"rate_hz": 0.0}, "rate_hz"),
        ({"clusters__linkage": "wart"}, "did you mean 'ward'"),
        ({"clusters__k_min": 9, "clusters__k_max": 8}, "k_min"),
        ({"device": "cpu:1"}, "read-only"),
        ({"no_such_parameter": 1}, "no_such_parameter"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason(shared_ovsr, change, reason):
    before = {name: shared_ovsr.get_parameter(name) for name in ("score_threshold", "rate_hz", "clusters.k_max")}
    result = shared_ovsr.set_parameters(**change)
    assert not result.successful
    assert reason in result.reason
    assert before == {name: shared_ovsr.get_parameter(name) for name in before}
