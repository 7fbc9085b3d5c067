"""Messages that repeat at the camera's rate, logged once in a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_MAX_TEXTS = 64


class ThrottledLog:
    """Passes a text on at most once per period, with how often it was held back; another text is passed on at once."""

    def __init__(self, log: Callable[[str], object], period_s: float) -> None:
        self._log = log
        self._period_s = period_s
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def __call__(self, text: str) -> None:
        """Log the text, or count it."""
        now = time.monotonic()
        with self._lock:
            last, held_back = self._seen.get(text, (-float("inf"), 0))
            if now - last < self._period_s:
                self._seen[text] = (last, held_back + 1)
                return
            if len(self._seen) >= _MAX_TEXTS:
                self._seen.clear()
            self._seen[text] = (now, 0)
        self._log(f"{text} ({held_back} more of these since the last)" if held_back else text)
