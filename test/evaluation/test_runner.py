"""Whole runs of a real pipeline: in one process or several, at once or with interruptions, the figures are the same."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ovsr_ros.errors import ConfigError, ModelError
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.pipeline_predictor import PipelineFactory, PipelinePredictor, with_background_names
from ovsr_ros.evaluation.protocols import ProtocolOptions
from ovsr_ros.evaluation.runner import evaluate, run_header
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.vocabulary.category import parse_category

ALL = ProtocolOptions(names=("openvocab", "hungarian", "hungarian-dataset"))


def comparable(figures):
    """Everything but the time it took."""
    described = figures.to_dict()
    described.pop("seconds")
    return described


@pytest.fixture
def data(folder):
    return open_dataset("folder", folder)


@pytest.fixture
def factory(seeded_options):
    return PipelineFactory(seeded_options)


def spoil(folder: Path, number: int) -> None:
    path = folder / "images" / f"{number}.png"
    path.write_bytes(path.read_bytes()[:-60])


def test_each_image_is_judged_once_and_by_its_own_words(data, factory):
    figures = evaluate(factory, data, protocols=ALL)
    assert figures.num_images == 4
    assert [row.name for row in figures.per_image] == ["0", "1", "2", "3"]
    judged = sum(int((data.load(index).truth != 255).sum()) for index in range(4))
    for counts in (figures.labelled, figures.hungarian, figures.hungarian_dataset):
        assert int((counts.true_positive + counts.false_negative).sum()) == judged
    assert figures.hungarian_miou >= figures.miou
    assert figures.seconds > 0
    assert figures.mean_segments >= 1


def test_several_processes_give_the_same_figures(folder, factory, tmp_path):
    """What they skip included."""
    spoil(folder, 1)
    data = open_dataset("folder", folder)
    journal = tmp_path / "journal.jsonl"
    together = evaluate(factory, data, protocols=ALL, workers=2, journal_path=journal)
    assert comparable(together) == comparable(evaluate(factory, data, protocols=ALL))
    assert [name for name, _ in together.skipped] == ["1"]
    assert len(journal.read_text().splitlines()) == 4


def test_the_order_of_the_images_does_not_matter(data, factory):
    there, back = evaluate(factory, data, [0, 1, 2, 3]), evaluate(factory, data, [3, 1, 2, 0, 1])
    assert comparable(there) == comparable(back)
    assert evaluate(factory, data, [2]).per_image[0].name == "2"


def test_a_run_goes_on_where_it_stopped(data, factory, tmp_path):
    journal = tmp_path / "journal.jsonl"
    evaluate(factory, data, [0, 2], journal_path=journal)
    (data.entries[0].image).unlink()  # what is in the journal is not judged again
    resumed = evaluate(factory, data, journal_path=journal)
    assert resumed.num_images == 4
    assert resumed.skipped == ()
    assert len(journal.read_text().splitlines()) == 5


def test_a_finished_run_loads_no_model(data, factory, tmp_path, seeded_options):
    journal = tmp_path / "journal.jsonl"
    first = evaluate(factory, data, journal_path=journal)

    @dataclasses.dataclass(frozen=True)
    class Unloadable:
        def describe(self):
            return factory.describe()

        def __call__(self):
            raise AssertionError("a model was loaded")

    again = evaluate(Unloadable(), data, journal_path=journal)
    assert json.dumps(again.to_dict()) == json.dumps(first.to_dict())


def test_images_that_cannot_be_used_are_named_and_the_others_go_on(folder, factory, tmp_path):
    spoil(folder, 1)
    (folder / "masks" / "3.png").unlink()
    data = open_dataset("folder", folder)
    journal = tmp_path / "journal.jsonl"
    figures = evaluate(factory, data, journal_path=journal)
    assert [row.name for row in figures.per_image] == ["0", "2"]
    assert [name for name, _ in figures.skipped] == ["1", "3"]
    assert str(folder / "images" / "1.png") in figures.skipped[0][1]
    assert str(folder / "masks" / "3.png") in figures.skipped[1][1]
    assert len(journal.read_text().splitlines()) == 3


def test_what_was_skipped_is_tried_again(folder, factory, tmp_path):
    path = folder / "images" / "1.png"
    whole = path.read_bytes()
    spoil(folder, 1)
    journal = tmp_path / "journal.jsonl"
    assert len(evaluate(factory, open_dataset("folder", folder), journal_path=journal).skipped) == 1
    path.write_bytes(whole)
    figures = evaluate(factory, open_dataset("folder", folder), journal_path=journal)
    assert (figures.num_images, figures.skipped) == (4, ())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_is_not_here_ends_the_run(data, seeded_options, workers):
    missing = dataclasses.replace(seeded_options.clip, model="/no/such/model")
    with pytest.raises(ModelError, match="/no/such/model"):
        evaluate(PipelineFactory(dataclasses.replace(seeded_options, clip=missing)), data, workers=workers)


def test_a_protocol_that_does_not_fit_ends_the_run(data, factory):
    with pytest.raises(ConfigError, match="no class for the background"):
        evaluate(factory, data, protocols=ProtocolOptions(merge_background=True))


# --- What a journal belongs to ---


def test_the_header_says_everything_that_decides_a_row(data, factory, folder, seeded_options):
    header = run_header(factory, data, ALL)
    assert run_header(PipelineFactory(seeded_options), open_dataset("folder", folder), ALL) == header
    other = dataclasses.replace(seeded_options, score_threshold=0.5)
    assert run_header(PipelineFactory(other), data, ALL) != header
    assert run_header(factory, data, ProtocolOptions()) != header
    (folder / "classes.txt").write_text("ground\ndisc\nbar\nnothing of the kind\n", encoding="utf-8")
    assert run_header(factory, open_dataset("folder", folder), ALL) != header


def test_the_header_knows_the_weights(factory):
    weights = factory.describe()["weights"]
    assert {len(item["sha256"]) for item in weights.values()} == {64}
    assert set(weights) == {"features", "clip"}


def test_where_text_embeddings_are_cached_decides_nothing(seeded_options, tmp_path):
    text = dataclasses.replace(seeded_options.text, cache_directory=str(tmp_path))
    elsewhere = PipelineFactory(dataclasses.replace(seeded_options, text=text))
    assert elsewhere.describe() == PipelineFactory(seeded_options).describe()


# --- The pipeline as a predictor ---


def test_the_label_map_holds_indices_of_the_samples_words(data, seeded_options):
    pipeline = Pipeline(seeded_options)
    sample = data.load(0)
    prediction = PipelinePredictor(pipeline).predict(sample)
    prepared = pipeline.state_for([parse_category(word) for word in sample.words])
    segmentation = pipeline.segment(sample.image, prepared)
    names = {category.id: category.name for category in prepared.vocabulary.categories}
    first_names = [word.partition(";")[0] for word in sample.words]
    for value in np.unique(segmentation.label_map):
        expected = 255 if value == 255 else first_names.index(names[int(value)])
        assert (prediction.label_map[segmentation.label_map == value] == expected).all()
    assert np.array_equal(prediction.segment_map, segmentation.segment_map)
    parts = np.unique(np.stack([prediction.clusters.ravel(), prediction.segment_map.ravel()]), axis=1)
    assert len(parts[0]) == len(np.unique(prediction.segment_map))  # each segment lies in one cluster


def test_the_backgrounds_names_stand_beside_something_else(seeded_options):
    @dataclasses.dataclass(frozen=True)
    class Data:
        background_names: tuple[str, ...]

    options = with_background_names(seeded_options, Data(("sky", "wall")))
    assert options.text.background_names == ("sky", "wall")
    assert with_background_names(seeded_options, Data(())) == seeded_options
    own = dataclasses.replace(
        seeded_options, text=dataclasses.replace(seeded_options.text, background_names=("clutter",))
    )
    assert with_background_names(own, Data(("sky", "wall"))) == own
