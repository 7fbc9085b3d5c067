"""Sweep files: what they hold, and what is said of bad ones."""

from pathlib import Path

import pytest

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.sweep.file import read_sweep, show_value

ROOT = Path(__file__).resolve().parents[3]

GOOD = """
config: demo
base: {score_threshold: 0.4, crops: {margin: 0.2}}
limit: 3
groups:
  - {name: linkage, option: clusters.linkage, values: [ward, average]}
  - {option: features.levels, values: [[0], [1, 2]]}
  - name: crops
    sets: {box: {crops.style: box, crops: {centered: false}}, as before: {}}
runs:
  plain: {smoothing.iterations: 0}
"""


@pytest.fixture
def read(tmp_path):
    def read(text: str, **arguments):
        path = tmp_path / "some.yaml"
        path.write_text(text, encoding="utf-8")
        return read_sweep(path, **arguments)

    return read


def test_each_run_is_the_base_with_its_changes(read):
    sweep = read(GOOD)
    assert (sweep.name, sweep.dataset, sweep.split, sweep.limit) == ("some", "scenes", "val", 3)
    assert [group.name for group in sweep.groups] == ["linkage", "features.levels", "crops", "runs"]
    assert [run.name for group in sweep.groups for run in group.runs] == [
        "ward", "average", "0", "1, 2", "box", "as before", "plain"
    ]  # fmt: skip
    for run in sweep.all_runs():
        assert run.options.score_threshold == 0.4
        assert run.options.crops.margin == 0.2
    box = sweep.groups[2].runs[0].options
    assert (box.crops.style, box.crops.centered) == ("box", False)
    assert sweep.groups[1].runs[1].options.features.levels == (1, 2)


def test_runs_with_the_bases_options_are_no_further_runs(read):
    sweep = read(GOOD)
    assert sweep.groups[2].runs[1].options == sweep.base.options
    assert sweep.num_runs == len({run.options for run in sweep.all_runs()}) < len(sweep.all_runs())


def test_the_command_lines_options_are_stronger(read):
    sweep = read(GOOD, overrides={"score_threshold": 0.7, "device": "cpu"}, config="faithful")
    assert sweep.config == "faithful"
    assert {run.options.score_threshold for run in sweep.all_runs()} == {0.7}
    assert {run.options.device for run in sweep.all_runs()} == {"cpu"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("groups: [{option: clusters.linkag, values: [ward]}]", "the nearest known key is 'clusters.linkage'"),
        ("groups: [{option: clusters.linkage, values: [wart]}]", "did you mean 'ward'"),
        ("groups: [{option: score_threshold, values: [2]}]", "expected 0 to 1, got 2"),
        ("base: {scor_threshold: 1}\nruns: {a: {}}", "the nearest known key is 'score_threshold'"),
        ("group: []", "unknown key 'group'; the nearest known key is 'groups'"),
        ("groups: [{option: score_threshold, value: [1]}]", "the nearest known key is 'values'"),
        ("groups: [{option: score_threshold}]", "at least one of its `values`"),
        ("groups: [{name: x}]", "expected either `option` with `values`, or `sets`"),
        ("groups: [{name: x, sets: {a: 3}}]", "expected options, such as"),
        ("groups: [{sets: {a: {}}}]", "needs a `name`"),
        ("groups: [{name: x, sets: {a: {}}}, {name: x, sets: {a: {}}}]", "two groups are called 'x'"),
        ("groups: []", "neither has an entry"),
        ("groups: 3", "groups: expected list, got 3 (int)"),
        ("limit: 0\nruns: {a: {}}", "expected at least 1 image, got 0"),
        ("limit: true\nruns: {a: {}}", "limit: expected int, got True (bool)"),
        ("names: good\nruns: {a: {}}", "names: expected one of engineered, plain, got 'good'"),
        ("config: nowhere\nruns: {a: {}}", "nowhere: no such config file"),
        ("[1, 2]", "expected keys such as `config` and `groups`, got list"),
        ("a: [", "not YAML"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_place(read, text, told):
    with pytest.raises(ConfigError) as refusal:
        read(text)
    assert told in str(refusal.value)
    assert "some.yaml" in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml: the sweep file cannot be read"):
        read_sweep(tmp_path / "absent.yaml")


@pytest.mark.parametrize(("value", "shown"), [(True, "on"), ([1, 2], "1, 2"), ([], "none"), (0.5, "0.5"), ("a", "a")])
def test_values_are_shown_as_a_table_needs_them(value, shown):
    assert show_value(value) == shown


def test_the_sweep_that_is_shipped_varies_every_decision():
    sweep = read_sweep(ROOT / "bench" / "sweeps" / "scenes.yaml")
    assert (sweep.dataset, sweep.split) == ("scenes", "val")
    varied = {name for group in sweep.groups for run in group.runs for name in run.changes}
    assert varied >= {
        "features.levels", "features.input_short_side", "features.grid_rows", "features.normalization",
        "latent.energy", "latent.max_rank", "smoothing.iterations", "clusters.count_rule", "clusters.count_fraction",
        "clusters.fixed", "clusters.linkage", "alignment.method", "alignment.energy", "alignment.max_rank",
        "alignment.logit_scale", "text.templates", "text.something_else", "text.background_names", "crops.style",
        "crops.centered", "score_threshold", "refinement.method", "refinement.scores", "clip.recognition",
    }  # fmt: skip
    for group in sweep.groups:
        assert len({run.options for run in group.runs}) == len(group.runs), f"{group.name}: two runs are the same"
