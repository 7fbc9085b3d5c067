"""Stamps of every kind: repeated, backwards, zero, of a simulation's clock that stands still or jumps."""

from __future__ import annotations

import math

import pytest
from builtin_interfaces.msg import Time as Stamp
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

from ovsr_ros.nodes.conversions.stamps import image_age_s, stamp_key


@pytest.mark.parametrize(
    ("stamp_s", "now_s", "age_s"),
    [
        (100, 100.25, 0.25),
        (100, 99.5, -0.5),
        (100, 160, 60.0),
        (0, 100, math.nan),
        (100, 0, math.nan),
        (100, 98, math.nan),
        (100, 161, math.nan),
        (30, 1_700_000_000, math.nan),
    ],
)
def test_an_age_is_told_only_where_stamp_and_clock_are_of_one_kind(stamp_s, now_s, age_s):
    age = image_age_s(Stamp(sec=stamp_s), Time(nanoseconds=round(now_s * 1e9)))
    assert age == pytest.approx(age_s, nan_ok=True)


def test_a_stamp_of_zero_names_no_image():
    assert stamp_key(Stamp()) is None
    assert stamp_key(Stamp(sec=1)) != stamp_key(Stamp(nanosec=1))


def stamped(ovsr, seconds):
    image = ovsr.image()
    image.header.stamp = Time(nanoseconds=round(seconds * 1e9)).to_msg()
    return image


def age_ms(ovsr):
    """The image age in the next diagnostics that are news."""
    count = len(ovsr.diagnostics)
    ovsr.client.wait(lambda: len(ovsr.diagnostics) > count + 1, "diagnostics that are news")
    return ovsr.diagnostic("segmentation", "image age when published [ms]")


def test_a_bag_that_begins_anew_is_labelled_on(active_node, ovsr):
    for _ in range(2):
        for seconds in (50, 50.1, 50.2, 7):
            assert ovsr.label(stamped(ovsr, seconds)).header.stamp.sec == int(seconds)
    assert ovsr.diagnostic("image input", "skipped, same stamp") in ("", "0")
    assert age_ms(ovsr) == "-", "stamps of a bag are of another clock"


def test_images_without_a_stamp_have_no_age(active_node, ovsr):
    for count in range(1, 4):
        ovsr.send(stamped(ovsr, 0))
        ovsr.client.wait(lambda count=count: len(ovsr.segments) >= count, "an image without a stamp to be labelled")
    assert age_ms(ovsr) == "-"


def test_images_of_this_clock_have_an_age(active_node, ovsr, client):
    ovsr.label(stamped(ovsr, client.node.get_clock().now().nanoseconds / 1e9 - 2.0))
    assert 2000.0 < float(age_ms(ovsr)) < 30_000.0


def test_simulated_time_may_stand_still_and_jump(start_node, ovsr, client):
    node = start_node(use_sim_time=True)
    clock = client.publisher("/clock", Clock, 10, subscribed=False)

    def now_s():
        return node.get_clock().now().nanoseconds / 1e9

    def set_clock(seconds):
        def is_set():
            clock.publish(Clock(clock=Time(nanoseconds=round(seconds * 1e9)).to_msg()))
            return now_s() == pytest.approx(seconds)

        client.wait(is_set, f"the node's clock at {seconds} s")

    ovsr.wait_until_active()
    # Before the simulation's first word, the clock stands at 0: diagnostics come, images are labelled.
    ovsr.label(stamped(ovsr, 100))
    assert age_ms(ovsr) == "-"
    set_clock(100.5)
    ovsr.label(stamped(ovsr, 100.25))
    assert float(age_ms(ovsr)) == pytest.approx(250.0)
    # Paused: the same time on and on, and yet all goes on.
    for number in range(3):
        ovsr.label(stamped(ovsr, 100.251 + number / 1000))
    assert ovsr.status("segmentation").level == b"\x00"
    # The simulation begins anew.
    set_clock(1.0)
    ovsr.label(stamped(ovsr, 0.75))
    count = len(ovsr.diagnostics)
    client.wait(lambda: len(ovsr.diagnostics) > count + 1, "diagnostics after the jump")
    assert ovsr.diagnostics[-1].header.stamp.sec == 1
    assert ovsr.set_parameters(rate_hz=20.0).successful
    ovsr.label(stamped(ovsr, 0.8))
    assert not ovsr.errors("")


def test_simulated_time_that_never_comes_stops_nothing(start_node, ovsr, client):
    start_node(use_sim_time=True, image_timeout_s=0.5)
    client.wait(lambda: ovsr.status_message("image input").startswith("no image"), "the warning that no image comes")
    assert ovsr.label(stamped(ovsr, 3)).segments
