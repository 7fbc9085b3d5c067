from __future__ import annotations

import pytest

from ovsr_ros.errors import ConfigError
from ovsr_ros.options_text import parse_overrides


def test_values_are_yaml_and_the_last_one_counts() -> None:
    texts = ["a.b=[1, 2]", "c=0.5", "d=cuda:0", "e=true", "f=", "c=1", "g=x=y"]
    assert parse_overrides(texts) == {"a.b": [1, 2], "c": 1, "d": "cuda:0", "e": True, "f": "", "g": "x=y"}
    assert parse_overrides([]) == {}


@pytest.mark.parametrize("text", ["a", "=3", " = 3"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected KEY=VALUE"):
        parse_overrides([text])


def test_a_value_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--set a=\[1, 2: the value is not YAML"):
        parse_overrides(["a=[1, 2"])
