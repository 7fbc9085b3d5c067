"""The words: what each has of the picture now; added, changed, taken away, undone."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from ovsr_ros.console import edits
from ovsr_ros.console.link import Answer
from ovsr_ros.console.state import NodeState
from ovsr_ros.console.web.services import Viewer
from ovsr_ros.console.web.word_list import WordList
from ovsr_ros.vocabulary.category import Category, format_color, parse_color
from ovsr_ros.vocabulary.change import VocabularyChange


class WordsPanel:
    """A list of the words in force, with fields to change them where the viewer may."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        if viewer.may_change:
            with ui.row().classes("fields"):
                self._field = (
                    ui.input("Add a word", placeholder="mug; cup; #ff8000")
                    .props('outlined dense maxlength=7000 hint="name; synonyms; a colour if you like" data-test=add')
                    .classes("grow")
                    .on("keydown.enter", self._add)
                )
                ui.button("Add", on_click=self._add).props("unelevated no-caps data-test=add-button")
        with ui.row().classes("fields spread"):
            self._summary = ui.label().classes("quiet").props("aria-live=polite data-test=summary")
            if viewer.may_change:
                self._undo = ui.button("Undo", icon="undo", on_click=self._undo_last)
                self._undo.props('flat dense no-caps data-test=undo title="Nothing to undo"')
                self._undo.set_enabled(False)
                self._undoable: VocabularyChange | None = None
        self._answer = ui.label().classes("answer").props("role=status data-test=answer")
        self._answer.visible = False
        self._editor = WordEditor(viewer, self._tell) if viewer.may_change else None
        self._list = WordList(viewer, self._edit, self._remove)

    def update(self, state: NodeState) -> None:
        """Show what is so now."""
        num, version = len(state.vocabulary), state.vocabulary.version
        told = f"version {version}" if version else "not heard yet"
        summary = f"{num} {'word' if num == 1 else 'words'}, {told}"
        if self._summary.text != summary:
            self._summary.text = summary
        self._list.update(state)
        if self._viewer.may_change:
            self._show_undo(self._viewer.services.log.last_change(state.name, state.vocabulary))

    def _show_undo(self, change: VocabularyChange | None) -> None:
        if change is not self._undoable:
            self._undoable = change
            self._undo.set_enabled(change is not None)
            self._undo.props["title"] = "Nothing to undo" if change is None else f"Undo: {change.describe()}"

    def _edit(self, category: Category) -> None:
        if self._editor is not None:
            self._editor.open(category)

    async def _add(self) -> None:
        text = str(self._field.value or "")
        if not text.strip():
            self._field.error = "write a word first, such as: mug; cup"
            return
        answer = await self._viewer.services.change(self._viewer.node, self._viewer.who, lambda _: edits.add(text))
        self._field.error = None if answer.success else answer.message
        if answer.success:
            self._field.value = ""
            self._tell(answer)

    async def _remove(self, category: Category) -> None:
        self._tell(
            await self._viewer.services.change(
                self._viewer.node, self._viewer.who, lambda _: edits.remove([category.name])
            )
        )

    async def _undo_last(self) -> None:
        services, node = self._viewer.services, self._viewer.node
        change = services.log.last_change(node, services.link.state(node).vocabulary)
        if change is not None:
            self._tell(await services.undo(node, self._viewer.who, change))

    def _tell(self, answer: Answer) -> None:
        """What the node answered, its version included; a refusal's reason."""
        self._answer.text = answer.message if answer.success else f"Refused: {answer.message}"
        self._answer.classes(remove="bad good", add="good" if answer.success else "bad")
        self._answer.visible = True


class WordEditor:
    """A dialog for one word: name, synonyms, colour. tell: told of what was done."""

    def __init__(self, viewer: Viewer, tell: Any) -> None:
        self._viewer = viewer
        self._tell = tell
        self._category: Category | None = None
        with ui.dialog() as self._dialog, ui.card().classes("dialog").props("data-test=editor"):
            self._title = ui.label().classes("title")
            self._name = ui.input("Name").props("outlined dense maxlength=200 data-test=name").classes("full")
            self._synonyms = (
                ui.input("Synonyms").props('outlined dense hint="with ; between" data-test=synonyms').classes("full")
            )
            with ui.row().classes("fields"):
                ui.label("Colour").props("id=color-label")
                self._color = ui.element("input").props("type=color aria-labelledby=color-label data-test=color")
                self._color.on("input", self._on_color, ["target.value"])
            self._problem = ui.label().classes("answer bad").props("role=alert data-test=editor-problem")
            with ui.row().classes("fields end"):
                ui.button("Cancel", on_click=self._dialog.close).props("flat no-caps")
                ui.button("Save", on_click=self._save).props("unelevated no-caps data-test=save")
        for field in (self._name, self._synonyms):
            field.on("keydown.enter", self._save)
            field.on_value_change(lambda: self._problem.set_visibility(False))
        self._chosen = ""

    def open(self, category: Category) -> None:
        """Ask for changes of this word."""
        self._category = category
        self._title.text = f"Change '{category.name}'"
        self._name.value, self._synonyms.value = category.name, "; ".join(category.synonyms)
        self._chosen = format_color(category.color_rgb)
        self._color.props["value"] = self._chosen
        self._problem.visible = False
        self._dialog.open()

    def _on_color(self, event: Any) -> None:
        self._chosen = str(event.args if isinstance(event.args, str) else event.args["target"]["value"])

    async def _save(self) -> None:
        category = self._category
        if category is None:
            return
        name = str(self._name.value or "").strip()
        synonyms = tuple(part.strip() for part in str(self._synonyms.value or "").split(";") if part.strip())
        try:
            color = None if self._chosen == format_color(category.color_rgb) else parse_color(self._chosen)
        except ValueError as error:
            color = None
            self._chosen = format_color(category.color_rgb)
            answer = Answer(False, str(error))
        else:
            edit = edits.Edit(
                category.name,
                name if name != category.name else None,
                synonyms if synonyms != category.synonyms else None,
                color,
                category,
            )
            if edit == edits.Edit(category.name, was=category):
                self._dialog.close()
                self._tell(Answer(True, f"'{category.name}' is as it was: nothing was changed"))
                return
            answer = await self._viewer.services.change(
                self._viewer.node, self._viewer.who, lambda vocabulary: edits.change(vocabulary, edit)
            )
        self._problem.text = f"Refused: {answer.message}"
        self._problem.visible = not answer.success
        if answer.success:
            self._dialog.close()
            self._tell(answer)
