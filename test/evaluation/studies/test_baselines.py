"""The baselines' table: tuned, judged, and compared with ours on the same images."""

import json

import pytest
import yaml

from ovsr_ros.evaluation.baselines.region_finders import ADAPTIVE, FeatureWard, KMeans, describe
from ovsr_ros.evaluation.protocols import HUNGARIAN, ProtocolOptions
from ovsr_ros.evaluation.studies.baselines import METHODS, OURS, compare, to_study
from ovsr_ros.evaluation.studies.study import StudyRequest
from ovsr_ros.settings import load_settings

SMALL = "{device: cpu, features.input_short_side: 192, features.grid_rows: 24, text.cache_directory: none}"


def test_every_method_that_takes_a_number_is_tried_with_ours_too():
    adaptive = {name for name, tried in METHODS.items() if any(ADAPTIVE in vars(s).values() for s in tried)}
    assert {name.partition(",")[0] for name in adaptive} == {"k-means", "SLIC", "grid-connected Ward", "Ward"}
    for name, tried in METHODS.items():
        assert len({str(describe(finder)) for finder in tried}) == len(tried) > 1, name


def test_a_method_is_judged_at_its_best_and_against_ours(tmp_path):
    methods = {
        "k-means": [KMeans(2, 3.0), KMeans(8, 0.3)],
        "Ward": [FeatureWard(False, 2, False, False), FeatureWard(False, ADAPTIVE, True, True)],
    }
    request = StudyRequest(load_settings("demo", yaml.safe_load(SMALL)).pipeline, tmp_path, limit=2)
    results = compare(request, methods, num_tuning_images=1)
    assert [result.name for result in results] == [*methods, OURS]
    for result in results[:-1]:
        tried = result.candidates
        assert len(tried) == 2
        score = [(entry["miou"] or 0) + (entry["hungarian_miou"] or 0) for entry in tried]
        best = tried[score.index(max(score))]
        assert result.parameters.items() <= best.items()
        assert result.figures.num_images == 2
        lead = results[-1].figures.hungarian_miou - result.figures.hungarian_miou
        assert result.hungarian_lead.value == pytest.approx(lead)
        assert result.hungarian_lead.low <= result.hungarian_lead.high
        assert result.ms > 0
    assert results[1].parameters["num_clusters"] == ADAPTIVE, "two clusters were preferred"

    study = to_study(request, results, num_tuning_images=1)
    study.write(request)
    figures = json.loads((tmp_path / "baselines_val.json").read_text())
    assert [method["name"] for method in figures["methods"]] == [*methods, OURS]
    assert figures["methods"][-1]["our_lead"] is None
    rows = [line for line in study.markdown.splitlines() if line.startswith(("| k-means", "| Ward", "| ours"))]
    assert len(rows) == 5  # all three in the first table, and the two that were tuned in the second
    behind = {
        result.name for result in results[:-1] if min(result.labelled_lead.value, result.hungarian_lead.value) <= 0
    }
    assert set(figures["ours_is_behind"]) == behind
    assert ("ours is ahead of each" in study.markdown) == (not behind)


def test_clusters_are_compared_without_clip(tmp_path):
    values = {**yaml.safe_load(SMALL), "clip.model": "/no/such/clip"}
    options = load_settings("demo", values).pipeline
    request = StudyRequest(options, tmp_path, limit=2, protocols=ProtocolOptions((HUNGARIAN,)))
    results = compare(request, {"k-means": [KMeans(2, 3.0), KMeans(8, 0.3)]}, num_tuning_images=1)
    tried = results[0].candidates
    assert [entry["miou"] for entry in tried] == [None, None]
    best = max(tried, key=lambda entry: entry["hungarian_miou"])
    assert results[0].parameters.items() <= best.items()
    lead = results[1].figures.hungarian_miou - results[0].figures.hungarian_miou
    assert results[0].hungarian_lead.value == pytest.approx(lead)
    study = to_study(request, results, num_tuning_images=1)
    study.write(request)
    assert "By Hungarian mIoU, " in study.markdown
    assert "nan" not in study.markdown
    assert set(json.loads((tmp_path / "baselines_val.json").read_text())["weights"]) == {"features"}


def test_what_was_judged_is_not_judged_again(tmp_path):
    request = StudyRequest(load_settings("demo", yaml.safe_load(SMALL)).pipeline, tmp_path, limit=1)
    methods = {"k-means": [KMeans(4, 0.3)]}
    first = compare(request, methods, num_tuning_images=1)
    again = compare(request, methods, num_tuning_images=1)
    # Their seconds are among what is compared: those would differ.
    assert [result.figures.per_image for result in first] == [result.figures.per_image for result in again]
