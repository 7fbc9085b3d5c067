"""Warnings while no image comes, each once in a while, and one word when images are back. Knows nothing of ROS."""

from __future__ import annotations

import time
from collections.abc import Callable


class SilenceWatch:
    """Says that no image comes, again every `period_s`, and once that images are back.

    warn, inform: where the words go. A stream that stops and starts all the time is warned of once per period, too.
    """

    def __init__(self, warn: Callable[[str], object], inform: Callable[[str], object], period_s: float) -> None:
        self._warn = warn
        self._inform = inform
        self._period_s = period_s
        self._last_warning = -float("inf")
        self._text = ""
        self.reset()

    @property
    def text(self) -> str:
        """What is wrong and what to do, as it was last found; empty while images come."""
        return self._text

    def reset(self) -> None:
        """Forget the silence, if any: nobody listens."""
        self._text = ""
        self._since: float | None = None  # monotonic time of the last image before the silence that was warned of

    def update(self, since_image_s: float, timeout_s: float, topic: str, explain: Callable[[], str]) -> None:
        """To be called regularly.

        since_image_s: how long ago the last image came. timeout_s: what is silence. topic: where images should come.
        explain: why none may come, and what to do.
        """
        now = time.monotonic()
        if since_image_s >= timeout_s:
            self._text = f"no image for more than {timeout_s:g} s: {explain()}"
            if now - self._last_warning >= self._period_s:
                self._last_warning = now
                if self._since is None:
                    self._since = now - since_image_s
                self._warn(self._text)
            return
        self._text = ""
        if self._since is not None:
            self._inform(f"images again on {topic}, after {now - since_image_s - self._since:.1f} s without any")
            self._since = None
