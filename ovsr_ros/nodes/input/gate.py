"""A callback group that can be shut: a subscription of which nobody wants anything costs no Python."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

if TYPE_CHECKING:
    from rclpy.callback_groups import Entity

_NUM_DOUBTFUL = 2
"""Messages after an opening that tell nothing of the publisher's pace: one that had waited, and the one after it."""


class Gate(MutuallyExclusiveCallbackGroup):
    """Lets callbacks begin one at a time, as its base, but only while it is open. Thread-safe.

    The executor does not even look at the entities of a shut group: the middleware alone receives, and keeps what its
    depth allows. Whoever opens it does so in a callback: the executor looks anew when that has ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._gate_lock = threading.Lock()
        self._left: int | None = None  # callbacks that may begin; None: any number
        self._doubtful = 0

    @property
    def is_open(self) -> bool:
        """Whether a callback may begin."""
        return self._left != 0

    @property
    def is_unlimited(self) -> bool:
        """Whether any number of callbacks may begin."""
        return self._left is None

    def open(self, num: int | None = None) -> None:
        """Let this many callbacks begin from now on, then shut; None: as many as come."""
        with self._gate_lock:
            if self._left == 0:
                self._doubtful = _NUM_DOUBTFUL
            self._left = num

    def shut(self) -> None:
        """Let no callback begin."""
        self.open(0)

    def tells_pace(self) -> bool:
        """Whether the time between the callback's message and the one before it is the publisher's.

        To be asked once in each callback.
        """
        with self._gate_lock:
            if self._doubtful:
                self._doubtful -= 1
                return False
            return True

    def can_execute(self, entity: Entity) -> bool:
        """Whether the entity's callback may begin now."""
        return self._left != 0 and super().can_execute(entity)

    def beginning_execution(self, entity: Entity) -> bool:
        """Take the turn, if there is one."""
        with self._gate_lock:
            if self._left == 0 or not super().beginning_execution(entity):
                return False
            if self._left is not None:
                self._left -= 1
            return True
