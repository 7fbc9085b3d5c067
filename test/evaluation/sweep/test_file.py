"""Sweep files: what they hold, and what is said of bad ones."""

from pathlib import Path

import pytest

from ovsr_ros.errors import ConfigError, DatasetError
from ovsr_ros.evaluation.baselines.region_finders import FeatureWard, Felzenszwalb
from ovsr_ros.evaluation.sweep.file import read_sweep, show_value
from ovsr_ros.evaluation.sweep.image_sets import ImageSet
from ovsr_ros.settings import options_in_use

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
    assert sweep.name == "some"
    assert sweep.sets == (ImageSet(dataset="scenes", split="val", limit=3),)
    assert sweep.protocols == ()
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
        ("every: 0\nruns: {a: {}}", "every: expected at least 1 image, got 0"),
        ("dataset: scene\nruns: {a: {}}", "got 'scene'; the nearest is 'scenes'"),
        ("protocols: []\nruns: {a: {}}", "protocols: expected one or more of openvocab, hungarian"),
        ("protocols: [hungary]\nruns: {a: {}}", "got 'hungary'; the nearest is 'hungarian'"),
        ("datasets: []\nruns: {a: {}}", "datasets: expected at least one entry"),
        ("datasets: [voc21]\nruns: {a: {}}", "datasets[0]: expected keys, `dataset` among them, got 'voc21'"),
        ("datasets: [{root: a}]\nruns: {a: {}}", "datasets[0]: expected keys, `dataset` among them"),
        ("datasets: [{dataset: folder, evry: 3}]\nruns: {a: {}}", "datasets[0]: unknown key 'evry'; the nearest"),
        ("datasets: [{dataset: folder, every: 2.5}]\nruns: {a: {}}", "datasets[0]: every: expected int, got 2.5"),
        ("datasets: [{dataset: voc}]\nruns: {a: {}}", "datasets[0]: dataset: expected one of"),
        ("limit: 3\ndatasets: [{dataset: scenes}]\nruns: {a: {}}", "got both: limit"),
        ("datasets: [{dataset: scenes}, {dataset: scenes}]\nruns: {a: {}}", "[1]: its name 'scenes-val' is another's"),
        ("datasets: [{dataset: scenes, name: a b}, {dataset: voc21, name: A_b}]\nruns: {a: {}}", "same folder: 'a b'"),
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
    assert [(images.dataset, images.split) for images in sweep.sets] == [("scenes", "val")]
    varied = {name for group in sweep.groups for run in group.runs for name in run.changes}
    assert varied >= {
        "features.levels", "features.input_short_side", "features.grid_rows", "features.normalization",
        "latent.energy", "latent.max_rank", "smoothing.iterations", "clusters.count_rule", "clusters.count_fraction",
        "clusters.fixed", "clusters.linkage", "alignment.method", "alignment.energy", "alignment.max_rank",
        "alignment.logit_scale", "text.templates", "text.something_else", "text.background_names", "crops.style",
        "crops.centered", "score_threshold", "refinement.method", "clip.recognition",
    }  # fmt: skip
    check_runs_differ(sweep)


def test_the_sweep_on_photographs_varies_every_decision_before_words():
    sweep = read_sweep(ROOT / "bench" / "sweeps" / "photos.yaml")
    assert sweep.protocols == ("hungarian",)
    assert [(images.name, images.dataset, images.every) for images in sweep.sets] == [
        ("homes", "folder", 10), ("streets", "folder", 10)
    ]  # fmt: skip
    varied = {name for group in sweep.groups for run in group.runs for name in run.changes}
    assert varied >= {
        "features.levels", "features.input_short_side", "features.grid_rows", "features.normalization",
        "latent.energy", "latent.max_rank", "smoothing.iterations", "clusters.count_rule", "clusters.count_fraction",
        "clusters.rank_factor", "clusters.k_max", "clusters.fixed", "clusters.linkage", "clusters.metric",
        "clusters.merge_from", "clusters.border_weight", "refinement.method",
        "regions.min_area", "regions.max_segments",
    }  # fmt: skip
    assert varied <= {info.name for info in options_in_use("ovsr", before_words=True)}
    check_runs_differ(sweep)


def test_the_report_on_photographs_uses_no_image_that_was_chosen_on():
    chosen, reported = (read_sweep(ROOT / "bench" / "sweeps" / f"{name}.yaml") for name in ("photos", "photos_report"))
    assert len(reported.sets) == 5
    assert not {images.root for images in chosen.sets} & {images.root for images in reported.sets}
    assert chosen.base.options == reported.base.options
    assert reported.protocols == ("hungarian",)
    check_runs_differ(reported)
    methods, tuning = (read_sweep(ROOT / "bench" / "sweeps" / f"photos_{name}.yaml") for name in ("methods", "tuning"))
    assert {images.root for images in methods.sets} == {images.root for images in reported.sets}
    assert {images.root for images in tuning.sets} == {images.root for images in chosen.sets}
    tuned = {run.finder for run in tuning.groups[0].runs}
    assert {run.finder for run in methods.groups[0].runs} <= tuned


@pytest.mark.parametrize(
    ("spec", "finder"),
    [
        ("{method: felzenszwalb, scale: 300, sigma: 0.8, min_size: 600}", Felzenszwalb(300.0, 0.8, 600)),
        ("{method: ward, connected: true, num_clusters: 0, smoothed: false, refined: true}",
         FeatureWard(True, 0, False, True)),
    ],
)  # fmt: skip
def test_a_set_may_name_another_method(read, spec, finder):
    sweep = read(f"groups:\n  - name: others\n    sets:\n      other: {{finder: {spec}, regions.min_area: 0.01}}\n")
    run = sweep.groups[0].runs[0]
    assert run.finder == finder
    assert run.changes == {"regions.min_area": 0.01}
    assert sweep.base.finder is None
    assert sweep.num_runs == 2


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("felzenszwalb", "finder: expected a mapping with `method`, one of k-means, slic, felzenszwalb, ward"),
        ("{method: watershed}", "one of k-means, slic, felzenszwalb, ward"),
        ("{method: k-means, num_clusters: 8}", "position_weight: missing; expected parameters of k-means"),
        ("{method: k-means, num_clusters: 8.5, position_weight: 1}", r"num_clusters: expected parameters of k-means"),
        ("{method: k-means, num_clusters: true, position_weight: 1}", r"num_clusters: expected parameters of k-means"),
        ("{method: k-means, clusters: 8, position_weight: 1}", r"clusters: expected parameters of k-means"),
        ("{method: ward, connected: 1, num_clusters: 0, smoothed: false, refined: true}", r"connected \(bool\)"),
    ],
)  # fmt: skip
def test_another_method_that_cannot_be_is_refused(read, spec, said):
    with pytest.raises(ConfigError, match=said):
        read(f"groups:\n  - name: others\n    sets:\n      other: {{finder: {spec}}}\n")


def check_runs_differ(sweep):
    for group in sweep.groups:
        assert len({(run.options, run.finder) for run in group.runs}) == len(group.runs), (
            f"{group.name}: two runs are the same"
        )


def test_several_sets_each_with_its_own_images(read):
    sweep = read(
        "protocols: [hungarian, hungarian]\n"
        "datasets:\n"
        "  - {dataset: folder, root: one/homes, every: 3, limit: 4}\n"
        "  - {dataset: folder, root: /all/streets, name: town}\n"
        "  - {dataset: scenes, split: test}\n"
        "runs: {a: {score_threshold: 0.9}}"
    )
    assert sweep.protocols == ("hungarian",)
    homes, town, scenes = sweep.sets
    assert (homes.name, town.name, scenes.name) == ("homes", "town", "scenes-test")
    assert list(homes.indices(20)) == [0, 3, 6, 9]
    assert list(homes.indices(20, limit=2)) == [0, 3]
    assert list(homes.indices(7)) == [0, 3, 6]
    assert list(town.indices(3)) == [0, 1, 2]


def test_roots_are_relative_to_the_one_that_is_given(make_folder, tmp_path):
    homes = make_folder("homes", num_images=1)
    relative, whole = ImageSet("a", "folder", Path("homes")), ImageSet("a", "folder", homes)
    assert len(relative.open(tmp_path)) == len(whole.open(tmp_path)) == len(whole.open()) == 1
    assert len(ImageSet("a", "folder").open(homes)) == 1
    with pytest.raises(DatasetError, match="homes"):
        relative.open()
