"""cityscapes, with either kind of masks, on a folder written here."""

import pytest

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets import open_dataset

# road, sidewalk, parking, car / bicycle, caravan, unlabeled, sky
LABEL_IDS = [[7, 8, 9, 26], [33, 29, 0, 23]]
TRAIN_IDS = [[0, 1, 255, 13], [18, 255, 255, 10]]


@pytest.fixture
def root(files):
    for city, number in (("frankfurt", 294), ("lindau", 0), ("lindau", 1)):
        files.noise(f"leftImg8bit/val/{city}/{city}_000000_{number:06}_leftImg8bit.png", (4, 2))
    files.grey("gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelTrainIds.png", TRAIN_IDS)
    files.grey("gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelIds.png", LABEL_IDS)
    files.grey16("gtFine/val/lindau/lindau_000000_000000_gtFine_labelIds.png", LABEL_IDS)
    return files.root


def test_cityscapes(root):
    dataset = open_dataset("cityscapes", root, "val", "engineered")
    assert [dataset.name_of(index) for index in range(len(dataset))] == [
        "frankfurt_000000_000294",
        "lindau_000000_000000",
        "lindau_000000_000001",
    ]
    assert len(dataset.classes) == 19
    assert dataset.classes[6] == "traffic light"
    assert dataset.background is None
    for index in (0, 1):
        sample = dataset.load(index)
        assert sample.truth.tolist() == TRAIN_IDS
        assert sample.words[6] == "trafficlight"


def test_an_image_without_a_mask_a_truncated_one_and_a_wrong_value(files, root):
    dataset = open_dataset("cityscapes", root)
    with pytest.raises(SampleError, match=r"lindau_000000_000001_gtFine_labelTrainIds\.png: expected a mask, came no"):
        dataset.load(2)
    files.grey("gtFine/val/lindau/lindau_000000_000001_gtFine_labelIds.png", [[34] * 4] * 2)
    with pytest.raises(SampleError, match="expected values 0 to 33, came 34 in 8 pixels"):
        dataset.load(2)
    files.cut("leftImg8bit/val/frankfurt/frankfurt_000000_000294_leftImg8bit.png")
    with pytest.raises(SampleError, match=r"frankfurt_000000_000294_leftImg8bit\.png: expected an image"):
        dataset.load(0)


@pytest.mark.parametrize("part", ["leftImg8bit/val", "gtFine/val"])
def test_a_root_that_lacks_a_part(root, part):
    (root / part).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=rf"{part}: this folder is missing; .*leftImg8bit_trainvaltest\.zip"):
        open_dataset("cityscapes", root)
