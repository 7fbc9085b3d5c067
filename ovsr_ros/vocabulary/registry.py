"""The vocabulary in force and the ids ever given: every change of the categories goes through a registry.

A change is proposed first (validated whole, nothing changed) and committed later, so that the slow part between the
two, text encoding, can run beside the frame loop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ovsr_ros.errors import VocabularyError
from ovsr_ros.names import name_key, shown
from ovsr_ros.vocabulary.category import (
    MAX_CATEGORIES,
    Category,
    CategoryRequest,
    Operation,
    Vocabulary,
    join_problems,
    normalise_requests,
)
from ovsr_ros.vocabulary.change import Change, Forgetting, Teaching
from ovsr_ros.vocabulary.example import MAX_EXAMPLES, MAX_EXAMPLES_IN_FORCE, Example
from ovsr_ros.vocabulary.ids import assign_ids
from ovsr_ros.vocabulary.palette import Rgb, default_color


@dataclass(frozen=True)
class KnownName:
    """A name that was ever given an id, spelled as it was last. color_rgb: chosen by an operator, None: the palette's.
    is_id_chosen: whether an operator chose the id.

    id: 0 to 253; color_rgb: 0 to 255 each. is_retired: the name is another spelling of one that has its id already; its
        own id is given to nobody any more.
    examples: that it was taught, ascending by id; it keeps them while it is removed.
    """

    id: int
    name: str
    color_rgb: Rgb | None
    is_retired: bool = False
    examples: tuple[Example, ...] = ()
    is_id_chosen: bool = False


@dataclass(frozen=True)
class RegistryState:
    """All that a registry remembers: the vocabulary in force, and every name that was ever given an id, by id.

    num_examples: how many ids examples were given so far.
    """

    vocabulary: Vocabulary
    known: tuple[KnownName, ...]
    num_examples: int = 0


class VocabularyRegistry:
    """The vocabulary in force, and the ids ever given.

    A name (see `name_key` for what is one) is given an id once, at its first commit; the id is never given to another
    name, and a removed name that is added again has its old one, its colour and its examples. An operator may choose an
    id that is free. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current = Vocabulary()
        self._ids: dict[str, int] = {}  # by name key
        self._names: dict[str, str] = {}  # as last spelled, by name key
        self._colors: dict[str, Rgb] = {}  # chosen by an operator, by name key
        self._examples: dict[str, tuple[Example, ...]] = {}  # by name key
        self._chosen: frozenset[str] = frozenset()  # keys of names whose id an operator chose
        self._num_examples = 0
        self._retired: tuple[KnownName, ...] = ()

    @property
    def current(self) -> Vocabulary:
        """The vocabulary in force: an immutable snapshot."""
        return self._current

    @property
    def state(self) -> RegistryState:
        """All that it remembers: a snapshot."""
        with self._lock:
            known = [
                KnownName(
                    id,
                    self._names[key],
                    self._colors.get(key),
                    examples=self._examples.get(key, ()),
                    is_id_chosen=key in self._chosen,
                )
                for key, id in self._ids.items()
            ]
            by_id = tuple(sorted((*known, *self._retired), key=lambda name: name.id))
            return RegistryState(self._current, by_id, self._num_examples)

    def restore(self, state: RegistryState) -> None:
        """Remember all that another registry did, and put its vocabulary in force.

        Raises VocabularyError when the state contradicts itself, or this registry has given ids of its own.
        """
        retired = tuple(name for name in state.known if name.is_retired)
        known = {name_key(name.name): name for name in state.known if not name.is_retired}
        ids = {key: name.id for key, name in known.items()}
        in_force = {name_key(category.name): category.id for category in state.vocabulary.categories}
        given = sorted([*ids.values(), *(name.id for name in retired)])
        if len(set(given)) != len(state.known) or any(not 0 <= id < MAX_CATEGORIES for id in given):
            raise VocabularyError(f"ids: expected one for each name, 0 to {MAX_CATEGORIES - 1}, each once")
        if len(in_force) != len(state.vocabulary) or not in_force.items() <= ids.items():
            raise VocabularyError("categories: expected names that have ids, each once")
        example_ids = [example.id for name in state.known for example in name.examples]
        if len(set(example_ids)) != len(example_ids) or not all(0 < id <= state.num_examples for id in example_ids):
            raise VocabularyError(f"examples: expected ids from 1 to {state.num_examples}, each once")
        taught = {category.id: category.examples for category in state.vocabulary.categories}
        if any(taught.get(name.id, name.examples) != name.examples for name in state.known):
            raise VocabularyError("categories: expected the examples of their names")
        with self._lock:
            if self._ids or self._current.version:
                raise VocabularyError("ids have been given already")
            self._current = state.vocabulary
            self._ids = ids
            self._names = {key: name.name for key, name in known.items()}
            self._colors = {key: name.color_rgb for key, name in known.items() if name.color_rgb is not None}
            self._examples = {key: name.examples for key, name in known.items() if name.examples}
            self._chosen = frozenset(key for key, name in known.items() if name.is_id_chosen)
            self._num_examples = state.num_examples
            self._retired = retired

    def expect(self, version: int) -> None:
        """Whether a change that was made from this version can be made; 0: from any.

        Raises VocabularyError where another one is in force.
        """
        current = self.current.version
        if version not in (0, current):
            raise VocabularyError(
                f"the change was made from version {version}, and version {current} is in force: another change came "
                "first; read the vocabulary again, and make the change from that"
            )

    def propose_change(self, change: Change) -> Vocabulary:
        """`propose`, `propose_example` or `propose_without`, whichever the change is."""
        if isinstance(change, Teaching):
            return self.propose_example(change.request, change.example)
        if isinstance(change, Forgetting):
            return self.propose_without(change.example_ids)
        return self.propose(*change)

    def propose(self, operation: Operation, requests: Sequence[CategoryRequest]) -> Vocabulary:
        """The vocabulary that the change would lead to, one version after the current; nothing is changed.

        Raises VocabularyError with every reason for which the change is refused.
        """
        with self._lock:
            wanted, problems = normalise_requests(requests, names_only=operation == Operation.REMOVE)
            present = {name_key(category.name): category for category in self._current.categories}
            if operation == Operation.REMOVE:
                unknown = [request.name for request in wanted if request.name and name_key(request.name) not in present]
                problems += [_unknown(name, present) for name in unknown]
                gone = {name_key(request.name) for request in wanted}
                kept = [category for key, category in present.items() if key not in gone]
                new: list[CategoryRequest] = []
            else:
                kept = list(present.values()) if operation == Operation.ADD else []
                problems += _clashes(wanted, kept)
                new = wanted
            if len(kept) + len(new) > MAX_CATEGORIES:
                problems.append(
                    f"{len(kept) + len(new)} categories are more than the {MAX_CATEGORIES} that a label map can hold; "
                    "remove some"
                )
            if problems:
                raise VocabularyError(join_problems(problems))
            return self._next(kept + self._with_ids(new))

    def propose_example(self, request: CategoryRequest, example: Example) -> Vocabulary:
        """The vocabulary in which the category of that name, or synonym, has one example more, as its last.

        A name that is no category's becomes one, as by `Operation.ADD`. example: its id is given here.

        Raises VocabularyError with every reason for which the change is refused.
        """
        with self._lock:
            (wanted, *_), problems = normalise_requests([request], names_only=False)
            if problems:
                raise VocabularyError(join_problems(problems))
            category = _owner(self._current.categories, wanted.name)
            if category is None:
                problems += _clashes([wanted], self._current.categories)
                if len(self._current) + 1 > MAX_CATEGORIES:
                    problems.append(f"there are {MAX_CATEGORIES} categories already, the most; remove some")
                if problems:
                    raise VocabularyError(join_problems(problems))
                (category,) = self._with_ids([wanted])
            elif wanted.synonyms or wanted.color_rgb is not None or wanted.id is not None:
                raise VocabularyError(
                    f"'{shown(wanted.name)}' is present already: an example is for its name alone; change synonyms, "
                    "colour and id by set_vocabulary"
                )
            others = [other for other in self._current.categories if other.id != category.id]
            if len(category.examples) >= MAX_EXAMPLES:
                ids = ", ".join(str(known.id) for known in category.examples)
                problems.append(
                    f"'{shown(category.name)}' has {MAX_EXAMPLES} examples already, the most; take some out: {ids}"
                )
            elif sum(len(other.examples) for other in (*others, category)) >= MAX_EXAMPLES_IN_FORCE:
                problems.append(
                    f"the categories have {MAX_EXAMPLES_IN_FORCE} examples already, the most in all; take some out"
                )
            if problems:
                raise VocabularyError(join_problems(problems))
            taught = replace(category, examples=(*category.examples, replace(example, id=self._num_examples + 1)))
            return self._next((*others, taught))

    def propose_without(self, example_ids: Sequence[int]) -> Vocabulary:
        """The vocabulary without the examples of these ids. Raises VocabularyError for an id that none in force has."""
        with self._lock:
            present = [example.id for example in self._current.examples]
            unknown = sorted(set(example_ids) - set(present))
            if unknown or not example_ids:
                what = f"example {', '.join(map(str, unknown[:20]))} is unknown" if unknown else "no example is named"
                listed = ", ".join(map(str, present[:20])) or "none"
                raise VocabularyError(f"{what}; in force: {listed}{' and more' if len(present) > 20 else ''}")
            gone = set(example_ids)
            return self._next(
                replace(category, examples=tuple(example for example in category.examples if example.id not in gone))
                for category in self._current.categories
            )

    def check(self, vocabulary: Vocabulary) -> None:
        """Whether a proposed vocabulary can be committed.

        Raises VocabularyError when it was not proposed from the vocabulary in force: another change came first.
        """
        with self._lock:
            self._check(vocabulary)

    def commit(self, vocabulary: Vocabulary) -> Vocabulary:
        """Put a proposed vocabulary in force, and return it. Raises VocabularyError as `check`."""
        with self._lock:
            self._check(vocabulary)
            for category in vocabulary.categories:
                key = name_key(category.name)
                self._ids[key] = category.id
                self._names[key] = category.name
                if category.color_rgb != default_color(category.id) or key in self._colors:
                    self._colors[key] = category.color_rgb
                self._examples[key] = category.examples
                self._chosen |= {key} if category.is_id_chosen else set()
                self._num_examples = max(self._num_examples, *(example.id for example in category.examples), 0)
            self._current = vocabulary
            return vocabulary

    def _next(self, categories: Iterable[Category]) -> Vocabulary:
        by_id = sorted(categories, key=lambda category: category.id)
        return Vocabulary(self._current.version + 1, tuple(by_id))

    def _check(self, vocabulary: Vocabulary) -> None:
        if vocabulary.version != self._current.version + 1:
            raise VocabularyError(
                f"the vocabulary has changed meanwhile (it is version {self._current.version}, the change was "
                f"prepared for version {vocabulary.version - 1}); send the change again"
            )
        given: dict[int, str | None] = {id: key for key, id in self._ids.items()}
        given.update((name.id, None) for name in self._retired)
        for category in vocabulary.categories:
            key = name_key(category.name)
            if self._ids.get(key, category.id) != category.id or given.get(category.id, key) != key:
                raise VocabularyError(f"'{category.name}': id {category.id} contradicts the ids given before")

    def _with_ids(self, requests: Sequence[CategoryRequest]) -> list[Category]:
        ids, problems = assign_ids(requests, self._ids, self._names, [name.id for name in self._retired])
        if problems:
            raise VocabularyError(join_problems(problems))
        categories = []
        for request in requests:
            key = name_key(request.name)
            color = request.color_rgb or self._colors.get(key) or default_color(ids[key])
            examples = self._examples.get(key, ())
            is_chosen = request.id is not None or key in self._chosen
            categories.append(Category(ids[key], request.name, request.synonyms, color, examples, is_chosen))
        return categories


def _clashes(wanted: Iterable[CategoryRequest], kept: Iterable[Category]) -> list[str]:
    owners = {name_key(name): category.name for category in kept for name in (category.name, *category.synonyms)}
    problems = []
    for request in wanted:
        for name in (request.name, *request.synonyms):
            owner = owners.get(name_key(name))
            if owner is not None:
                is_owner = name_key(owner) == name_key(name)
                whose = "is present already" if is_owner else f"is a synonym of '{owner}' already"
                problems.append(f"'{shown(name)}' is a duplicate: it {whose}; remove that first, or replace the list")
    return problems


def _owner(categories: Iterable[Category], name: str) -> Category | None:
    """The category of which that is the name, or a synonym."""
    for category in categories:
        if name_key(name) in map(name_key, (category.name, *category.synonyms)):
            return category
    return None


def _unknown(name: str, present: Mapping[str, Category]) -> str:
    for category in present.values():
        if name_key(name) in (name_key(synonym) for synonym in category.synonyms):
            return f"'{shown(name)}' is a synonym of '{category.name}', not a category; remove '{category.name}'"
    listed = ", ".join(f"'{category.name}'" for category in list(present.values())[:10]) or "none"
    more = f" and {len(present) - 10} more" if len(present) > 10 else ""
    return f"'{shown(name)}' is unknown and cannot be removed; present: {listed}{more}"
