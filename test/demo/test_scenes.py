"""The rendered scenes: deterministic, exact, within their bounds, and splits that share nothing."""

import subprocess
import sys

import numpy as np
import pytest

from ovsr_ros.demo.captions import concept_of, describe, random_concept, reserved_words
from ovsr_ros.demo.materials import COLORS, FLOORS, PATTERNS, WALLS
from ovsr_ros.demo.objects import KINDS as KIND_TABLE
from ovsr_ros.demo.scenes import CATEGORIES, HELD_OUT, KINDS, ObjectName, Scene

SIZE_WH = (320, 240)


def test_there_is_enough_to_see():
    assert len(KINDS) >= 16
    assert len(COLORS) == 10
    assert len(PATTERNS) == 4
    assert len(WALLS) == 6
    assert len(FLOORS) == 6
    assert CATEGORIES[:2] == ("wall", "floor")


def test_frame_has_the_documented_shapes():
    frame = Scene(3).render(1.5, SIZE_WH)
    assert frame.image.shape == (240, 320, 3)
    assert frame.image.dtype == np.uint8
    assert frame.category_map.shape == frame.instance_map.shape == frame.depth_m.shape == (240, 320)
    assert frame.category_map.dtype == np.uint8
    assert frame.instance_map.dtype == np.uint16
    assert frame.depth_m.dtype == np.float32
    assert frame.camera_matrix.shape == (3, 3)


@pytest.mark.parametrize("size_wh", [(16, 16), (64, 48), (48, 64), (641, 479), (1280, 200)])
def test_any_size(size_wh):
    frame = Scene(1, split="val").render(0.0, size_wh)
    assert frame.image.shape == (size_wh[1], size_wh[0], 3)
    assert frame.category_map.max() < len(CATEGORIES)


def test_same_seed_and_time_draw_the_same_image():
    first, second = (Scene(5).render(2.25, SIZE_WH) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.instance_map, second.instance_map)


def test_a_scene_draws_the_same_image_again_after_others():
    scene = Scene(5)
    first = scene.render(2.25, SIZE_WH)
    scene.render(7.0, (160, 120))
    assert np.array_equal(first.image, scene.render(2.25, SIZE_WH).image)


def test_seeds_times_and_splits_differ():
    images = [
        Scene(5).render(0.0, SIZE_WH).image,
        Scene(6).render(0.0, SIZE_WH).image,
        Scene(5).render(3.0, SIZE_WH).image,
        Scene(5, split="val").render(0.0, SIZE_WH).image,
        Scene(5, split="test").render(0.0, SIZE_WH).image,
    ]
    for i, one in enumerate(images):
        for other in images[i + 1 :]:
            assert np.abs(one.astype(int) - other.astype(int)).mean() > 2


def test_maps_agree_with_each_other_and_with_the_names():
    for seed in range(6):
        scene = Scene(seed, num_objects=8, split="val")
        frame = scene.render(4.0, SIZE_WH)
        assert frame.instance_map.max() < len(frame.instance_names)
        assert np.array_equal(frame.instance_categories[frame.instance_map], frame.category_map)
        assert frame.instance_names[0] in WALLS
        assert frame.instance_names[1] in FLOORS
        for name, category in zip(frame.instance_names[2:], frame.instance_categories[2:], strict=True):
            pattern, color, kind = name.split(" ")
            assert pattern in PATTERNS
            assert color in COLORS
            assert kind == CATEGORIES[category]


def test_instances_project_where_the_camera_matrix_says():
    """The floor's depth is known in closed form: the camera's height over the ray's slope."""
    scene = Scene(2, split="val", num_objects=3)
    frame = scene.render(0.0, SIZE_WH)
    view = scene.path.at(0.0)
    v, u = np.nonzero(frame.instance_map == 1)
    rays = np.stack([u, v, np.ones_like(u)]) / 1.0
    local = np.linalg.inv(frame.camera_matrix) @ rays  # x right, y down, z forward
    world = view.to_world @ (local * np.array([[1], [-1], [1]])) * frame.depth_m[v, u]
    heights = world[1] + view.position[1]
    assert np.abs(heights).max() < 1e-3


def test_objects_keep_to_the_bounds_on_their_height():
    heights = []
    for seed in range(30):
        frame = Scene(seed, split="test").render(0.0, (640, 480))
        for instance in range(2, len(frame.instance_names)):
            rows = np.nonzero((frame.instance_map == instance).any(1))[0]
            if len(rows) and not _is_covered(frame, instance):
                heights.append(len(rows) / 480)
    assert len(heights) > 60
    assert min(heights) > 0.07
    assert max(heights) <= 0.45
    assert np.percentile(heights, 10) < 0.14
    assert np.percentile(heights, 90) > 0.28


def _is_covered(frame, instance) -> bool:
    """Whether something nearer touches the object, so that its visible height is not its own."""
    mask = frame.instance_map == instance
    if mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any():
        return True
    rows, columns = np.nonzero(mask)
    window = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    others = (frame.instance_map[window] >= 2) & ~mask[window]
    return bool(others.any())


def test_occlusion_follows_depth():
    scene = Scene(11, num_objects=12, split="val")
    frame = scene.render(0.0, SIZE_WH)
    alone = scene.path.at(0.0)
    wall_depth = (scene.room.wall_z - alone.position[2]) / alone.to_world[2, 2]
    assert frame.depth_m[frame.instance_map >= 2].max() < wall_depth * 1.2
    for instance in np.unique(frame.instance_map)[2:]:
        seen = frame.depth_m[frame.instance_map == instance]
        assert 0.5 < seen.min() <= seen.max() < scene.room.wall_z + 0.5


def test_the_camera_moves_smoothly_and_stands_still_on_request():
    moving = Scene(4, split="val")
    steps = [np.abs(np.subtract(*_pair(moving, t))).mean() for t in (0.0, 5.0, 11.0)]
    assert all(0 < step < 25 for step in steps)
    still = Scene(4, split="val", motion=0.0)
    first, second = (still.render(t, SIZE_WH) for t in (0.0, 9.0))
    assert np.array_equal(first.instance_map, second.instance_map)
    assert not np.array_equal(first.image, second.image), "sensor noise differs from exposure to exposure"


def _pair(scene, time_s):
    return [scene.render(t, SIZE_WH).image.astype(int) for t in (time_s, time_s + 1 / 15)]


@pytest.mark.parametrize("wanted", [0, 1, 6, 12])
def test_number_of_objects(wanted):
    placed = [len(Scene(seed, num_objects=wanted, split="val").names) for seed in range(5)]
    assert max(placed) <= wanted
    assert np.mean(placed) >= 0.85 * wanted


def test_held_out_combinations_occur_in_the_test_split_only():
    assert 0.05 < len(HELD_OUT) / (len(KINDS) * len(COLORS) * len(PATTERNS)) < 0.15
    for split in ("train", "val"):
        names = [name for seed in range(60) for name in Scene(seed, split=split).names]
        assert not any(name.held_out for name in names)
    assert all(name.held_out for seed in range(10) for name in Scene(seed, split="test", only_held_out=True).names)


def test_every_kind_colour_and_pattern_is_left_for_training():
    kept = [
        ObjectName(pattern, color, kind)
        for pattern in PATTERNS
        for color in COLORS
        for kind in KINDS
        if not ObjectName(pattern, color, kind).held_out
    ]
    assert {name.kind for name in kept} == set(KINDS)
    assert {name.color for name in kept} == set(COLORS)
    assert {name.pattern for name in kept} == set(PATTERNS)


def test_unseen_synonyms_never_occur_in_a_caption():
    rng = np.random.default_rng(0)
    unseen = [phrase for kind in KIND_TABLE.values() for phrase in kind.unseen_synonyms]
    own_words = {word for phrase in unseen for word in phrase.split(" ")} - set(KINDS)
    assert sum(bool(kind.unseen_synonyms) for kind in KIND_TABLE.values()) >= 2
    assert own_words <= reserved_words()
    for _ in range(3000):
        caption = describe(random_concept(rng), rng, fillers := ["zebra"])
        assert not own_words & set(caption.replace(".", "").split(" ")), (caption, fillers)


def test_captions_of_random_concepts_are_never_held_out():
    rng = np.random.default_rng(1)
    for _ in range(3000):
        concept = random_concept(rng)
        if concept.pattern and concept.color:
            assert not ObjectName(concept.pattern, concept.color, concept.kind).held_out


def test_a_caption_covers_what_it_is_true_of():
    mug = concept_of("striped red mug")
    assert mug.covers(mug)
    assert concept_of("plain red mug").covers(mug) is False
    assert concept_of("brick wall").covers(concept_of("brick wall"))
    assert concept_of("brick wall").covers(concept_of("tiled wall")) is False


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"split": "dev"}, "split: expected one of train, val, test, got 'dev'"),
        ({"num_objects": 13}, "num_objects: expected 0 to 12, got 13"),
        ({"only_held_out": True}, "only_held_out: held-out combinations occur in split 'test' only, got 'train'"),
    ],
)
def test_wrong_arguments_are_named(arguments, expected):
    with pytest.raises(ValueError, match=expected.replace("(", r"\(")):
        Scene(0, **arguments)


def test_too_small_an_image_is_refused():
    with pytest.raises(ValueError, match="at least 16x16"):
        Scene(0).render(0.0, (15, 40))


def test_scenes_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None; from ovsr_ros.demo.scenes import Scene; Scene(0).render(0, (64, 48))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
