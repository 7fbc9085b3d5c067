"""What the node knows of its speed."""

import math
import time

import pytest

from ovsr_ros.nodes.health.monitor import Durations, StreamMonitor
from ovsr_ros.nodes.health.throttle import ThrottledLog


def test_nothing_is_known_before_the_first_frame():
    statistics = StreamMonitor().snapshot()
    assert math.isnan(statistics.output_rate_hz)
    assert math.isnan(statistics.latency.mean_s)
    assert statistics.stages == {}
    assert not statistics.last_frame_failed


def test_rates_latencies_and_stages_are_averaged():
    monitor = StreamMonitor()
    for latency_s in (0.1, 0.2, 0.3):
        monitor.image_arrived()
        monitor.frame_published(latency_s, 2 * latency_s, {"features": latency_s / 2})
        time.sleep(0.02)
    statistics = monitor.snapshot()
    assert math.isclose(statistics.latency.mean_s, 0.2)
    assert math.isclose(statistics.age.mean_s, 0.4)
    assert math.isclose(statistics.stages["features"].mean_s, 0.1)
    assert 5 < statistics.output_rate_hz <= 50
    assert 5 < statistics.input_rate_hz <= 50


def test_percentiles_are_interpolated_as_numpy_does():
    durations = Durations.of([0.4, 0.1, 0.2, 0.3, 1.0])
    assert (durations.mean_s, durations.p50_s, durations.max_s) == (pytest.approx(0.4), 0.3, 1.0)
    assert durations.p95_s == pytest.approx(0.88)
    assert Durations.of([0.7]) == Durations(0.7, 0.7, 0.7, 0.7)
    assert math.isnan(Durations.of([]).max_s)


def test_what_is_older_than_the_window_is_forgotten_and_the_window_may_change():
    monitor = StreamMonitor(window_s=60.0)
    monitor.frame_published(0.1, 0.1, {"features": 0.1})
    time.sleep(0.05)
    assert monitor.snapshot().num_frames == 1
    monitor.window_s = 0.02
    statistics = monitor.snapshot()
    assert (statistics.num_frames, statistics.stages, statistics.window_s) == (0, {}, 0.02)


def test_the_rate_of_a_stream_that_stopped_decays():
    monitor = StreamMonitor()
    for _ in range(5):
        monitor.image_arrived()
        time.sleep(0.01)
    running = monitor.snapshot().input_rate_hz
    time.sleep(0.2)
    assert monitor.snapshot().input_rate_hz < running / 3
    assert monitor.snapshot().since_image_s >= 0.2


def test_images_that_were_passed_over_do_not_count_in_the_rate():
    monitor = StreamMonitor()
    for _ in range(3):
        for tells_pace in (False, False, True):
            monitor.image_arrived(tells_pace)
            time.sleep(0.01)
        monitor.listening(False)
        time.sleep(0.2)
        assert monitor.silence_s() == 0.0
    assert 20 < monitor.snapshot().input_rate_hz <= 100
    monitor.listening(True)
    assert monitor.silence_s() < monitor.snapshot().since_image_s


@pytest.mark.parametrize(
    ("num_arrived", "num_lost", "is_losing"),
    [
        (0, 0, False),
        (20, 0, False),
        (20, 1, False),
        (1, 2, False),  # one or two may have been under way when the subscription was made
        (20, 3, False),
        (20, 10, True),
        (5, 15, True),
        (1, 80, True),
        (0, 80, True),
    ],
)
def test_losses_are_worth_a_word_where_they_are_many(num_arrived, num_lost, is_losing):
    monitor = StreamMonitor()
    for _ in range(num_arrived):
        monitor.image_arrived()
        time.sleep(0.01)
    monitor.images_lost(num_lost)
    statistics = monitor.snapshot()
    assert monitor.num_lost() == statistics.num_lost == num_lost
    assert statistics.loses_images == is_losing
    if num_lost:
        assert statistics.sent_rate_hz >= statistics.lost_rate_hz > 0
    elif num_arrived:
        assert statistics.sent_rate_hz == statistics.input_rate_hz


def test_losses_are_forgotten_with_the_window():
    monitor = StreamMonitor(window_s=0.05)
    monitor.images_lost(9)
    monitor.images_lost(0)
    assert monitor.num_lost() == 9
    time.sleep(0.1)
    assert (monitor.num_lost(), monitor.snapshot().lost_rate_hz) == (0, 0.0)
    monitor.images_lost(9)
    monitor.reset()
    assert not monitor.snapshot().loses_images


def test_a_failure_is_remembered_until_a_frame_succeeds():
    monitor = StreamMonitor()
    monitor.frame_failed("step: too small")
    assert monitor.snapshot().last_frame_failed
    monitor.frame_published(0.1, 0.1, {})
    statistics = monitor.snapshot()
    assert not statistics.last_frame_failed
    assert statistics.last_error == "step: too small"
    assert statistics.since_error_s < 5


def test_a_repeated_text_is_held_back_and_counted():
    texts = []
    log = ThrottledLog(texts.append, period_s=0.1)
    for _ in range(4):
        log("data: too short")
    log("step: too small")
    assert texts == ["data: too short", "step: too small"]
    time.sleep(0.12)
    log("data: too short")
    assert texts[-1] == "data: too short (3 more of these since the last)"


def test_texts_that_never_repeat_do_not_pile_up():
    log = ThrottledLog(lambda text: None, period_s=100.0)
    for number in range(1000):
        log(f"error {number}")
    assert len(log._seen) <= 64
