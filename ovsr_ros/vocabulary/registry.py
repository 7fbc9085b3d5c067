"""The vocabulary in force and the ids ever given: every change of the categories goes through a registry.

A change is proposed first (validated whole, nothing changed) and committed later, so that the slow part between the
two, text encoding, can run beside the frame loop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
from ovsr_ros.vocabulary.palette import Rgb, default_color


@dataclass(frozen=True)
class KnownName:
    """A name that was ever given an id, spelled as it was last. color_rgb: chosen by an operator, None: the palette's.

    id: 0 to 253; color_rgb: 0 to 255 each. is_retired: the name is another spelling of one that has its id already; its
        own id is given to nobody any more.
    """

    id: int
    name: str
    color_rgb: Rgb | None
    is_retired: bool = False


@dataclass(frozen=True)
class RegistryState:
    """All that a registry remembers: the vocabulary in force, and every name that was ever given an id, by id."""

    vocabulary: Vocabulary
    known: tuple[KnownName, ...]


class VocabularyRegistry:
    """The vocabulary in force, and the ids ever given.

    A name (see `name_key` for what is one) is given an id once, at its first commit; the id is never given to another
    name, and a removed name that is added again has its old one. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current = Vocabulary()
        self._ids: dict[str, int] = {}  # by name key
        self._names: dict[str, str] = {}  # as last spelled, by name key
        self._colors: dict[str, Rgb] = {}  # chosen by an operator, by name key
        self._retired: tuple[KnownName, ...] = ()

    @property
    def current(self) -> Vocabulary:
        """The vocabulary in force: an immutable snapshot."""
        return self._current

    @property
    def state(self) -> RegistryState:
        """All that it remembers: a snapshot."""
        with self._lock:
            known = [KnownName(id, self._names[key], self._colors.get(key)) for key, id in self._ids.items()]
            return RegistryState(self._current, tuple(sorted((*known, *self._retired), key=lambda name: name.id)))

    def restore(self, state: RegistryState) -> None:
        """Remember all that another registry did, and put its vocabulary in force.

        Raises VocabularyError when the state contradicts itself, or this registry has given ids of its own.
        """
        retired = tuple(name for name in state.known if name.is_retired)
        known = {name_key(name.name): name for name in state.known if not name.is_retired}
        ids = {key: name.id for key, name in known.items()}
        in_force = {name_key(category.name): category.id for category in state.vocabulary.categories}
        given = sorted([*ids.values(), *(name.id for name in retired)])
        if given != list(range(len(state.known))) or len(given) > MAX_CATEGORIES:
            raise VocabularyError(f"ids: expected one for each name, 0 to {len(state.known) - 1}, each once")
        if len(in_force) != len(state.vocabulary) or not in_force.items() <= ids.items():
            raise VocabularyError("categories: expected names that have ids, each once")
        with self._lock:
            if self._ids or self._current.version:
                raise VocabularyError("ids have been given already")
            self._current = state.vocabulary
            self._ids = ids
            self._names = {key: name.name for key, name in known.items()}
            self._colors = {key: name.color_rgb for key, name in known.items() if name.color_rgb is not None}
            self._retired = retired

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
            categories = kept + self._with_ids(new)
            return Vocabulary(self._current.version + 1, tuple(sorted(categories, key=lambda category: category.id)))

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
            self._current = vocabulary
            return vocabulary

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
        ids, num_given = dict(self._ids), len(self._ids) + len(self._retired)
        for request in requests:
            ids.setdefault(name_key(request.name), len(ids) + len(self._retired))
        num_new = len(ids) - len(self._ids)
        if num_given + num_new > MAX_CATEGORIES:
            raise VocabularyError(
                f"the change needs {num_new} new ids and {MAX_CATEGORIES - num_given} of the {MAX_CATEGORIES} are left "
                "(an id is never reused for another name); use earlier names, or restart, with a new vocabulary_file "
                "if there is one"
            )
        categories = []
        for request in requests:
            key = name_key(request.name)
            color = request.color_rgb or self._colors.get(key) or default_color(ids[key])
            categories.append(Category(ids[key], request.name, request.synonyms, color))
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


def _unknown(name: str, present: Mapping[str, Category]) -> str:
    for category in present.values():
        if name_key(name) in (name_key(synonym) for synonym in category.synonyms):
            return f"'{shown(name)}' is a synonym of '{category.name}', not a category; remove '{category.name}'"
    listed = ", ".join(f"'{category.name}'" for category in list(present.values())[:10]) or "none"
    more = f" and {len(present) - 10} more" if len(present) > 10 else ""
    return f"'{shown(name)}' is unknown and cannot be removed; present: {listed}{more}"
