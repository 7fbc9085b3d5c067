"""What the launch files start, and that they start nothing where something cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from media_files import write_video
from real_launch import DEMO, NEEDED, OVSR, RealLaunch

pytest.importorskip("ros2launch.api", reason=NEEDED)


@pytest.fixture
def launch(tmp_path):
    return RealLaunch(tmp_path)


# --- Several cameras ---


def test_cameras_are_nodes_of_one_process_or_a_process_each(launch):
    cameras = "cameras:=front=/front/image_raw/compressed, rear"
    (node,) = launch(OVSR, cameras, "namespace:=robot1", "image_transport:=compressed", "image:=cam").shown
    assert node.arguments[:2] == ["--cameras", '{"front": {"image": "/front/image_raw"}, "rear": {}}']
    assert node.rules == {"__ns": "/robot1", "image": "cam"}
    result = launch(OVSR, cameras, "processes:=several", "image_transport:=compressed", "image:=cam/compressed")
    assert result.topics == {"/front": {"image": "/front/image_raw"}, "/rear": {"image": "cam"}}


def test_the_page_is_started_with_the_node(launch):
    result = launch(OVSR, "console:=true", "console_arguments:=--port 9000")
    assert sorted(process.executable for process in result.shown) == ["console", "ovsr_node"]
    console = min(result.shown, key=lambda process: process.executable)
    assert console.arguments[:2] == ["--port", "9000"]


# --- All is checked before the first process ---

REFUSED = [
    ("category:=mug", "unknown argument 'category', the nearest is 'categories'"),
    ("rate:=fast", "rate: expected a number"),
    ("rate:=nan", "rate: expected 0.1 to 120 Hz"),
    ("device:=/dev/video0", "device: expected auto, cpu, cuda or cuda:N"),
    ("config:=/nosuch.yaml", "/nosuch.yaml: no such config file"),
    ("categories:=[mug", 'categories: expected "mug; cup, ball"'),
    ("categories:=mug, MUG", "is a duplicate"),
    ("log_level:=verbose", "log_level: expected one of debug"),
    ("use_sim_time:=maybe", "use_sim_time: expected true or false, got 'maybe'"),
]


@pytest.mark.parametrize(
    ("path", "argument", "said"),
    [
        *((path, *refused) for path in (OVSR, DEMO) for refused in REFUSED),
        (OVSR, "params_file:=/nosuch", "params_file: /nosuch: cannot be read: No such file"),
        (OVSR, "cameras:=front=/a rear=/b", "put a comma between two cameras"),
        (OVSR, "image:=/a b", "image: expected a topic"),
        (OVSR, "namespace:=a-b", "namespace: expected a name"),
        (OVSR, "processes:=4", "processes: expected one or several"),
        (OVSR, "autostart:=maybe", "autostart: expected true or false"),
        (OVSR, "console:=maybe", "console: expected true or false"),
        (DEMO, "rviz:=maybe", "rviz: expected true, false or auto, got 'maybe'"),
        (DEMO, "rviz:=yes", "rviz: rviz2 is not installed"),
        (DEMO, "rviz:=true", "rviz: rviz2 is not installed"),
        (DEMO, "seed:=one", "seed: expected int"),
        (DEMO, "seed:=99999999999", "seed: expected 0 to 2.14748e+09"),
        (DEMO, "source:=/nosuch", "source: /nosuch: expected rooms, photos, an image, a folder of images, a video"),
        (DEMO, "namespace:=robot1", "unknown argument 'namespace'"),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else None,
)
def test_what_cannot_be_used_ends_the_launch_before_anything_is_started(launch, path, argument, said, monkeypatch):
    if "rviz2" in said:
        monkeypatch.setenv("AMENT_PREFIX_PATH", without_rviz())
    result = launch(path, argument)
    assert result.code == 1
    assert result.output.count(said) == 1, result.output
    assert "Traceback" not in result.output
    assert not result.shown
    assert "process started" not in result.output


def without_rviz():
    prefixes = os.environ["AMENT_PREFIX_PATH"].split(":")
    return ":".join(prefix for prefix in prefixes if not (Path(prefix) / "lib" / "rviz2").is_dir())


def test_an_include_with_an_unknown_argument_is_refused(launch):
    result = launch(launch.write_parent("def entities():\n    yield include(imgae='/a')"))
    assert (result.code, result.shown) == (1, [])
    assert "unknown argument 'imgae', the nearest is 'image'" in result.output


def test_the_demo_starts_camera_and_node(launch, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", without_rviz())
    for rviz in ("auto", "off", "No", "0", " "):
        result = launch(DEMO, f"rviz:={rviz}", "use_sim_time:=on", "categories:=[]", "seed:=7")
        assert result.code == 0, result.output
        camera, node = sorted(result.shown, key=lambda process: process.executable)
        assert camera.parameters == {"source": "rooms", "seed": 7, "use_sim_time": True}
        assert node.parameters == {"config": "demo", "categories": [], "use_sim_time": True}
        assert node.rules["image"] == "/demo/image_raw"
        assert node.rules["depth"] == "/demo/depth_registered/image_rect"


def test_the_demo_s_camera_shows_what_it_is_told_to(launch, tmp_path, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", without_rviz())
    video = write_video(tmp_path / "1e5.avi").rename(tmp_path / "1e5")
    for source in ("photos", str(video)):
        result = launch(DEMO, f"source:={source}", "config:=demo")
        assert result.code == 0, result.output
        camera, node = sorted(result.shown, key=lambda process: process.executable)
        assert camera.parameters == {"source": source, "seed": 35}
        assert node.parameters["config"] == "demo"
        assert ("categories" in node.parameters) == (source == "photos")
        assert "depth" not in node.rules
