"""More images than can be labelled, and images of changing size: the newest wins, nothing piles up."""

from __future__ import annotations

import time

from sensor_msgs.msg import Image

from ovsr_ros.models.memory import MEBIBYTE, resident_bytes

RATE_HZ = 200.0
BURST_S = 3.0


def resident_mib():
    return resident_bytes() / MEBIBYTE


def burst(ovsr, seconds, sizes=((120, 160),)):
    """Send images at 200 Hz, as fast as this machine can; returns their headers."""
    publisher = ovsr.client.publisher("/image", Image, 10)
    images = [ovsr.image(size_hw, seed=seed) for seed, size_hw in enumerate(sizes)]
    headers = []
    begin = time.monotonic()
    for number in range(round(seconds * RATE_HZ)):
        image = images[number % len(images)]
        image.header = ovsr.new_header()
        publisher.publish(image)
        headers.append(image.header)
        time.sleep(max(0.0, begin + (number + 1) / RATE_HZ - time.monotonic()))
    return headers


def test_of_a_burst_the_newest_are_labelled_and_the_others_counted(active_node, ovsr, client):
    for _ in range(3):
        ovsr.label()
    client.wait(lambda: not _in_work(active_node), "the worker's rest")  # a frame is counted after it is published
    burst(ovsr, 0.5)  # what is taken the first time stays
    client.wait(lambda: not _in_work(active_node), "the worker's rest")
    before, memory = active_node._worker.counts, resident_mib()
    headers = burst(ovsr, BURST_S)
    ended = time.monotonic()
    ovsr.result("/ovsr/segments", headers[-1], timeout_s=10.0)
    assert time.monotonic() - ended < 5.0, "the last image waited for older ones"

    stamps = [segments.header.stamp.sec for segments in ovsr.segments]
    assert stamps == sorted(set(stamps)), "an image was labelled after a newer one, or twice"
    assert stamps[-1] == headers[-1].stamp.sec, "an image was labelled after the burst's last"
    client.wait(lambda: not _in_work(active_node), "the worker's rest")
    counts = active_node._worker.counts
    received, processed, dropped = (
        getattr(counts, name) - getattr(before, name) for name in ("received", "processed", "dropped")
    )
    assert received == processed + dropped
    assert received > 0.2 * len(headers), "this machine is too busy for a burst"
    assert dropped > processed > 3
    assert (counts.failed, counts.repeated) == (0, 0)
    # Kept, the burst's images alone would be 33 MiB.
    assert resident_mib() - memory < 30.0


def test_latency_stays_bounded_during_a_burst(active_node, ovsr, client):
    for _ in range(3):
        ovsr.label()
    active_node._monitor.reset()
    burst(ovsr, BURST_S)
    statistics = active_node._monitor.snapshot()
    work_s = sum(durations.mean_s for name, durations in statistics.stages.items() if name != "wait")
    # An image waits for at most one frame in work and one tick of the timer; a queue of 200 Hz would be seconds long.
    assert statistics.stages["wait"].mean_s < work_s + 0.25
    assert statistics.latency.p50_s < 2 * work_s + 0.5


def test_the_image_size_changes_in_mid_stream(active_node, ovsr, client):
    for topic in ("label_map", "confidence", "segment_map", "overlay"):
        client.collect(f"/ovsr/{topic}", Image)
    client.wait(lambda: client.node.count_subscribers("/ovsr/overlay"), "the subscription of the overlay")
    sizes = ((120, 160), (64, 48), (240, 100), (48, 256))
    sent = []
    for number in range(24):
        image = ovsr.image(sizes[number % len(sizes)], seed=number)
        sent.append((ovsr.send(image), sizes[number % len(sizes)]))
        time.sleep(0.05)
    ovsr.result("/ovsr/overlay", sent[-1][0])
    for topic in ("segments", "label_map", "confidence", "segment_map", "overlay"):
        for output in client.received[f"/ovsr/{topic}"]:
            size_hw = next(size for header, size in sent if header == output.header)
            assert (output.height, output.width) == size_hw, topic
            if topic != "segments":
                assert output.step * output.height == len(output.data)
    assert not ovsr.errors("")


def _in_work(node):
    counts = node._worker.counts
    return counts.received != counts.processed + counts.failed + counts.dropped + counts.rested + counts.repeated
