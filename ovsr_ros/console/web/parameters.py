"""The drawer of parameters: each with its help and range, set by the node or refused with its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from nicegui import ui

from ovsr_ros.console.link import LinkError, ParameterInfo
from ovsr_ros.console.parameter_text import OFTEN, choices_of, describe, from_text, group_of, live, to_text
from ovsr_ros.console.web.services import Viewer, wait


class ParameterDrawer:
    """Opens at the right. What is set elsewhere shows at once, but where somebody is writing."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._infos: dict[str, ParameterInfo] = {}
        self._rows: defaultdict[str, list[ParameterRow]] = defaultdict(list)
        self._revision = 0
        self._was_there = True
        self._dialog = ui.dialog().props('position=right full-height aria-label="Parameters"')
        with self._dialog, ui.card().classes("drawer").props("data-test=drawer"):
            with ui.row().classes("fields spread"):
                ui.label("Parameters").classes("title")
                ui.button("Read again", icon="refresh", on_click=self._load).props("flat dense no-caps")
                ui.button("Close", on_click=self._dialog.close).props("flat dense no-caps")
            self._filter = ui.input("Find", on_change=self._rebuild).props(
                "outlined dense clearable debounce=200 data-test=find"
            )
            self._filter.classes("full")
            self._problem = ui.label().classes("answer bad").props("role=alert")
            self._problem.visible = False
            self._body = ui.element("div").classes("full scrolls")

    async def open(self) -> None:
        """Show the parameters of the node that the viewer looks at."""
        self._filter.value = ""
        self._dialog.open()
        await self._load()

    async def update(self) -> None:
        """Show what was set since they were read; read them again where the node has been away."""
        if not self._dialog.value:
            return
        link, node = self._viewer.services.link, self._viewer.node
        was_there, self._was_there = self._was_there, link.state(node).is_present
        if self._was_there and not was_there:
            await self._load()
            return
        heard = link.heard_parameters(node)
        if heard.revision != self._revision:
            revision, self._revision = self._revision, heard.revision
            for name, value in heard.since(revision).items():
                self._show(name, value)

    def _show(self, name: str, value: object) -> None:
        info = self._infos.get(name)
        if info is not None and info.value != value:
            self._infos[name] = replace(info, value=value)
            for row in self._rows[name]:
                row.show(value)

    async def _load(self) -> None:
        link, node = self._viewer.services.link, self._viewer.node
        self._revision = link.heard_parameters(node).revision  # what is heard from now on may be read already
        try:
            infos = await wait(link.parameters(node))
            self._infos = {info.name: info for info in live(infos)}
            self._problem.visible = False
        except LinkError as error:
            self._infos = {}
            self._problem.text = str(error)
            self._problem.visible = True
        self._rebuild()

    def _rebuild(self) -> None:
        wanted = str(self._filter.value or "").strip().lower()
        self._body.clear()
        self._rows.clear()
        with self._body:
            if wanted:
                found = [name for name, info in self._infos.items() if wanted in f"{name} {info.help}".lower()]
                self._add_rows(found)
                if not found:
                    ui.label("None has that in its name or help.").classes("quiet")
                return
            self._add_rows(name for name in OFTEN if name in self._infos)
            for group in sorted(set(map(group_of, self._infos))):
                self._add_group(group, [name for name in self._infos if group_of(name) == group])

    def _add_group(self, group: str, names: list[str]) -> None:
        with ui.expansion(f"{group} ({len(names)})").classes("full") as expansion:
            place = ui.element("div").classes("full")
        is_filled = False

        def fill() -> None:
            nonlocal is_filled
            if expansion.value and not is_filled:
                is_filled = True
                with place:
                    self._add_rows(names)

        expansion.on_value_change(fill)

    def _add_rows(self, names: Iterable[str]) -> None:
        with ui.element("ul").classes("lines"):
            for name in names:
                self._rows[name].append(ParameterRow(self._viewer, self._infos[name]))


class ParameterRow:
    """One parameter: its name, help and range, and a field."""

    def __init__(self, viewer: Viewer, info: ParameterInfo) -> None:
        self._viewer = viewer
        self._info = info
        self._held = info.value
        self._is_asking = False
        with ui.element("li").props(f'data-test=parameter data-name="{info.name}"'):
            ui.label(info.name).classes("name")
            ui.label(describe(info)).classes("quiet")
            with ui.row().classes("fields"):
                self._field = self._add_field()
                self._field.props["aria-label"] = info.name
            self._said = ui.label().classes("answer").props("role=status")
            self._said.visible = False

    def show(self, value: object) -> None:
        """The parameter has this value now; what somebody is writing here stays."""
        if value == self._held:
            return
        before, self._held = self._held, value
        if not isinstance(self._field, ui.input):
            self._field.value = value  # which is no choice of the viewer's, as it is held already
            self._tell(True, "")
        elif str(self._field.value or "") in (to_text(before), to_text(value)):
            self._field.value, self._field.error = to_text(value), None
            self._tell(True, "")
        elif not self._is_asking:
            self._tell(True, f"It is {to_text(value)} now, set elsewhere")

    def _add_field(self) -> Any:
        info = self._info
        if info.kind == "bool":
            return ui.switch(value=bool(info.value), on_change=self._on_choice)
        choices = choices_of(info)
        if choices:
            field = ui.select(choices, value=str(info.value), on_change=self._on_choice)
            return field.props("outlined dense options-dense").classes("grow")
        entry = ui.input(value=to_text(info.value)).props("outlined dense data-test=value").classes("grow")
        entry.on("keydown.enter", self._on_text)
        ui.button("Set", on_click=self._on_text).props("flat no-caps data-test=set")
        return entry

    async def _on_text(self) -> None:
        try:
            value = from_text(self._info.kind, str(self._field.value or ""))
        except ValueError as error:
            self._field.error = str(error)
            return
        await self._set(value)

    async def _on_choice(self, event: Any) -> None:
        if event.value != self._held:
            await self._set(event.value)

    async def _set(self, value: object) -> None:
        viewer, info = self._viewer, self._info
        self._is_asking = True
        answer = await viewer.services.set_parameter(viewer.node, viewer.who, info.name, info.kind, value)
        self._is_asking = False
        is_text = isinstance(self._field, ui.input)
        if answer.success:
            self._held = value
        if is_text:
            self._field.error = None if answer.success else answer.message
        else:
            self._field.value = self._held
        refusal = "" if is_text else f"Refused: {answer.message}"
        self._tell(answer.success, "Set" if answer.success else refusal)

    def _tell(self, success: bool, text: str) -> None:
        self._said.text = text
        self._said.classes(remove="good bad", add="good" if success else "bad")
        self._said.visible = bool(text)
