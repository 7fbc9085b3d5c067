"""What all pages of one console share, and how a page asks for a change."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ovsr_ros.console.changes import ChangeLog
from ovsr_ros.console.edits import Request, undo
from ovsr_ros.console.link import Answer, Link, LinkError
from ovsr_ros.console.saved import SavedVocabularies
from ovsr_ros.errors import VocabularyError
from ovsr_ros.vocabulary.category import Vocabulary
from ovsr_ros.vocabulary.change import VocabularyChange

Value = TypeVar("Value")


@dataclass
class Services:
    """One of a process. changing: one change of a node at a time, where it is made from the words in force."""

    link: Link
    log: ChangeLog
    saved: SavedVocabularies
    changing: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def change(self, node: str, who: str, make: Callable[[Vocabulary], Request]) -> Answer:
        """Have the node change its words, and log who asked. make: the request, from the words in force.

        A refusal, and whatever else goes wrong, is an answer, too.
        """
        async with self.changing[node]:
            try:
                request = make(await wait(self.link.vocabulary(node)))
                answer = await wait(self.link.change(node, request.operation, request.categories, request.base))
            except (VocabularyError, LinkError) as error:
                answer = Answer(False, str(error))
        if answer.success:
            version = answer.vocabulary.version if answer.vocabulary else 0
            self.log.announce(node, who, answer.message, version)
        else:
            self.log.say(node, who, "asked for a change of the words", answer.message)
        return answer

    async def undo(self, node: str, who: str, change: VocabularyChange) -> Answer:
        """Have the words be as they were before a change, unless another one came after it."""

        def make(vocabulary: Vocabulary) -> Request:
            if vocabulary.categories != change.after.categories:
                raise VocabularyError("somebody has changed the words meanwhile: look again what there is to undo")
            self.log.undoes(node, change)
            return undo(change.before, vocabulary)

        return await self.change(node, who, make)

    async def set_parameter(self, node: str, who: str, name: str, kind: str, value: object) -> Answer:
        """Have the node set a parameter, and log who asked."""
        try:
            answer = await wait(self.link.set_parameter(node, name, kind, value))
        except LinkError as error:
            answer = Answer(False, str(error))
        self.log.say(node, who, f"{name} = {value}", "" if answer.success else answer.message)
        return answer


class Viewer(Protocol):
    """Who looks at a page. node: which one he looks at; who: as the log has him."""

    services: Services
    node: str
    who: str
    may_change: bool


async def wait(future: Future[Value]) -> Value:
    """The future's result, while the loop goes on. Raises LinkError."""
    return await asyncio.wrap_future(future)
