"""What the middleware counts as lost on the way to a subscription, and what not."""

from __future__ import annotations

import pytest
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

from ovsr_ros.nodes.input.matched_subscription import MatchedSubscription


@pytest.mark.parametrize("reliability", [QoSReliabilityPolicy.BEST_EFFORT, QoSReliabilityPolicy.RELIABLE])
def test_what_a_late_reader_leaves_for_the_newest_is_not_lost(client, reliability):
    publisher = client.publisher("/image", Image, QoSProfile(depth=1, reliability=reliability), subscribed=False)
    received = []
    subscription = MatchedSubscription(client.node, Image, "/image", received.append)
    assert subscription.take_losses() == 0
    client.wait(subscription.publishers, "the publisher")
    subscription.gate.shut()
    subscription.match()
    client.publisher("/image", Image, publisher.qos_profile)
    for number in range(50):
        publisher.publish(Image(width=number))
    assert subscription.take_losses() == 0
    subscription.gate.open()
    client.node.executor.wake()  # nodes open it in a callback, after which the executor looks anew

    def newest_is_received():
        publisher.publish(Image(width=50))  # again: a publisher knows a subscriber before that one knows it
        return any(message.width == 50 for message in received)

    client.wait(newest_is_received, "the newest image")
    assert sum(message.width < 50 for message in received) < 50
    assert subscription.take_losses() == 0
    subscription.close()
    assert subscription.take_losses() == 0
