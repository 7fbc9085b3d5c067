"""What `ovsr bags` tells people: how far it is, a table in the end, hits."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from ovsr_ros.recordings.job import Outcome
    from ovsr_ros.recordings.search import Hit

SUMMARY = "summary.json"
EXIT_FAILED, EXIT_PARTLY = 1, 3
_MOST_WORDS = 5


class Progress:
    """A bar over a bag's frames with their rate and the time left, on a terminal; a context manager.

    number, of: which of the bags this is.
    """

    def __init__(self, name: str, number: int, of: int) -> None:
        self._name = f"{number}/{of} {name}"
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def tell(self, stage: str, done: int, of: int) -> None:
        """See `job.Tell`; and "bags"."""
        if stage != self._stage:
            self.__exit__()
            # Not shown where nobody looks, in a log file say. What an earlier run did is no part of the rate.
            shown, unit = f"{self._name}: {stage}", "bag" if stage == "bags" else "frame"
            self._bar = tqdm(total=of or None, initial=done - 1, desc=shown, unit=unit, disable=None, leave=False)
            self._stage = stage
        assert self._bar is not None
        self._bar.update(done - self._bar.n)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """1 where a bag failed, else 3 where one is labelled in part or was given up, else 0."""
    states = {outcome.state for outcome in outcomes}
    return EXIT_FAILED if "failed" in states else EXIT_PARTLY if states & {"partly", "given up"} else 0


def print_summary(outcomes: Sequence[Outcome], as_json: bool) -> dict[str, Any]:
    """Print the table, or it as JSON, and what was noticed on the standard error. Returns what the JSON holds."""
    summary = {"bags": [asdict(outcome) for outcome in outcomes], "frames": sum(each.frames for each in outcomes)}
    for outcome in outcomes:
        for note in outcome.notes:
            print(f"ovsr: {outcome.bag}: {note.removeprefix(f'{outcome.bag}: ')}", file=sys.stderr)
    if as_json:
        print(json.dumps(summary, indent=2))
        return summary
    width = max((len(outcome.bag) for outcome in outcomes), default=3)
    print(f"{'bag':{width}}  {'state':8}  {'frames':>6}  {'seconds':>8}  unlabeled  words")
    for outcome in outcomes:
        print(
            f"{outcome.bag:{width}}  {outcome.state:8}  {outcome.frames:6d}  {outcome.seconds:8.1f}  "
            f"{100 * outcome.unlabeled:7.1f} %  {_shares(outcome)}"
        )
    return summary


def _shares(outcome: Outcome) -> str:
    present = [(name, share) for name, share in outcome.by_name.items() if share > 0]
    more = f", {len(present) - _MOST_WORDS} more" if len(present) > _MOST_WORDS else ""
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in present[:_MOST_WORDS]) + more


def print_hits(hits: Sequence[Hit], as_json: bool) -> None:
    """A line a hit, the best first."""
    if as_json:
        print(json.dumps([asdict(hit) for hit in hits], indent=2))
        return
    for number, hit in enumerate(hits, start=1):
        left, top, right, bottom = hit.box_xyxy
        seen = f"track {hit.track_id}, {hit.frames} frames" if hit.track_id else "not tracked"
        print(
            f"{number:3d}  {hit.score:.3f}  {hit.stamp_ns / 1e9:.3f}  {hit.bag}  "
            f"{right - left}x{bottom - top} at {left},{top}  {seen}"
        )


def print_problems(problems: Sequence[str]) -> bool:
    """Whether there are any; each is a line on the standard error."""
    for problem in problems:
        print(f"ovsr: {problem}", file=sys.stderr)
    return bool(problems)
