"""Launch arguments become topics and parameters; the parameters are read by a real node."""

from __future__ import annotations

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from ovsr_ros import srv
from ovsr_ros.errors import ConfigError
from ovsr_ros.nodes.launch_arguments import (
    NodeProcess,
    check_known,
    read_categories,
    read_console_launch,
    read_log_level,
    read_node_launch,
    read_truth,
    write_parameters,
)
from ovsr_ros.nodes.parameters import read_overrides
from ovsr_ros.vocabulary.category import name_key

# What YAML 1.1, YAML 1.2 or rcl would take for something else, or what needs quotes.
WORDS = [
    "y", "n", "Y", "N", "yes", "no", "on", "off", "ON", "true", "false", "True", "null", "Null", "~", "08", "010",
    "0x10", "0o17", "0b1", "1", "-1", "+1", "1_000", "1.5", ".5", "5.", "1e5", "1.5e3", "1E5", "nan", "NaN", ".nan",
    "inf", "-inf", ".inf", "Infinity", "1:30", "190:20:30", "2026-11-28", "2026-11-28 10:00:00", "=", "<<", "-", "--",
    "---", "...", "- a", "a: b", "a:", "? a", "&a", "*a", "!a", "!!str a", "|", ">", "%a", "@a", "`a`", "{a}", "{a: b}",
    "a #b", '"', "'", '"a"', "'a'", "it's", "\\", "a\\", "\\n", "\\x41", "$(env HOME)", "$HOME", "%s", "{node}", "a:=b",
    "--ros-args", "-r", "😀", "é", "日本語", "naïve café", "(a)", "a/b", "/a",
]  # fmt: skip


def read_by_node(parameters, *arguments, namespace="/", name="ovsr"):
    """What a node is given by the parameter file."""
    context = Context()
    path = write_parameters(parameters)
    try:
        rclpy.init(
            args=["--ros-args", "-r", f"__ns:={namespace}", *arguments, "--params-file", str(path)], context=context
        )
        node = Node(name, context=context)
        overrides = read_overrides(node, [], [])
        node.destroy_node()
        return overrides
    finally:
        rclpy.try_shutdown(context=context)
        path.unlink()


# --- Words ---


@pytest.mark.parametrize("word", WORDS)
def test_a_word_arrives_as_it_was_written(word):
    """Alone, in a list, and quoted in a YAML list."""
    in_yaml = "['{}', \"mug\"]".format(word.replace("'", "''"))
    for text, expected in ((word, [word]), (f"mug, {word}", ["mug", word]), (in_yaml, [word, "mug"])):
        parameters = read_node_launch({"categories": text}).parameters
        assert parameters == {"categories": expected}
        assert read_by_node(parameters) == parameters


def test_words_of_a_yaml_list_without_quotes_are_words_too():
    words = ["y", "No", "08", "0x10", "1e5", "1.5e3", "nan", ".inf", "~", "null", "1:30", "2026-11-28", "1_000", "<<"]
    assert read_categories(f"[{', '.join(words)}]") == words
    assert read_categories('["a, b", c]') == ["a, b", "c"]


@pytest.mark.parametrize("text", ["[]", "[ ]", ",", " , ,", "[ \n]"])
def test_an_empty_list_is_an_empty_list(text):
    parameters = read_node_launch({"categories": text}).parameters
    assert parameters == {"categories": []}
    assert read_by_node(parameters) == {"categories": ()}


def test_an_argument_that_is_empty_says_nothing():
    assert not read_node_launch({"categories": "", "rate": " ", "config": "", "image": ""}).parameters


@pytest.mark.parametrize("name", ["config", "vocabulary_file"])
@pytest.mark.parametrize("text", ["08", "yes", "1e5", "~/ovsr.yaml", "a: b", "{node}.json"])
def test_other_text_arrives_as_it_was_written_too(name, text, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / text.removeprefix("~/")).write_text("rate_hz: 5.0\n")
    parameters = read_node_launch({name: text}).parameters
    assert read_by_node(parameters) == {name: text}


def test_the_node_itself_has_the_words(run_module, client, ovsr, node_config):
    words = list({name_key(word): word for word in reversed(WORDS)}.values())  # "y" and "Y" are one name
    path = write_parameters(read_node_launch({"categories": ", ".join(words)}).parameters)
    run_module(
        "ovsr_ros.nodes.ovsr_node", "--ros-args", "-p", f"config:={node_config}", "--params-file", str(path)
    )  # fmt: skip
    ovsr.wait_until_active()
    answer = client.call("/ovsr/get_vocabulary", srv.GetVocabulary, srv.GetVocabulary.Request())
    path.unlink()
    assert [category.name for category in answer.vocabulary.categories] == words


# --- Parameters ---


def test_arguments_win_over_a_node_s_own_section_in_a_parameter_file(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(
        "/**:\n  ros__parameters: {rate_hz: 1.0, score_threshold: 0.1}\n"
        "/front/ovsr:\n  ros__parameters: {rate_hz: 2.0, device: cpu}\n"
    )
    launch = read_node_launch({"params_file": str(file), "rate": "30"})
    assert launch.params_file == file
    for namespace, device in (("/front", {"device": "cpu"}), ("/", {})):
        overrides = read_by_node(launch.parameters, "--params-file", str(file), namespace=namespace)
        assert overrides == {"rate_hz": 30.0, "score_threshold": 0.1, **device}


def test_every_argument_of_the_node_becomes_a_parameter_of_its_type():
    arguments = {
        "device": "cuda:0", "rate": "30", "autostart": "off", "use_sim_time": "YES", "image_transport": "compressed",
    }  # fmt: skip
    parameters = read_node_launch(arguments).parameters
    assert parameters == {
        "device": "cuda:0",
        "image_transport": "compressed",
        "autostart": False,
        "use_sim_time": True,
        "rate_hz": 30.0,
    }
    # read_overrides leaves ROS's own parameters out.
    assert read_by_node(parameters) == {name: value for name, value in parameters.items() if name != "use_sim_time"}


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "yes", "Yes", "on", "ON", "y", "1"])
@pytest.mark.parametrize("other", ["false", "False", "no", "NO", "off", "Off", "n", "0"])
def test_truth_values_are_written_as_in_yaml(text, other):
    assert read_truth("autostart", text) is True
    assert read_truth("autostart", other) is False


def test_log_levels_are_rcl_s():
    for text in ("debug", "INFO", "Warn", "error", "fatal", "rcl:=debug"):
        assert read_log_level(text) == text


# --- Topics ---


def test_inputs_that_were_given_are_remapped_even_to_their_own_names():
    (process,) = read_node_launch({"image": "image", "depth": "/depth", "camera_info": "~/info"}).processes
    assert process == NodeProcess("", "ovsr", {"image": "image", "depth": "/depth", "camera_info": "~/info"})


@pytest.mark.parametrize(
    ("arguments", "image"),
    [
        ({"image": "/a/compressed", "image_transport": "compressed"}, "/a"),
        ({"image": "/a", "image_transport": "compressed"}, "/a"),
        ({"image": "/a/compressed", "image_transport": "raw"}, "/a/compressed"),
        ({"image": "/a/compressed"}, "/a/compressed"),
        ({"image": "compressed", "image_transport": "compressed"}, "compressed"),
        ({"image": "/compressed", "image_transport": "compressed"}, "/compressed"),
        ({"cameras": "a=/a/compressed", "image_transport": "compressed", "processes": "several"}, "/a"),
    ],
)
def test_the_image_topic_is_without_its_transport(arguments, image):
    (process,) = read_node_launch(arguments).processes
    assert process.topics["image"] == image


def test_several_cameras_have_a_process_together_or_one_each():
    arguments = {"cameras": "front=/front/image_raw, /rear", "namespace": "/robot1/", "image": "cam"}
    assert read_node_launch(arguments).processes == (
        NodeProcess(
            "/robot1", None, {"image": "cam"}, ("--cameras", '{"front": {"image": "/front/image_raw"}, "/rear": {}}')
        ),
    )
    assert read_node_launch({**arguments, "processes": "several"}).processes == (
        NodeProcess("/robot1/front", "ovsr", {"image": "/front/image_raw"}),
        NodeProcess("/rear", "ovsr", {"image": "cam"}),
    )


# --- What cannot be used ---


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("category", "unknown argument 'category', the nearest is 'categories'; known are categories, depth, image"),
        ("imgae", "unknown argument 'imgae', the nearest is 'image'"),
        ("Image", "unknown argument 'Image', the nearest is 'image'"),
        ("", "unknown argument '', the nearest is"),
    ],
)
def test_an_unknown_argument_is_refused_with_the_nearest(given, said):
    with pytest.raises(ConfigError) as error:
        check_known(["image", given], ["image", "depth", "categories"])
    assert said in str(error.value)


def test_launch_s_own_arguments_are_known():
    check_known(["image", "launch-prefix", "sigterm_timeout", "emulate_tty"], ["image"])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("processes", "4", "processes: expected one or several, got '4'"),
        ("categories", "road=7, wall=7", "category 2 ('wall'): id 7: category 1 ('road') has it already"),
        ("rate", "fast", "rate: expected a number of images per second, such as 10, got 'fast'"),
        ("rate", "100hz", "got '100hz'"),
        ("rate", "nan", "rate: expected 0.1 to 120 Hz, got nan"),
        ("rate", "1e999", "rate: expected 0.1 to 120 Hz, got inf"),
        ("rate", "0", "rate: expected 0.1 to 120 Hz, got 0.0"),
        ("rate", "-5", "got -5.0"),
        ("rate", "[30]", "got '[30]'"),
        ("device", "/dev/video0", "device: expected auto, cpu, cuda or cuda:N (N from 0), got '/dev/video0'"),
        ("device", "cuda:x", "got 'cuda:x'"),
        ("config", "/nosuch", "/nosuch: no such config file"),
        ("config", "onsr", "presets: demo"),
        ("image_transport", "jpeg", "image_transport: expected one of raw, compressed, got 'jpeg'"),
        ("image_transport", "compresed", "did you mean 'compressed'?"),
        ("autostart", "2", "autostart: expected true or false, got '2'"),
        ("use_sim_time", "maybe", "use_sim_time: expected true or false, got 'maybe'"),
        ("log_level", "verbose", "log_level: expected one of debug, info, warn, error, fatal, got 'verbose'"),
        ("log_level", "warning", "did you mean warn?"),
        ("log_level", "rcl:=loud", "got 'rcl:=loud'"),
        ("image", "/a b", "image: expected a topic such as /camera/image, got '/a b': ' ' (character 3)"),
        ("depth", "/a//b", "depth: expected a topic such as /camera/depth, got '/a//b': two slashes"),
        ("camera_info", "/1", "camera_info: expected a topic"),
        ("ignore_mask", "/etc/body.png", "; a file is for the parameter of that name, in params_file"),
        ("namespace", "robot-1", "namespace: expected a name such as /robot1, got 'robot-1': '-' (character 6)"),
        ("namespace", "1", "begins with a digit"),
        ("namespace", "a" * 300, "300 characters, at most 200"),
        ("cameras", "front=/a rear=/b", "put a comma between two cameras"),
        ("categories", "[mug", 'categories: expected "mug; cup, ball" or ["mug; cup", "ball"], got [mug; in a list'),
        ("categories", "[{a: b}]", "got [{a: b}]"),
        ("categories", "[[mug]]", "got [[mug]]"),
        ("categories", "[mug; #ff8000, ball]", "in a list, put quotes around what has a comma, a bracket, or a colour"),
        ("categories", "mug, MUG", "is a duplicate"),
        ("categories", "mug;", "is empty"),
        ("categories", "['', mug]", "category 1: is empty"),
        ("categories", "a\tb", "control characters"),
        ("categories", "x" * 201, "201 characters"),
        ("categories", "mug\udcff", "categories: expected text in UTF-8"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_argument_s_name(name, text, said):
    with pytest.raises(ConfigError) as error:
        read_node_launch({name: text})
    assert said in str(error.value)


def test_a_camera_s_namespace_must_fit_below_the_process_s():
    with pytest.raises(ConfigError, match="241 characters"):
        read_node_launch({"cameras": "f" * 120, "namespace": "n" * 120})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        ("folder", "Is a directory"),
        ("rate_hz: 30.0\n", "expected a ROS parameter file"),
        ("- a\n", "expected a ROS parameter file"),
        ("/**:\n  ros__parameters:\n", "expected a ROS parameter file"),
        ("/**:\n  rate_hz: 30.0\n", "expected a ROS parameter file"),
        ("/**: {\n", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
    ],
)
def test_a_parameter_file_that_cannot_be_one_is_refused(content, said, tmp_path):
    path = tmp_path / "params.yaml"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match="params_file: ") as error:
        read_node_launch({"params_file": str(path)})
    assert said in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        "", "# nothing\n", "ovsr:\n  ros__parameters: {rate_hz: 1.0}\n",
        "front:\n  ovsr:\n    ros__parameters: {rate_hz: 1.0}\n",
        "/**:\n  ros__parameters: {}\n---\novsr:\n  ros__parameters: {}\n",
    ],
)  # fmt: skip
def test_every_parameter_file_that_rcl_takes_is_taken(content, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "params.yaml").write_text(content)
    path = read_node_launch({"params_file": "~/params.yaml"}).params_file
    assert path == tmp_path / "params.yaml"
    read_by_node({}, "--params-file", str(path))


# --- The operator's page ---


def test_the_page_is_started_where_it_is_asked_for_with_its_own_arguments():
    assert read_console_launch({}) is None
    assert read_console_launch({"console": "no", "console_arguments": "--port what"}) is None
    assert read_console_launch({"console": " on "}) == ()
    given = {"console": "true", "console_arguments": "--host 0.0.0.0 --folder '/a b'"}
    assert read_console_launch(given) == ("--host", "0.0.0.0", "--folder", "/a b")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"console": "maybe"}, "console: expected true or false, got 'maybe'"),
        ({"console": "true", "console_arguments": "--prot 1"}, "console_arguments: unrecognized arguments: --prot 1"),
        ({"console": "true", "console_arguments": "--folder 'a"}, "console_arguments: No closing quotation"),
        ({"console": "true", "console_arguments": "--token-file /nosuch"}, "console_arguments: /nosuch: the tokens"),
    ],
)
def test_what_the_page_would_refuse_is_refused_before_anything_is_started(given, said):
    with pytest.raises(ConfigError) as refused:
        read_console_launch(given)
    assert str(refused.value).startswith(said)
