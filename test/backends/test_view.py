"""Cameras as they hang: what the networks see, and results in the image's own pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from small_pipeline import small_options, striped_image

from ovsr_ros.backends.contract import FrameEmbeddings, Regions
from ovsr_ros.backends.decision import decide, paint
from ovsr_ros.backends.view import View
from ovsr_ros.errors import ConfigError, ImageError
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary.category import CategoryRequest


def segmented(labels):
    """What a backend answers for an image with these parts, 1 to N: the class of part n is n - 1."""
    regions = Regions.from_labels(torch.from_numpy(labels.astype(np.int32)), np.arange(int(labels.max())))
    count = len(regions)
    of_part = regions.cluster_ids
    probabilities = torch.zeros(count, count)
    probabilities[torch.arange(count), torch.from_numpy(of_part)] = 1.0
    frame = FrameEmbeddings(regions, torch.zeros(count, 2), {}, np.arange(11, 11 + count, dtype=np.uint32))
    return paint(frame, decide(probabilities, torch.arange(count, dtype=torch.uint8), 0.0, 1), 1, {})


def check_consistent(segmentation: Segmentation) -> None:
    segments = segmentation.segments
    assert set(np.unique(segmentation.segment_map)) - {0} == set(segments.ids)
    for index, id in enumerate(segments.ids):
        mask = segmentation.segment_map == id
        rows, columns = np.nonzero(mask)
        x_min, y_min, x_max, y_max = segments.boxes_xyxy[index]
        assert (x_min, y_min, x_max, y_max) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert segments.areas_px[index] == mask.sum()
        np.testing.assert_allclose(segments.centroids_xy[index], (columns.mean(), rows.mean()), atol=1e-3)
        assert set(segmentation.label_map[mask]) == {segments.class_ids[index]}


PARTS = np.zeros((30, 40), np.int32)
PARTS[:, :25], PARTS[:, 25:], PARTS[20:, 30:] = 1, 2, 3


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_an_image_is_turned_clockwise_and_its_results_are_turned_back(rotation):
    view = View(rotation)
    image = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    codes = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    turned = cv2.rotate(image, codes[rotation]) if rotation else image
    np.testing.assert_array_equal(view.upright(image), turned)
    upright_parts = view.upright(np.repeat(PARTS[..., None], 3, 2).astype(np.uint8))[..., 0]
    found = view.own(segmented(upright_parts))
    np.testing.assert_array_equal(found.label_map, PARTS - 1)
    assert found.label_map.flags.c_contiguous
    check_consistent(found)


@pytest.mark.parametrize("rotation", [0, 90])
def test_ignored_pixels_are_in_no_segment_and_what_lies_under_them_is_none(rotation):
    ignored = np.zeros((30, 40), bool)
    ignored[18:, 28:] = True  # all of part 3, a corner of part 2
    view = View(rotation, ignored)
    found = view.own(segmented(np.ones_like(np.rot90(PARTS, -rotation // 90))))
    np.testing.assert_array_equal(found.label_map == 255, ignored)
    check_consistent(found)
    turned = np.ascontiguousarray(np.rot90(PARTS, -rotation // 90))
    found = view.own(segmented(turned))
    np.testing.assert_array_equal(found.segment_map == 0, ignored)
    assert set(found.segments.class_ids) == {0, 1}
    assert list(found.segments.track_ids) == [11, 12]
    assert not found.confidence[ignored].any()
    check_consistent(found)


def test_a_segment_that_is_ignored_for_the_most_part_goes_whole():
    ignored = np.zeros((30, 40), bool)
    ignored[21:, 31:] = True  # part 3 but for its rim
    found = View(0, ignored).own(segmented(PARTS))
    assert set(found.segments.class_ids) == {0, 1}
    assert np.all(found.label_map[20:, 30:] == 255)
    check_consistent(found)


def test_a_mask_is_of_any_resolution_of_the_image_s_aspect():
    view = View(90, np.arange(8)[None].repeat(6, 0) >= 6)  # (6, 8): the right quarter
    upright = view.upright(np.zeros((30, 40, 3), np.uint8))
    assert upright.shape == (40, 30, 3)
    assert upright[30:].any(2).all()
    assert not upright[:30].any()
    with pytest.raises(ImageError, match="ignore_mask: is 8x6, which is not the image's aspect, 40x20"):
        view.upright(np.zeros((20, 40, 3), np.uint8))


def test_a_mask_more_is_laid_over_a_view_s_own():
    own = np.arange(8)[None].repeat(6, 0) >= 6  # (6, 8): the right quarter
    more = np.arange(30)[:, None].repeat(40, 1) < 15  # (30, 40): the upper half
    for base, expected in ((View(90), more), (View(90, own), more | own.repeat(5, 0).repeat(5, 1))):
        view = base.with_mask(more, (30, 40))
        assert view.rotation == 90
        np.testing.assert_array_equal(view.ignored, expected)
    both = View(0, own)
    with pytest.raises(ImageError, match=r"^is 40x30, which is not the image's aspect, 40x20"):
        View().with_mask(more, (20, 40))
    with pytest.raises(ImageError, match=r"^covers the whole image"):
        both.with_mask(~own, (30, 40))
    with pytest.raises(ImageError, match=r"^ignore_mask: is 8x6"):
        both.of_size((20, 40))
    assert both.of_size((30, 40)).ignored.shape == (30, 40)
    np.testing.assert_array_equal(both.ignored, own)


def test_what_is_ignored_changes_nothing_that_the_networks_see(seeded_models):
    """Whatever is under the mask, the rest is segmented and labelled alike."""
    image = striped_image()
    ignored = np.zeros(image.shape[:2], bool)
    ignored[80:, 90:] = True
    view, pipeline = View(180, ignored), Pipeline(small_options(seeded_models))
    state = pipeline.state_for([CategoryRequest("mug"), CategoryRequest("ball")])
    answers = []
    for seed in (1, 2):
        picture = image.copy()
        picture[ignored] = np.random.default_rng(seed).integers(0, 255, (int(ignored.sum()), 3), np.uint8)
        answers.append(view.own(pipeline.segment(view.upright(picture), state)))
    np.testing.assert_array_equal(answers[0].segment_map, answers[1].segment_map)
    np.testing.assert_array_equal(answers[0].label_map, answers[1].label_map)
    assert np.all(answers[0].segment_map[ignored] == 0)
    assert answers[0].segments.areas_px.sum() > 0.5 * (~ignored).sum()
    check_consistent(answers[0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "expected an image file: No such file"),
        (b"no image", "expected an image file: "),
        (np.full((6, 8), 255, np.uint8), "no pixel is black, so that nothing is left"),
    ],
)
def test_a_mask_that_cannot_be_one_is_refused_with_the_reason(tmp_path, content, said):
    path = tmp_path / "mask.png"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else cv2.imencode(".png", content)[1].tobytes())
    with pytest.raises(ConfigError, match=f"ignore_mask: .*mask.png: {said}"):
        View.read(0, str(path))


def test_what_is_not_black_in_the_file_is_ignored(tmp_path):
    mask = np.zeros((6, 8, 3), np.uint8)
    mask[2:, 3:5, 1] = 1
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    np.testing.assert_array_equal(View.read(0, str(tmp_path / "mask.png")).ignored, mask.any(2))
    assert View.read(90, "").ignored is None
