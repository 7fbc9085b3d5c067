"""The demo takes the largest object's word out of the vocabulary, and puts it back, while the node runs."""

from __future__ import annotations

from ovsr_ros import msg
from ovsr_ros.nodes.demo.observer import DemoObserver, LabelledFrame
from ovsr_ros.nodes.status_line import StatusLine
from ovsr_ros.vocabulary.category import Operation

_SETTLE_FRAMES = 5


class WordExchange:
    """One word goes and comes back.

    take, give_back: numbers of frames; the word is taken once one is in view. has_truth: the largest object is the one
    that the camera says is there, and what counts is how many of its pixels are right; else the largest that was
    labelled, and its share of the image.
    """

    def __init__(self, observer: DemoObserver, console: StatusLine, take: int, give_back: int, has_truth: bool) -> None:
        self._observer = observer
        self._console = console
        self._take = take
        self._num_away = give_back - take
        self._has_truth = has_truth
        self._taken: msg.Category | None = None
        self._taken_at = 0
        self._seen = ""

    def go_on(self, frame: LabelledFrame) -> None:
        """Do what is due with this frame."""
        if self._taken is None:
            category = self._find_largest(frame) if frame.number >= self._take else None
            if category is not None:
                self._taken, self._taken_at = category, frame.number
                before = self._describe_word(frame, category.name)
                self._ask(Operation.REMOVE, category, f"took '{category.name}' away; before, {before}")
                self._seen = self._nothing_seen
            return
        name, num_since = self._taken.name, frame.number - self._taken_at
        if num_since == self._num_away:
            self._ask(Operation.ADD, self._taken, f"put '{name}' back; meanwhile, {self._seen}")
            self._seen = self._nothing_seen
        elif num_since == self._num_away + _SETTLE_FRAMES:
            self._console.say(f"vocabulary {frame.version}: '{name}' again; {self._seen}")
        elif num_since > 1 and (not self._has_truth or name in frame.recall):
            # Not at once: a frame or two may be in work while the answer comes.
            is_away = num_since < self._num_away
            self._seen = (
                self._describe_rest(frame) if is_away and not self._has_truth else self._describe_word(frame, name)
            )

    @property
    def _nothing_seen(self) -> str:
        return "none of its pixels were in view" if self._has_truth else "nothing was labelled"

    def _find_largest(self, frame: LabelledFrame) -> msg.Category | None:
        if self._has_truth:
            category = self._observer.largest_object
            return category if category is not None and category.name in frame.recall else None
        known = {category.name: category for category in self._observer.vocabulary.categories}
        return next((known[name] for name in frame.names if name in known), None)

    def _describe_word(self, frame: LabelledFrame, name: str) -> str:
        if self._has_truth:
            return f"{100 * frame.recall[name]:.0f} % of its pixels were right"
        return f"it was on {100 * frame.shares.get(name, 0.0):.0f} % of the image"

    def _describe_rest(self, frame: LabelledFrame) -> str:
        """What the image was labelled as without the word."""
        return f"the image was {describe_shares(frame) or 'nothing'}, {_describe_unlabeled(frame)}"

    def _ask(self, operation: Operation, category: msg.Category, text: str) -> None:
        def report(success: bool, message: str, version: int, seconds: float) -> None:
            outcome = text if success else f"refused: {message}"
            self._console.say(f"vocabulary {version}: {outcome} (answered in {1e3 * seconds:.0f} ms)")

        self._observer.change_vocabulary(operation, category, report)


def describe_shares(frame: LabelledFrame) -> str:
    """The labels with their shares of the image, largest first: "cat 45 %, table 12 %"; empty where there are none."""
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in frame.shares.items())


def _describe_unlabeled(frame: LabelledFrame) -> str:
    return f"unlabeled {100 * max(0.0, 1 - sum(frame.shares.values())):.0f} %"
