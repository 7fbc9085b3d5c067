"""The number of clusters against the number of regions: scenes whose number is known, and statistics by hand."""

import dataclasses
import json

import numpy as np
import pytest
import yaml
from scipy import stats

from ovsr_ros.cli import main
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.studies.clusters import (
    ADAPTIVE,
    MIN_SHARE,
    NUM_OBJECTS,
    compare_counts,
    count_scenes,
    counted_scenes,
    settings_of,
    sum_counts,
)
from ovsr_ros.pipeline import load_segmenter
from ovsr_ros.settings import backend_options, load_settings

SMALL = "{device: cpu, features.input_short_side: 128, features.grid_rows: 24, text.cache_directory: none}"


@pytest.fixture(scope="module")
def scenes():
    return list(counted_scenes("val", 1))


@pytest.fixture
def options():
    return load_settings("demo", yaml.safe_load(SMALL)).pipeline


def test_the_scenes_show_from_two_to_many_regions(scenes):
    assert len(scenes) == len(NUM_OBJECTS) == 13
    assert (scenes[0].num_categories, scenes[0].num_instances) == (2, 2)
    assert max(scene.num_instances for scene in scenes) >= 12
    for num_objects, scene in zip(NUM_OBJECTS, scenes, strict=True):
        assert 2 <= scene.num_categories <= scene.num_instances <= num_objects + 2


def test_only_what_is_in_view_counts(scenes):
    for scene in scenes:
        shares = [(scene.truth == c).mean() for c in range(len(CATEGORIES))]
        assert scene.num_categories == sum(share >= MIN_SHARE for share in shares)


def test_every_setting_segments_every_scene(scenes, options):
    chosen = [scenes[0], scenes[6]]
    counted = count_scenes(load_segmenter(options), chosen)
    for scene, counts in zip(chosen, counted, strict=True):
        assert (counts.num_categories, counts.num_instances) == (scene.num_categories, scene.num_instances)
        assert list(counts.hungarian) == [ADAPTIVE, "K = 8", "K = 12"]
        assert counts.num_clusters["K = 8"] <= 8
        assert counts.num_clusters["K = 12"] <= 12
        for name, hungarian in counts.hungarian.items():
            assert (hungarian.true_positive + hungarian.false_negative).sum() == scene.truth.size
            assert counts.num_segments[name] >= counts.num_clusters[name]
    assert counted[0].num_clusters[ADAPTIVE] < counted[1].num_clusters[ADAPTIVE]
    # An empty room has two regions: eight clusters must leave at least six of them unmatched.
    empty = counted[0].hungarian
    assert empty[ADAPTIVE].summary()["miou"] > empty["K = 8"].summary()["miou"]
    both = sum_counts(counts.hungarian[ADAPTIVE] for counts in counted)
    assert both.true_positive.sum() == sum(c.hungarian[ADAPTIVE].true_positive.sum() for c in counted)


def test_a_fixed_number_is_not_bounded_by_the_configuration(options):
    narrow = dataclasses.replace(options, clusters=dataclasses.replace(options.clusters, k_min=10, k_max=11))
    settings = settings_of(backend_options(narrow))
    assert settings["K = 8"]["clusters.k_min"] <= 8
    assert settings["K = 12"]["clusters.k_max"] >= 12
    assert settings[ADAPTIVE] == {}
    fixed = dataclasses.replace(options, clusters=dataclasses.replace(options.clusters, count_rule="fixed"))
    with pytest.raises(ConfigError, match="judges an adaptive rule"):
        settings_of(backend_options(fixed))


def test_agreement_is_that_of_the_textbook():
    true, predicted = np.array([2, 3, 5, 9]), np.array([3, 3, 4, 12])
    agreement = compare_counts(true, predicted)
    assert agreement.mean_absolute_error == pytest.approx(5 / 4)
    assert agreement.bias == pytest.approx(3 / 4)
    assert agreement.pearson == pytest.approx(np.corrcoef(true, predicted)[0, 1])
    assert agreement.spearman == pytest.approx(np.corrcoef(stats.rankdata(true), stats.rankdata(predicted))[0, 1])


def test_counts_that_never_vary_have_no_correlation():
    agreement = compare_counts(np.array([2, 3, 4]), np.array([8, 8, 8]))
    assert np.isnan(agreement.pearson)
    assert np.isnan(agreement.spearman)
    assert agreement.mean_absolute_error == 5


def test_the_command_writes_tables_figures_and_plot(tmp_path, capsys):
    out = tmp_path / "out"
    options = [f"--set={key}={value}" for key, value in yaml.safe_load(SMALL).items()]
    assert main(["evaluate", "--study", "clusters", "--limit", "13", "--out", str(out), *options]) == 0
    assert "| clusters, categories in view" in capsys.readouterr().out
    figures = json.loads((out / "clusters_val.json").read_text())
    assert figures["scenes"] == 13
    assert sum(row["scenes"] for row in figures["by_categories"]) == 13
    assert figures["agreement"]["clusters, categories in view"]["pearson"] > 0.3
    assert figures["adaptive_less"]["K = 8"]["value"] == pytest.approx(
        figures["hungarian_miou"][ADAPTIVE] - figures["hungarian_miou"]["K = 8"]
    )
    assert (out / "clusters_val_counts.png").read_bytes().startswith(b"\x89PNG")
