from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsr_ros.errors import VocabularyError
from ovsr_ros.names import name_key
from ovsr_ros.vocabulary.category import (
    MAX_CATEGORIES,
    Category,
    CategoryRequest,
    Operation,
    Vocabulary,
    format_category,
    parse_category,
)
from ovsr_ros.vocabulary.palette import default_color
from ovsr_ros.vocabulary.registry import VocabularyRegistry


def apply(registry: VocabularyRegistry, operation: Operation, *names: str) -> Vocabulary:
    return registry.commit(registry.propose(operation, [CategoryRequest(name) for name in names]))


def ids(vocabulary: Vocabulary) -> dict[str, int]:
    return {category.name: category.id for category in vocabulary.categories}


# --- What a change does ---


def test_a_new_registry_is_empty_at_version_0() -> None:
    vocabulary = VocabularyRegistry().current
    assert (vocabulary.version, len(vocabulary), vocabulary.names) == (0, 0, ())
    assert vocabulary.colors.shape == (256, 3)


def test_ids_follow_the_order_of_the_request_and_versions_count() -> None:
    registry = VocabularyRegistry()
    first = apply(registry, Operation.REPLACE, "mug", "ball")
    assert (first.version, ids(first)) == (1, {"mug": 0, "ball": 1})
    second = apply(registry, Operation.ADD, "book")
    assert (second.version, ids(second)) == (2, {"mug": 0, "ball": 1, "book": 2})
    assert first.by_id(1).name == "ball"
    with pytest.raises(KeyError):
        first.by_id(2)


def test_a_removed_name_leaves_its_id_unused_and_gets_it_back() -> None:
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, "mug", "ball")
    assert ids(apply(registry, Operation.REMOVE, " MUG ")) == {"ball": 1}
    assert ids(apply(registry, Operation.ADD, "book")) == {"ball": 1, "book": 2}
    assert ids(apply(registry, Operation.ADD, "Mug")) == {"Mug": 0, "ball": 1, "book": 2}


def test_an_empty_replacement_clears_the_vocabulary_and_keeps_the_ids() -> None:
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, "mug", "ball")
    assert apply(registry, Operation.REPLACE).categories == ()
    assert ids(apply(registry, Operation.REPLACE, "ball")) == {"ball": 1}


def test_a_name_may_bring_its_synonyms_in_one_text_or_apart() -> None:
    assert parse_category("mug; cup ;beaker") == CategoryRequest("mug", (" cup ", "beaker"))
    registry = VocabularyRegistry()
    request = CategoryRequest("  coffee   mug; cup", ("beaker",), (1, 2, 3))
    category = registry.propose(Operation.REPLACE, [request]).categories[0]
    assert category == Category(0, "coffee mug", ("cup", "beaker"), (1, 2, 3))


def test_a_text_may_bring_its_colour_and_gives_the_category_again() -> None:
    assert parse_category("mug; cup; #Ff8000; beaker") == CategoryRequest("mug", (" cup", " beaker"), (255, 128, 0))
    registry = VocabularyRegistry()
    vocabulary = apply(registry, Operation.REPLACE, "ball", "mug; #ff8000;cup", "#1 fan", "black;#000000")
    texts = [format_category(category) for category in vocabulary.categories]
    assert texts == ["ball", "mug; cup; #ff8000", "#1 fan", "black; #000000"]
    assert apply(VocabularyRegistry(), Operation.REPLACE, *texts) == vocabulary
    assert apply(registry, Operation.REPLACE, "ball", "mug").by_id(1).color_rgb == (255, 128, 0), "until changed"
    assert apply(registry, Operation.REMOVE, "mug; #ff8000").names == ("ball",)


@pytest.mark.parametrize("text", ["mug; #ff80", "mug; #ff8000; #ff8001", "mug; #orange", "mug; # ff8000"])
def test_a_colour_that_is_none_or_a_second_one_is_refused(text: str) -> None:
    with pytest.raises(VocabularyError, match=r"\('mug'\), synonym 1: '#.* at most one, # and six hexadecimal digits"):
        apply(VocabularyRegistry(), Operation.REPLACE, text)


def test_a_colour_that_yaml_took_for_a_comment_is_explained() -> None:
    with pytest.raises(VocabularyError, match="put quotes around"):
        apply(VocabularyRegistry(), Operation.REPLACE, "mug; ")


def test_replace_gives_a_present_name_new_synonyms_and_colour() -> None:
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, "ball", "mug; cup")
    request = CategoryRequest("mug", ("beaker",), (9, 9, 9))
    vocabulary = registry.commit(registry.propose(Operation.REPLACE, [request]))
    assert vocabulary.categories == (Category(1, "mug", ("beaker",), (9, 9, 9)),)
    assert tuple(vocabulary.colors[1]) == (9, 9, 9)


def test_a_chosen_colour_stays_with_its_name_until_another_is_chosen() -> None:
    registry = VocabularyRegistry()
    registry.commit(registry.propose(Operation.REPLACE, [CategoryRequest("mug", (), (9, 9, 9))]))
    apply(registry, Operation.REPLACE, "ball")
    assert apply(registry, Operation.ADD, "mug").by_id(0).color_rgb == (9, 9, 9)
    registry.commit(registry.propose(Operation.REPLACE, [CategoryRequest("mug", (), (7, 7, 7))]))
    assert apply(registry, Operation.REPLACE, "mug").by_id(0).color_rgb == (7, 7, 7)


# --- What is refused ---


@pytest.mark.parametrize(
    ("operation", "names", "parts"),
    [
        (Operation.REPLACE, ["mug", " "], ["category 2", "empty"]),
        (Operation.REPLACE, [""], ["category 1", "empty"]),
        (Operation.REPLACE, ["\u200b"], ["category 1", "empty"]),
        (Operation.REPLACE, ["mug;"], ["category 1 ('mug'), synonym 1", "empty"]),
        (Operation.REPLACE, ["mug", "Mug"], ["category 2", "'Mug' is a duplicate"]),
        (Operation.REPLACE, ["caf\u00e9", "cafe\u0301"], ["category 2", "duplicate"]),
        (Operation.REPLACE, ["mug; cup", "cup"], ["category 2", "'cup' is a duplicate", "synonym 1"]),
        (Operation.REPLACE, ["mug; mug"], ["'mug' is a duplicate"]),
        (Operation.REPLACE, ["x" * 201], ["201 characters", "at most 200"]),
        (Operation.REPLACE, ["mug; " + "x" * 201], ["synonym 1", "201 characters"]),
        (Operation.REPLACE, ["mug\tcup"], ["control characters"]),
        (Operation.REPLACE, ["mug\ncup"], ["control characters"]),
        (Operation.REPLACE, ["Something  Else"], ["built in"]),
        (Operation.REPLACE, ["a;" + ";".join(f"s{n}" for n in range(33))], ["at most 32 synonyms"]),
        (Operation.ADD, ["present"], ["'present' is a duplicate", "present already"]),
        (Operation.ADD, ["new; here"], ["'here' is a duplicate", "synonym of 'present'"]),
        (Operation.REMOVE, ["mug"], ["'mug' is unknown", "present: 'present'"]),
        (Operation.REMOVE, ["here"], ["synonym of 'present'", "remove 'present'"]),
        (Operation.REMOVE, ["present", "Present"], ["duplicate"]),
        (Operation.REMOVE, [""], ["empty"]),
        (Operation.REPLACE, [f"c{n}" for n in range(255)], ["255 categories", "254"]),
        (Operation.ADD, [f"c{n}" for n in range(254)], ["255 categories", "254"]),
    ],
)
def test_a_bad_change_is_refused_with_the_reason_and_changes_nothing(
    operation: Operation, names: list[str], parts: list[str]
) -> None:
    registry = VocabularyRegistry()
    before = apply(registry, Operation.REPLACE, "present; here")
    with pytest.raises(VocabularyError) as caught:
        registry.propose(operation, [CategoryRequest(name) for name in names])
    for part in parts:
        assert part in str(caught.value)
    assert registry.current is before
    assert ids(apply(registry, Operation.ADD, "next")) == {"present": 0, "next": 1}


def test_every_reason_is_given_at_once() -> None:
    requests = [
        CategoryRequest("", (), (0, 0, 256)),
        CategoryRequest("a\tb"),
        CategoryRequest("c"),
        CategoryRequest("C"),
    ]
    with pytest.raises(VocabularyError) as caught:
        VocabularyRegistry().propose(Operation.REPLACE, requests)
    for part in ("empty", "(0, 0, 256)", "control", "duplicate"):
        assert part in str(caught.value)


def test_a_name_of_200_characters_and_254_categories_are_possible() -> None:
    registry = VocabularyRegistry()
    names = ["x" * 200, *(f"c{n}" for n in range(253))]
    assert sorted(ids(apply(registry, Operation.REPLACE, *names)).values()) == list(range(MAX_CATEGORIES))


def test_when_all_ids_are_given_only_earlier_names_are_taken() -> None:
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, *(f"c{n}" for n in range(253)))
    with pytest.raises(VocabularyError, match=r"needs 2 new ids and 1 of the 254 are left.*restart"):
        registry.propose(Operation.REPLACE, [CategoryRequest("a"), CategoryRequest("b")])
    apply(registry, Operation.REPLACE, "b")
    with pytest.raises(VocabularyError, match="never reused"):
        registry.propose(Operation.REPLACE, [CategoryRequest("a")])
    assert ids(apply(registry, Operation.REPLACE, "c7", "b")) == {"c7": 7, "b": 253}


def test_a_proposal_that_another_change_overtook_is_refused() -> None:
    registry = VocabularyRegistry()
    late = registry.propose(Operation.ADD, [CategoryRequest("mug")])
    apply(registry, Operation.ADD, "ball")
    with pytest.raises(VocabularyError, match="changed meanwhile"):
        registry.commit(late)
    assert ids(registry.current) == {"ball": 0}


def test_a_vocabulary_with_foreign_ids_is_refused() -> None:
    registry = VocabularyRegistry()
    apply(registry, Operation.ADD, "ball")
    for foreign in (Category(0, "mug", (), (0, 0, 0)), Category(1, "ball", (), (0, 0, 0))):
        with pytest.raises(VocabularyError, match="contradicts"):
            registry.commit(Vocabulary(2, (foreign,)))


def test_of_many_threads_that_add_at_once_none_is_lost_or_doubled() -> None:
    registry = VocabularyRegistry()

    def add(worker: int) -> None:
        for number in range(8):
            while f"worker {worker} name {number}" not in registry.current.names:
                with contextlib.suppress(VocabularyError):  # overtaken by another thread
                    apply(registry, Operation.ADD, f"worker {worker} name {number}")

    threads = [threading.Thread(target=add, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.current.version == 32
    assert sorted(ids(registry.current).values()) == list(range(32))


# --- Colours ---


def test_palette_colours_differ_and_the_first_ones_differ_a_lot() -> None:
    colors = np.array([default_color(id) for id in range(MAX_CATEGORIES)])
    assert len({tuple(color) for color in colors}) == MAX_CATEGORIES
    assert colors.min() >= 0
    assert colors.max() <= 255
    distances = np.linalg.norm(colors[:20, None] - colors[None, :20], axis=-1) + np.eye(20) * 1000
    assert distances.min() > 40


def test_unlabeled_is_black_and_the_palette_cannot_be_written() -> None:
    vocabulary = VocabularyRegistry().propose(Operation.ADD, [CategoryRequest("mug")])
    assert tuple(vocabulary.colors[255]) == (0, 0, 0)
    assert tuple(vocabulary.colors[0]) == vocabulary.by_id(0).color_rgb == default_color(0)
    with pytest.raises(ValueError, match="read-only"):
        vocabulary.colors[0] = 0


# --- Sequences of changes against a simple model ---


@dataclass
class Model:
    """What must hold, said simply: a dict of present names and a dict of ids that only grows."""

    present: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)

    def accepts(self, operation: Operation, requests: list[tuple[str, ...]]) -> bool:
        flat = [request[0] for request in requests] if operation == Operation.REMOVE else sum(requests, ())
        if any(not name for name in flat) or len(set(flat)) != len(flat):
            return False
        if operation == Operation.REMOVE:
            return all(name in self.present for name in flat)
        kept = self.present if operation == Operation.ADD else {}
        return not set(flat) & {name for key, synonyms in kept.items() for name in (key, *synonyms)}

    def apply(self, operation: Operation, requests: list[tuple[str, ...]]) -> None:
        if operation == Operation.REMOVE:
            for request in requests:
                del self.present[request[0]]
            return
        if operation == Operation.REPLACE:
            self.present = {}
        for name, *synonyms in requests:
            self.present[name] = tuple(synonyms)
            self.ids.setdefault(name, len(self.ids))


Changes = list[tuple[Operation, list[tuple[str, ...]], bool]]

NAMES = st.sampled_from(["", "a", "b", "c", "d", "e", "f"])
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(Operation),
        st.lists(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=4),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(CHANGES)
def test_a_registry_does_what_the_simple_model_does(
    changes: list[tuple[Operation, list[tuple[str, ...]], bool]],
) -> None:
    registry, model = VocabularyRegistry(), Model()
    for operation, requests, is_committed in changes:
        before = registry.current
        asked = [CategoryRequest(f" {name.upper()} ", tuple(synonyms)) for name, *synonyms in requests]
        if not model.accepts(operation, requests):
            with pytest.raises(VocabularyError, match=r"\w"):
                registry.propose(operation, asked)
            assert registry.current is before
            continue
        proposed = registry.propose(operation, asked)
        assert registry.current is before
        assert proposed.version == before.version + 1
        if is_committed:
            model.apply(operation, requests)
            assert registry.commit(proposed) is registry.current
            got = {name_key(c.name): (c.id, c.synonyms) for c in proposed.categories}
            assert got == {name: (model.ids[name], synonyms) for name, synonyms in model.present.items()}
            assert [c.id for c in proposed.categories] == sorted(c.id for c in proposed.categories)


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_text_is_either_refused_or_taken_clean(names: list[str]) -> None:
    registry = VocabularyRegistry()
    with contextlib.suppress(VocabularyError):
        apply(registry, Operation.REPLACE, *names)
    for category in registry.current.categories:
        for name in (category.name, *category.synonyms):
            assert name == " ".join(name.split())
            assert 1 <= len(name) <= 200
            assert not set(name) & set(";\t\n\r\x00")
