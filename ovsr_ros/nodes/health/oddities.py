"""What is wrong with images that are used all the same: logged once each, shown while it lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LASTING_S = 10.0
_MAX_TEXTS = 64


class Oddities:
    """Takes what conversions warn of, at the camera's rate, from any thread.

    log: gets each text the first time that it comes.
    """

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._logged: set[str] = set()
        self._last, self._noted = "", -float("inf")

    def __call__(self, text: str) -> None:
        """Note the text, and log it if it is new."""
        with self._lock:
            self._last, self._noted = text, time.monotonic()
            is_new = text not in self._logged and len(self._logged) < _MAX_TEXTS  # sizes that change make new ones
            if is_new:
                self._logged.add(text)
        if is_new:
            self._log(text)

    def recent(self) -> str:
        """The last text, if it came within the last seconds, else empty."""
        with self._lock:
            return self._last if time.monotonic() - self._noted < _LASTING_S else ""
