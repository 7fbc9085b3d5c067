"""ROS parameters: from the config file, from the command line, changed while the node runs."""

from __future__ import annotations

import pytest
from rclpy.parameter import Parameter

from ovsr_ros.errors import ConfigError, VocabularyError


def test_parameters_change_while_the_node_runs(active_node, ovsr):
    assert ovsr.set_parameters(score_threshold=1).successful, "a whole number is as good as 1.0"
    assert ovsr.get_parameter("score_threshold") == 1.0
    assert {segment.class_id for segment in ovsr.label().segments} == {255}
    assert ovsr.set_parameters(score_threshold=0.0, rate_hz=20).successful
    assert {segment.class_id for segment in ovsr.label().segments} != {255}


def test_explicit_parameters_win_over_the_config_file(start_node, ovsr):
    node = start_node(autostart=False, rate_hz=7, clusters__k_max=11)
    assert (node.get_parameter("rate_hz").value, node.get_parameter("clusters.k_max").value) == (7.0, 11)
    assert list(node.get_parameter("categories").value) == ["mug; cup", "ball"]
    assert node.get_parameter("score_threshold").value == 0.0


@pytest.mark.parametrize(
    ("overrides", "error", "said"),
    [
        ({"score_treshold": 0.5}, ConfigError, "'score_threshold'"),
        ({"clusters__kmax": 5}, ConfigError, "'clusters.k_max'"),
        ({"rate_hz": 500.0}, ConfigError, "rate_hz: expected 0.1 to 120"),
        ({"config": "/no/such.yaml"}, ConfigError, "/no/such.yaml"),
        ({"categories": ["mug", "mug"]}, VocabularyError, "duplicate"),
    ],
)
def test_unusable_parameters_at_start_are_named(start_node, overrides, error, said):
    with pytest.raises(error, match=said):
        start_node(**overrides)


def write_parameters(path, text):
    path.write_text(text, encoding="utf-8")
    return ("--params-file", str(path))


def test_parameters_that_a_file_gives_to_all_nodes_need_not_be_ours(start_node, ovsr, client, tmp_path):
    shared = "{wheel_radius: 0.1, arm: {length: 3}, score_treshold: 0.5, use_sim_time: false, rate_hz: 7.0}"
    arguments = write_parameters(tmp_path / "robot.yaml", f"/**: {{ros__parameters: {shared}}}")
    node = start_node(autostart=False, arguments=arguments)
    assert node.get_parameter("rate_hz").value == 7.0
    client.wait(lambda: [log for log in ovsr.logs if "'wheel_radius', 'arm.length', 'score_treshold'" in log.msg], "it")
    (warning,) = [log.msg for log in ovsr.logs if "given to all nodes" in log.msg]
    assert "did you mean 'score_threshold'?" in warning


@pytest.mark.parametrize(
    "text",
    [
        "ovsr: {ros__parameters: {wheel_radius: 0.1}}",
        "/ovsr: {ros__parameters: {wheel_radius: 0.1}}",
        "/**/ovsr: {ros__parameters: {wheel_radius: 0.1}}",
        "/**: {ros__parameters: {clusters: {wheel_radius: 0.1}}}",
        "/**: {ros__parameters: {wheel_radius: 0.1}, ovsr: {ros__parameters: {wheel_radius: 0.2}}}",
    ],
)
def test_under_the_nodes_name_and_in_its_sections_each_must_be_known(start_node, tmp_path, text):
    with pytest.raises(ConfigError, match=r"unknown key '(clusters\.)?wheel_radius'"):
        start_node(autostart=False, arguments=write_parameters(tmp_path / "robot.yaml", text))


def test_what_launch_sets_for_all_nodes_need_not_be_ours(start_node, ovsr, client):
    """Its SetParameter comes as an argument of each process, as what a user writes does: only likeness tells."""
    node = start_node(
        autostart=False, arguments=("-p", "wheel_radius:=0.2", "-p", "device_id:=3", "-p", "rate_hz:=8.0")
    )
    assert node.get_parameter("rate_hz").value == 8.0
    client.wait(lambda: [log for log in ovsr.logs if "'wheel_radius', 'device_id'" in log.msg], "the warning")


@pytest.mark.parametrize("name", ["score_treshold", "rate_hzz", "ovsr:wheel_radius", "clusters.wheel_radius"])
def test_a_misspelt_parameter_for_this_process_is_refused(start_node, name):
    with pytest.raises(ConfigError, match=f"unknown key '{name.removeprefix('ovsr:')}'"):
        start_node(autostart=False, arguments=("-p", f"{name}:=0.2"))


def test_categories_set_before_configuring_are_used(start_node, ovsr):
    node = start_node(autostart=False)
    results = node.set_parameters([Parameter("categories", value=["wall", "wall"])])
    assert not results[0].successful
    assert node.set_parameters([Parameter("categories", value=["wall", "floor"])])[0].successful
    ovsr.change_state("configure")
    assert [category.name for category in ovsr.get_vocabulary().categories] == ["wall", "floor"]
