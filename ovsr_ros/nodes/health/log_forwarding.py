"""What the library logs through Python's logging, shown where ROS shows its logs."""

from __future__ import annotations

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger


class RosLogHandler(logging.Handler):
    """Forwards records to a node's logger."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on at its level, unless another node of this process does."""
        if _forwarding()[:1] != [self]:
            return
        text = self.format(record)
        # rclpy holds each calling line to one severity, so each severity has its own line.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


def forward_logs(logger: RcutilsLogger) -> RosLogHandler:
    """Forward the package's log records from now on; hand the result to `stop_forwarding`."""
    handler = RosLogHandler(logger)
    package = logging.getLogger("ovsr_ros")
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    package.propagate = False
    return handler


def stop_forwarding(handler: RosLogHandler) -> None:
    """Take the handler back, before its node is destroyed."""
    package = logging.getLogger("ovsr_ros")
    package.removeHandler(handler)
    if not _forwarding():
        package.setLevel(logging.NOTSET)
        package.propagate = True


def _forwarding() -> list[logging.Handler]:
    """The handlers of this process's nodes: of several, the first speaks for all."""
    return [handler for handler in logging.getLogger("ovsr_ros").handlers if isinstance(handler, RosLogHandler)]
