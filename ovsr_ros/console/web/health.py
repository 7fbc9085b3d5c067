"""Health in words: what is wrong and what to do, and every part of the node."""

from __future__ import annotations

from nicegui import ui

from ovsr_ros.console.state import ERROR, OK, STALE, WARN, NodeState

_WORDS = {OK: "OK", WARN: "Warning", ERROR: "Error", STALE: "Stale"}
_CLASSES = {OK: "good", WARN: "warn", ERROR: "bad", STALE: "warn"}


class Banner:
    """What is wrong, over the page; nothing where all is well."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._box = ui.element("div").classes("banner").props("role=alert data-test=problems")
        self._box.visible = False

    def update(self, problems: list[str]) -> None:
        """Show these problems."""
        if problems == self._shown:
            return
        self._shown = problems
        self._box.visible = bool(problems)
        self._box.clear()
        with self._box:
            for problem in problems:
                ui.label(problem)


class HealthPanel:
    """Every part of the node with its level."""

    def __init__(self) -> None:
        self._parts: list[str] | None = None
        self._labels: dict[str, tuple[ui.label, ui.label]] = {}
        self._list = ui.element("ul").classes("lines").props("data-test=health")

    def update(self, state: NodeState) -> None:
        """Show what is so now."""
        parts = [health.part for health in state.health]
        if parts != self._parts:
            self._parts = parts
            self._rebuild(parts)
        for health in state.health:
            level, message = self._labels[health.part]
            word = _WORDS.get(health.level, "?")
            if level.text != word:
                level.text = word
                level.classes(remove="good warn bad", add=_CLASSES.get(health.level, "warn"))
            if message.text != health.message:
                message.text = health.message

    def _rebuild(self, parts: list[str]) -> None:
        self._list.clear()
        self._labels.clear()
        with self._list:
            for part in parts:
                with ui.element("li"):
                    with ui.row().classes("fields"):
                        ui.label(part).classes("name grow")
                        level = ui.label().classes("level")
                    self._labels[part] = (level, ui.label())
            if not parts:
                with ui.element("li").classes("quiet"):
                    ui.label("The node has said nothing of its health yet.")
