"""The node's services: the vocabulary set and read, one image segmented, frames paused; teaching_services.py has those
that teach, text_services.py the one that encodes texts. Whatever goes wrong, the caller is told.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from std_srvs.srv import SetBool

from ovsr_ros import srv
from ovsr_ros.errors import OvsrError, VocabularyError
from ovsr_ros.nodes.change_answers import answer_change, vocabulary_message
from ovsr_ros.nodes.conversions.images import to_image_message, to_rgb_array
from ovsr_ros.nodes.conversions.messages import to_category_requests, to_segment_array
from ovsr_ros.nodes.parameter_node import ParameterNode
from ovsr_ros.nodes.qos import service_qos
from ovsr_ros.nodes.teaching_services import TeachingServices
from ovsr_ros.nodes.text_services import TextServices
from ovsr_ros.vocabulary.category import Operation
from ovsr_ros.vocabulary.change import VocabularyChange


class Services:
    """~/set_vocabulary, ~/get_vocabulary, ~/segment_image, ~/set_enabled, ~/encode_text and those that teach, while the
    node lives.

    log_error: gets the traceback of what no caller can mend. set_enabled: pauses frames or lets them go on; answers in
        which state they are then.
    """

    def __init__(
        self, node: ParameterNode, log_error: Callable[[str], object], set_enabled: Callable[[bool], str]
    ) -> None:
        self._node = node
        self._set_enabled_to = set_enabled
        self._log_error = log_error
        # Changes wait in the middleware's queue, first come, first served. On the executor's threads they would keep
        # all else from being answered, and wait for a lock that does not know who came first.
        changes = MutuallyExclusiveCallbackGroup()
        # Reentrant: while one caller's words are encoded, another gets an answer.
        group = ReentrantCallbackGroup()
        for name, service_type, callback, callback_group in (
            ("~/set_vocabulary", srv.SetVocabulary, self._set_vocabulary, changes),
            ("~/get_vocabulary", srv.GetVocabulary, self._get_vocabulary, group),
            ("~/segment_image", srv.SegmentImage, self._segment_image, group),
            ("~/set_enabled", SetBool, self._set_enabled, MutuallyExclusiveCallbackGroup()),
        ):
            node.create_service(service_type, name, callback, callback_group=callback_group, qos_profile=service_qos())
        self._teaching = TeachingServices(node, self._describe_failure, changes, group)
        self._texts = TextServices(node, self._describe_failure)

    def _set_vocabulary(
        self, request: srv.SetVocabulary.Request, response: srv.SetVocabulary.Response
    ) -> srv.SetVocabulary.Response:
        def make() -> VocabularyChange:
            operation = _to_operation(request.operation)
            requests = to_category_requests(request.categories, names_only=operation == Operation.REMOVE)
            return self._node.change_vocabulary(operation, requests, request.expected_version)

        answer_change(self._node, response, "set_vocabulary", make, self._describe_failure)
        return response

    def _get_vocabulary(
        self, request: srv.GetVocabulary.Request, response: srv.GetVocabulary.Response
    ) -> srv.GetVocabulary.Response:
        response.vocabulary = vocabulary_message(self._node, self._node.vocabulary)
        return response

    def _segment_image(
        self, request: srv.SegmentImage.Request, response: srv.SegmentImage.Response
    ) -> srv.SegmentImage.Response:
        header = request.image.header
        try:
            segmenter = self._node.require_segmenter()
            oddities: list[str] = []
            image = to_rgb_array(request.image, oddities.append)
            labelled = segmenter.segment_once(image, to_category_requests(request.categories))
            segmentation, vocabulary = labelled.segmentation, labelled.vocabulary
            response.label_map = to_image_message(segmentation.label_map, "mono8", header)
            response.confidence = to_image_message(segmentation.confidence, "mono8", header)
            response.segments = to_segment_array(segmentation, vocabulary, header)
            response.vocabulary = vocabulary_message(self._node, vocabulary)
            response.success = True
            response.message = "; ".join(oddities)
        except Exception as error:  # whatever it is, the caller gets an answer
            response.success = False
            response.message = self._describe_failure(error)
        return response

    def _set_enabled(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            response.message = self._set_enabled_to(request.data)
            response.success = True
        except Exception as error:  # whatever it is, the caller gets an answer
            response.success = False
            response.message = self._describe_failure(error)
        return response

    def _describe_failure(self, error: Exception) -> str:
        if isinstance(error, OvsrError):
            return str(error)
        self._log_error("service call failed:\n" + "".join(traceback.format_exception(error)))
        return f"{type(error).__name__}: {error}"


def _to_operation(number: int) -> Operation:
    try:
        return Operation(number)
    except ValueError:
        known = ", ".join(f"{operation.value} ({operation.name})" for operation in Operation)
        raise VocabularyError(f"operation: expected one of {known}, got {number}") from None
