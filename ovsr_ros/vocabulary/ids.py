"""Which id a name gets: the one that it has, the one that an operator chose for it, or the next that is free."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

from ovsr_ros.errors import VocabularyError
from ovsr_ros.names import name_key, shown
from ovsr_ros.vocabulary.category import MAX_CATEGORIES, CategoryRequest

_ANEW = "restart, with a new vocabulary_file if there is one"


def assign_ids(
    requests: Sequence[CategoryRequest], given: Mapping[str, int], names: Mapping[str, str], retired: Collection[int]
) -> tuple[dict[str, int], list[str]]:
    """The id of each name, by its key, those given before included; and which chosen ones cannot be had, and why.

    A name without an id, for which none is chosen, gets the one after the highest, or the lowest free one where there
    is none above: of a label space whose ids were chosen, gaps are filled last.

    given: ids by key, each 0 to 253. names: as last spelled, by key. retired: ids that nobody has and nobody gets.

    Raises VocabularyError where there are more new names than free ids.
    """
    ids, problems = dict(given), []
    owners = {id: f"'{shown(names[key])}'" for key, id in given.items()}
    owners.update((id, "another spelling's of a name that has its id") for id in retired)
    for request in requests:
        key, id = name_key(request.name), request.id
        if id is None or ids.get(key) == id:
            continue
        if key in ids:
            problems.append(
                f"'{shown(request.name)}': id {id} was asked for, but it has had id {ids[key]} since it was first used "
                f"and keeps it; leave the id out, or {_ANEW}"
            )
        elif id in owners:
            problems.append(
                f"'{shown(request.name)}': id {id} is {owners[id]} and never given to another name; choose another "
                f"one, or {_ANEW}"
            )
        else:
            ids[key], owners[id] = id, f"'{shown(request.name)}'"
    new = [key for request in requests if (key := name_key(request.name)) not in ids]
    num_free = MAX_CATEGORIES - len(owners)
    if len(new) > num_free:
        raise VocabularyError(
            f"the change needs {len(new)} new ids and {num_free} of the {MAX_CATEGORIES} are left (an id is never "
            f"reused for another name); use earlier names, or {_ANEW}"
        )
    ids.update(zip(new, _free(owners), strict=False))
    return ids, problems


def _free(taken: Collection[int]) -> Iterator[int]:
    """Ids that are free: those after the highest, then those in between."""
    above = max(taken, default=-1) + 1
    return (id for id in itertools.chain(range(above, MAX_CATEGORIES), range(above)) if id not in taken)
