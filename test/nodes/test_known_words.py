"""What `pocket` was taught counts for segments as soon as the operator says so, while the node runs."""

import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from skimage.data import coffee

from ovsr_ros.nodes.conversions.images import to_image_message


def test_known_words_change_segments_between_two_frames(start_node, ovsr):
    start_node(config="pocket", categories=["table", "cup"])
    ovsr.wait_until_active()
    before = areas(ovsr)
    assert areas(ovsr) == before, "of the same picture"
    change = Parameter("features.known_words", value=2.0).to_parameter_msg()
    request = SetParameters.Request(parameters=[change])
    (result,) = ovsr.client.call("/ovsr/set_parameters", SetParameters, request).results
    assert result.successful, result.reason
    assert areas(ovsr) != before


def areas(ovsr):
    """Of the segments of a photograph, in pixels."""
    message = to_image_message(np.ascontiguousarray(coffee()[::2, ::2]), "rgb8", ovsr.new_header())
    return sorted(segment.area_px for segment in ovsr.label(message).segments)
