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


def test_categories_set_before_configuring_are_used(start_node, ovsr):
    node = start_node(autostart=False)
    results = node.set_parameters([Parameter("categories", value=["wall", "wall"])])
    assert not results[0].successful
    assert node.set_parameters([Parameter("categories", value=["wall", "floor"])])[0].successful
    ovsr.change_state("configure")
    assert [category.name for category in ovsr.get_vocabulary().categories] == ["wall", "floor"]
