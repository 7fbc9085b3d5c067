"""What a change of the vocabulary is to do, and what it did, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ovsr_ros.names import shown
from ovsr_ros.vocabulary.category import Category, CategoryRequest, Operation, Vocabulary
from ovsr_ros.vocabulary.example import Example

_MOST_NAMED = 8


@dataclass(frozen=True)
class Teaching:
    """An example, without an id yet, for the category that a request names, which is made where there is none."""

    request: CategoryRequest
    example: Example


@dataclass(frozen=True)
class Forgetting:
    """The examples of these ids, of categories in force, are taken out; the categories stay."""

    example_ids: Sequence[int]


Change = tuple[Operation, Sequence[CategoryRequest]] | Teaching | Forgetting
"""What is to become of the vocabulary."""


@dataclass(frozen=True)
class VocabularyChange:
    """A change that has been made. before, after: the vocabularies in force."""

    before: Vocabulary
    after: Vocabulary

    def describe(self) -> str:
        """Such as "version 4: 2 categories; added 'mug' (id 3); removed 'ball'; 'mug' learned example 7"."""
        old = {category.id: category for category in self.before.categories}
        new = {category.id: category for category in self.after.categories}
        added = [f"{_quoted(category)} (id {id})" for id, category in new.items() if id not in old]
        removed = [_quoted(category) for id, category in old.items() if id not in new]
        changed = [
            _quoted(category)
            for id, category in new.items()
            if id in old and replace(category, examples=()) != replace(old[id], examples=())
        ]
        parts = [f"version {self.after.version}: {len(new)} {'category' if len(new) == 1 else 'categories'}"]
        for what, names in (("added", added), ("removed", removed), ("changed", changed)):
            if names:
                parts.append(f"{what} {_listed(names)}")
        parts += [text for id, category in new.items() for text in _describe_examples(old.get(id), category)]
        if len(parts) == 1:
            parts.append("the same as before")
        if not new:
            parts.append("everything stays unlabeled until there are categories (operation 1, ADD, or 0, REPLACE)")
        return "; ".join(parts)


def _describe_examples(before: Category | None, after: Category) -> list[str]:
    """Of a category that was there: what it learned and forgot. Of one that is new: how many examples it has."""
    if before is None:
        count = len(after.examples)
        return [f"{_quoted(after)} has {count} {'example' if count == 1 else 'examples'}"] if count else []
    texts = []
    for what, examples, others in (
        ("learned", after.examples, before.examples),
        ("forgot", before.examples, after.examples),
    ):
        ids = [str(example.id) for example in examples if example not in others]
        if ids:
            texts.append(f"{_quoted(after)} {what} {'example' if len(ids) == 1 else 'examples'} {_listed(ids)}")
    return texts


def _quoted(category: Category) -> str:
    return f"'{shown(category.name)}'"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
