"""Words tried on a frozen picture, before they are in force for the camera."""

from __future__ import annotations

import base64

from nicegui import run, ui

from ovsr_ros.console import edits
from ovsr_ros.console.drawn import draw_trial
from ovsr_ros.console.link import Frozen, LinkError, Trial
from ovsr_ros.console.saved import read_vocabulary, to_text
from ovsr_ros.console.web.services import Viewer, wait
from ovsr_ros.errors import VocabularyError
from ovsr_ros.vocabulary.category import CategoryRequest, format_color


class TryingPanel:
    """Freeze, write words, look; then put them in force, or not."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._frozen: Frozen | None = None
        self._tried: tuple[CategoryRequest, ...] = ()
        self._seen_version = 0
        ui.label("Nothing that is tried here changes what the node looks for.").classes("quiet")
        with ui.row().classes("fields"):
            ui.button("Freeze the picture", icon="photo_camera", on_click=self._freeze).props(
                "unelevated no-caps data-test=freeze"
            )
        self._image = ui.element("img").classes("still").props('alt="The frozen picture" data-test=still')
        self._image.visible = False
        self._field = ui.textarea("Words, one a line").props("outlined dense autogrow data-test=try-words")
        self._field.classes("full")
        with ui.row().classes("fields"):
            self._try_button = ui.button("Try these words", on_click=self._try).props(
                "unelevated no-caps data-test=try"
            )
            self._use_button = ui.button("Put them in force", on_click=self._use).props(
                "flat no-caps data-test=use-tried"
            )
        self._answer = ui.label().classes("answer").props("role=status data-test=try-answer")
        self._result = ui.element("ul").classes("words").props('aria-label="What was found" data-test=tried')
        for each in (self._field, self._try_button, self._use_button, self._answer):
            each.visible = False

    async def _freeze(self) -> None:
        try:
            frozen = await wait(self._viewer.services.link.freeze(self._viewer.node))
        except LinkError as error:
            self._tell(False, str(error))
            return
        self._frozen = frozen
        self._show(frozen.jpeg)
        if not self._field.value:
            vocabulary = self._viewer.services.link.state(self._viewer.node).vocabulary
            self._field.value, self._seen_version = to_text(vocabulary), vocabulary.version
        self._field.visible = self._try_button.visible = True
        self._answer.visible = self._use_button.visible = False
        self._result.clear()

    async def _try(self) -> None:
        frozen = self._frozen
        if frozen is None:
            return
        try:
            requests = read_vocabulary(str(self._field.value or "").encode())
            self._try_button.props("loading")
            trial = await wait(self._viewer.services.link.try_words(self._viewer.node, frozen.handle, requests))
            picture = await run.io_bound(draw_trial, frozen, trial)
        except (VocabularyError, LinkError) as error:
            self._field.error = str(error)
            return
        finally:
            self._try_button.props(remove="loading")
        self._field.error = None
        self._tried = tuple(requests)
        self._show(picture or frozen.jpeg)
        self._list(trial)
        self._use_button.visible = True
        self._tell(True, trial.message or "This is what these words find in the frozen picture.")

    async def _use(self) -> None:
        tried, seen = self._tried, self._seen_version
        answer = await self._viewer.services.change(
            self._viewer.node, self._viewer.who, lambda _: edits.replace(tried, seen)
        )
        message = answer.message
        if answer.vocabulary is not None:
            self._seen_version = answer.vocabulary.version
            if not answer.success and self._seen_version != seen:
                message += "; look at the words in force, then press again to put these in their place all the same"
        self._tell(answer.success, message)

    def _show(self, jpeg: bytes) -> None:
        self._image.props["src"] = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        self._image.visible = True

    def _list(self, trial: Trial) -> None:
        shares = trial.segments.shares()
        self._result.clear()
        with self._result:
            for category in sorted(trial.vocabulary.categories, key=lambda each: -shares.get(each.id, 0.0)):
                share = shares.get(category.id, 0.0)
                with ui.element("li").classes("word"):
                    ui.element("span").classes("swatch").style(f"background:{format_color(category.color_rgb)}")
                    ui.label(category.name).classes("name grow")
                    ui.label(f"{max(1, round(100 * share))} %" if share else "not found").classes("use")

    def _tell(self, success: bool, text: str) -> None:
        self._answer.text = text if success else f"Refused: {text}"
        self._answer.classes(remove="good bad", add="good" if success else "bad")
        self._answer.visible = True
