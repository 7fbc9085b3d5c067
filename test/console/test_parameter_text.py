"""Parameters as an operator reads and writes them."""

from __future__ import annotations

import pytest

from ovsr_ros.console.link import ParameterInfo
from ovsr_ros.console.parameter_text import choices_of, describe, from_text, group_of, live, to_text


def info(name="a.b", kind="float", constraints="", low=None, high=None, read_only=False):
    return ParameterInfo(name, kind, 0, "what it does", constraints, low, high, read_only)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bool", True), ("int", -3), ("float", 0.25), ("float", 1e-06), ("str", "a; b #c"), ("str", ""),
        ("int[]", [1, 2]), ("float[]", [0.5]), ("str[]", ["yes", "a, b", "é"]), ("str[]", []), ("bool[]", [False]),
    ],
)  # fmt: skip
def test_what_a_field_shows_is_read_back(kind, value):
    assert from_text(kind, to_text(value)) == value


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("int", "1.5", "expected a whole number, got '1.5'"),
        ("float", "much", "expected a number, got 'much'"),
        ("bool", "yes", "expected true or false"),
        ("int[]", "[1, x]", "expected a whole number, got 'x'"),
        ("str[]", "wall", "expected a list such as"),
        ("str[]", "[a", "expected a list such as"),
    ],
)
def test_what_is_no_value_is_told(kind, text, said):
    with pytest.raises(ValueError, match="expected") as refused:
        from_text(kind, text)
    assert said in str(refused.value)


def test_help_ranges_and_choices_are_the_nodes():
    assert describe(info(low=0.0, high=1.0)) == "what it does; 0 to 1"
    assert describe(info(low=1.0)) == "what it does; at least 1"
    assert describe(info(constraints="each 0 to 5", kind="int[]")) == "what it does; each 0 to 5"
    assert choices_of(info(kind="str", constraints="one of none, guided")) == ["none", "guided"]
    assert choices_of(info(kind="str")) == []


def test_read_only_ones_those_of_ros_and_the_words_are_left_out():
    names = ("rate_hz", "use_sim_time", "categories", "qos_overrides./a.b", "backend", "clusters.fixed")
    infos = [info(name, read_only=name == "backend") for name in names]
    assert [each.name for each in live(infos)] == ["clusters.fixed", "rate_hz"]
    assert [group_of(name) for name in ("rate_hz", "a.b.c")] == ["node", "a"]
