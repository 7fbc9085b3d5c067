"""nyuv2, nyuv2-40 and nyuv2-13 in folders of PNG, written here in each of the layouts."""

import pytest

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.datasets.class_files import builtin_classes
from ovsr_ros.evaluation.datasets.nyuv2 import COARSE, TRUTH

NAMES = ("nyuv2", "nyuv2-40", "nyuv2-13")

# No label, wall, bag, other structure, other furniture, other prop; floor mat, television
FROM_ONE = [[0, 1, 37, 38], [39, 40, 20, 25]]
FROM_ZERO = [[255, 0, 36, 37], [38, 39, 19, 24]]
TRUTHS = {
    "nyuv2": [[255, 0, 36, 255], [255, 255, 19, 24]],
    "nyuv2-40": [[255, 0, 36, 37], [38, 39, 19, 24]],
    "nyuv2-13": [[255, 11, 6, 6], [5, 6, 4, 10]],
}
COARSE_FROM_ONE = [[0, 12, 7, 7], [6, 7, 13, 11]]
COARSE_TRUTH = [[255, 11, 6, 6], [5, 6, 12, 10]]


def names_of(dataset):
    return [dataset.name_of(index) for index in range(len(dataset))]


@pytest.mark.parametrize(
    ("name", "num_classes", "place", "title"),
    [("nyuv2", 37, 23, "refrigerator"), ("nyuv2-40", 40, 39, "other prop"), ("nyuv2-13", 13, 5, "furniture")],
)
def test_classes(files, name, num_classes, place, title):
    files.noise("image/test/00001.png", (4, 2))
    files.grey("seg40/test/00001.png", FROM_ZERO)
    for names in ("plain", "engineered"):
        dataset = open_dataset(name, files.root, "test", names)
        assert dataset.name == name
        assert dataset.split == "test"
        assert dataset.names_used == names
        assert len(dataset.classes) == num_classes
        assert dataset.classes[place] == title
        assert dataset.background is None
        assert dataset.background_names == ()
        sample = dataset.load(0)
        assert len(sample.words) == num_classes
        assert sample.word_classes == tuple(range(num_classes))
    assert "; " in sample.words[place]


def test_every_class_is_reached_by_one_of_the_40():
    for num_classes, truth in TRUTH.items():
        assert len(truth) == 40
        assert set(truth) - {255} == set(range(num_classes))
    plain = {name: builtin_classes(name.replace("-", "_"), "plain").titles for name in NAMES}
    assert plain["nyuv2"] == plain["nyuv2-40"][:37]
    same = ("wall", "floor", "bed", "chair", "sofa", "table", "window", "picture", "ceiling", "books")
    for title in same:
        assert plain["nyuv2-13"][COARSE[plain["nyuv2-40"].index(title)] - 1] == title
    assert plain["nyuv2-13"][COARSE[plain["nyuv2-40"].index("television")] - 1] == "tv"


# --- image/, seg40/, seg13/ ---


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mask", [FROM_ONE, FROM_ZERO])
def test_the_toolkits_folders_of_either_time(files, name, mask):
    for stem in ("00001", "00014", "00002"):
        files.noise(f"NYUv2/image/test/{stem}.png", (4, 2))
        files.grey(f"NYUv2/seg40/test/{stem}.png", mask)
    files.noise("NYUv2/image/train/00003.png", (4, 2))
    files.grey16("NYUv2/seg40/train/00003.png", mask)
    for root in (files.root, files.root / "NYUv2"):
        dataset = open_dataset(name, root, "test")
        assert names_of(dataset) == ["00001", "00002", "00014"]
        assert dataset.load(2).truth.tolist() == TRUTHS[name]
        train = open_dataset(name, root, "train")
        assert names_of(train) == ["00003"]
        assert train.load(0).truth.tolist() == TRUTHS[name]


@pytest.mark.parametrize("shift", [0, 1])
def test_13_classes_are_read_from_their_own_masks_where_they_are(files, shift):
    files.noise("image/test/00001.png", (4, 2))
    files.grey("seg13/test/00001.png", [[(value - shift) % 256 for value in row] for row in COARSE_FROM_ONE])
    assert open_dataset("nyuv2-13", files.root, "test").load(0).truth.tolist() == COARSE_TRUTH
    with pytest.raises(DatasetError, match=r"seg40/test: this folder is missing; .*nyuv2-python-toolkit"):
        open_dataset("nyuv2", files.root, "test")


def test_masks_that_tell_nothing_are_passed_over(files):
    for number, mask in enumerate(([[0, 1, 2, 3]] * 2, [[0] * 4] * 2, FROM_ONE), start=1):
        files.noise(f"image/test/{number:05}.png", (4, 2))
        files.grey(f"seg40/test/{number:05}.png", mask)
    dataset = open_dataset("nyuv2-40", files.root, "test")
    assert dataset.load(0).truth.tolist() == [[255, 0, 1, 2]] * 2
    files.cut("seg40/test/00001.png")
    assert open_dataset("nyuv2-40", files.root, "test").load(1).truth.tolist() == [[255] * 4] * 2
    with pytest.raises(SampleError, match=r"seg40/test/00001\.png: expected a mask, came \d+ bytes"):
        dataset.load(0)
    (files.root / "seg40/test/00003.png").unlink()
    with pytest.raises(DatasetError, match=r"seg40/test: expected masks of 0 to 39 and 255 .* cannot be told"):
        open_dataset("nyuv2-40", files.root, "test")


def test_a_mask_of_the_other_time_is_not_read_wrong(files):
    for number, mask in enumerate((FROM_ZERO, FROM_ONE), start=1):
        files.noise(f"image/test/{number:05}.png", (4, 2))
        files.grey(f"seg40/test/{number:05}.png", mask)
    with pytest.raises(SampleError, match=r"00002\.png: expected values 0 to 39 and 255, came 40 in 1 pixels"):
        open_dataset("nyuv2", files.root, "test").load(1)


def test_files_that_are_missing_truncated_or_of_another_size(files):
    for number in (1, 2, 3):
        files.noise(f"image/test/0000{number}.png", (4, 2))
    files.noise("image/test/00003.png", (40, 20))
    files.cut("image/test/00003.png")
    files.grey("seg40/test/00001.png", [*FROM_ZERO, *FROM_ZERO])
    files.grey("seg40/test/00003.png", FROM_ZERO)
    dataset = open_dataset("nyuv2", files.root, "test")
    with pytest.raises(SampleError, match=r"00001\.png: expected 4x2 pixels, as 00001\.png has, came 4x4"):
        dataset.load(0)
    with pytest.raises(SampleError, match=r"seg40/test/00002\.png: expected a mask, came no such file"):
        dataset.load(1)
    with pytest.raises(SampleError, match=r"image/test/00003\.png: expected an image"):
        dataset.load(2)


def test_a_toolkits_folder_that_lacks_a_part(files):
    files.noise("image/train/00003.png", (4, 2))
    files.grey("seg40/train/00003.png", FROM_ZERO)
    with pytest.raises(DatasetError, match=r"image/test: this folder is missing; .*nyu_depth_v2\.html"):
        open_dataset("nyuv2", files.root, "test")
    (files.root / "image/train/00003.png").unlink()
    with pytest.raises(DatasetError, match=r"image/train: expected images, came none"):
        open_dataset("nyuv2", files.root, "train")


# --- RGB/, Label/, train.txt, test.txt ---


@pytest.fixture
def network(files):
    for stem in ("0", "7", "12"):
        files.noise(f"NYUDepthv2/RGB/{stem}.jpg", (4, 2))
        files.grey(f"NYUDepthv2/Label/{stem}.png", FROM_ONE)
    files.text("NYUDepthv2/test.txt", "RGB/12.jpg Label/12.png\nRGB/0.jpg Label/0.png\n")
    files.text("NYUDepthv2/train.txt", "7\n")
    return files.root / "NYUDepthv2"


@pytest.mark.parametrize("name", NAMES)
def test_lists_over_two_folders(network, name):
    for root in (network, network.parent):
        test = open_dataset(name, root, "test")
        assert names_of(test) == ["12", "0"]
        assert test.load(0).truth.tolist() == TRUTHS[name]
        assert names_of(open_dataset(name, root, "train")) == ["7"]


def test_lists_and_files_of_two_folders_that_do_not_fit(files, network):
    files.text("NYUDepthv2/test.txt", "0\n3\n7\n")
    files.grey("NYUDepthv2/Label/7.png", FROM_ZERO)
    dataset = open_dataset("nyuv2", network, "test")
    with pytest.raises(SampleError, match=r"RGB/3\.jpg: expected an image, came no such file"):
        dataset.load(1)
    with pytest.raises(SampleError, match=r"Label/7\.png: expected values 0 to 40, came 255 in 1 pixels"):
        dataset.load(2)
    files.text("NYUDepthv2/test.txt", "RGB/0.jpg\n0\n")
    with pytest.raises(DatasetError, match=r"test\.txt: expected each image once, came 0 2 times"):
        open_dataset("nyuv2", network, "test")
    (network / "test.txt").unlink()
    with pytest.raises(DatasetError, match=r"test\.txt: this list of images is missing"):
        open_dataset("nyuv2", network, "test")
    (network / "Label").rename(network / "Labels")
    with pytest.raises(DatasetError, match="NYUDepthv2/Label: this folder is missing"):
        open_dataset("nyuv2", network, "test")


# --- 13 classes by number ---


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("nyu_test_rgb/nyu_rgb_{}.png", "test_labels_13/new_nyu_class13_{}.png"),
        ("test/nyu_rgb_{}.png", "test_labels/new_nyu_class13_{}.png"),
        ("test_rgb/{}.png", "test_seg13/{}.png"),
        ("test_rgb/{}.jpg", "nyuv2_test_class13/new_nyu_class13_{}.png"),
    ],
)
def test_13_classes_by_number(files, images, masks):
    for number in ("0016", "0002"):
        files.noise(images.format(number), (4, 2))
        files.grey(masks.format(number), COARSE_FROM_ONE)
    files.noise(images.format("0020"), (4, 2))
    dataset = open_dataset("nyuv2-13", files.root, "test")
    assert names_of(dataset) == ["0002", "0016", "0020"]
    assert dataset.load(1).truth.tolist() == COARSE_TRUTH
    with pytest.raises(SampleError, match=r"new_nyu_class13_0020\.png: expected a mask, came no such file"):
        dataset.load(2)
    files.grey(masks.format("0002"), [[14] * 4] * 2)
    with pytest.raises(SampleError, match="expected values 0 to 13, came 14 in 8 pixels"):
        dataset.load(0)
    with pytest.raises(DatasetError, match=r"expected one of nyu_depth_v2_labeled\.mat; image/ with seg40/; RGB/"):
        open_dataset("nyuv2", files.root, "test")


def test_numbers_that_are_missing_or_double(files):
    files.grey("test_labels_13/new_nyu_class13_0001.png", COARSE_FROM_ONE)
    files.path("test_rgb/x").parent.mkdir(exist_ok=True)
    with pytest.raises(DatasetError, match=r"test_rgb: expected images such as nyu_rgb_0012\.png, came none"):
        open_dataset("nyuv2-13", files.root, "test")
    files.noise("test_rgb/nyu_rgb_0001.png", (4, 2))
    files.noise("test_rgb/1.png", (4, 2))
    with pytest.raises(DatasetError, match=r"expected one file of this number, came 1\.png beside it"):
        open_dataset("nyuv2-13", files.root, "test")
    files.noise("test_rgb/first.png", (4, 2))
    with pytest.raises(DatasetError, match=r"first\.png: expected a name that ends in the image's number"):
        open_dataset("nyuv2-13", files.root, "test")


# --- None of them ---


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_for_must_exist(name, tmp_path):
    with pytest.raises(DatasetError, match=f"{name}: expected one of the splits test, train, got 'val'"):
        open_dataset(name, tmp_path)
    with pytest.raises(DatasetError, match=f"{name}: expected a folder that holds the data set, got none; .*html"):
        open_dataset(name, None, "test")
    with pytest.raises(DatasetError, match="nowhere: this folder is missing; "):
        open_dataset(name, tmp_path / "nowhere", "test")
    with pytest.raises(DatasetError, match=r"expected one of nyu_depth_v2_labeled\.mat; .* came none of them; .*html"):
        open_dataset(name, tmp_path, "test")


def test_the_error_for_13_classes_says_where_their_masks_are(tmp_path):
    with pytest.raises(DatasetError, match=r"nyu_test_rgb/ with test_labels_13/; came none .*nyuv2-meta-data"):
        open_dataset("nyuv2-13", tmp_path, "test")
