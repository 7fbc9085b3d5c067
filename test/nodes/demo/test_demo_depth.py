"""The demo's camera has depth, and what the node makes of it is what the scene's geometry says."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from ovsr_ros.demo.scenes import CATEGORIES, Scene
from ovsr_ros.messages.depth_image import to_depth_m
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.demo.camera import DemoCamera

SEED = 3
MIN_SHARE = 0.9


def points_of(frame):
    """(H, W, 3) points in the camera's frame, by the inverse of its matrix."""
    height, width = frame.depth_m.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    return (pixels @ np.linalg.inv(frame.camera_matrix).T) * frame.depth_m[..., None].astype(float)


@pytest.fixture
def start_camera(context):
    nodes, executor = [], SingleThreadedExecutor(context=context)

    def start(**parameters):
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = DemoCamera(context=context, parameter_overrides=overrides, use_global_arguments=False)
        nodes.append(node)
        executor.add_node(node)
        return node

    yield start, executor
    executor.shutdown()
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize(("encoding", "tolerance_m"), [("16UC1", 0.0006), ("32FC1", 0.0)])
def test_depth_is_the_scene_s_with_the_image_s_stamp(start_camera, client, encoding, tolerance_m):
    start, executor = start_camera
    size = {"width": 160, "height": 120}
    start(seed=SEED, speed=0.0, depth_encoding=encoding, rate_hz=20.0, **size)
    infos = client.collect("/camera_info", CameraInfo)
    depths = client.collect("/depth_registered/image_rect", Image)
    executor_until(executor, lambda: depths and infos)
    frame = Scene(SEED, split="test").render(0.0, (160, 120))
    assert depths[-1].encoding == encoding
    np.testing.assert_allclose(to_depth_m(depths[-1], (120, 160)), frame.depth_m, atol=tolerance_m)
    stamps = {(info.header.stamp.sec, info.header.stamp.nanosec) for info in infos}
    assert any((depth.header.stamp.sec, depth.header.stamp.nanosec) in stamps for depth in depths)
    np.testing.assert_allclose(np.reshape(infos[-1].k, (3, 3)), frame.camera_matrix)


def test_without_depth_there_is_no_topic(start_camera):
    start, _ = start_camera
    node = start(depth_encoding="none", width=160, height=120)
    assert "/depth_registered/image_rect" not in dict(node.get_topic_names_and_types())


def executor_until(executor, condition, num_turns=600):
    for _ in range(num_turns):
        if condition():
            return
        executor.spin_once(timeout_sec=0.05)
    pytest.fail("the camera's topics did not come")


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_every_object_is_at_its_true_distance_and_place(run_module, ovsr, client, encoding):
    run_module(
        "ovsr_ros.nodes.demo_camera",
        *("--ros-args", "-r", "__ns:=/demo", "-p", f"seed:={SEED}", "-p", "rate_hz:=2.0", "-p", "speed:=0.0"),
        *("-p", f"depth_encoding:={encoding}"),
    )
    run_module(
        "ovsr_ros.nodes.ovsr_node",
        *("--ros-args", "-p", "config:=demo", "-p", f"categories:=[{', '.join(CATEGORIES)}]"),
        *("-r", "image:=/demo/image_raw", "-r", "depth:=/demo/depth_registered/image_rect"),
    )
    client.collect("/ovsr/segment_map", Image)
    client.wait(
        lambda: [array for array in ovsr.segments if any(segment.depth_count for segment in array.segments)],
        "segments with depth",
        timeout_s=120.0,
    )
    arrays = [array for array in ovsr.segments if any(segment.depth_count for segment in array.segments)]
    segment_map = to_label_array(ovsr.result("/ovsr/segment_map", arrays[0].header))
    frame = Scene(SEED, split="test").render(0.0)  # a camera that does not move sees the same all the time
    points = points_of(frame)
    num_objects = 0
    for segment in arrays[0].segments:
        assert segment.depth_count == segment.area_px
        mask = segment_map == segment.id
        instances, counts = np.unique(frame.instance_map[mask], return_counts=True)
        instance, share = instances[counts.argmax()], counts.max() / mask.sum()
        position = np.array([segment.position.x, segment.position.y, segment.position.z])
        np.testing.assert_allclose(position, points[mask].mean(0), atol=2e-3)
        assert segment.distance == pytest.approx(np.median(np.linalg.norm(points[mask], axis=1)), abs=5e-3)
        if instance < 2 or share < MIN_SHARE:  # wall and floor are cut into segments as the clusters fall
            continue
        num_objects += 1
        own = points[frame.instance_map == instance]
        assert segment.distance == pytest.approx(np.median(np.linalg.norm(own, axis=1)), abs=0.1)
        np.testing.assert_allclose(position, own.mean(0), atol=0.15)
        assert segment.box_min.z > own[:, 2].min() - 0.1
        assert segment.box_max.x < own[:, 0].max() + 0.1
    assert num_objects >= 1, "the scene has objects, and the demo's models find them"
