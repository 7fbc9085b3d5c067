"""Parameters of a node that were set while it is listened to, by whomever."""

from __future__ import annotations

import threading
from collections.abc import Mapping


class HeardParameters:
    """The last value heard of each parameter. Filled by one thread, read by others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revision = 0
        self._heard: dict[str, tuple[int, object]] = {}

    @property
    def revision(self) -> int:
        """Counts what was heard."""
        return self._revision

    def put(self, values: Mapping[str, object]) -> None:
        """These were set."""
        with self._lock:
            self._revision += 1
            self._heard.update({name: (self._revision, value) for name, value in values.items()})

    def since(self, revision: int) -> dict[str, object]:
        """Those that were heard after that revision, by name."""
        with self._lock:
            return {name: value for name, (heard, value) in self._heard.items() if heard > revision}
