"""Names of topics and namespaces as an operator writes them: what rcl would not take. Needs no ROS to be read."""

from __future__ import annotations

import itertools
import re

MAX_TOPIC_CHARACTERS = 247
"""rmw's own limit, of the name with its namespace."""
MAX_NAMESPACE_CHARACTERS = 200
"""Less than rmw's limit, so that every topic and service of the node fits behind it."""

_FOREIGN = re.compile(r"[^A-Za-z0-9_/]")


def find_topic_problem(topic: str) -> str:
    """What is wrong with a topic that an input is to be remapped to; "" where rcl takes it.

    It may be absolute (/front/image_raw), relative (image_raw) or the node's own (~/image).
    """
    return _find_problem(topic, topic.removeprefix("~/") if topic.startswith("~/") else topic, MAX_TOPIC_CHARACTERS)


def find_namespace_problem(namespace: str) -> str:
    """What is wrong with a namespace, absolute or relative, or with a camera's name; "" where rcl takes it."""
    return "" if namespace == "/" else _find_problem(namespace, namespace, MAX_NAMESPACE_CHARACTERS)


def _find_problem(whole: str, name: str, max_characters: int) -> str:
    parts = name.removeprefix("/").split("/")
    foreign = _FOREIGN.search(name)
    if foreign:
        place = len(whole) - len(name) + foreign.start() + 1
        return f"{foreign[0]!r} (character {place}): letters a to z and A to Z, digits, _ and / are possible"
    if not parts[-1]:
        return "it ends with a slash" if whole else "it is empty"
    if not all(parts):
        return "two slashes in a row"
    if any(part[0].isdigit() for part in parts):
        return f"'{next(part for part in parts if part[0].isdigit())}' begins with a digit"
    if ("_", "_") in itertools.pairwise(name):
        return "two underscores in a row"
    if len(whole) > max_characters:
        return f"{len(whole)} characters, at most {max_characters} are possible"
    return ""
