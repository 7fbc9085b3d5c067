"""Words by example: "this is ...", thumbnails beside a word; and a pause of the node. Only for nodes that can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from ovsr_ros.console.link import Answer, Lesson, LinkError
from ovsr_ros.console.state import PAUSE, TEACH, ExampleUse, NodeState
from ovsr_ros.console.web.services import Viewer, wait


class TeachingRow:
    """Under what was clicked: a word for it. Fills the slot that is open when it is made."""

    def __init__(self, viewer: Viewer, lesson: Lesson) -> None:
        self._viewer = viewer
        self._lesson = lesson
        words = list(viewer.services.link.state(viewer.node).vocabulary.names)
        with ui.row().classes("fields"):
            self._field = ui.input("This is", value=lesson.word, autocomplete=words)
            self._field.props("outlined dense maxlength=200 data-test=this-is").classes("grow")
            self._field.on("keydown.enter", self._teach)
            ui.button("Teach", on_click=self._teach).props("unelevated no-caps data-test=teach")
        self._said = ui.label().classes("answer").props("role=status data-test=taught")
        self._said.visible = False

    async def _teach(self) -> None:
        word = str(self._field.value or "").strip()
        if not word:
            self._field.error = "write what this is first"
            return
        old = self._lesson
        lesson = Lesson(word, old.stamp_ns, old.x, old.y, old.size_hw, old.track_id)
        viewer = self._viewer
        answer = await ask(viewer, lambda: wait(viewer.services.link.teach(viewer.node, lesson)), f"taught '{word}'")
        self._field.error = None if answer.success else answer.message
        self._said.text = answer.message
        self._said.classes("good")
        self._said.visible = answer.success


class PauseButton:
    """Pauses the node and has it go on, for everybody; not shown where the node cannot."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._is_paused = False
        self._button = ui.button(icon="pause", on_click=self._press).props("flat round dense data-test=pause")
        self._button.visible = False
        self._show()

    def update(self, state: NodeState) -> None:
        """Show what is so now."""
        self._button.visible = PAUSE in state.abilities and state.is_present
        if state.is_paused != self._is_paused:
            self._is_paused = state.is_paused
            self._show()

    def _show(self) -> None:
        self._button.props["icon"] = "play_arrow" if self._is_paused else "pause"
        self._button.props["aria-label"] = "Go on" if self._is_paused else "Pause the node"

    async def _press(self) -> None:
        viewer, is_paused = self._viewer, self._is_paused
        what = "had it go on" if is_paused else "paused it"
        answer = await ask(viewer, lambda: wait(viewer.services.link.set_enabled(viewer.node, is_paused)), what)
        if not answer.success:
            ui.notify(f"Refused: {answer.message}", type="negative", multi_line=True)


def add_thumbnails(viewer: Viewer, examples: tuple[ExampleUse, ...]) -> None:
    """The examples of a word, each with a button that takes it back."""
    with ui.element("div").classes("examples").props("data-test=examples"):
        for example in examples:
            address = f"/examples?{urlencode({'node': viewer.node, 'id': example.id})}"
            said = f"an example{'' if example.is_used else ', taught to another model: teach it again'}"
            with ui.element("span").classes("example") as place:
                place.props["title"] = said
                ui.element("img").props(f'src="{address}" alt="{said}" loading=lazy')
                if viewer.may_change:
                    forget = ui.button(icon="close", on_click=lambda _, e=example: _forget(viewer, e))
                    forget.props("flat round dense size=xs data-test=forget")
                    forget.props["aria-label"] = f"Take example {example.id} back"


def can_teach(viewer: Viewer) -> bool:
    """Whether the viewer may, and the node can."""
    return viewer.may_change and TEACH in viewer.services.link.state(viewer.node).abilities


async def ask(viewer: Viewer, call: Callable[[], Awaitable[Answer]], what: str) -> Answer:
    """The answer, in the log as well; what goes wrong is one, too."""
    try:
        answer = await call()
    except LinkError as error:
        answer = Answer(False, str(error))
    if answer.success and answer.vocabulary is not None:
        viewer.services.log.announce(viewer.node, viewer.who, answer.message, answer.vocabulary.version)
    else:
        viewer.services.log.say(viewer.node, viewer.who, what, "" if answer.success else answer.message)
    return answer


async def _forget(viewer: Viewer, example: ExampleUse) -> None:
    call: Any = viewer.services.link.forget_examples
    answer = await ask(viewer, lambda: wait(call(viewer.node, [example.id])), f"took example {example.id} back")
    if not answer.success:
        ui.notify(f"Refused: {answer.message}", type="negative", multi_line=True)
