"""ade20k, on a folder written here."""

import pytest

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets import open_dataset

MASK = [[0, 1, 150], [255, 13, 2], [3, 3, 0]]
TRUTH = [[255, 0, 149], [255, 12, 1], [2, 2, 255]]
IMAGES, MASKS = "ADEChallengeData2016/images/validation", "ADEChallengeData2016/annotations/validation"


@pytest.fixture
def root(files):
    for number in (1, 2, 3, 4):
        files.noise(f"{IMAGES}/ADE_val_0000000{number}.jpg", (3, 3))
    files.grey(f"{MASKS}/ADE_val_00000001.png", MASK)
    files.grey16(f"{MASKS}/ADE_val_00000002.png", MASK)
    files.paletted(f"{MASKS}/ADE_val_00000003.png", MASK)
    return files.root / "ADEChallengeData2016"


def test_ade20k(root):
    dataset = open_dataset("ade20k", root, "val", "engineered")
    assert len(dataset) == 4
    assert len(dataset.classes) == 150
    assert dataset.classes[44] == "chest of drawers"
    assert dataset.background is None
    for index in range(3):
        sample = dataset.load(index)
        assert sample.name == f"ADE_val_0000000{index + 1}"
        assert sample.truth.tolist() == TRUTH
        assert sample.words[44] == "chestofdrawers"
        assert sample.word_classes == tuple(range(150))


def test_the_folder_above_will_do(root):
    assert open_dataset("ade20k", root.parent).load(0).truth.tolist() == TRUTH


def test_an_image_without_a_mask_a_truncated_one_and_a_wrong_value(files, root):
    dataset = open_dataset("ade20k", root)
    with pytest.raises(SampleError, match=r"ADE_val_00000004\.png: expected a mask, came no such file"):
        dataset.load(3)
    files.cut(f"{IMAGES}/ADE_val_00000001.jpg")
    with pytest.raises(SampleError, match=r"ADE_val_00000001\.jpg: expected an image"):
        dataset.load(0)
    files.grey(f"{MASKS}/ADE_val_00000002.png", [[151] * 3] * 3)
    with pytest.raises(SampleError, match="expected values 0 to 150 and 255, came 151 in 9 pixels"):
        dataset.load(1)


@pytest.mark.parametrize("part", ["images/validation", "annotations/validation"])
def test_a_root_that_lacks_a_part(root, part):
    (root / part).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=rf"{part}: this folder is missing; .*MIT Scene Parsing Benchmark"):
        open_dataset("ade20k", root)
