"""Words taught by example to a running node: by pixel, track or image, at once, and over restarts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, RegionOfInterest

from ovsr_ros import msg, srv
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.conversions.images import to_image_message
from ovsr_ros.nodes.recent_frames import MOST_FRAMES

ADD, REMOVE = srv.TeachCategory.Request.ADD, srv.TeachCategory.Request.REMOVE
LATCHED = QoSProfile(depth=10, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
SIZE_HW = (120, 160)


@pytest.fixture
def teach(ovsr):
    def teach(name="drill", operation=ADD, **fields):
        request = srv.TeachCategory.Request(name=name, operation=operation, **fields)
        return ovsr.client.call("/ovsr/teach", srv.TeachCategory, request)

    return teach


@pytest.fixture
def get_examples(ovsr):
    def get_examples(*ids):
        return ovsr.client.call("/ovsr/get_examples", srv.GetExamples, srv.GetExamples.Request(ids=ids))

    return get_examples


def again(ovsr, image):
    """The same picture under a new header."""
    return Image(
        header=ovsr.new_header(),
        height=image.height,
        width=image.width,
        encoding=image.encoding,
        step=image.step,
        data=image.data,
    )


def examples_of(vocabulary):
    """Their ids, by the categories' names."""
    return {category.name: [example.id for example in category.examples] for category in vocabulary.categories}


def pixel_of(ovsr, segments, segment):
    """Column and row of a pixel of a segment."""
    label_map = to_label_array(ovsr.result("/ovsr/segment_map", segments.header))
    inside = cv2.distanceTransform((label_map == segment.id).astype(np.uint8), cv2.DIST_L2, 3)
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    return {"x": int(column), "y": int(row)}


@pytest.fixture
def scene(active_node, ovsr):
    """An image, with its segments as the node published them."""
    ovsr.client.collect("/ovsr/segment_map", Image)
    image = ovsr.image(SIZE_HW)
    ovsr.label(image)
    image = again(ovsr, image)  # embeddings are smoothed along the tracks, and stand still by now
    return image, ovsr.label(image)


@pytest.mark.parametrize("way", ["pixel", "pixel of the newest", "track", "track of the newest"])
def test_what_was_pointed_at_is_called_so_in_the_next_frame(scene, ovsr, teach, way):
    image, segments = scene
    segment = segments.segments[1]
    point = {"track_id": segment.track_id} if way.startswith("track") else pixel_of(ovsr, segments, segment)
    stamp = {} if way.endswith("newest") else {"stamp": segments.header.stamp}
    latched = ovsr.client.collect("/ovsr/vocabulary", msg.Vocabulary, LATCHED)
    answer = teach(**point, **stamp)
    assert answer.success, answer.message
    assert answer.message == "version 2: 3 categories; added 'drill' (id 2); 'drill' has 1 example"
    assert answer.example_id == 1
    assert examples_of(answer.vocabulary) == {"mug": [], "ball": [], "drill": [1]}
    (example,) = answer.vocabulary.categories[2].examples
    assert example.used
    after = ovsr.label(again(ovsr, image))
    assert after.vocabulary_version == 2
    named = {found.track_id: found.label for found in after.segments}
    assert named[segment.track_id] == "drill"
    ovsr.client.wait(lambda: latched[-1].version == 2, "the vocabulary")
    assert examples_of(latched[-1]) == examples_of(answer.vocabulary)
    assert ovsr.get_parameter("categories") == ["mug; cup", "ball", "drill"]


def test_a_word_that_is_there_learns_and_forgets(scene, ovsr, teach):
    image, segments = scene
    segment = next(found for found in segments.segments if found.label != "ball")
    assert teach("ball", track_id=segment.track_id).success
    other = next(found for found in segments.segments if found.track_id != segment.track_id)
    assert teach("cup", track_id=other.track_id).success
    vocabulary = ovsr.get_vocabulary()
    assert examples_of(vocabulary) == {"mug": [2], "ball": [1]}
    named = {found.track_id: found.label for found in ovsr.label(again(ovsr, image)).segments}
    assert named[segment.track_id] == "ball"
    answer = teach("", REMOVE, example_ids=[1, 2])
    assert answer.success, answer.message
    assert answer.message == "version 4: 2 categories; 'mug' forgot example 2; 'ball' forgot example 1"
    assert answer.example_id == 0
    before = {found.track_id: found.label for found in segments.segments}
    after = {found.track_id: found.label for found in ovsr.label(again(ovsr, image)).segments}
    assert after[segment.track_id] == before[segment.track_id], "as if nothing had been taught"


def test_a_lesson_of_another_version_is_refused(scene, ovsr, teach):
    track_id = scene[1].segments[0].track_id
    assert teach(track_id=track_id, expected_version=1).success
    for fields in ({"track_id": track_id}, {"operation": REMOVE, "example_ids": [1]}):
        refused = teach(expected_version=1, **fields)
        assert not refused.success
        assert refused.message.startswith("the change was made from version 1, and version 2 is in force: ")
        assert examples_of(refused.vocabulary)["drill"] == [1]
    assert teach("", REMOVE, example_ids=[1], expected_version=2).success


def test_a_word_keeps_its_examples_while_it_is_gone(scene, ovsr, teach):
    _, segments = scene
    teach(track_id=segments.segments[0].track_id)
    assert ovsr.set_vocabulary(2, "drill").success
    answer = ovsr.set_vocabulary(1, "drill")
    assert answer.message.endswith("added 'drill' (id 2); 'drill' has 1 example")
    assert examples_of(answer.vocabulary)["drill"] == [1]
    assert ovsr.set_parameters(categories=["drill", "ball"]).successful
    assert examples_of(ovsr.get_vocabulary()) == {"ball": [], "drill": [1]}


@pytest.mark.parametrize("way", ["mask", "box", "pixel"])
def test_an_image_of_ones_own_teaches_as_well(active_node, ovsr, teach, get_examples, way):
    image = ovsr.image(SIZE_HW, seed=3)
    mask = np.zeros(SIZE_HW, np.uint8)
    mask[40:80, 80:120] = 7
    fields = {
        "mask": {"mask": to_image_message(mask, "mono8", ovsr.new_header())},
        "box": {"box": RegionOfInterest(x_offset=80, y_offset=40, width=40, height=40)},
        "pixel": {"x": 100, "y": 60},
    }[way]
    answer = teach(image=image, **fields)
    assert answer.success, answer.message
    assert examples_of(answer.vocabulary)["drill"] == [1]
    (thumbnail,) = get_examples().thumbnails
    picture = cv2.imdecode(np.frombuffer(thumbnail.data, np.uint8), cv2.IMREAD_COLOR)
    assert 40 <= max(picture.shape) <= 96


def test_pictures_of_examples_are_told_by_id(scene, ovsr, teach, get_examples):
    _, segments = scene
    for segment in segments.segments[:2]:
        assert teach(track_id=segment.track_id).success
    every = get_examples()
    assert every.success
    assert [(example.id, example.used) for example in every.examples] == [(1, True), (2, True)]
    assert [thumbnail.format for thumbnail in every.thumbnails] == ["jpeg", "jpeg"]
    one = get_examples(2)
    assert [example.id for example in one.examples] == [2]
    assert one.thumbnails == every.thumbnails[1:]
    refused = get_examples(7, 2)
    assert not refused.success
    assert refused.message == "ids: 7 unknown; in force: 1, 2"


def refusals(ovsr, segments):
    image, mask = ovsr.image(SIZE_HW), np.zeros(SIZE_HW, np.uint8)
    large = np.ones((10, 10), np.uint8)
    stamp = segments.header.stamp

    def message(pixels):
        return to_image_message(pixels, "mono8", ovsr.new_header())

    other = ovsr.new_header().stamp
    return [
        ({"stamp": other}, f"stamp: no frame of {other.sec}.000123456 s is remembered: the last 2 are, "),
        ({"track_id": 999}, "track_id: 999 is not in the last 2 frames; the newest of them has "),
        ({"track_id": 999, "stamp": stamp}, "track_id: 999 is not in that frame"),
        ({"x": 160, "stamp": stamp}, "x, y: expected a pixel of the frame, 160x120, got 160, 0"),
        ({"name": "", "stamp": stamp}, "category 1: "),
        ({"name": "mug; glass"}, "'mug' is present already: an example is for its name alone"),
        ({"operation": 7}, "operation: expected 0 (ADD) or 1 (REMOVE), got 7"),
        ({"operation": REMOVE}, "no example is named; in force: none"),
        ({"operation": REMOVE, "example_ids": [3]}, "example 3 is unknown"),
        ({"image": image, "mask": message(mask)}, "mask: expected a pixel of the thing, got none"),
        ({"image": image, "mask": message(large)}, "mask: expected the image's size, 160x120, got 10x10"),
        ({"image": image, "mask": image}, "mask: encoding: expected mono8"),
        ({"mask": message(large)}, "mask: expected an image beside it, got none"),
        ({"box": RegionOfInterest(width=4, height=4)}, "box: expected an image beside it"),
        ({"image": image, "box": RegionOfInterest(x_offset=150, width=20, height=4)}, "box: expected one within"),
        (
            {"image": image, "mask": message(large), "box": RegionOfInterest(width=4, height=4)},
            "mask, box: expected one of them, got both",
        ),
        ({"image": image, "track_id": 1}, "track_id: an image of its own has no tracks"),
        ({"image": image, "x": 160}, "x, y: expected a pixel of the image, 160x120"),
        ({"image": Image(height=4, width=4, encoding="cmyk")}, "encoding: expected"),
    ]


def test_a_refusal_says_why_and_changes_nothing(scene, ovsr, teach):
    _, segments = scene
    for fields, said in refusals(ovsr, segments):
        answer = teach(**{"name": "drill", **fields})
        assert not answer.success
        assert answer.message.startswith(said), (fields.keys(), answer.message)
        assert examples_of(answer.vocabulary) == {"mug": [], "ball": []}
        assert answer.vocabulary.version == 1
    ovsr.client.wait(
        lambda: [log for log in ovsr.logs if log.msg.startswith("teach refused: ")], "a refusal in the log"
    )


def test_before_the_first_frame_there_is_nothing_to_point_at(active_node, teach):
    answer = teach(x=3, y=4)
    assert not answer.success
    assert answer.message.startswith("no frame has been published yet: subscribe to an output")


def test_without_models_the_caller_is_told_to_configure(start_node, ovsr, teach, get_examples):
    start_node(autostart=False)
    answer = teach(x=3, y=4)
    assert not answer.success
    assert answer.message.startswith("no models are loaded: configure the node first")
    assert list(get_examples().examples) == []


def test_old_frames_are_forgotten(active_node, ovsr, teach):
    first = ovsr.label(ovsr.image((48, 64)))
    for _ in range(MOST_FRAMES):
        last = ovsr.label(ovsr.image((48, 64)))
    answer = teach(stamp=first.header.stamp)
    assert not answer.success
    assert f"the last {MOST_FRAMES} are, " in answer.message
    assert f"to {last.header.stamp.sec}.000123456 s" in answer.message
    assert teach(stamp=last.header.stamp).success


def test_examples_outlive_the_node_and_those_of_other_weights_are_asked_for_again(
    start_node, ovsr, teach, tmp_path, client
):
    path = str(tmp_path / "vocabulary.json")
    node = start_node(vocabulary_file=path)
    ovsr.wait_until_active()
    segments = ovsr.label()
    assert teach(track_id=segments.segments[0].track_id).success
    node.destroy_node()
    ovsr.diagnostics.clear()
    client.wait(lambda: not client.node.count_publishers("/ovsr/segments"), "the node to go")

    node = start_node(vocabulary_file=path)
    ovsr.wait_until_active()
    vocabulary = ovsr.get_vocabulary()
    assert examples_of(vocabulary) == {"mug": [], "ball": [], "drill": [1]}
    assert vocabulary.categories[2].examples[0].used
    node.destroy_node()
    ovsr.diagnostics.clear()
    client.wait(lambda: not client.node.count_publishers("/ovsr/segments"), "the node to go")

    text = (tmp_path / "vocabulary.json").read_text()
    (tmp_path / "vocabulary.json").write_text(text.replace('"model": "', '"model": "another '))
    start_node(vocabulary_file=path)
    ovsr.wait_until_active()
    said = "1 of 1 examples is not used ('drill'): they were taught to other weights than those in use; they are kept"
    client.wait(lambda: ovsr.status_message("vocabulary").startswith(said), "the warning")
    assert ovsr.status("vocabulary").level == DiagnosticStatus.WARN
    assert [log.msg for log in ovsr.logs if log.msg.startswith(said)], "and in the log"
    vocabulary = ovsr.get_vocabulary()
    assert examples_of(vocabulary)["drill"] == [1]
    assert not vocabulary.categories[2].examples[0].used
    assert teach(track_id=ovsr.label().segments[0].track_id).success, "asked for again"
    assert [example.used for example in ovsr.get_vocabulary().categories[2].examples] == [False, True]
    assert teach(operation=REMOVE, example_ids=[1]).success
    client.wait(lambda: ovsr.status("vocabulary").level == DiagnosticStatus.OK, "nothing to complain of")
