"""What bench/soak.py takes for a mixture: outputs of a frame that contradict each other, or its vocabulary."""

from __future__ import annotations

import pytest

from ovsr_ros import msg

NAMES = {0: "mug", 3: "ball"}


@pytest.fixture
def frames(load_script):
    return load_script("soak_observer").Frames()


def segments(version=1, **changes):
    """A mug, a ball, and a thing that is none of them."""
    array = msg.SegmentArray(vocabulary_version=version)
    for id, class_id, label in ((1, 0, "mug"), (2, 3, "ball"), (3, 255, "")):
        array.segments.append(msg.Segment(id=id, class_id=class_id, label=label))
    for name, value in changes.items():
        setattr(array.segments[0], name, value)
    return array


def keep(frames, stamp=(1, 0), classes=(0, 3), segment_ids=(1, 2, 3), **changes):
    frames.keep(stamp, classes=set(classes))
    frames.keep(stamp, segments=segments(**changes))
    frames.keep(stamp, segment_ids=set(segment_ids))


def test_a_whole_frame_is_compared_once(frames):
    frames.learn(1, NAMES)
    keep(frames)
    keep(frames, stamp=(2, 0))
    assert (frames.num_checked, frames.mixtures) == (2, [])


def test_a_frame_that_lacks_an_output_is_not(frames):
    frames.learn(1, NAMES)
    frames.keep((1, 0), classes={0}, segments=segments())
    assert (frames.num_checked, frames.mixtures) == (0, [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": (0, 3, 5)}, "in the label map"),
        ({"classes": (0,)}, "in the label map"),
        ({"segment_ids": (1, 2)}, "in the segment map"),
        ({"label": "cup"}, "in none of its version's categories"),
        ({"class_id": 7, "classes": (3, 7)}, "in none of its version's categories"),
    ],
)
def test_what_contradicts_itself_is_told(frames, changes, said):
    frames.learn(1, NAMES)
    keep(frames, **changes)
    (problem,) = frames.mixtures
    assert problem.startswith("frame (1, 0): ")
    assert said in problem


def test_the_vocabulary_may_be_taken_after_its_first_frame(frames):
    keep(frames, version=2)
    assert frames.num_checked == 0
    frames.learn(2, {0: "mug", 3: "egg"})
    assert frames.num_checked == 1
    assert "'ball'" in frames.mixtures[0]


def test_a_vocabulary_that_never_comes_is_told(frames):
    for number in range(60):
        keep(frames, stamp=(number, 0), version=9)
    assert "version 9 has not come" in frames.mixtures[0]
