"""A sweep over several sets of images: one table, whose means and intervals are those of the sets' own figures."""

import json
from pathlib import Path

import pytest

from ovsr_ros.cli import main
from ovsr_ros.evaluation.bootstrap import compare_mean_miou
from ovsr_ros.evaluation.measurements import Measurements
from ovsr_ros.evaluation.metrics import ClassCounts
from ovsr_ros.evaluation.protocols import HUNGARIAN, ProtocolOptions, dense
from ovsr_ros.evaluation.sweep.file import read_sweep
from ovsr_ros.evaluation.sweep.measure import measure_sweep
from ovsr_ros.evaluation.sweep.over_sets import combine

ROOT = Path(__file__).resolve().parents[3]

GROUPS = """
groups:
  - {option: clusters.linkage, values: [average, ward]}
  - {name: count, sets: {two: {clusters.count_rule: fixed, clusters.fixed: 2}}}
"""


@pytest.fixture
def write(tmp_path, seeded_config, make_folder):
    """Writes a sweep over two folders, of 3 and of 5 images."""
    make_folder("homes", num_images=3)
    make_folder("streets", num_images=5, size_wh=(96, 64))

    def write(
        head: str = "protocols: [hungarian]\nbase: {clip.model: /no/such/clip}\n", sets: str = "", groups: str = GROUPS
    ) -> Path:
        town = "{dataset: folder, root: streets, name: town, every: 2}"
        sets = sets or f"datasets:\n  - {{dataset: folder, root: homes}}\n  - {town}\n"
        path = tmp_path / "some.yaml"
        path.write_text(f"config: {seeded_config}\n{head}{sets}{groups}", encoding="utf-8")
        return path

    return write


@pytest.fixture
def words(tmp_path):
    return ["evaluate", "--root", str(tmp_path), "--out", str(tmp_path / "out"), "--sweep"]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_one_table_a_group_has_the_mean_and_each_set(write, words, tmp_path, capsys):
    assert main([*words, str(write())]) == 0
    page = (tmp_path / "out" / "sweep.md").read_text()
    assert page in capsys.readouterr().out
    assert "- homes: folder homes val, 3 images" in page
    assert "- town: folder streets val, one in 2, 3 images" in page
    lines = page.splitlines()
    start = lines.index("## clusters.linkage")
    header, _, base, ward = (cells(line) for line in lines[start + 2 : start + 6])
    change = "change [95 %]"
    assert header == [
        "run", "Hungarian mIoU, mean", change, "homes", change, "town", change, "border F1", "segments", "ms"
    ]  # fmt: skip
    assert base[0] == "average (base)"
    content = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert [entry["images"] for entry in content["datasets"]] == [3, 3]
    assert set(content["weights"]) == {"features"}
    run = content["groups"][0]["runs"][1]
    homes, town = run["sets"]["homes"], run["sets"]["town"]
    assert run["hungarian_miou"] == pytest.approx((homes["hungarian_miou"] + town["hungarian_miou"]) / 2)
    for cell, figures in zip((ward[1], ward[3], ward[5]), (run, homes, town), strict=True):
        assert cell == f"{figures['hungarian_miou']:.3f}"
    for cell, figures in zip((ward[2], ward[4], ward[6]), (run, homes, town), strict=True):
        assert f"{figures['hungarian_miou_change']['value']:+.3f} [" in cell
    assert run["mean_segments"] == pytest.approx((homes["mean_segments"] + town["mean_segments"]) / 2)
    assert ward[7] == f"{(homes['cluster_boundary']['f1'] + town['cluster_boundary']['f1']) / 2:.3f}"
    assert run["miou"] is None
    assert float(ward[-1]) > 0


def test_another_method_stands_beside_ours(write, words, tmp_path):
    others = (
        "groups:\n  - name: others\n    sets:\n"
        "      graph: {finder: {method: felzenszwalb, scale: 100, sigma: 0.8, min_size: 20}}\n"
    )
    assert main([*words, str(write(groups=others))]) == 0
    content = json.loads((tmp_path / "out" / "sweep.json").read_text())
    run = content["groups"][0]["runs"][0]
    assert not run["is_base"]
    finder = {"method": "Felzenszwalb", "scale": 100.0, "sigma": 0.8, "min_size": 20}
    assert run["changes"] == {"finder": finder}
    assert run["hungarian_miou"] != content["base"]["hungarian_miou"]
    assert run["sets"]["homes"]["hungarian_miou_change"]["value"] != 0


def test_the_sets_figures_are_those_that_each_has_alone(write, tmp_path):
    sweep = read_sweep(write())
    protocols = ProtocolOptions((HUNGARIAN,))
    results = []
    for images in sweep.sets:
        dataset = images.open(tmp_path)
        chosen = images.indices(len(dataset))
        measurements = Measurements(dataset, chosen, tmp_path / images.name, protocols=protocols, name=images.name)
        results.append(measure_sweep(sweep, measurements))
    combined = combine(results)
    two = combined.groups[1][0]
    assert two.on == (results[0].groups[1][0], results[1].groups[1][0])
    assert combined.base.hungarian_change is None
    assert two.labelled_change is None

    def counts(figures):
        return [ClassCounts.from_confusion(dense(row.hungarian, len(figures.classes))) for row in figures.per_image]

    pairs = [(counts(base.figures), counts(one.figures)) for base, one in zip(combined.base.on, two.on, strict=True)]
    assert two.hungarian_change == compare_mean_miou(pairs)
    changes = [one.hungarian_change.value for one in two.on]
    assert two.hungarian_change.value == pytest.approx(sum(changes) / 2)


def test_two_folders_keep_journals_of_their_own_and_go_on(write, words, tmp_path):
    path = write()
    assert main([*words, str(path), "--limit", "2"]) == 0
    journals = {each: each.read_bytes() for each in (tmp_path / "out" / "runs").rglob("*.jsonl")}
    assert {each.parent.name for each in journals} == {"homes", "town"}
    assert len(journals) == 6
    assert main([*words, str(path)]) == 0
    for journal, content in journals.items():
        assert journal.read_bytes().startswith(content)
        assert journal.read_bytes().count(b"\n") == 1 + 3
    assert not list((tmp_path / "out").rglob("*.old"))


def test_workers_give_the_same_figures(write, words, tmp_path):
    path = write()
    assert main([*words, str(path), "--json", str(tmp_path / "one.json")]) == 0
    assert main([*words, str(path), "--fresh", "--workers", "2", "--json", str(tmp_path / "two.json")]) == 0
    one, two = (json.loads((tmp_path / name).read_text())["groups"] for name in ("one.json", "two.json"))
    for group in (*one, *two):
        for run in group["runs"]:
            for figures in (run, *run["sets"].values()):
                figures.pop("ms")
                figures.pop("seconds", None)
    assert one == two


def test_labels_are_in_the_table_where_they_are_measured(write, words, tmp_path):
    assert main([*words, str(write("base: {}\n")), "--limit", "1"]) == 0
    page = (tmp_path / "out" / "sweep.md").read_text()
    header = cells(next(line for line in page.splitlines() if line.startswith("| run")))
    assert header[1::2][:3] == ["labelled mIoU, mean", "homes", "town"]
    assert header[7::2][:3] == ["Hungarian mIoU, mean", "homes", "town"]
    assert main([*words, str(write("base: {}\n")), "--limit", "1", "--protocol", "hungarian"]) == 0
    assert "labelled" not in (tmp_path / "out" / "sweep.md").read_text()


def test_one_set_without_labels_has_no_columns_for_them(write, words, tmp_path):
    assert main([*words, str(write(sets="dataset: folder\nroot: homes\n")), "--limit", "1"]) == 0
    page = (tmp_path / "out" / "sweep.md").read_text()
    header = cells(next(line for line in page.splitlines() if line.startswith("| run")))
    assert header == ["run", "Hungarian mIoU", "change [95 %]", "border F1 of the clusters", "segments", "ms"]
    assert (tmp_path / "out" / "runs" / "folder-val").is_dir()
    assert page.startswith("# Sweep some\n\nfolder val, 1 images. Base:")


def test_an_image_that_cannot_be_used_shows_in_the_page_and_the_exit_code(write, words, tmp_path):
    (tmp_path / "streets" / "images" / "2.png").write_bytes(b"no image")
    assert main([*words, str(write())]) == 3
    assert "1 images could not be used and were skipped." in (tmp_path / "out" / "sweep.md").read_text()


def test_a_root_that_is_not_there_is_named_before_anything_is_measured(write, words, tmp_path, capsys):
    path = write(sets="datasets:\n  - {dataset: folder, root: homes}\n  - {dataset: folder, root: nowhere}\n")
    assert main([*words, str(path)]) == 2
    assert str(tmp_path / "nowhere") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
