"""Pictures for people: an image with its segments tinted, outlined and named."""

from ovsr_ros.drawing.labels import overlay
from ovsr_ros.drawing.regions import Image
from ovsr_ros.drawing.segments import overlay_segments
from ovsr_ros.drawing.text import draw_text, measure_text

__all__ = ["Image", "draw_text", "measure_text", "overlay", "overlay_segments"]
