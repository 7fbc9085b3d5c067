"""One bag's work, with plain arguments: another process, or another machine, can do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Tell = Callable[[str, int, int], object]
"""Told how far the work is: "frames" or "labels", how many are done, of how many (0: unknown)."""

CHUNK_S = 600.0
"""How long the pieces are that a long bag is cut into, unless something else is asked for."""


def tell_nobody(stage: str, done: int, of: int) -> None:
    """A `Tell` for who does not care."""


@dataclass(frozen=True)
class LabelJob:
    """A bag, and how it is labelled; everything can be sent as JSON.

    bag: its path or URL. folder: what its files are written to, a path or URL. values: every option of the pipeline and
    the node, by dotted name. ids: (id, names) of a label space. wanted: of `labels.WANTED`. chunk_s: see
    `chunks.plan_chunks`; 0: never cut. scratch: where what has a URL lies meanwhile; empty: among temporary files.
    vocabulary: words with ids, colours and examples, as `job_words.to_words` has them, in the place of categories and
    ids; empty: none. The rest as the command has it.
    """

    bag: str
    folder: str
    values: Mapping[str, object]
    categories: tuple[str, ...]
    ids: tuple[tuple[int, str], ...] = ()
    topic: str = ""
    depth: str = ""
    camera_info: str = ""
    rate_hz: float = 0.0
    every: int = 1
    wanted: tuple[str, ...] = ()
    chunk_s: float = 0.0
    scratch: str = ""
    vocabulary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a bag.

    state: "done", "partly" where something could not be read or is left out, "failed", "given up" where it ended its
    worker again and again. frames: labelled ones. seconds: what this run took; 0 where all was done before. notes: what
    there is to say. by_name, unlabeled: see `Shares`.
    """

    bag: str
    folder: str
    state: str
    frames: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    by_name: dict[str, float] = field(default_factory=dict)
    unlabeled: float = 0.0


def to_job(content: Mapping[str, Any]) -> LabelJob:
    """A job that was JSON. Raises TypeError for what is none."""
    plain = dict(content)
    for name in ("categories", "wanted"):
        plain[name] = tuple(plain[name])
    plain["ids"] = tuple((int(id), str(text)) for id, text in plain["ids"])
    job = LabelJob(**plain)
    if not (isinstance(job.bag, str) and isinstance(job.folder, str) and isinstance(job.values, Mapping)):
        raise TypeError("expected texts for bag and folder, and values by name")
    return job
