"""Keeps the node's vocabulary in its file: read when first configured, written after each change."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ovsr_ros.errors import VocabularyFileError
from ovsr_ros.nodes.health.throttle import ThrottledLog
from ovsr_ros.vocabulary.file import VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry

if TYPE_CHECKING:
    from rclpy.node import Node

_LOG_PERIOD_S = 10.0
_RETRY_PERIOD_S = 5.0


class VocabularyKeeper:
    """The registry's file, or none; whatever happens to it, the node goes on, and says so.

    path: of the file; empty: nothing is kept. "{node}" in it stands for the node's full name, "front_ovsr" for
        /front/ovsr, so that the nodes of several cameras can be given one value and have a file each.
    """

    def __init__(self, node: Node, registry: VocabularyRegistry, path: str) -> None:
        self._node = node
        self._registry = registry
        name = node.get_fully_qualified_name().strip("/").replace("/", "_")
        self._file = VocabularyFile(path.replace("{node}", name)) if path else None
        self._restored = False
        self._not_restored = ""
        self._unsaved = ""
        self._tried_at = 0.0
        self._log_unsaved = ThrottledLog(lambda text: node.get_logger().warning(text), _LOG_PERIOD_S)

    @property
    def path(self) -> str:
        """Where the vocabulary is kept; empty: nowhere."""
        return "" if self._file is None else str(self._file.path)

    @property
    def unsaved(self) -> str:
        """Why the vocabulary in force is not in the file, and what to do; empty: it is, or is to be nowhere."""
        return self._unsaved

    @property
    def problem(self) -> str:
        """What an operator should know and do about the file; empty: nothing."""
        return self._unsaved or self._not_restored

    def restore(self) -> bool:
        """At the first call, give the registry what the file holds; returns whether it held a vocabulary.

        A file that cannot be used is kept under another name, never overwritten.
        """
        if self._file is None or self._restored:
            return False
        self._restored = True
        try:
            self._file.claim()
        except VocabularyFileError as error:
            self._give_up(str(error))
            return False
        try:
            state = self._file.load()
        except VocabularyFileError as error:
            self._set_aside(str(error))
            return False
        if state is None:
            self._node.get_logger().info(f"vocabulary_file: {self.path} is not there yet and will be made")
            return False
        self._registry.restore(state)
        vocabulary = state.vocabulary
        self._node.get_logger().info(
            f"vocabulary_file: {self.path} holds version {vocabulary.version}, {len(vocabulary)} categories, "
            f"{len(state.known)} names with ids"
        )
        if self._file.left_out:
            self._not_restored = (
                f"{self.path}: left out are names that an earlier version took: {'; '.join(self._file.left_out)}; ids "
                "stay as they were: add what is missing under a name that can be"
            )
            self._node.get_logger().warning(f"vocabulary_file: {self._not_restored}")
        return True

    def save(self) -> str:
        """Write the vocabulary in force unless it is written; returns why that failed and what to do, or empty text.

        Takes as long as the disk does. Any thread.
        """
        if self._file is None or not self._restored:
            return self._unsaved
        before, self._tried_at = self._unsaved, time.monotonic()
        self._unsaved = self._file.save(self._registry)
        if self._unsaved:
            self._log_unsaved(f"the vocabulary is in force, but not saved: {self._unsaved}")
        elif before:
            self._node.get_logger().info(f"the vocabulary is saved again in {self.path}")
        return self._unsaved

    def retry(self) -> None:
        """Save what could not be saved some seconds ago; call it now and then."""
        if self._unsaved and time.monotonic() - self._tried_at > _RETRY_PERIOD_S:
            self.save()

    def close(self) -> None:
        """Let another node use the file."""
        if self._file is not None:
            self._file.close()

    def _set_aside(self, cause: str) -> None:
        assert self._file is not None
        try:
            aside = self._file.set_aside()
        except OSError as error:
            self._give_up(f"{cause}; it cannot be renamed either ({error.strerror}): move it away, then restart")
            return
        self._not_restored = (
            f"{cause}; kept as {aside}; ids and versions start anew: restart what remembers them, or mend the file, "
            "put it back, and restart the node"
        )
        self._node.get_logger().error(f"vocabulary_file: {self._not_restored}")

    def _give_up(self, cause: str) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None
        self._unsaved = f"{cause}; nothing is saved until then"
        self._node.get_logger().error(f"vocabulary_file: {self._unsaved}")
