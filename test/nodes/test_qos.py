"""Which subscription serves which publishers."""

import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy

from ovsr_ros.nodes.qos import describe_qos, latched_qos, match_publishers, output_qos, same_policies

RELIABLE, BEST_EFFORT = QoSReliabilityPolicy.RELIABLE, QoSReliabilityPolicy.BEST_EFFORT
VOLATILE, LATCHED = QoSDurabilityPolicy.VOLATILE, QoSDurabilityPolicy.TRANSIENT_LOCAL


def qos(reliability, durability=VOLATILE):
    return QoSProfile(depth=5, reliability=reliability, durability=durability)


@pytest.mark.parametrize(
    ("offered", "reliability", "durability"),
    [
        ([], BEST_EFFORT, VOLATILE),
        ([qos(RELIABLE)], RELIABLE, VOLATILE),
        ([qos(BEST_EFFORT)], BEST_EFFORT, VOLATILE),
        ([qos(RELIABLE), qos(BEST_EFFORT)], BEST_EFFORT, VOLATILE),
        ([qos(RELIABLE, LATCHED)], RELIABLE, LATCHED),
        ([qos(RELIABLE, LATCHED), qos(RELIABLE)], RELIABLE, VOLATILE),
    ],
)
def test_the_strictest_that_everybody_can_serve(offered, reliability, durability):
    matched = match_publishers(offered)
    assert (matched.reliability, matched.durability) == (reliability, durability)
    assert (matched.history, matched.depth) == (QoSHistoryPolicy.KEEP_LAST, 1)


def test_outputs_serve_reliable_subscribers():
    assert output_qos().reliability == RELIABLE
    assert same_policies(output_qos(), qos(RELIABLE))
    assert not same_policies(output_qos(), latched_qos())
    assert describe_qos(latched_qos()) == "reliable, transient local"
