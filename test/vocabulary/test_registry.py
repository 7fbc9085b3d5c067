"""A registry that goes on from another one's state."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsr_ros.errors import VocabularyError
from ovsr_ros.vocabulary.category import Category, CategoryRequest, Operation, Vocabulary, parse_category
from ovsr_ros.vocabulary.registry import KnownName, RegistryState, VocabularyRegistry

WORDS = ("mug; cup", "ball; #ff8000", "Wall", "floor; ground; #000000", "book")
WORD_LISTS = st.lists(st.sampled_from(WORDS), unique=True)


def apply(registry, operation, *texts):
    return registry.commit(registry.propose(operation, [parse_category(text) for text in texts]))


def go_on(registry):
    other = VocabularyRegistry()
    other.restore(registry.state)
    return other


@settings(max_examples=60)
@given(st.lists(WORD_LISTS, max_size=4), WORD_LISTS)
def test_a_restored_registry_answers_as_the_first_would(replacements, last):
    registry = VocabularyRegistry()
    for words in replacements:
        apply(registry, Operation.REPLACE, *words)
    other = go_on(registry)
    assert other.state == registry.state
    names = [word.partition(";")[0] for word in last]  # without colours: those of before are kept
    assert apply(other, Operation.REPLACE, *names) == apply(registry, Operation.REPLACE, *names)
    assert other.state == registry.state


def test_a_chosen_colour_outlives_its_category():
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, "mug; #010203")
    apply(registry, Operation.REPLACE, "ball")
    assert apply(go_on(registry), Operation.ADD, "MUG").by_id(0) == Category(0, "MUG", (), (1, 2, 3))


def test_only_a_new_registry_can_go_on_from_a_state():
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, "mug")
    with pytest.raises(VocabularyError, match="already"):
        registry.restore(registry.state)


@pytest.mark.parametrize(
    "broken",
    [
        {"known": (KnownName(0, "mug", None), KnownName(254, "ball", None))},
        {"known": (KnownName(0, "mug", None), KnownName(0, "ball", None))},
        {"known": (KnownName(0, "mug", None), KnownName(1, "MUG", None))},
        {"known": ()},
        {"vocabulary": Vocabulary(1, (Category(1, "mug", (), (0, 0, 0)),))},
        {"vocabulary": Vocabulary(1, (Category(0, "mug", (), (0, 0, 0)), Category(0, "Mug", (), (0, 0, 0))))},
    ],
)
def test_a_state_that_contradicts_itself_is_refused_and_changes_nothing(broken):
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, "mug")
    apply(registry, Operation.ADD, "ball")
    state, other = registry.state, VocabularyRegistry()
    with pytest.raises(VocabularyError, match="expected"):
        other.restore(replace(state, **broken))
    assert other.state == RegistryState(Vocabulary(), ())
    assert other.commit(other.propose(Operation.ADD, [CategoryRequest("book")])).by_id(0).name == "book"


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([CategoryRequest("\u0301" * 1_000_000 + "a")] * 100_000, "100000 categories are more than the 254"),
        ([CategoryRequest("x", ("e\u0301\u200b" * 100,) * 100_000)], "category 1 ('x'): 100000 synonyms; at most 32"),
        ([CategoryRequest("x;" * 1_000_000)], "category 1 ('x'): 1000000 synonyms; at most 32"),
    ],
)
@pytest.mark.parametrize("operation", [Operation.REPLACE, Operation.ADD])
def test_a_request_of_megabytes_is_refused_for_its_size_alone(requests, said, operation):
    with pytest.raises(VocabularyError) as error:
        VocabularyRegistry().propose(operation, requests)
    assert str(error.value).startswith(said)
    assert len(str(error.value)) < 200


def test_of_very_many_reasons_the_first_are_told():
    with pytest.raises(VocabularyError, match=r"and 233 more$") as error:
        VocabularyRegistry().propose(Operation.REPLACE, [CategoryRequest("mug")] * 254)
    assert str(error.value).count("duplicate") == 20
