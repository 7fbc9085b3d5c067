"""Bags labelled, labelled again and searched by the command: with the demo's models, which know its rooms."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader
from pycocotools.coco import COCO
from room_bags import (
    IMAGE,
    ROS1,
    ROS2,
    START_NS,
    STEP_NS,
    image_message,
    images_of,
    jpeg_message,
    room_images,
    write_ros1,
    write_ros2,
)
from rosbags.highlevel import AnyReader

from ovsr_ros.cli import main
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.evaluation.datasets.folder import open_folder
from ovsr_ros.recordings import finding, labelling
from ovsr_ros.recordings import labels as labels_module
from ovsr_ros.recordings.journal import Journal
from ovsr_ros.recordings.table import FrameTable

SIZE_WH = (320, 240)
NUM_FRAMES = 5
OPTIONS = ["--config", "demo", "--set", "text.cache_directory=none"]
TOPICS = ("label_map", "confidence", "segments", "vocabulary", "label_info")


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return room_images(NUM_FRAMES, SIZE_WH, seed=35)


@pytest.fixture(scope="module")
def bag(images, tmp_path_factory) -> Path:
    return write_ros2(tmp_path_factory.mktemp("bags") / "room", images_of(images))


def label(*arguments: object, words=CATEGORIES) -> int:
    return main(["bags", "label", *map(str, arguments), *OPTIONS, "--categories", *words])


@pytest.fixture(scope="module")
def labelled(bag, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("labelled")
    assert label(bag, "--out", out, "--masks", "--coco", "--sheet") == 0
    return out


def test_without_a_hub_s_models_a_bag_is_labelled_by_those_in_the_package(
    bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OVSR_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    options = ["--out", str(tmp_path / "out"), "--every", "4", "--set", "text.cache_directory=none"]
    assert main(["bags", "label", str(bag), *options, "--categories", "wall", "floor"]) == 0
    assert "the preset pocket is used, whose small models are in the package" in capsys.readouterr().err


@pytest.fixture
def copied(labelled, tmp_path) -> Path:
    """What was labelled, to be changed."""
    return shutil.copytree(labelled, tmp_path / "copied")


def read(folder: Path) -> dict[str, list]:
    """The messages of a labels' bag by topic, without a message definition of this package's at hand."""
    with AnyReader([folder / "labels"]) as reader:
        found: dict[str, list] = {}
        for connection, log_ns, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((log_ns, message))
        return found


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a bag's, but those that say how it went."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "recording.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def maps(folder: Path, topic: str = "/ovsr/label_map") -> np.ndarray:
    return np.stack([message.data.reshape(message.height, message.width) for _, message in read(folder)[topic]])


def test_labels_are_a_bag_at_the_recordings_stamps_that_any_reader_opens(labelled: Path) -> None:
    found = read(labelled / "room")
    assert found.keys() == {f"/ovsr/{topic}" for topic in TOPICS}
    stamps = [START_NS + index * STEP_NS for index in range(NUM_FRAMES)]
    for topic in ("label_map", "confidence", "segments"):
        messages = found[f"/ovsr/{topic}"]
        assert [log_ns for log_ns, _ in messages] == [stamp + 5_000_000 for stamp in stamps]
        headers = [message.header for _, message in messages]
        assert [header.stamp.sec * 10**9 + header.stamp.nanosec for header in headers] == stamps
        assert {header.frame_id for header in headers} == {"camera"}
    ((_, vocabulary),), ((_, info),) = found["/ovsr/vocabulary"], found["/ovsr/label_info"]
    assert [category.name for category in vocabulary.categories] == list(CATEGORIES)
    assert [each.class_name for each in info.class_map] == [*CATEGORIES, "unlabeled"]
    segments = found["/ovsr/segments"][-1][1]
    assert (segments.height, segments.width, segments.vocabulary_version) == (240, 320, 1)
    assert {segment.label for segment in segments.segments} & {"wall", "floor"}
    with (labelled / "room" / "labels" / "labels.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert {channel.topic for channel in summary.channels.values()} == found.keys()
    definitions = {schema.name: schema.data.decode() for schema in summary.schemas.values()}
    assert "MSG: ovsr_ros/Segment" in definitions["ovsr_ros/msg/SegmentArray"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools'
def test_the_other_formats_say_the_same(labelled: Path) -> None:
    folder = labelled / "room"
    label_maps = maps(folder)
    for index, label_map in enumerate(label_maps):
        mask = cv2.imread(str(folder / "masks" / "masks" / f"{index:06d}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, label_map)
    dataset = open_folder(folder / "masks")
    assert (len(dataset), tuple(dataset.classes)) == (NUM_FRAMES, CATEGORIES)

    coco = COCO(folder / "coco.json")
    for index, image_id in enumerate(coco.getImgIds()):
        painted = np.full((240, 320), 255, np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(image_id)):
            mask = coco.annToMask(annotation).astype(bool)
            assert mask.sum() == annotation["area"]
            painted[mask] = annotation["category_id"]
        np.testing.assert_array_equal(painted, label_maps[index])
    assert cv2.imread(str(folder / "sheet.jpg")).shape[1] == 4 * 320


def test_what_is_kept_is_small_and_named(labelled: Path) -> None:
    with FrameTable(labelled / "room" / "frames.parquet") as table:
        rows = list(table.rows())
        assert table.about["clip"]
    found = read(labelled / "room")["/ovsr/segments"]
    for row, (_, message) in zip(rows, found, strict=True):
        assert row.track_ids.tolist() == [segment.track_id for segment in message.segments]
        assert row.embeddings.dtype == np.float16
        np.testing.assert_allclose(np.linalg.norm(row.embeddings.astype(np.float32), axis=1), 1, atol=2e-3)
    assert (labelled / "room" / "frames.parquet").stat().st_size < 30_000 * NUM_FRAMES


def test_the_summary_has_frames_shares_and_what_is_unlabeled(labelled: Path, bag: Path, capsys) -> None:
    assert label(bag, "--out", labelled, "--masks", "--coco", "--sheet", "--json") == 0
    captured = capsys.readouterr()
    assert "was labelled already" in captured.err
    (found,) = json.loads(captured.out)["bags"]
    assert (found["state"], found["frames"], found["seconds"]) == ("done", NUM_FRAMES, 0.0)
    assert sum(found["by_name"].values()) + found["unlabeled"] == pytest.approx(1, abs=0.01)
    assert json.loads((labelled / "summary.json").read_text())["frames"] == NUM_FRAMES


class Killed(BaseException):
    """As a signal ends a process, for tests: nobody catches it."""


@pytest.mark.parametrize(
    "killed", ["after a frame", "before the checkpoint", "before the table", "within labels", "before the end"]
)
def test_what_is_stopped_anywhere_goes_on_and_ends_the_same(killed, bag, labelled, tmp_path, monkeypatch) -> None:
    arguments = (bag, "--out", tmp_path, "--masks", "--coco", "--sheet")
    counts: list[int] = []

    def stop_at(number: int, call):
        def counted(*values, **named):
            counts.append(1)
            if len(counts) == number:
                raise Killed
            return call(*values, **named)

        return counted

    place, name, number = {
        "after a frame": (Journal, "append", 4),
        "before the checkpoint": (Journal, "keep", 3),
        "before the table": (finding, "write_table", 1),
        "within labels": (labels_module.LabelWriter, "write_frame", 3),
        "before the end": (labelling, "write_json", 1),
    }[killed]
    with monkeypatch.context() as patch:
        patch.setattr(place, name, stop_at(number, getattr(place, name)))
        with pytest.raises(Killed):
            label(*arguments)
    found: list[int] = []
    pipeline = next(iter(finding._pipelines.values()))
    find = pipeline.find
    monkeypatch.setattr(pipeline, "find", lambda image: found.append(1) or find(image))
    assert label(*arguments) == 0
    assert contents(tmp_path / "room") == contents(labelled / "room")
    assert len(found) == {"after a frame": 2, "before the checkpoint": 3}.get(killed, 0), "nothing is done twice"


def test_a_process_that_is_killed_loses_the_frame_in_work_at_most(bag, labelled, tmp_path) -> None:
    script = (
        "import os, signal, sys\n"
        "from ovsr_ros.cli import bags_output, main\n"
        "def tell(self, stage, done, of):\n"
        "    if done == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "bags_output.Progress.tell = tell\n"
        "main(sys.argv[1:])\n"
    )
    words = [
        "bags",
        "label",
        str(bag),
        "--out",
        str(tmp_path),
        "--masks",
        "--coco",
        "--sheet",
        *OPTIONS,
        "--categories",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", script, *words, *CATEGORIES], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert label(bag, "--out", tmp_path, "--masks", "--coco", "--sheet") == 0
    assert contents(tmp_path / "room") == contents(labelled / "room")


def test_what_is_wrong_with_one_bag_is_told_and_the_others_are_labelled(images, tmp_path, capsys) -> None:
    cut = write_ros2(tmp_path / "cut", images_of(room_images(12, SIZE_WH)))
    file = cut / "cut.mcap"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.4)])
    small = [("/image", IMAGE, START_NS + 10**9, image_message(ROS2.types, images[0][:120, :160], START_NS + 10**9))]
    two = write_ros2(tmp_path / "two", [*images_of(images[:1], "/image"), *small])
    unknown = [("/image", IMAGE, START_NS, image_message(ROS2.types, images[0], START_NS, "rgb7"))]
    odd = write_ros2(tmp_path / "odd", unknown)
    empty = write_ros2(tmp_path / "empty", [])
    whole = write_ros1(tmp_path / "whole.bag", images_of(images[:1], types=ROS1.types))
    missing = tmp_path / "missing.bag"

    assert label(missing, cut, two, odd, empty, whole, "--out", tmp_path / "out", "--json") == 1
    captured = capsys.readouterr()
    states = {Path(each["bag"]).stem: each["state"] for each in json.loads(captured.out)["bags"]}
    assert states == {
        "missing": "failed",
        "cut": "partly",
        "two": "partly",
        "odd": "failed",
        "empty": "failed",
        "whole": "done",
    }
    for text in (
        f"{missing}: no such file or folder",
        f"{file}: cut short",
        "1 images left out: expected 320x240 pixels as the first image's, got 160x120: two cameras",
        "no image of /image can be labelled: 1 images left out: encoding: expected one",
        f"{empty}: expected a topic of images, got none",
    ):
        assert text in captured.err
    assert label(cut, "--out", tmp_path / "out") == 3


def test_a_full_disk_is_told_and_the_work_goes_on_once_there_is_room(
    bag, labelled, tmp_path, capsys, monkeypatch
) -> None:
    append = Journal.append

    def full(self, row):
        if self.checkpoint.frames == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        assert label(bag, "--out", tmp_path) == 1
    assert "the disk is full; make room and run the same command again" in capsys.readouterr().err
    assert label(bag, "--out", tmp_path) == 0
    np.testing.assert_array_equal(maps(tmp_path / "room"), maps(labelled / "room"))


def test_other_options_need_another_folder(bag, copied, capsys) -> None:
    assert label(bag, "--out", copied, "--every", 2) == 1
    assert "with other options (every)" in capsys.readouterr().err


def test_jpeg_at_a_lower_rate_without_tracking(images, tmp_path) -> None:
    bag = write_ros2(tmp_path / "jpegs", images_of(images, "/camera/compressed", make=jpeg_message))
    assert label(bag, "--out", tmp_path / "out", "--rate", 5, "--set", "tracking.enabled=false") == 0
    segments = read(tmp_path / "out" / "jpegs")["/ovsr/segments"]
    assert len(segments) == 3
    assert {segment.track_id for _, message in segments for segment in message.segments} == {0}


def test_other_words_without_a_network_give_what_labelling_anew_gives(bag, copied, tmp_path, monkeypatch) -> None:
    words = ["wall; ceiling", "box", "ball; globe"]
    options = [
        "--set",
        "score_threshold=0.35",
        "--set",
        "text.background_names=[floor]",
        "--set",
        "examples.margin=0.2",
    ]
    assert label(bag, "--out", tmp_path / "anew", "--masks", "--coco", "--sheet", *options, words=words) == 0

    def fail(*arguments, **named):
        pytest.fail("a network was asked about an image")

    monkeypatch.setattr("ovsr_ros.recordings.finding.Pipeline", fail)
    monkeypatch.setattr("ovsr_ros.models.clip.ClipModel.encode_images", fail, raising=True)
    arguments = ["--masks", "--coco", "--sheet", *options, "--categories", *words]
    assert main(["bags", "relabel", str(copied), *arguments]) == 0
    expected, found = contents(tmp_path / "anew" / "room"), contents(copied / "room")
    assert found == expected
    del expected["frames.parquet"]
    assert main(["bags", "relabel", str(copied), "--out", str(tmp_path / "beside"), *arguments]) == 0
    beside = contents(tmp_path / "beside" / "room")
    assert beside == expected


def test_who_is_stopped_while_labelling_by_other_words_leaves_no_mixture(bag, copied, labelled, monkeypatch) -> None:
    def stop(*arguments: object) -> None:
        raise Killed

    arguments = (bag, "--out", copied, "--masks", "--coco", "--sheet")
    for other in (lambda: main(["bags", "relabel", str(copied), "--categories", "mug"]), lambda: label(*arguments[:3])):
        with monkeypatch.context() as patch:
            patch.setattr(labels_module.LabelWriter, "write_frame", stop)
            with pytest.raises(Killed):
                other()
        assert not (copied / "room" / "coco.json").exists()
        assert label(*arguments) == 0
        assert contents(copied / "room") == contents(labelled / "room"), "what was there before is made again"


def test_ids_are_those_of_a_label_space_that_is_named(copied, tmp_path, capsys) -> None:
    (tmp_path / "ids.txt").write_text("# ours\n7: wall; ceiling\n200: floor\n3: ball\n")
    assert main(["bags", "relabel", str(copied), "--ids", str(tmp_path / "ids.txt")]) == 0
    ((_, vocabulary),) = read(copied / "room")["/ovsr/vocabulary"]
    given = [(category.id, category.name) for category in vocabulary.categories]
    assert given == [(3, "ball"), (7, "wall"), (200, "floor")]
    assert set(np.unique(maps(copied / "room"))) <= {3, 7, 200, 255}
    assert main(["bags", "relabel", str(copied), "--ids", str(tmp_path / "ids.txt"), "--categories", "mug"]) == 2
    assert "--ids: no id for 'mug'" in capsys.readouterr().err
    words = ["--ids", str(tmp_path / "ids.txt"), "--categories", "wall", "floor=9"]
    assert main(["bags", "relabel", str(copied), *words]) == 2
    assert "--ids: 'floor' has id 200 there and 9 here; leave one out" in capsys.readouterr().err
    (tmp_path / "ids.txt").write_text("7 wall\n")
    assert main(["bags", "relabel", str(copied), "--ids", str(tmp_path / "ids.txt")]) == 2
    assert "ids.txt, line 1: expected \"7: road\", got '7 wall'" in capsys.readouterr().err


def test_options_that_words_do_not_depend_on_are_refused(copied, capsys) -> None:
    assert main(["bags", "relabel", str(copied), "--categories", "mug", "--set", "regions.min_area=0.1"]) == 2
    assert "expected an option that words depend on" in capsys.readouterr().err


def test_a_thing_is_found_once_by_words_and_by_a_picture(labelled, images, tmp_path, capsys) -> None:
    sheet, clips = tmp_path / "hits.jpg", tmp_path / "clips"
    assert (
        main(
            [
                "bags",
                "find",
                "floor",
                str(labelled),
                "--limit",
                "3",
                "--json",
                "--sheet",
                str(sheet),
                "--clip",
                str(clips),
                "--seconds",
                "0.15",
            ]
        )
        == 0
    )
    first, *others = json.loads(capsys.readouterr().out)
    assert len({hit["track_id"] for hit in (first, *others)}) == 3, "a track is one hit"
    assert first["frames"] == NUM_FRAMES
    assert first["box_xyxy"][3] == 240, "the floor is below"
    assert [hit["score"] for hit in (first, *others)] == sorted(
        (hit["score"] for hit in (first, *others)), reverse=True
    )
    assert cv2.imread(str(sheet)).shape[1] == 3 * 320

    number = (first["stamp_ns"] - START_NS) // STEP_NS
    with AnyReader([clips / "hit_1"]) as reader:
        stamps = [log_ns for connection, log_ns, _ in reader.messages() if connection.topic == "/camera/image_raw"]
        topics = {connection.topic for connection in reader.connections}
    around = [index for index in range(NUM_FRAMES) if abs(index - number) <= 1]
    assert stamps == [START_NS + index * STEP_NS + 5_000_000 for index in around]
    assert topics == {"/camera/image_raw", *(f"/ovsr/{topic}" for topic in TOPICS)}

    left, top, right, bottom = first["box_xyxy"]
    picture = tmp_path / "floor.png"
    cv2.imwrite(str(picture), images[number][top:bottom, left:right, ::-1])
    assert main(["bags", "find", str(labelled), "--like", str(picture), "--limit", "1", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["track_id"] == first["track_id"]
    assert found["score"] > 0.7


def test_where_nothing_is_labelled_nothing_is_searched(tmp_path, capsys) -> None:
    assert main(["bags", "find", "mug", str(tmp_path)]) == 2
    assert "expected bags that `ovsr bags label` has labelled" in capsys.readouterr().err
    assert main(["bags", "find", str(tmp_path)]) == 2
    assert "expected words and a folder" in capsys.readouterr().err


def test_a_camera_s_rotation_is_refused_instead_of_ignored(bag, tmp_path, capsys) -> None:
    words = ["--config", "demo", "--categories", "wall", "--out", str(tmp_path / "out"), "--set", "rotation=180"]
    assert main(["bags", "label", str(bag), *words]) != 0
    assert "rotation, ignore_mask: expected neither, as images of recordings" in "".join(capsys.readouterr())
