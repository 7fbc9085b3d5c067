"""coco-stuff, coco-object and coco-obj-80, from each of the three kinds of masks, on a folder written here."""

import numpy as np
import pytest

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.datasets.coco import OWN_IDS

# The same pixels in the three kinds of masks: person, stop sign, toothbrush, banner, wood, nothing.
OWN = [[0, 12, 89], [91, 181, 255]]
LABEL_TRAIN_IDS = [[0, 11, 79], [80, 170, 255]]
INSTANCE_TRAIN_IDS = [[1, 12, 80], [0, 0, 0]]

STUFF_TRUTH = [[0, 11, 79], [80, 170, 255]]
OBJECT_TRUTH = [[1, 12, 80], [0, 0, 0]]
THINGS_TRUTH = [[0, 11, 79], [255, 255, 255]]

MASKS = {"": OWN, "_labelTrainIds": LABEL_TRAIN_IDS, "_instanceTrainIds": INSTANCE_TRAIN_IDS}


@pytest.fixture
def write(files):
    def write_image(stem, *kinds, writer=files.grey):
        files.noise(f"images/val2017/{stem}.jpg", (3, 2))
        files.path("annotations/val2017/x").parent.mkdir(exist_ok=True)
        for kind in kinds:
            writer(f"annotations/val2017/{stem}{kind}.png", MASKS[kind])

    return write_image


def test_ids_by_hand():
    """Eleven things were never drawn; the first of them, 11, is the street sign before the stop sign."""
    assert len(OWN_IDS) == 171
    assert OWN_IDS[:12] == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12)
    assert OWN_IDS[23:26] == (24, 26, 27)
    assert OWN_IDS[79:82] == (89, 91, 92)
    assert OWN_IDS[170] == 181


@pytest.mark.parametrize("kind", ["", "_labelTrainIds"])
def test_coco_stuff(files, write, kind):
    write("000000000139", kind)
    dataset = open_dataset("coco-stuff", files.root, "val", "plain")
    assert len(dataset.classes) == 171
    assert dataset.background is None
    sample = dataset.load(0)
    assert sample.name == "000000000139"
    assert sample.truth.tolist() == STUFF_TRUTH
    assert sample.words[11] == "stop sign"
    assert sample.words[79:81] == ("toothbrush", "banner")
    assert sample.word_classes == tuple(range(171))


@pytest.mark.parametrize("kind", list(MASKS))
def test_coco_object(files, write, kind):
    write("000000000139", kind)
    dataset = open_dataset("coco-object", files.root, "val", "engineered")
    assert len(dataset.classes) == 81
    assert dataset.background == 0
    assert len(dataset.background_names) == 17
    sample = dataset.load(0)
    assert sample.truth.tolist() == OBJECT_TRUTH
    assert sample.word_classes == tuple(range(1, 81))
    assert sample.words[11] == "stop sign"


@pytest.mark.parametrize("kind", list(MASKS))
def test_coco_obj_80(files, write, kind):
    write("000000000139", kind)
    dataset = open_dataset("coco-obj-80", files.root)
    assert len(dataset.classes) == 80
    assert dataset.classes[0] == "person"
    assert dataset.background is None
    assert dataset.background_names == ()
    sample = dataset.load(0)
    assert sample.truth.tolist() == THINGS_TRUTH
    assert sample.word_classes == tuple(range(80))


def test_16_bit_and_paletted_masks(files, write):
    write("000000000001", "", writer=files.grey16)
    write("000000000002", "", writer=files.paletted)
    dataset = open_dataset("coco-object", files.root)
    assert [dataset.load(index).truth.tolist() for index in range(2)] == [OBJECT_TRUTH, OBJECT_TRUTH]


def test_a_conversion_is_preferred_and_the_original_will_do(files, write):
    write("000000000001", "", "_labelTrainIds")
    write("000000000002", "")
    files.grey("annotations/val2017/000000000001_labelTrainIds.png", [[5, 5, 5], [5, 5, 5]])
    dataset = open_dataset("coco-stuff", files.root)
    assert np.unique(dataset.load(0).truth).tolist() == [5]
    assert dataset.load(1).truth.tolist() == STUFF_TRUTH


def test_an_id_that_was_never_drawn(files, write):
    write("000000000001", "")
    files.grey("annotations/val2017/000000000001.png", [[11, 0, 0], [0, 0, 0]])
    with pytest.raises(SampleError, match=r"000000000001\.png: expected values 0 to 10, 12 to 24, .*, came 11 in 1"):
        open_dataset("coco-object", files.root).load(0)


def test_coco_object_knows_no_ignored_pixels(files, write):
    write("000000000001", "_instanceTrainIds")
    files.grey("annotations/val2017/000000000001_instanceTrainIds.png", [[255, 0, 0], [0, 0, 0]])
    with pytest.raises(SampleError, match="expected values 0 to 80, came 255 in 1 pixels"):
        open_dataset("coco-object", files.root).load(0)


def test_an_image_without_a_mask_and_a_truncated_one(files, write):
    write("000000000001")
    write("000000000002", "")
    write("000000000003", "")
    files.cut("images/val2017/000000000003.jpg")
    dataset = open_dataset("coco-stuff", files.root)
    assert len(dataset) == 3
    with pytest.raises(SampleError, match=r"000000000001_labelTrainIds\.png: expected a mask, came no such file"):
        dataset.load(0)
    with pytest.raises(SampleError, match=r"000000000003\.jpg: expected an image"):
        dataset.load(2)


def test_a_root_that_lacks_a_part(files, write):
    with pytest.raises(DatasetError, match=r"images/val2017: this folder is missing; .*COCO 2017"):
        open_dataset("coco-object", files.root)
    files.noise("images/val2017/000000000001.jpg", (3, 2))
    with pytest.raises(DatasetError, match=r"annotations/val2017: this folder is missing; .*COCO-Stuff"):
        open_dataset("coco-object", files.root)
    write("000000000001")
    with pytest.raises(
        DatasetError, match=r"annotations/val2017: expected a mask for each image, such as 000000000001"
    ):
        open_dataset("coco-object", files.root)
    (files.root / "images/val2017/000000000001.jpg").unlink()
    with pytest.raises(DatasetError, match=r"images/val2017: expected images \*\.jpg, came none"):
        open_dataset("coco-object", files.root)


def test_instance_masks_say_too_little_for_coco_stuff(files, write):
    write("000000000001", "_instanceTrainIds")
    with pytest.raises(DatasetError, match=r"such as 000000000001_labelTrainIds\.png or 000000000001\.png, came none"):
        open_dataset("coco-stuff", files.root)
