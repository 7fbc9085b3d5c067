"""A labelled image as markers for rviz: a box and a word for each labelled segment whose place is known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from ovsr_ros.nodes.conversions.labelled_segments import LabelledSegment, Place, labelled_segments
from ovsr_ros.nodes.labelled_frame import LabelledFrame

_BOX_ALPHA = 0.35
_THINNEST_M = 1e-3
"""rviz refuses a box without any thickness."""
_LETTERS_PER_DISTANCE = 0.04
"""Height of the letters, m per m of distance: so high do they look from the camera, whatever the distance."""
_GAP = 0.7
"""Between a box and the middle of its word, in heights of the letters."""


def to_markers(frame: LabelledFrame) -> MarkerArray:
    """Boxes and words of this frame and no other: what was shown before goes. In the frame of `places_header`."""
    markers = [Marker(header=frame.places_header, action=Marker.DELETEALL)]
    for segment in labelled_segments(frame, with_places=True):
        assert segment.place is not None
        markers += _markers_of(segment, segment.place, frame.places_header)
    return MarkerArray(markers=markers)


def _markers_of(segment: LabelledSegment, place: Place, header: Header) -> Iterable[Marker]:
    red, green, blue = (channel / 255.0 for channel in segment.category.color_rgb)
    x, y, z = (float(value) for value in place.center)
    yield Marker(
        header=header,
        ns="boxes",
        id=segment.id,
        type=Marker.CUBE,
        action=Marker.ADD,
        pose=Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(w=1.0)),
        scale=Vector3(**{axis: max(float(size), _THINNEST_M) for axis, size in zip("xyz", place.size, strict=True)}),
        color=ColorRGBA(r=red, g=green, b=blue, a=_BOX_ALPHA),
    )
    height = _LETTERS_PER_DISTANCE * place.distance
    half = float(np.abs(place.up) @ place.size) / 2
    word_x, word_y, word_z = (float(value) for value in place.center + (half + _GAP * height) * place.up)
    yield Marker(
        header=header,
        ns="words",
        id=segment.id,
        type=Marker.TEXT_VIEW_FACING,
        action=Marker.ADD,
        pose=Pose(position=Point(x=word_x, y=word_y, z=word_z), orientation=Quaternion(w=1.0)),
        scale=Vector3(z=height),
        color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0),
        text=f"{segment.category.name} {segment.scores[0][1]:.2f}",
    )
