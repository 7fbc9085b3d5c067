"""The demo with sources of its user's: what it shows without ground truth, and what it says of what cannot be shown."""

from __future__ import annotations

import os
import re
import signal
import sys

import cv2
import pytest
from bare_python import BarePython
from media_files import write_image, write_video

from ovsr_ros import msg
from ovsr_ros.demo.scenes import Scene
from ovsr_ros.demo.sources.photographs import WORDS
from ovsr_ros.errors import ConfigError, SourceError
from ovsr_ros.nodes.demo.__main__ import _describe_away
from ovsr_ros.nodes.demo.arguments import parse, prepare_camera
from ovsr_ros.nodes.demo.child_process import ChildProcess
from ovsr_ros.nodes.qos import latched_qos

DEMO = "ovsr_ros.nodes.demo"


def prepare(*arguments):
    return prepare_camera(parse(list(arguments)), lambda text: pytest.fail(text))


# --- A whole run ---


def test_a_folder_of_pictures_is_labelled_and_its_largest_word_goes_and_comes_back(run_module, tmp_path):
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    for seed in (3, 7):
        image = Scene(seed, split="test").render(0.0, (320, 240)).image
        cv2.imwrite(str(rooms / f"{seed}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    out = tmp_path / "out"
    demo = run_module(DEMO, "--source", str(rooms), "--config", "demo", "--frames", "24", "--out", str(out))
    assert demo.wait(180.0) == 0, demo.output
    status = [line for line in demo.lines if line.startswith("frame ")][-1]
    assert re.search(r"^frame 24 \| .* Hz \| .* ms \| vocabulary 3 \| (wall|floor) \d+ %, \w+ \d+ %", status), status
    assert "% right" not in demo.output, "nobody knows what is right"
    took = next(line for line in demo.lines if line.startswith("vocabulary 2: took '"))
    name = re.search(r"took '(\w+)' away; before, it was on (\d+) % of the image", took)
    assert name, took
    assert int(name[2]) >= 20, "the largest"
    put = next(line for line in demo.lines if line.startswith(f"vocabulary 3: put '{name[1]}' back; meanwhile, "))
    assert re.search(r"the image was \w+ \d+ %.*, unlabeled \d+ %", put)
    assert f"{name[1]} " not in put.partition("meanwhile")[2], "a word that is away labels nothing"
    assert re.search(rf"vocabulary 3: '{name[1]}' again; it was on \d+ % of the image", demo.output)
    assert re.search(r"24 frames labelled; \d+ overlay pictures written", demo.output)
    assert sorted(out.glob("overlay_*.png"))


def test_photos_bring_words_of_their_own(run_module, client, node_config, tmp_path):
    vocabularies = client.collect("/ovsr/vocabulary", msg.Vocabulary, latched_qos())
    arguments = ("--source", "photos", "--config", str(node_config), "--size", "160x120", "--out", str(tmp_path))
    demo = run_module(DEMO, *arguments, "--keep-vocabulary")
    client.wait(lambda: vocabularies and vocabularies[-1].categories, "the demo's vocabulary", timeout_s=120.0)
    demo.wait_for_line("first labelled frame", 120.0)
    demo.popen.send_signal(signal.SIGINT)
    assert demo.wait(60.0) == 0, demo.output
    names = [category.name for category in vocabularies[-1].categories]
    assert names == [word.partition(";")[0] for word in WORDS]
    assert "shows photographs of scikit-image's: " in (tmp_path / "camera.log").read_text()
    assert "160x120 at 10 Hz" in (tmp_path / "camera.log").read_text()


def test_a_name_that_yaml_would_take_for_something_else_arrives(run_module, node_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.avi", rate_hz=30.0).rename(tmp_path / "it's [1]: 'no'")
    demo = run_module(DEMO, "--source", "it's [1]: 'no'", "--config", str(node_config), "--frames", "3", "--out", "out")
    assert demo.wait(120.0) == 0, demo.output
    assert "shows the video it's [1]: 'no', 64x48 at 30 Hz" in (tmp_path / "out" / "camera.log").read_text()


# --- What follows from a source ---


def test_rooms_are_what_they_were():
    run = prepare()
    assert (run.source, run.config, run.rate_hz, run.parameters) == ("rooms", "demo", 10.0, {"seed": 35})
    assert run.words[:2] == ("wall", "floor")
    assert run.has_truth
    assert not run.is_live


def test_other_sources_have_the_preset_for_photographs_and_its_words_unless_told_otherwise(tmp_path):
    path = str(write_video(tmp_path / "a.avi", rate_hz=12.5))
    run = prepare("--source", path)
    assert (run.config, run.words, run.rate_hz) == ("pocket", (), 12.5)
    assert run.parameters == {"seed": 35}, "size and rate are the video's to choose"
    assert not run.has_truth
    told = prepare(
        *("--source", path, "--config", "demo", "--categories", "cat", "dog; puppy"),
        *("--size", "320x240", "--rate", "5", "--each", "2"),
    )
    assert (told.config, told.words, told.rate_hz) == ("demo", ("cat", "dog; puppy"), 5.0)
    assert told.parameters == {"seed": 35, "rate_hz": 5.0, "width": 320, "height": 240, "each_s": 2.0}
    photos = prepare("--source", "photos")
    assert (photos.config, photos.words, photos.rate_hz) == ("pocket", WORDS, 10.0)
    assert prepare("--source", "photos", "--categories", "cat").words == ("cat",)


def test_a_rate_that_no_camera_has_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"rate_hz: expected 0\.1 to 120 Hz, got 500"):
        prepare("--source", str(write_image(tmp_path / "a.png", 60)), "--rate", "500")


def test_a_name_that_is_not_utf_8_is_refused():
    with pytest.raises(SourceError, match="source: its name is not UTF-8"):
        prepare("--source", "caf\udce9.png")


def test_what_a_camera_said_last_is_told_while_it_is_away(tmp_path):
    said = "[WARN] [17.5] [demo.demo_camera]: /dev/video0 sends no images any more; it is looked for every second"
    camera = ChildProcess("camera", [sys.executable, "-c", f"print({said!r})"], tmp_path / "camera.log", {})
    os.waitid(os.P_PID, camera.pid, os.WEXITED | os.WNOWAIT)
    assert _describe_away(camera, 4.2) == (
        "no new image for 4 s; the camera said last: /dev/video0 sends no images any more; it is looked for every "
        "second"
    )


# --- What cannot be shown ---


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "none.png",
            "expected rooms, photos, an image, a folder of images, a video or a camera such as /dev/video0, got: ",
        ),
        ("/dev/null", "/dev/null: expected a camera that can be opened, got a device that OpenCV cannot: "),
        ("noise.mp4", "expected an image or a video, got a file that OpenCV reads as neither"),
        ("cut.png", "expected an image, got a file that is damaged: a png image with "),
        ("empty", "expected a folder with images "),
    ],
)
def test_what_cannot_be_shown_is_one_line_and_nothing_is_started(run_module, tmp_path, source, said):
    (tmp_path / "empty").mkdir()
    path = write_image(tmp_path / "cut.png", 60)
    path.write_bytes(path.read_bytes()[:40])
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    path = source if source.startswith("/") else str(tmp_path / source)
    demo = run_module(DEMO, "--source", path, "--out", str(tmp_path / "out"))
    assert demo.wait() == 2
    assert len(demo.lines) == 1, demo.output
    assert demo.output.startswith(f"demo: {path}: ")
    assert said in demo.output
    assert not (tmp_path / "out").exists()


def test_photos_without_scikit_image_say_how_to_get_it(tmp_path):
    bare = BarePython(tmp_path)
    bare.see("skimage")
    done = bare.run("-m", DEMO, "--source", "photos")
    assert done.returncode == 2
    assert done.stderr == (
        "demo: photos: expected scikit-image, whose photographs these are, and this Python has none; "
        "install it: pip install scikit-image\n"
    )
