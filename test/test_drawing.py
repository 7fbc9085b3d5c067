import numpy as np
import pytest

from ovsr_ros.drawing import draw_text, labels, overlay, overlay_segments
from ovsr_ros.drawing.segments import choose_colors
from ovsr_ros.drawing.text import text_masks
from ovsr_ros.results import UNLABELED_ID, Segmentation, Segments
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary
from ovsr_ros.vocabulary.registry import VocabularyRegistry


def vocabulary_of(*requests: CategoryRequest) -> Vocabulary:
    return VocabularyRegistry().propose(Operation.REPLACE, requests)


RED_MUG, BLUE_BALL = CategoryRequest("mug", color_rgb=(255, 0, 0)), CategoryRequest("ball", color_rgb=(0, 0, 255))
VOCABULARY = vocabulary_of(RED_MUG, BLUE_BALL)


def segmentation_of(segment_map, class_ids):
    """A segmentation whose segment i + 1 has class_ids[i]."""
    ids = np.arange(1, len(class_ids) + 1)
    boxes, centroids = np.zeros((len(ids), 4), np.int32), np.zeros((len(ids), 2), np.float32)
    for index, id in enumerate(ids):
        y, x = np.nonzero(segment_map == id)
        boxes[index] = x.min(), y.min(), x.max() + 1, y.max() + 1
        centroids[index] = x.mean(), y.mean()
    classes = np.array(class_ids, np.uint8)
    scores = np.linspace(0.9, 0.5, len(ids), dtype=np.float32)
    return Segmentation(
        label_map=np.concatenate(([UNLABELED_ID], classes)).astype(np.uint8)[segment_map],
        confidence=np.concatenate(([0], np.where(classes == 255, 0, scores * 255))).astype(np.uint8)[segment_map],
        segment_map=segment_map.astype(np.uint16),
        segments=Segments(
            ids=ids.astype(np.uint16),
            track_ids=np.zeros(len(ids), np.uint32),
            class_ids=classes,
            scores=scores,
            runner_up_ids=np.zeros((len(ids), 0), np.uint8),
            runner_up_scores=np.zeros((len(ids), 0), np.float32),
            boxes_xyxy=boxes,
            areas_px=np.bincount(segment_map.ravel(), minlength=len(ids) + 1)[1:].astype(np.int32),
            centroids_xy=centroids,
        ),
        vocabulary_version=1,
    )


def halves(height=240, width=320, class_ids=(0, 1)):
    segment_map = np.ones((height, width), np.int64)
    segment_map[:, width // 2 :] = 2
    return segmentation_of(segment_map, class_ids)


def gray(height=240, width=320):
    return np.full((height, width, 3), 128, np.uint8)


@pytest.mark.parametrize("size_hw", [(16, 16), (48, 64), (240, 320), (640, 480), (100, 1000), (1080, 1920)])
def test_any_size_gives_an_image_of_that_size_and_leaves_the_input_alone(size_hw):
    image = gray(*size_hw)
    drawn = overlay(image, halves(*size_hw), VOCABULARY)
    assert drawn.shape == (*size_hw, 3)
    assert drawn.dtype == np.uint8
    assert (image == 128).all()


def test_regions_take_their_categorys_colour():
    drawn = overlay(gray(), halves(), VOCABULARY, legend=False)
    left, right = drawn[20, 20].astype(int), drawn[20, 300].astype(int)
    assert left[0] > left[2] + 50
    assert right[2] > right[0] + 50


def test_unlabeled_regions_are_dimmed_and_not_coloured():
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    drawn = overlay(image, halves(class_ids=(0, 255)), VOCABULARY, legend=False)[:, 180:].astype(int)
    assert drawn.mean() < 0.75 * image.mean()
    assert np.ptp(drawn, axis=2).mean() < 0.5 * np.ptp(image.astype(int), axis=2).mean()


def test_alpha_zero_leaves_labelled_regions_as_they_are():
    drawn = overlay(gray(), halves(), VOCABULARY, alpha=0.0, legend=False)
    assert (drawn[:40, :140] == 128).all()


def test_borders_are_lighter_than_the_regions():
    drawn = overlay(gray(), halves(), VOCABULARY, legend=False).astype(int)
    assert drawn[20, 159].sum() > drawn[20, 100].sum()


@pytest.fixture
def texts(monkeypatch):
    """The names that are drawn, each with its left, top, right and bottom."""
    texts = []

    def recording(canvas, text, x, y, text_px, halo=True):
        if halo:
            height, width = text_masks(text, text_px)[0].shape
            texts.append((text, x, y, x + width, y + height))
        draw_text(canvas, text, x, y, text_px, halo)

    monkeypatch.setattr(labels, "draw_text", recording)
    return texts


SIXTEEN = (np.arange(240)[:, None] // 60 * 4 + np.arange(320) // 80) + 1  # segments of 60 x 80 pixels, row by row


def test_each_labelled_segment_is_named_and_no_names_overlap(texts):
    classes = [0, 1, 255, 1, 1, 0, 1, 255] * 2  # none has a neighbour of its class
    overlay(gray(), segmentation_of(SIXTEEN, classes), VOCABULARY, legend=False)
    assert len(texts) == 12
    assert {text.split()[0] for text, *_ in texts} == {"mug", "ball"}
    for index, (_, left, top, right, bottom) in enumerate(texts):
        assert left >= 0
        assert top >= 0
        assert right <= 320
        assert bottom <= 240
        for _, other_left, other_top, other_right, other_bottom in texts[:index]:
            apart = right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top
            assert apart


def test_where_segments_of_a_category_touch_the_largest_has_the_name(texts):
    segment_map = SIXTEEN.copy()
    segment_map[100:120, 80:160] = 2  # which was 6: now 2 is larger
    classes = [1, 0, 1, 1, 255, 0, 255, 1, 0, 255, 0, 1, 0, 1, 255, 0]
    segmentation = segmentation_of(segment_map, classes)
    overlay(gray(), segmentation, VOCABULARY, legend=False)
    segments = segmentation.segments
    ids = {f"{score:.2f}": id for id, score in zip(segments.ids.tolist(), segments.scores, strict=True)}
    places = {ids[text.split()[1]]: place for text, *place in texts}
    assert sorted(places) == [1, 2, 3, 9, 11, 14, 16]
    left, _, right, bottom = places[2]
    assert 80 <= left <= right <= 160
    assert bottom <= 60


def test_names_that_find_no_place_are_left_out():
    segment_map = (np.arange(120)[:, None] // 4 * 30 + np.arange(120) // 4) + 1  # 900 segments of 4 x 4 pixels
    drawn = overlay(gray(120, 120), segmentation_of(segment_map, [0, 1] * 450), VOCABULARY)
    assert drawn.shape == (120, 120, 3)


def test_legend_darkens_one_corner_only():
    plain = overlay(gray(), halves(), VOCABULARY, legend=False).astype(int)
    with_legend = overlay(gray(), halves(), VOCABULARY).astype(int)
    rows, columns = np.nonzero((plain != with_legend).any(2))
    assert len(rows)
    assert rows.max() - rows.min() < 120
    assert columns.max() - columns.min() < 192


def test_many_categories_fit_the_legend():
    names = [f"category number {index}" for index in range(100)]
    vocabulary = vocabulary_of(*(CategoryRequest(name) for name in names))
    segment_map = (np.arange(240)[:, None] // 24 * 10 + np.arange(320) // 32) + 1
    drawn = overlay(gray(), segmentation_of(segment_map, range(100)), vocabulary)
    assert drawn.shape == (240, 320, 3)


@pytest.mark.parametrize("name", ["ü", "杯", "a" * 200, "?", "|"])
def test_names_of_any_characters(name):
    vocabulary = vocabulary_of(CategoryRequest(name), CategoryRequest("ball"))
    assert overlay(gray(), halves(), vocabulary).shape == (240, 320, 3)


def test_an_empty_scene_is_dimmed():
    empty = Segmentation(
        label_map=np.full((240, 320), 255, np.uint8),
        confidence=np.zeros((240, 320), np.uint8),
        segment_map=np.zeros((240, 320), np.uint16),
        segments=Segments.empty(),
        vocabulary_version=0,
    )
    drawn = overlay(gray(), empty, Vocabulary(), legend=False)
    assert (drawn == drawn[0, 0]).all()
    assert overlay(gray(), empty, Vocabulary()).shape == (240, 320, 3)


def test_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"expected \(240, 320, 3\) uint8, got \(100, 100, 3\)"):
        overlay(gray(100, 100), halves(), VOCABULARY)


# --- Segments without words ---


def stripes(count, height=120, width=240):
    """As many segments side by side, ids in an order of their own."""
    order = np.random.default_rng(0).permutation(count) + 1
    return np.broadcast_to(order[np.arange(width) * count // width], (height, width)).astype(np.uint16)


@pytest.mark.parametrize("size_hw", [(16, 16), (48, 64), (640, 480), (100, 1000)])
def test_segments_without_words_are_drawn_at_any_size(size_hw):
    image = gray(*size_hw)
    drawn = overlay_segments(image, halves(*size_hw).segment_map)
    assert drawn.shape == (*size_hw, 3)
    assert drawn.dtype == np.uint8
    assert (image == 128).all()


def test_neighbours_have_colours_far_apart_however_many_segments_there_are():
    segment_map = stripes(60)
    drawn = overlay_segments(gray(120, 240), segment_map, alpha=1.0).astype(int)
    middles = drawn[60, 1::4]
    assert (np.linalg.norm(np.diff(middles, axis=0), axis=1) > 60).all()


def test_a_segments_colour_is_the_same_wherever_it_lies():
    image = np.zeros((240, 320, 3), np.uint8)
    image[:120, :, 0] = 255
    image[120:] = 76  # the grey of that red
    drawn = overlay_segments(image, halves().segment_map).astype(int)
    assert np.abs(drawn[20, 20] - drawn[220, 20]).max() <= 1


def test_what_is_no_segment_is_dimmed_and_has_no_colour():
    segment_map = halves().segment_map.copy()
    segment_map[:, 160:] = 0
    drawn = overlay_segments(gray(), segment_map).astype(int)
    assert np.ptp(drawn[20, 300]) == 0
    assert drawn[20, 300].mean() < 128
    assert np.ptp(drawn[20, 20]) > 30
    assert (overlay_segments(gray(), np.zeros((240, 320), np.uint16)) == drawn[20, 300]).all()


def test_colours_are_chosen_far_from_the_neighbours_and_else_in_turn():
    palette = np.array([[255, 0, 0], [240, 10, 10], [0, 0, 255]], np.uint8)
    two = halves().segment_map
    assert choose_colors(two, palette).tolist() == [UNLABELED_ID, 0, 2]
    apart = np.where(np.arange(320) % 160 < 100, two, 0)  # 60 pixels of no segment between them
    assert choose_colors(apart, palette).tolist() == [UNLABELED_ID, 0, 1]
    assert choose_colors(np.zeros((16, 16), np.uint16), palette).tolist() == [UNLABELED_ID]


def test_a_segment_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"expected \(240, 320, 3\) uint8, got \(100, 100, 3\)"):
        overlay_segments(gray(100, 100), halves().segment_map)
