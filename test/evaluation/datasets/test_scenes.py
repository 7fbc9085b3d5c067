"""The rendered scenes as data sets: the same scenes and words as ever, by index."""

import numpy as np
import pytest

from ovsr_ros.demo.scenes import CATEGORIES, HELD_OUT
from ovsr_ros.errors import DatasetError
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.datasets.scenes import HeldOutScenesDataset, ScenesDataset
from ovsr_ros.vocabulary.category import Operation, parse_category
from ovsr_ros.vocabulary.registry import VocabularyRegistry

SMALL = (64, 48)

# Written down when the first figures were published: scenes and words must not change under them.
WORDS = {
    "val": "ball chair bucket clock book robot plant mushroom mug bowl house bear duck wall cone floor table",
    "test": "cone mug ball book bowl clock vase plant car drum wall floor",
}
INSTANCES_OF_VAL_0 = (
    "painted wall",
    "carpeted floor",
    "striped blue bucket",
    "plain blue mushroom",
    "plain yellow duck",
    "plain blue clock",
    "checkered black book",
    "dotted red bowl",
    "plain red house",
)
HELD_OUT_WORDS = (
    "floor",
    "checkered yellow book",
    "wall",
    "striped blue robot",
    "plain black duck",
    "dotted pink vase",
    "plain brown clock",
    "striped yellow hat",
    "dotted pink robot",
    "plain white clock",
    "checkered yellow hat",
    "dotted pink duck",
)


def test_how_many():
    assert len(open_dataset("scenes", split="val")) == 200
    assert len(open_dataset("scenes", split="test")) == 200
    assert len(open_dataset("scenes-held-out", split="test")) == 100


@pytest.mark.parametrize("split", ["val", "test"])
def test_words_are_those_of_the_published_figures(split):
    sample = ScenesDataset(split, size_wh=SMALL).load(0)
    assert sample.name == f"{split}-0"
    assert " ".join(sample.words) == WORDS[split]


def test_instances_are_those_of_the_published_figures():
    assert ScenesDataset("val", size_wh=SMALL).load(0).instance_names == INSTANCES_OF_VAL_0


def test_held_out_words_are_those_of_the_published_figures():
    sample = HeldOutScenesDataset(size_wh=SMALL).load(0)
    assert sample.name == "held-out-0"
    assert sample.words == HELD_OUT_WORDS


def test_truth_and_words_agree_with_the_classes():
    dataset = ScenesDataset("val", size_wh=SMALL)
    for index in (3, 150):
        sample = dataset.load(index)
        assert [dataset.classes[number] for number in sample.word_classes] == list(sample.words)
        seen = {dataset.classes[value] for value in np.unique(sample.truth)}
        assert {"wall", "floor"} <= seen <= set(sample.words)
        kinds = {name.rpartition(" ")[2] for name in sample.instance_names}
        assert len(set(sample.words) - kinds) == 8
        VocabularyRegistry().propose(Operation.REPLACE, [parse_category(word) for word in sample.words])


def test_held_out_truth_and_words_agree_with_the_classes():
    dataset = HeldOutScenesDataset(size_wh=SMALL)
    assert dataset.classes[:2] == ("wall", "floor")
    assert len(dataset.classes) == 2 + len(HELD_OUT) < 255
    for index in (3, 99):
        sample = dataset.load(index)
        for word, number in zip(sample.words, sample.word_classes, strict=True):
            assert dataset.classes[number] == word if number >= 0 else word not in dataset.classes
        names = ("wall", "floor", *sample.instance_names[2:])
        for instance in np.unique(sample.instance_map):
            (value,) = np.unique(sample.truth[sample.instance_map == instance])
            assert dataset.classes[value] == names[instance]
            assert names[instance] in sample.words


def test_any_index_in_any_order_gives_the_same_scene():
    dataset = ScenesDataset("test", size_wh=SMALL)
    first = dataset.load(7)
    dataset.load(2)
    again = ScenesDataset("test", size_wh=SMALL).load(7)
    assert np.array_equal(first.image, again.image)
    assert first.words == again.words
    assert dataset.name_of(7) == first.name == "test-7"
    with pytest.raises(IndexError):
        dataset.load(200)


def test_classes_are_the_scenes_categories():
    dataset = open_dataset("scenes")
    assert dataset.classes == CATEGORIES
    assert dataset.background is None
    assert dataset.background_names == ()


def test_splits():
    with pytest.raises(DatasetError, match="scenes: expected one of the splits train, val, test, got 'dev'"):
        open_dataset("scenes", split="dev")
    with pytest.raises(DatasetError, match="scenes-held-out: expected one of the splits test, got 'val'"):
        open_dataset("scenes-held-out")
