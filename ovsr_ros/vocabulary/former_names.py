"""Names in a vocabulary's file that an earlier version took, and that are no names, or no other names, to this one."""

from __future__ import annotations

from dataclasses import replace

from ovsr_ros.names import clean_name, name_key, shown
from ovsr_ros.vocabulary.category import Category, Vocabulary, word_problem
from ovsr_ros.vocabulary.registry import KnownName, RegistryState


def adapt(state: RegistryState) -> tuple[RegistryState, list[str]]:
    """The state as a registry takes it, and what had to be left out of the vocabulary in force, and why.

    Every id stays given. Of names that have become one, the one in force goes on with its id, else the first.
    """
    categories, left_out = _adapt_categories(state.vocabulary.categories)
    vocabulary = Vocabulary(state.vocabulary.version, tuple(categories))
    known = _retire_doubles(state.known, {category.id for category in categories})
    return RegistryState(vocabulary, known, state.num_examples), left_out


def _adapt_categories(categories: tuple[Category, ...]) -> tuple[list[Category], list[str]]:
    """categories: ascending by id."""
    left_out: list[str] = []
    owners: dict[str, str] = {}  # by key, whose name it is

    def is_usable(text: str, owner: str, is_synonym: bool) -> bool:
        problem, key = word_problem(text, is_synonym), name_key(text)
        if not problem and key in owners:
            problem = f"'{shown(text)}' is a duplicate: {owners[key]} has it already"
        if problem:
            left_out.append(f"{owner}: {problem}")
        else:
            owners[key] = owner
        return not problem

    # All names before any synonym: a synonym can be done without.
    named = [category for category in categories if is_usable(category.name, f"id {category.id}", False)]
    adapted = []
    for category in named:
        owner = f"id {category.id} ('{shown(clean_name(category.name))}'), synonym"
        synonyms = tuple(clean_name(text) for text in category.synonyms if is_usable(text, owner, True))
        adapted.append(replace(category, name=clean_name(category.name), synonyms=synonyms))
    return adapted, left_out


def _retire_doubles(known: tuple[KnownName, ...], ids_in_force: set[int]) -> tuple[KnownName, ...]:
    by_claim = sorted(known, key=lambda name: (name.id not in ids_in_force, name.is_retired, name.id))
    owners: dict[str, int] = {}
    for name in by_claim:
        owners.setdefault(name_key(name.name), name.id)
    return tuple(replace(name, is_retired=owners[name_key(name.name)] != name.id) for name in known)
