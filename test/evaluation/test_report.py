"""The report carries what is needed to repeat it, and its tables say what the mapping says."""

import hashlib
import json
from pathlib import Path

import pytest

from ovsr_ros import __version__
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.figures import Figures
from ovsr_ros.evaluation.protocols import ImageRow, ProtocolOptions
from ovsr_ros.evaluation.report import build_report, class_table, summary_table, table, to_markdown, to_text
from ovsr_ros.settings import values_in_use

PROTOCOLS = ProtocolOptions(names=("openvocab", "hungarian", "hungarian-dataset"), size=128)


@pytest.fixture
def figures():
    row = ImageRow(
        index=0,
        name="0",
        labelled=((0, 0, 8), (0, 1, 2), (1, 1, 6)),
        hungarian=((0, 0, 10), (1, 1, 6)),
        boundary=(1.0, 0.5),
        class_boundary=((0, 0.25),),
        cluster_boundary=(0.5, 0.5),
        objects=None,
        num_segments=4,
        seconds=1.5,
    )
    classes = ("ground", "disc", "bar", "nothing of the kind")
    return Figures.from_rows([row], [("7", "7.png: cut short")], classes, PROTOCOLS)


@pytest.fixture
def report(figures, folder, seeded_options):
    return build_report(figures, None, open_dataset("folder", folder), PROTOCOLS, seeded_options)


def test_the_report_can_be_repeated_from_what_it_says(report, seeded_options):
    assert report["version"] == __version__
    assert report["command"].split()[0] == "ovsr"
    assert report["commit"] == "unknown" or len(report["commit"].removesuffix("+changes")) == 40
    assert report["options"].keys() == values_in_use(seeded_options).keys()
    features = Path(seeded_options.features.model, "model.safetensors")
    assert report["weights"]["features"]["sha256"] == hashlib.sha256(features.read_bytes()).hexdigest()
    assert {"processor", "cores", "torch", "device"} <= report["machine"].keys()
    assert report["machine"]["processor"]
    assert report["names"] == "classes.txt"
    assert report["protocols"]["names"] == ["openvocab", "hungarian", "hungarian-dataset"]
    assert report["protocols"]["size"] == 128
    assert report["skipped"] == [{"name": "7", "reason": "7.png: cut short"}]
    assert "note" not in report
    json.dumps(report, allow_nan=False)


def test_the_note_stands_with_rendered_scenes_only(figures, seeded_options):
    scenes = build_report(figures, None, open_dataset("scenes"), PROTOCOLS, seeded_options)
    assert "rendered demo scenes say nothing about COCO" in scenes["note"]
    assert scenes["distractors"] == 8
    assert scenes["note"] in to_text(scenes)


def test_held_out_objects_are_added(figures, seeded_options):
    row = ImageRow(0, "held-out-0", None, None, None, None, None, (4, 3, 2), 5, 0.5)
    held_out = Figures.from_rows([row], [("held-out-1", "gone")], ("wall",), ProtocolOptions(names=()))
    report = build_report(figures, held_out, open_dataset("scenes", split="test"), PROTOCOLS, seeded_options)
    expected = {"top1": 0.5, "objects": 4, "objects_with_a_fitting_segment": 3, "images": 1}
    assert report["held_out"] == expected
    assert report["seconds"] == 2.0
    assert [item["name"] for item in report["skipped"]] == ["7", "held-out-1"]
    assert "top-1 0.500 over 4 objects" in to_text(report)


def test_a_table_is_aligned_and_is_markdown():
    drawn = table(("class", "IoU"), [("a long name", "0.5"), ("x", "0.125")])
    assert drawn.splitlines() == [
        "| class       |   IoU |",
        "|-------------|------:|",
        "| a long name |   0.5 |",
        "| x           | 0.125 |",
    ]


def test_classes_that_the_truth_lacks_are_dashes(report):
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in class_table(report).splitlines()}
    assert [cell.strip() for cell in rows["ground"]][:3] == ["0.800", "1.000", "0.800"]
    assert {cell.strip() for cell in rows["bar"]} == {cell.strip() for cell in rows["nothing of the kind"]} == {"-"}


def test_every_protocol_has_its_row(report):
    drawn = summary_table(report)
    assert [line.split("|")[1].strip() for line in drawn.splitlines() if line.startswith("|")] == [
        "protocol",
        "-" * 29,
        "open-vocabulary",
        "Hungarian per image",
        "Hungarian over the data set",
        "borders, within 3 px",
        "-" * 22,
        "of the labels",
        "of the clusters",
    ]
    assert "0.775" in drawn.splitlines()[2]  # (8/10 + 6/8) / 2


def test_the_page_says_how_it_was_made(report):
    page = to_markdown(report)
    assert page.startswith("# folder, val\n")
    for said in (report["command"], report["commit"], report["weights"]["clip"]["sha256"], "7.png: cut short"):
        assert said in page
    assert "at the centre square at 128x128" in page
    for key, value in report["options"].items():
        assert f"`{key}`" in page
        assert f"`{value}`" in page
