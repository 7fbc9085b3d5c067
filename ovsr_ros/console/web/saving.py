"""Vocabularies saved by name, imported and exported as text and YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from ovsr_ros.console import edits
from ovsr_ros.console.link import Answer
from ovsr_ros.console.saved import MOST_BYTES, describe_difference, read_vocabulary, to_text, to_yaml
from ovsr_ros.console.web.services import Viewer
from ovsr_ros.errors import VocabularyError
from ovsr_ros.vocabulary.category import CategoryRequest, Vocabulary


class SavedPanel:
    """Exports for everybody; saving, importing and putting in force for those who may change things."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._shown = -1
        self._pending: tuple[CategoryRequest, ...] = ()
        self._pending_name = ""
        self._seen_version = 0
        if viewer.may_change:
            with ui.row().classes("fields"):
                self._name = ui.input("Save the words in force as").props(
                    "outlined dense maxlength=64 data-test=save-as"
                )
                self._name.classes("grow").on("keydown.enter", self._save)
                ui.button("Save", on_click=self._save).props("unelevated no-caps data-test=save-words")
        with ui.row().classes("fields"):
            ui.button("Export as text", on_click=self._export_text).props("flat no-caps dense data-test=export-text")
            ui.button("Export as YAML", on_click=self._export_yaml).props("flat no-caps dense data-test=export-yaml")
        if viewer.may_change:
            upload = ui.upload(
                label="Import a text or YAML file",
                auto_upload=True,
                max_file_size=MOST_BYTES,
                max_files=1,
                on_upload=self._import,
                on_rejected=self._reject,
            )
            upload.props('accept=".txt,.yaml,.yml,text/plain" flat bordered data-test=import').classes("full")
            self._upload = upload
        self._answer = ui.label().classes("answer").props("role=status data-test=saved-answer")
        self._answer.visible = False
        self._confirm = ui.element("div").classes("confirm").props("role=group")
        self._confirm.visible = False
        self._list = ui.element("ul").classes("lines").props('aria-label="Saved vocabularies" data-test=saved')

    def update(self) -> None:
        """Show what is so now."""
        saved = self._viewer.services.saved
        if saved.revision == self._shown:
            return
        self._shown = saved.revision
        names = saved.names()
        self._list.clear()
        with self._list:
            for name in names:
                with ui.element("li"), ui.row().classes("fields spread"):
                    ui.label(name).classes("name grow")
                    if self._viewer.may_change:
                        ui.button("Use", on_click=lambda _, n=name: self._load(n)).props("flat dense no-caps")
                        remove = ui.button(icon="close", on_click=lambda _, n=name: self._remove(n))
                        remove.props("flat round dense").props["aria-label"] = f"Remove the saved {name}"
            if not names:
                with ui.element("li").classes("quiet"):
                    ui.label("No vocabulary is saved yet.")

    @property
    def _vocabulary(self) -> Vocabulary:
        return self._viewer.services.link.state(self._viewer.node).vocabulary

    def _save(self) -> None:
        name = str(self._name.value or "").strip()
        try:
            self._viewer.services.saved.save(name, self._vocabulary)
        except VocabularyError as error:
            self._name.error = str(error)
            return
        self._name.error = None
        self._name.value = ""
        self._tell(True, f"'{name}' is saved")
        self._viewer.services.log.say(self._viewer.node, self._viewer.who, f"saved the words as '{name}'")
        self.update()

    def _remove(self, name: str) -> None:
        try:
            self._viewer.services.saved.remove(name)
        except VocabularyError as error:
            self._tell(False, str(error))
            return
        self._tell(True, f"'{name}' is removed")
        self._viewer.services.log.say(self._viewer.node, self._viewer.who, f"removed the saved '{name}'")
        self.update()

    def _load(self, name: str) -> None:
        try:
            self._ask(self._viewer.services.saved.load(name), f"'{name}'")
        except VocabularyError as error:
            self._tell(False, f"'{name}': {error}")

    async def _import(self, event: Any) -> None:
        content = await event.file.read()
        self._upload.reset()
        try:
            self._ask(read_vocabulary(content, event.file.name), f"'{event.file.name[:80]}'")
        except VocabularyError as error:
            self._tell(False, f"'{event.file.name[:80]}': {error}")

    def _reject(self) -> None:
        self._tell(False, f"expected one text or YAML file of at most {MOST_BYTES // 1024} kB")

    def _ask(self, requests: Sequence[CategoryRequest], what: str) -> None:
        """Say what these words would change, before they do."""
        vocabulary = self._vocabulary
        self._pending, self._pending_name, self._seen_version = tuple(requests), what, vocabulary.version
        self._answer.visible = False
        self._confirm.clear()
        self._confirm.visible = True
        with self._confirm:
            ui.label(f"{what}, {len(requests)} words: {describe_difference(vocabulary, requests)}.")
            with ui.row().classes("fields end"):
                ui.button("Cancel", on_click=self._forget).props("flat dense no-caps")
                ui.button("Put in force", on_click=self._use).props("unelevated dense no-caps data-test=use")

    def _forget(self) -> None:
        self._confirm.visible = False

    async def _use(self) -> None:
        self._confirm.visible = False
        pending, seen = self._pending, self._seen_version
        answer: Answer = await self._viewer.services.change(
            self._viewer.node, self._viewer.who, lambda _: edits.replace(pending, seen)
        )
        if not answer.success:
            self._ask(pending, self._pending_name)  # what they would change now
        self._tell(answer.success, answer.message)

    def _export_text(self) -> None:
        ui.download.content(to_text(self._vocabulary), "words.txt", "text/plain")

    def _export_yaml(self) -> None:
        ui.download.content(to_yaml(self._vocabulary), "words.yaml", "application/yaml")

    def _tell(self, success: bool, text: str) -> None:
        self._answer.text = text if success else f"Refused: {text}"
        self._answer.classes(remove="good bad", add="good" if success else "bad")
        self._answer.visible = True
