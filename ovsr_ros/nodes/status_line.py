"""One line on a terminal that refreshes; plain lines once in a while where the output is no terminal."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

_PLAIN_PERIOD_S = 5.0


class StatusLine:
    """Shows the newest status; messages scroll above it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._last_plain = -float("inf")
        self._shown = ""  # on the screen now, without an end of line

    def update(self, text: str) -> None:
        """Replace the status line; without a terminal, print it at most every five seconds."""
        if self._is_terminal:
            if text == self._shown:
                return
            columns = shutil.get_terminal_size().columns
            self._stream.write("\r\x1b[K" + text[: max(columns - 1, 1)])
            self._stream.flush()
            self._shown = text
        elif time.monotonic() - self._last_plain >= _PLAIN_PERIOD_S:
            self._last_plain = time.monotonic()
            print(text, file=self._stream, flush=True)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._shown = ""
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the last status on the screen and go to the next line."""
        if self._shown:
            self._stream.write("\n")
            self._stream.flush()
            self._shown = ""
