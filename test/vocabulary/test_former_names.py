"""A vocabulary's file with names that an earlier version took: every id stays given, and the node goes on."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from ovsr_ros.errors import VocabularyError
from ovsr_ros.vocabulary.category import Operation, format_category, parse_category
from ovsr_ros.vocabulary.file import VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry


@pytest.fixture
def load(tmp_path):
    """A registry that goes on from a file of these names, by id, and of (id, synonyms) in force; and its file."""

    def load(names, in_force, **fields):
        path = tmp_path / "vocabulary.json"
        content = {
            "format": "ovsr_ros vocabulary",
            "format_version": 1,
            "version": 7,
            "categories": [{"id": id, "name": names[id], "synonyms": synonyms} for id, synonyms in in_force.items()],
            "names": [{"id": id, "name": name, "color": None, **fields} for id, name in enumerate(names)],
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return load_again(path)

    def load_again(path):
        file, registry = VocabularyFile(path), VocabularyRegistry()
        registry.restore(file.load())
        return registry, file

    load.again = load_again
    return load


def apply(registry, operation, *texts):
    return registry.commit(registry.propose(operation, [parse_category(text) for text in texts]))


def ids(registry):
    return {category.name: category.id for category in registry.current.categories}


@pytest.mark.parametrize(
    ("names", "in_force", "left", "reasons"),
    [
        # spellings that have become one name
        (["mug\u200b", "ball"], {0: [], 1: ["ca\u00adp"]}, {"mug": 0, "ball": 1}, []),
        (["mug", "mug\u200b", "ball"], {0: [], 1: [], 2: []}, {"mug": 0, "ball": 2}, ["id 1: 'mug.*' is a duplicate"]),
        (["mug", "mug\u200b", "ball"], {1: [], 2: []}, {"mug": 1, "ball": 2}, []),
        (["mug", "\uff4d\uff55\uff47"], {1: []}, {"\uff4d\uff55\uff47": 1}, []),
        (
            ["mug", "ball"],
            {0: ["cup"], 1: ["cup\u200b"]},
            {"mug": 0, "ball": 1},
            [r"id 1 \('ball'\), synonym: 'cup.*dupl"],
        ),
        (
            ["mug", "cup\ufeff"],
            {0: ["cup"], 1: []},
            {"mug": 0, "cup": 1},
            [r"id 0 \('mug'\), synonym: 'cup' is a dupl"],
        ),
        # what is no name any more
        (["m\ufffdg", "ball"], {0: [], 1: []}, {"ball": 1}, ["id 0: 'm\ufffdg' was decoded wrongly: U\\+FFFD"]),
        (["#00ff00", "ball"], {0: [], 1: []}, {"ball": 1}, ["id 0: '#00ff00' is read as a colour"]),
        (["\u3164", "\u2800", "ball"], {0: [], 1: [], 2: []}, {"ball": 2}, ["id 0: is empty", "id 1: is empty"]),
        (["something\u200belse", "something \u200belse"], {1: []}, {}, ["id 1: 'something else' is built in"]),
        (["mug", "a\uff1bb"], {0: ["\u0301"], 1: []}, {"mug": 0}, ["id 1: .* semicolon", "id 0 .* combining mark"]),
        (["m\ufffdg", "ball"], {1: []}, {"ball": 1}, []),
    ],
)
def test_every_id_stays_given_and_what_is_left_out_is_told(load, names, in_force, left, reasons):
    registry, file = load(names, in_force)
    assert (registry.current.version, ids(registry)) == (7, left)
    assert len(file.left_out) == len(reasons)
    for told, reason in zip(file.left_out, reasons, strict=True):
        assert re.search(reason, told)
    # As the node does when it starts: the words in force, written as the parameter `categories`, are set.
    texts = [format_category(category) for category in registry.current.categories]
    assert apply(registry, Operation.REPLACE, *texts).version == 8
    assert ids(registry) == left
    apply(registry, Operation.ADD, "something new")
    assert ids(registry)["something new"] == len(names), "no id is given twice"
    assert file.save(registry) == ""
    again, file = load.again(file.path)
    assert again.state == registry.state
    assert file.left_out == ()


def test_the_spelling_that_was_in_force_keeps_its_id_for_good(load):
    registry, file = load(["mug", "mug\u200b", "ball"], {1: []})
    assert apply(registry, Operation.REPLACE, "mug", "ball").names == ("mug", "ball")
    apply(registry, Operation.REPLACE, "ball")
    file.save(registry)
    registry, _ = load.again(file.path)
    assert ids(registry) == {"ball": 2}
    apply(registry, Operation.ADD, "mug")
    assert ids(registry) == {"mug": 1, "ball": 2}


def test_ids_that_nobody_can_have_count_as_given(load):
    registry, _ = load(["thing" + number * "\u200b" for number in range(250)], {})
    apply(registry, Operation.REPLACE, "a", "b", "c", "d")
    assert ids(registry) == {"a": 250, "b": 251, "c": 252, "d": 253}
    with pytest.raises(VocabularyError, match="needs 1 new ids and 0 of the 254 are left"):
        registry.propose(Operation.ADD, [parse_category("e")])


def test_a_vocabulary_with_a_retired_id_is_refused(load):
    registry, _ = load(["mug", "mug\u200b"], {0: []})
    foreign = registry.propose(Operation.ADD, [parse_category("ball")])
    moved = replace(foreign, categories=(foreign.categories[0], replace(foreign.categories[1], id=1)))
    with pytest.raises(VocabularyError, match="contradicts"):
        registry.commit(moved)


def test_a_file_that_an_editor_marked_is_read(load, tmp_path):
    _, file = load(["mug"], {0: []})
    file.path.write_bytes(b"\xef\xbb\xbf" + file.path.read_bytes())
    registry, _ = load.again(file.path)
    assert ids(registry) == {"mug": 0}
