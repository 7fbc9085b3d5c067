"""Whether an operator has paused the node, by ~/set_enabled."""

from __future__ import annotations

from collections.abc import Callable

_PAUSED = "paused: no image is labelled until ~/set_enabled is called with true"
_RUNNING = "not paused: images are labelled"


class Pause:
    """Paused, no frame is labelled or published, whatever state the node is in, goes through or comes to.

    apply: called once it is set, makes it hold, and known. inform: logs a change. state: the node's, in a word.
    """

    def __init__(self, apply: Callable[[], None], inform: Callable[[str], object], state: Callable[[], str]) -> None:
        self._apply = apply
        self._inform = inform
        self._state = state
        self.is_set = False

    def set_enabled(self, enabled: bool) -> str:
        """Pause, or go on. Once this returns, that holds. Returns in words what is so now."""
        was_set, self.is_set = self.is_set, not enabled
        text = _RUNNING if enabled else _PAUSED
        if was_set != self.is_set:
            self._inform(text)
        self._apply()
        already = "" if was_set != self.is_set else ", as before"
        return f"{text}{already}" + ("" if self._state() == "active" else f"; but the node is {self._state()}")
