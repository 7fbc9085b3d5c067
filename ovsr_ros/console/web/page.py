"""The page of one browser: its parts, and what keeps them up to date."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from fastapi import Request
from nicegui import Client, ui

from ovsr_ros.console.access import Role
from ovsr_ros.console.state import OK, WARN, NodeState
from ovsr_ros.console.web.gate import ROLE
from ovsr_ros.console.web.health import Banner, HealthPanel
from ovsr_ros.console.web.log_panel import LogPanel
from ovsr_ros.console.web.parameters import ParameterDrawer
from ovsr_ros.console.web.picture_card import PictureCard
from ovsr_ros.console.web.saving import SavedPanel
from ovsr_ros.console.web.services import Services
from ovsr_ros.console.web.teaching import PauseButton
from ovsr_ros.console.web.trying import TryingPanel
from ovsr_ros.console.web.words import WordsPanel
from ovsr_ros.names import clean_name, name_problem

_PERIOD_S = 0.25
_IS_DARK = "document.body.classList.contains('body--dark')"
_REMEMBERED = "({name: localStorage.getItem('ovsr-name'), dark: localStorage.getItem('ovsr-dark')})"
_SHELL = '<div id="shell">ovsr <span class="quiet">is loading</span></div>'
"""What is painted before any script has run."""
_HEAD = """<link rel="stylesheet" href="/assets/console.css"><script defer src="/assets/picture.js"></script>
<meta name="color-scheme" content="light dark">"""


class ConsolePage:
    """A Viewer, see words.py. services: those of the process. request: what the browser asked with."""

    def __init__(self, services: Services, request: Request, client: Client) -> None:
        self.services = services
        self.may_change = request.scope.get(ROLE) is Role.OPERATOR
        address = request.client.host if request.client else "?"
        self.who = f"operator at {address}"
        self.node = ""
        self._wanted = request.query_params.get("node", "")
        self._watched = ""
        self._client = client
        ui.add_head_html(_HEAD)
        ui.add_body_html(_SHELL)
        ui.colors(primary="#0b5cad", negative="#b3261e", positive="#1b6e3c", warning="#7a5900")
        self._dark = ui.dark_mode(None)
        self._build_header()
        self._banner = Banner()
        with ui.element("main").classes("page"):
            self._picture = PictureCard(self)
            with ui.element("section").classes("card panel").props('aria-label="Words and more"'):
                self._build_tabs()
        self._choose_node()
        ui.timer(_PERIOD_S, self._refresh)
        client.on_connect(self._on_connect)
        client.on_disconnect(self._watch)
        client.on_delete(self._watch)

    def _build_header(self) -> None:
        with ui.element("header").classes("top"):
            ui.label("ovsr").classes("brand")
            self._nodes = ui.select([], on_change=self._on_node).classes("nodes")
            self._nodes.props('dense outlined options-dense aria-label="Camera" data-test=nodes')
            self._chip = ui.label().classes("level").props("role=status data-test=chip")
            ui.element("div").classes("grow")
            if self.may_change:
                self._pause = PauseButton(self)
                self._drawer = ParameterDrawer(self)
                gear = ui.button(icon="tune", on_click=self._drawer.open).props("flat round dense data-test=tune")
                gear.props["aria-label"] = "Parameters"
                self._who = ui.button(icon="person", on_click=self._ask_name).props("flat round dense data-test=who")
                self._who.props["aria-label"] = "Your name, for the log"
            else:
                ui.label("view only").classes("quiet").props("data-test=view-only")
            theme = ui.button(icon="contrast", on_click=self._switch_theme).props("flat round dense data-test=theme")
            theme.props["aria-label"] = "Dark or light"

    def _build_tabs(self) -> None:
        with ui.tabs().props("dense no-caps inline-label align=left outside-arrows mobile-arrows") as tabs:
            words = ui.tab("Words")
            trying = ui.tab("Try") if self.may_change else None
            saved, log, health = ui.tab("Saved"), ui.tab("Log"), ui.tab("Health")
        with ui.tab_panels(tabs, value=words, animated=False).classes("panels"):
            with ui.tab_panel(words):
                self._words = WordsPanel(self)
            if trying is not None:
                with ui.tab_panel(trying):
                    TryingPanel(self)
            with ui.tab_panel(saved):
                self._saved = SavedPanel(self)
            with ui.tab_panel(log):
                self._log = LogPanel(self.services.log)
            with ui.tab_panel(health):
                self._health = HealthPanel()

    # --- Which node ---

    def _choose_node(self) -> None:
        names = list(self.services.link.names())
        if names != self._nodes.options:
            self._nodes.set_options(names)
        if self.node not in names or self._wanted:
            chosen = self._wanted if self._wanted in names else self.node or next(iter(names), "")
            if chosen in names:
                self._wanted = ""
                self._nodes.value = chosen

    def _on_node(self, event: Any) -> None:
        name = str(event.value or "")
        if name and name != self.node:
            self.node = name
            self._picture.show_node(name)
            self._watch()
            self._show()

    def _watch(self) -> None:
        # Asked of the client each time: one that reconnects may say so before its old connection is known to be gone.
        wanted = self.node if self._client.has_socket_connection else ""
        if wanted != self._watched:
            before, self._watched = self._watched, wanted
            if wanted:
                self.services.link.watch(wanted)
            if before:
                self.services.link.unwatch(before)

    async def _on_connect(self) -> None:
        self._watch()
        remembered = None
        with contextlib.suppress(TimeoutError):
            remembered = await ui.run_javascript(_REMEMBERED, timeout=5.0)
        if isinstance(remembered, dict):
            self._set_name(str(remembered.get("name") or ""))
            if remembered.get("dark") in ("true", "false"):
                self._dark.value = remembered["dark"] == "true"

    # --- What is shown ---

    async def _refresh(self) -> None:
        self._show()
        if self.may_change:
            await self._drawer.update()

    def _show(self) -> None:
        self._choose_node()
        if not self._client.has_socket_connection:
            return  # the page is painted sooner without 254 words in it
        self._log.update(self.node)
        self._saved.update()
        if not self.node:
            self._banner.update(
                [
                    "No node is on the network. Start one (ros2 launch ovsr_ros ovsr.launch.py), in this ROS domain: "
                    "this page finds it by itself."
                ]
            )
            return
        state = self.services.link.state(self.node)
        self._banner.update(state.problems())
        self._show_chip(state)
        self._words.update(state)
        self._picture.update(state)
        self._health.update(state)
        if self.may_change:
            self._pause.update(state)

    def _show_chip(self, state: NodeState) -> None:
        if not state.is_present:
            text, level = "gone", "bad"
        elif not state.health:
            text, level = "listening", "quiet"
        elif state.is_paused:
            text, level = "paused", "warn"
        elif state.worst == OK and state.problems():
            text, level = "silent", "warn"
        elif state.worst == OK:
            text, level = "all well", "good"
        else:
            num = sum(health.level > OK for health in state.health)
            text, level = f"{num} {'problem' if num == 1 else 'problems'}", "warn" if state.worst == WARN else "bad"
        if self._chip.text != text:
            self._chip.text = text
            self._chip.classes(remove="good warn bad quiet", add=level)

    # --- The viewer ---

    async def _switch_theme(self) -> None:
        with contextlib.suppress(TimeoutError):
            self._dark.value = not await ui.run_javascript(_IS_DARK, timeout=5.0)
        ui.run_javascript(f"localStorage.setItem('ovsr-dark', '{'true' if self._dark.value else 'false'}')")

    def _set_name(self, text: str) -> None:
        name = clean_name(text)[:40]
        if name and not name_problem(name):
            self.who = name

    def _ask_name(self) -> None:
        with ui.dialog() as dialog, ui.card().classes("dialog"):
            ui.label("Your name, as the log is to have it").classes("title")
            field = ui.input("Name", value=self.who).props("outlined dense maxlength=40 autofocus").classes("full")

            def save() -> None:
                self._set_name(str(field.value or ""))
                ui.run_javascript(f"localStorage.setItem('ovsr-name', {json.dumps(self.who)})")
                dialog.close()

            field.on("keydown.enter", save)
            with ui.row().classes("fields end"):
                ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
                ui.button("Keep", on_click=save).props("unelevated no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()
