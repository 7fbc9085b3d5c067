"""What a change of the vocabulary did, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ovsr_ros.names import shown
from ovsr_ros.vocabulary.category import Category, Vocabulary

_MOST_NAMED = 8


@dataclass(frozen=True)
class VocabularyChange:
    """A change that has been made. before, after: the vocabularies in force."""

    before: Vocabulary
    after: Vocabulary

    def describe(self) -> str:
        """Such as "version 4: 2 categories; added 'mug' (id 3); removed 'ball'"."""
        old = {category.id: category for category in self.before.categories}
        new = {category.id: category for category in self.after.categories}
        added = [f"{_quoted(category)} (id {id})" for id, category in new.items() if id not in old]
        removed = [_quoted(category) for id, category in old.items() if id not in new]
        changed = [_quoted(category) for id, category in new.items() if id in old and category != old[id]]
        parts = [f"version {self.after.version}: {len(new)} {'category' if len(new) == 1 else 'categories'}"]
        for what, names in (("added", added), ("removed", removed), ("changed", changed)):
            if names:
                parts.append(f"{what} {_listed(names)}")
        if len(parts) == 1:
            parts.append("the same as before")
        if not new:
            parts.append("everything stays unlabeled until there are categories (operation 1, ADD, or 0, REPLACE)")
        return "; ".join(parts)


def _quoted(category: Category) -> str:
    return f"'{shown(category.name)}'"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
