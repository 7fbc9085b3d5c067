"""The live picture and what is said beside it: how to draw, what was clicked, rate and latency."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from nicegui import ui

from ovsr_ros.console.link import OVERLAY, PLAIN, Lesson, LinkError, Picked
from ovsr_ros.console.state import NodeState, SegmentInfo
from ovsr_ros.console.web.services import Viewer, wait
from ovsr_ros.console.web.teaching import TeachingRow, can_teach
from ovsr_ros.results import UNLABELED_ID

_STYLES = {
    "node": "As the node draws it",
    "fill": "Filled",
    "outline": "Outlined",
    "both": "Filled and outlined",
}


class PictureCard:
    """The picture is drawn by assets/picture.js, by what its canvas' data attributes say."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._colors = ""
        with ui.element("section").classes("card picture").props('aria-label="Live picture"'):
            with ui.element("div").classes("frame"):
                self._canvas = ui.element("canvas").classes("live")
                self._canvas.props(
                    "data-live width=640 height=480 tabindex=0 role=application data-caption=caption data-test=picture "
                    f"data-kind={OVERLAY} data-style=fill data-opacity=0.45"
                )
                self._canvas.props["aria-label"] = (
                    "Live picture. Arrow keys move a cross, Enter tells what is under it."
                )
                ui.element("div").classes("caption").props("id=caption role=status data-test=caption")
            with ui.row().classes("fields under"):
                self._speed = ui.label().classes("quiet grow").props("data-test=speed")
                self._style = ui.select(_STYLES, value="node", on_change=self._restyle)
                self._style.props('dense outlined options-dense aria-label="How segments are drawn" data-test=style')
                self._opacity = ui.slider(min=0.1, max=1.0, step=0.05, value=0.45, on_change=self._restyle)
                self._opacity.props('aria-label="Opacity" data-test=opacity').classes("opacity")
                self._opacity.visible = False
            self._picked = ui.element("div").classes("picked").props("role=status aria-live=polite data-test=picked")
        with self._picked:
            ui.label("Click or touch the picture to see what is there.").classes("quiet")
        ui.on("pick", self._pick)

    def show_node(self, name: str) -> None:
        """Have the pictures of another node."""
        self._canvas.props["data-node"] = name

    def update(self, state: NodeState) -> None:
        """Show what is so now."""
        colors = json.dumps({category.id: category.color_rgb for category in state.vocabulary.categories})
        if colors != self._colors:
            self._colors = colors
            self._canvas.props["data-colors"] = colors
        speed = state.speed
        parts = [
            f"{_number(speed.output_hz)} pictures a second labelled",
            f"{_number(speed.input_hz)} come",
            f"{_number(speed.latency_mean_ms)} ms each",
        ]
        text = ", ".join(parts) if not math.isnan(speed.output_hz + speed.input_hz) else ""
        if self._speed.text != text:
            self._speed.text = text

    def _restyle(self) -> None:
        style = str(self._style.value)
        self._opacity.visible = style != "node"
        self._canvas.props["data-kind"] = OVERLAY if style == "node" else PLAIN
        self._canvas.props["data-style"] = "fill" if style == "node" else style
        self._canvas.props["data-opacity"] = str(self._opacity.value)

    async def _pick(self, event: Any) -> None:
        try:
            x, y, stamp_ns = float(event.args["x"]), float(event.args["y"]), int(event.args["stamp"])
            picked = await wait(self._viewer.services.link.pick(self._viewer.node, stamp_ns, x, y))
        except (TypeError, ValueError, KeyError):
            return
        except LinkError as error:
            picked = Picked(0, None, str(error))
        self._show(picked, x, y)

    def _show(self, picked: Picked, x: float, y: float) -> None:
        self._picked.clear()
        with self._picked:
            if picked.segment is None:
                ui.label(picked.message)
                ui.run_javascript("ovsrMark(null)")
                return
            self._describe(picked.segment)
            if can_teach(self._viewer):
                TeachingRow(self._viewer, Lesson("", picked.stamp_ns, x, y, picked.size_hw, picked.segment.track_id))
        height, width = picked.size_hw
        runs = base64.b64encode(picked.outline).decode()
        ui.run_javascript(f"ovsrMark({json.dumps(runs)}, {width}, {height})")

    def _describe(self, segment: SegmentInfo) -> None:
        name = "unlabeled" if segment.class_id == UNLABELED_ID else segment.label
        facts = [] if segment.class_id == UNLABELED_ID else [f"score {segment.score:.2f}"]
        if segment.distance_m is not None and not math.isnan(segment.distance_m):
            facts.append(f"{segment.distance_m:.2f} m away")
        if segment.track_id:
            facts.append(f"track {segment.track_id}")
        with ui.row().classes("fields facts"):
            ui.label(name).classes("name")
            ui.label(", ".join(facts))
        others = ", ".join(f"{label} {score:.2f}" for label, score in segment.runners_up)
        if others:
            ui.label(f"Next best: {others}").classes("quiet")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0f}" if value >= 100 else f"{value:.1f}"
