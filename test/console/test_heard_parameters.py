"""What is heard of a node's parameters."""

from __future__ import annotations

from ovsr_ros.console.heard_parameters import HeardParameters


def test_what_was_heard_since_is_told_once_with_its_last_value():
    heard = HeardParameters()
    heard.put({"a": 1, "b": [2]})
    first = heard.revision
    assert heard.since(0) == {"a": 1, "b": [2]}
    heard.put({"a": 3})
    heard.put({"a": 4, "c": "text"})
    assert heard.since(first) == {"a": 4, "c": "text"}
    assert heard.since(heard.revision) == {}
