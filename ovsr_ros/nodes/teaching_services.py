"""The services that teach by example: ~/teach and ~/get_examples."""

from __future__ import annotations

import array
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import CallbackGroup
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest

from ovsr_ros import srv
from ovsr_ros.errors import ImageError, VocabularyError
from ovsr_ros.nodes.change_answers import answer_change
from ovsr_ros.nodes.conversions.images import to_mask_array, to_rgb_array
from ovsr_ros.nodes.conversions.messages import to_example_message
from ovsr_ros.nodes.parameter_node import ParameterNode
from ovsr_ros.nodes.qos import service_qos
from ovsr_ros.nodes.segmenter import Segmenter
from ovsr_ros.teaching import Pointed, check_teachable, mask_of_box, to_example
from ovsr_ros.vocabulary.category import parse_category
from ovsr_ros.vocabulary.change import Forgetting, Teaching

ADD, REMOVE = srv.TeachCategory.Request.ADD, srv.TeachCategory.Request.REMOVE


class TeachingServices:
    """For as long as the node lives.

    describe_failure: what to tell a caller of an exception. changes: the group of all that changes the vocabulary.
    others: of all that does not.
    """

    def __init__(
        self,
        node: ParameterNode,
        describe_failure: Callable[[Exception], str],
        changes: CallbackGroup,
        others: CallbackGroup,
    ) -> None:
        self._node = node
        self._describe_failure = describe_failure
        for name, service_type, callback, group in (
            ("~/teach", srv.TeachCategory, self._teach, changes),
            ("~/get_examples", srv.GetExamples, self._get_examples, others),
        ):
            node.create_service(service_type, name, callback, callback_group=group, qos_profile=service_qos())

    def _teach(
        self, request: srv.TeachCategory.Request, response: srv.TeachCategory.Response
    ) -> srv.TeachCategory.Response:
        change = answer_change(
            self._node,
            response,
            "teach",
            lambda: self._node.apply_change(self._read_change(request), request.expected_version),
            self._describe_failure,
        )
        if change is not None and request.operation == ADD:
            response.example_id = change.after.examples[-1].id
        return response

    def _read_change(self, request: srv.TeachCategory.Request) -> Teaching | Forgetting:
        segmenter = self._node.require_segmenter()
        if request.operation == REMOVE:
            return Forgetting(tuple(request.example_ids))
        if request.operation != ADD:
            raise VocabularyError(f"operation: expected {ADD} (ADD) or {REMOVE} (REMOVE), got {request.operation}")
        state = segmenter.pipeline.state
        check_teachable(state)
        return Teaching(parse_category(request.name), to_example(_point(request, segmenter), state))

    def _get_examples(
        self, request: srv.GetExamples.Request, response: srv.GetExamples.Response
    ) -> srv.GetExamples.Response:
        try:
            model_id = self._node.example_model_id
            by_id = {example.id: example for example in self._node.vocabulary.examples}
            unknown = sorted(set(request.ids) - set(by_id))
            if unknown:
                listed = ", ".join(map(str, by_id)) or "none"
                raise VocabularyError(f"ids: {', '.join(map(str, unknown))} unknown; in force: {listed}")
            for id in sorted(set(request.ids)) or by_id:
                response.examples.append(to_example_message(by_id[id], model_id))
                response.thumbnails.append(_to_jpeg(by_id[id].thumbnail))
            response.success = True
        except Exception as error:  # whatever it is, the caller gets an answer
            response.success = False
            response.message = self._describe_failure(error)
        return response


def _point(request: srv.TeachCategory.Request, segmenter: Segmenter) -> Pointed:
    """Raises ImageError and VocabularyError for what cannot be pointed at."""
    if not request.image.height:
        for name, given in (("mask", request.mask.height), ("box", request.box.height)):
            if given:
                raise ImageError(f"{name}: expected an image beside it, got none; send the image that it is of")
        if request.track_id:
            return segmenter.recent.of_track(request.stamp, request.track_id)
        return segmenter.recent.at_pixel(request.stamp, request.x, request.y)
    if request.track_id:
        raise ImageError("track_id: an image of its own has no tracks; point at a pixel, or leave the image out")
    image = to_rgb_array(request.image)
    return segmenter.models.point_at(image, _read_mask(request, image, segmenter))


def _read_mask(request: srv.TeachCategory.Request, image: NDArray[np.uint8], segmenter: Segmenter) -> NDArray[np.bool_]:
    """(H, W): where the thing is in the image (H, W, 3)."""
    box: RegionOfInterest = request.box
    mask: Image = request.mask
    if mask.height:
        if box.height:
            raise ImageError("mask, box: expected one of them, got both")
        return to_mask_array(mask)
    if box.height:
        edges = (box.x_offset, box.y_offset, box.x_offset + box.width, box.y_offset + box.height)
        return mask_of_box((image.shape[0], image.shape[1]), edges)
    height, width = image.shape[:2]
    if not (request.x < width and request.y < height):
        raise ImageError(f"x, y: expected a pixel of the image, {width}x{height}, got {request.x}, {request.y}")
    segment_map = segmenter.segment_once(image, ()).segmentation.segment_map
    segment = segment_map[request.y, request.x]
    if not segment:
        raise ImageError(f"x, y: there is no segment at {request.x}, {request.y}; point at one, or give a mask")
    found: NDArray[np.bool_] = segment_map == segment
    return found


def _to_jpeg(data: bytes) -> CompressedImage:
    message = CompressedImage(format="jpeg" if data else "")
    message.data = array.array("B", data)
    return message
