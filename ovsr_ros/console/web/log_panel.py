"""The log: who changed what and when."""

from __future__ import annotations

import time

from nicegui import ui

from ovsr_ros.console.changes import ChangeLog

_SHOWN = 60


class LogPanel:
    """The newest entries of one node, the newest first."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._shown: tuple[str, int] | None = None
        self._list = ui.element("ul").classes("lines").props("data-test=log")

    def update(self, node: str) -> None:
        """Show what is so now."""
        if self._shown == (node, self._log.revision):
            return
        self._shown = (node, self._log.revision)
        entries = [entry for entry in self._log.entries() if entry.node == node][:_SHOWN]
        self._list.clear()
        with self._list:
            if self._log.problem:
                with ui.element("li"):
                    ui.label(self._log.problem).classes("answer bad")
            for entry in entries:
                with ui.element("li"):
                    when = time.strftime("%d %b %H:%M:%S", time.localtime(entry.time_s))
                    ui.label(f"{when}, {entry.who}").classes("quiet")
                    ui.label(entry.what)
                    if entry.refused:
                        ui.label(f"refused: {entry.refused}").classes("answer bad")
            if not entries:
                with ui.element("li").classes("quiet"):
                    ui.label("Nothing has been changed since this console runs.")
