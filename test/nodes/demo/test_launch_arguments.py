"""Arguments of demo.launch.py that are the camera's; their parameters are read by a real camera."""

from __future__ import annotations

import pytest
from media_files import write_image

from ovsr_ros.demo.sources.photographs import WORDS
from ovsr_ros.errors import ConfigError
from ovsr_ros.nodes.demo.camera import DemoCamera
from ovsr_ros.nodes.demo.launch_arguments import read_demo_launch, read_seed
from ovsr_ros.nodes.launch_arguments import read_categories, write_parameters

NOTHING = {"source": "", "seed": "35", "config": "", "categories": ""}


def test_rooms_are_what_is_shown_when_nothing_is_said():
    for values in (NOTHING, {**NOTHING, "source": " rooms "}):
        demo = read_demo_launch(values)
        assert demo.camera == {"source": "rooms", "seed": 35}
        assert demo.node == {"config": "demo"}
        assert demo.has_depth


def test_photos_bring_models_and_words_unless_others_are_given():
    demo = read_demo_launch({**NOTHING, "source": "photos", "seed": "7"})
    assert demo.camera == {"source": "photos", "seed": 7}
    assert demo.node["config"] == "pocket"
    assert read_categories(demo.node["categories"]) == list(WORDS)
    assert not demo.has_depth
    given = read_demo_launch({**NOTHING, "source": "photos", "config": "demo", "categories": "cat"})
    assert given.node == {"config": "demo"}


def test_a_file_leaves_the_words_to_the_configuration(tmp_path):
    path = str(write_image(tmp_path / "a.png", 60))
    assert read_demo_launch({**NOTHING, "source": path}).node == {"config": "pocket"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/no/such", "source: /no/such: expected rooms, photos, an image, a folder of images, a video or a camera"),
        ("empty", "expected a folder with images"),
        ("\udce9", "source: expected text in UTF-8"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_started(source, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError) as error:
        read_demo_launch({**NOTHING, "source": source})
    assert str(error.value).startswith("source: ")
    assert said in str(error.value)


def test_the_seed_is_one_that_the_camera_takes():
    assert read_seed(" 35 ") == 35
    assert read_seed("2147483647") == 2147483647


@pytest.mark.parametrize("text", ["one", "-1", "1.0", "1e3", "", "0x10", "٣", "2147483648"])
def test_a_seed_that_the_camera_would_not_take_is_refused(text):
    with pytest.raises(ConfigError, match="seed: expected"):
        read_seed(text)


@pytest.mark.parametrize("name", ["1e5", "true", "it's", "[a]: b"])
def test_the_camera_is_given_the_source_as_it_was_written(context, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.png", 60).rename(tmp_path / name)
    demo = read_demo_launch({**NOTHING, "source": name, "seed": "7"})
    path = write_parameters(demo.camera, "demo_camera")
    arguments = ["--ros-args", "--params-file", str(path)]
    camera = DemoCamera(context=context, namespace="demo", use_global_arguments=False, cli_args=arguments)
    path.unlink()
    assert [camera.get_parameter(key).value for key in ("source", "seed")] == [name, 7]
    camera.destroy_node()
