"""Ids that an operator chose: given, kept, refused with the reason; and what the others get beside them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsr_ros.errors import VocabularyError
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, format_category, parse_category
from ovsr_ros.vocabulary.example import Example
from ovsr_ros.vocabulary.file import VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry


def apply(registry, operation, *texts):
    return registry.commit(registry.propose(operation, [parse_category(text) for text in texts]))


def ids_of(vocabulary):
    return {category.name: category.id for category in vocabulary.categories}


@pytest.fixture
def registry():
    return VocabularyRegistry()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mug=12", CategoryRequest("mug", id=12)),
        (" mug = 0 ; cup; #ff8000", CategoryRequest(" mug ", (" cup",), (255, 128, 0), 0)),
        ("a=b=7", CategoryRequest("a=b", id=7)),
        ("mug=300", CategoryRequest("mug", id=300)),
        ("mug=-1", CategoryRequest("mug", id=-1)),
        ("e = mc", CategoryRequest("e = mc")),
        ("mug=", CategoryRequest("mug=")),
        ("mug=1.5", CategoryRequest("mug=1.5")),
    ],
)
def test_a_text_may_bring_its_id(text, expected):
    assert parse_category(text) == expected


def test_chosen_ids_are_given_and_the_texts_of_a_vocabulary_make_it_again(registry):
    vocabulary = apply(registry, Operation.REPLACE, "mug=12; cup", "ball=0", "wall=253")
    assert ids_of(vocabulary) == {"ball": 0, "mug": 12, "wall": 253}
    texts = [format_category(category) for category in vocabulary.categories]
    assert texts == ["ball=0", "mug=12; cup", "wall=253"]
    assert apply(VocabularyRegistry(), Operation.REPLACE, *texts) == vocabulary


def test_names_without_an_id_come_after_the_highest_and_then_in_between(registry):
    assert ids_of(apply(registry, Operation.REPLACE, "ball", "mug=12")) == {"mug": 12, "ball": 13}
    later = apply(registry, Operation.ADD, "wall=253", "floor")
    assert ids_of(later) == {"floor": 0, "mug": 12, "ball": 13, "wall": 253}


def test_a_name_keeps_its_chosen_id_when_it_is_asked_for_without(registry):
    apply(registry, Operation.REPLACE, "mug=12")
    apply(registry, Operation.REPLACE, "ball")
    vocabulary = apply(registry, Operation.ADD, "MUG")
    assert [format_category(category) for category in vocabulary.categories] == ["MUG=12", "ball"]


def test_the_id_that_a_name_has_can_be_chosen(registry):
    apply(registry, Operation.REPLACE, "mug", "ball")
    vocabulary = apply(registry, Operation.REPLACE, "ball=1", "mug")
    assert [format_category(category) for category in vocabulary.categories] == ["mug", "ball=1"]


def test_an_id_is_no_part_of_the_name_that_is_removed(registry):
    apply(registry, Operation.REPLACE, "mug=12", "ball")
    assert apply(registry, Operation.REMOVE, "mug=3").names == ("ball",)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["cup=3"], "'cup': id 3 is 'mug' and never given to another name"),
        (["cup=4"], "'cup': id 4 is 'ball' and never given to another name"),
        (["mug=5"], "'mug': id 5 was asked for, but it has had id 3 since it was first used"),
        (["cup=8", "can=8"], "category 2 ('can'): id 8: category 1 ('cup') has it already"),
        (["cup=254"], "category 1 ('cup'): id 254: expected 0 to 253 (255 is unlabeled)"),
        (["cup=255"], "category 1 ('cup'): id 255: expected 0 to 253 (255 is unlabeled)"),
        (["cup=-1"], "category 1 ('cup'): id -1: expected 0 to 253"),
        (["cup=8=9"], "category 1 ('cup'): ids 8 and 9: expected one at most"),
        (["cup=" + "9" * 12], "category 1 ('cup'): id 9999999999: expected 0 to 253"),
        (["cup=\uff18"], "'cup=\uff18' ends as an id does: one at most, in digits 0 to 9"),
        (["can; cup=8"], "category 1 ('can'), synonym 1: 'cup=8' ends as an id does"),
        (["=8"], "category 1"),
        (["x" + " =" * 1_000_000], "category 1"),
    ],
)
def test_an_id_that_cannot_be_had_is_refused_with_the_reason_and_nothing_changes(registry, texts, said):
    apply(registry, Operation.REPLACE, "mug=3", "ball")
    apply(registry, Operation.REPLACE, "mug")  # an id stays given while its name is out
    before = registry.state
    with pytest.raises(VocabularyError) as error:
        registry.propose(Operation.REPLACE, [parse_category(text) for text in texts])
    assert said in str(error.value)
    assert registry.state == before


def test_every_id_that_cannot_be_had_is_told(registry):
    apply(registry, Operation.REPLACE, "mug=3", "ball=4")
    with pytest.raises(VocabularyError, match=r"'cup': id 3 is 'mug'.*; 'can': id 4 is 'ball'"):
        apply(registry, Operation.REPLACE, "cup=3", "can=4")


def test_all_254_ids_can_be_chosen_and_then_none_is_left(registry):
    apply(registry, Operation.REPLACE, *(f"thing {number}={253 - number}" for number in range(254)))
    assert registry.current.by_id(0).name == "thing 253"
    with pytest.raises(VocabularyError, match="needs 1 new ids and 0 of the 254 are left"):
        apply(registry, Operation.REPLACE, "one more")


def test_a_category_that_is_taught_may_have_an_id_where_it_is_new(registry):
    example = Example(np.ones(1, np.float32), "a model")
    taught = registry.commit(registry.propose_example(parse_category("drill=7"), example))
    assert ids_of(taught) == {"drill": 7}
    with pytest.raises(VocabularyError, match=r"present already: .* colour and id by set_vocabulary"):
        registry.propose_example(parse_category("drill=7"), example)


WORDS = st.builds(
    lambda word, id: word if id is None else f"{word}={id}",
    st.sampled_from(["mug", "ball", "wall", "floor", "book"]),
    st.none() | st.integers(0, 6) | st.integers(250, 253),
)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(Operation), st.lists(WORDS, max_size=4)), max_size=6))
def test_an_id_is_given_to_one_name_for_ever(changes):
    """Whatever is asked for, in whatever order: no id changes its name, no name its id; what was chosen was given."""
    registry, names, ids = VocabularyRegistry(), {}, {}
    for operation, words in changes:
        requests = [parse_category(word) for word in words]
        try:
            vocabulary = registry.commit(registry.propose(operation, requests))
        except VocabularyError:
            continue
        for category in vocabulary.categories:
            assert names.setdefault(category.id, category.name) == category.name
            assert ids.setdefault(category.name, category.id) == category.id
        if operation != Operation.REMOVE:
            assert all(ids[request.name] == request.id for request in requests if request.id is not None)
    other = VocabularyRegistry()
    other.restore(registry.state)
    assert other.state == registry.state


def test_chosen_ids_outlive_the_process_in_a_format_that_earlier_versions_refuse(registry, tmp_path):
    file = VocabularyFile(tmp_path / "vocabulary.json")
    apply(registry, Operation.REPLACE, "mug", "ball")
    assert file.save(registry) == ""
    assert json.loads(file.path.read_text(encoding="utf-8"))["format_version"] == 1, "any version reads it"
    apply(registry, Operation.REPLACE, "wall=200; #102030", "ball")
    assert file.save(registry) == ""
    content = json.loads(file.path.read_text(encoding="utf-8"))
    assert content["format_version"] == 3
    assert content["names"][2] == {"id": 200, "name": "wall", "color": "#102030", "id_chosen": True}
    state = VocabularyFile(file.path).load()
    assert state == registry.state
    other = VocabularyRegistry()
    other.restore(state)
    assert ids_of(apply(other, Operation.REPLACE, "wall", "floor")) == {"wall": 200, "floor": 201}
