"""The list of words in force: each with its colour, its share of the picture now, or how long it has not been seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from ovsr_ros.console.state import ExampleUse, NodeState, WordUse, describe_seconds
from ovsr_ros.console.web.services import Viewer
from ovsr_ros.console.web.teaching import add_thumbnails
from ovsr_ros.vocabulary.category import Category, format_color

_SEEN_S = 2.0


@dataclass(frozen=True)
class _Row:
    category: Category
    examples: tuple[ExampleUse, ...]
    item: ui.element
    use: ui.label
    fill: ui.element


class WordList:
    """A row a word. Of a vocabulary that changes, only the rows that do are made anew, in every browser.

    edit, remove: what a row's buttons do, where the viewer may.
    """

    def __init__(
        self, viewer: Viewer, edit: Callable[[Category], None], remove: Callable[[Category], Awaitable[None]]
    ) -> None:
        self._viewer = viewer
        self._edit = edit
        self._remove = remove
        self._node = ""
        self._shown: object = None
        self._rows: dict[int, _Row] = {}
        self._list = ui.element("ul").classes("words").props('aria-label="Words in force"')
        self._none = ui.label("No words: everything stays unlabeled.").classes("quiet")
        self._none.visible = False

    def update(self, state: NodeState) -> None:
        """Show what is so now."""
        if state.name != self._node:
            self._node = state.name
            self._shown = None
            self._rows.clear()
            self._list.clear()
        if self._shown != (state.vocabulary, state.examples):
            self._shown = (state.vocabulary, state.examples)
            self._change(state)
        is_live = state.picture_age_s < _SEEN_S
        for id, row in self._rows.items():
            _show_use(row, state.uses[id], is_live)

    def _change(self, state: NodeState) -> None:
        wanted = {
            category.id: (category, state.examples.get(category.id, ())) for category in state.vocabulary.categories
        }
        for id, row in list(self._rows.items()):
            if wanted.get(id) != (row.category, row.examples):
                row.item.delete()
                del self._rows[id]
        for place, (id, (category, examples)) in enumerate(wanted.items()):
            if id not in self._rows:
                with self._list:
                    self._rows[id] = self._make(category, examples)
                if place < len(self._rows) - 1:
                    self._rows[id].item.move(target_index=place)
        self._none.visible = not wanted and state.vocabulary.version > 0

    def _make(self, category: Category, examples: tuple[ExampleUse, ...]) -> _Row:
        color = format_color(category.color_rgb)
        with ui.element("li").classes("word").props(f"data-test=word data-id={category.id}") as item:
            ui.element("span").classes("swatch").style(f"background:{color}")
            with ui.element("div").classes("grow"):
                ui.label(category.name).classes("name")
                if category.synonyms:
                    ui.label(", ".join(category.synonyms)).classes("quiet synonyms")
                if examples:
                    add_thumbnails(self._viewer, examples)
                with ui.element("div").classes("bar").props("aria-hidden=true"):
                    fill = ui.element("div").style(f"background:{color};width:0")
            use = ui.label("").classes("use")
            if self._viewer.may_change:
                self._add_button("edit", f"Change {category.name}", lambda: self._edit(category))
                self._add_button("close", f"Remove {category.name}", lambda: self._remove(category), "remove")
        return _Row(category, examples, item, use, fill)

    @staticmethod
    def _add_button(icon: str, label: str, action: Callable[[], Any], test: str = "") -> None:
        button = ui.button(icon=icon, on_click=action).props(f"flat round dense data-test={test or icon}")
        button.props["aria-label"] = label


def _show_use(row: _Row, use: WordUse, is_live: bool) -> None:
    text, width = "", "0"
    if is_live and use.share > 0:
        text, width = f"{max(1, round(100 * use.share))} %", f"{100 * use.share:.0f}%"
    elif is_live:
        text = "not seen" if use.unseen_s < _SEEN_S else f"not seen for {describe_seconds(use.unseen_s)}"
    if row.use.text != text:
        row.use.text = text
    if row.fill.style.get("width") != width:
        row.fill.style(f"width:{width}")
