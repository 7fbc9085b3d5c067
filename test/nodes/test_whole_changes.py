"""A change is all or nothing, however it is asked for and whichever of its steps fails.

What is in force stands in the pipeline's state, in the node's settings, in the registry of ids, in the ROS parameters,
in the file, in the latched topics and in what labels frames. After a change that failed, each is as it was.
"""

from __future__ import annotations

import json

import pytest
import torch
from rcl_interfaces.msg import SetParametersResult

from ovsr_ros import msg, srv
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.nodes.qos import latched_qos

REPLACE, ADD = srv.SetVocabulary.Request.REPLACE, srv.SetVocabulary.Request.ADD
WORDS = ["wall", "floor", "lamp", "chair", "table", "door"]  # more than are encoded at once


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vocabulary.json"


@pytest.fixture
def node(start_node, ovsr, path):
    node = start_node(vocabulary_file=str(path))
    ovsr.wait_until_active()
    return node


@pytest.fixture
def copies(node, ovsr, client, path):
    """Reads everything that knows what is in force; the last part from outside, over DDS."""
    vocabularies = client.collect("/ovsr/vocabulary", msg.Vocabulary, latched_qos())

    def read():
        shown = ovsr.label()
        client.wait(
            lambda: vocabularies and vocabularies[-1].version == shown.vocabulary_version, "the topic's version"
        )
        in_force, latched = ovsr.get_vocabulary(), vocabularies[-1]
        assert in_force.categories == latched.categories
        assert in_force.version == shown.vocabulary_version
        return {
            "state": node.segmenter.pipeline.state,
            "settings": node.settings,
            "pipeline options": node.segmenter.pipeline.options == node.settings.pipeline,
            "registry": node.registry.state,
            "parameters": {name: parameter.value for name, parameter in node.get_parameters_by_prefix("").items()},
            "file": path.read_text(encoding="utf-8"),
            "latched": [(category.id, category.name, list(category.synonyms)) for category in latched.categories],
            "version": shown.vocabulary_version,
        }

    return read


@pytest.fixture
def encoder(monkeypatch):
    """Lets the text encoder fail at its n-th call from now on, with an error or in any other way."""
    encode = ClipModel.encode_texts

    class Encoder:
        calls_left = -1
        act = None

        def fail(self, call, act):
            self.calls_left, self.act = call, act

    encoder = Encoder()

    def encode_texts(self, texts):
        if encoder.calls_left > 0:
            encoder.calls_left -= 1
            if encoder.calls_left == 0:
                encoder.act()
        return encode(self, texts)

    monkeypatch.setattr(ClipModel, "encode_texts", encode_texts)
    return encoder


def throw(error):
    def act():
        raise error

    return act


def use_up_memory():
    torch.empty(2**62, dtype=torch.uint8)


ASKED = {
    "set_vocabulary": lambda ovsr: (ovsr.set_vocabulary(REPLACE, *WORDS), "message"),
    "one parameter": lambda ovsr: (ovsr.set_parameters(categories=WORDS), "reason"),
    "an option that encodes anew": lambda ovsr: (ovsr.set_parameters(text__templates="simple7"), "reason"),
    "several parameters": lambda ovsr: (
        ovsr.set_parameters(categories=WORDS, text__templates="simple7", score_threshold=0.7, rate_hz=20.0),
        "reason",
    ),
}
FAILURES = {
    "at the first text": (1, throw(RuntimeError("the encoder broke")), "RuntimeError: the encoder broke"),
    "at the second text": (2, throw(RuntimeError("the encoder broke")), "RuntimeError: the encoder broke"),
    "out of memory": (2, use_up_memory, "DefaultCPUAllocator"),
    "out of Python's memory": (1, throw(MemoryError()), "MemoryError"),
}


def answered(answer):
    reply, field = answer
    return getattr(reply, "success", None) or getattr(reply, "successful", False), getattr(reply, field)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("way", ASKED)
def test_where_the_encoder_fails_everything_is_as_it_was(node, ovsr, copies, encoder, way, failure):
    call, act, said = FAILURES[failure]
    before = copies()
    encoder.fail(call, act)
    success, text = answered(ASKED[way](ovsr))
    assert encoder.calls_left == 0, "the encoder was not asked that often"
    assert not success
    assert said in text
    assert copies() == before
    success, text = answered(ASKED[way](ovsr))
    assert success, text
    after = copies()
    changed = {name for name in before if before[name] != after[name]}
    assert {"state", "settings", "parameters"} <= changed, "the same change, asked for again, is made"
    assert (json.loads(after["file"])["version"], after["pipeline options"]) == (after["version"], True)


@pytest.mark.parametrize("topic", ["vocabulary", "label_info"])
@pytest.mark.parametrize("way", ["set_vocabulary", "one parameter", "several parameters"])
def test_where_a_publisher_is_gone_everything_is_as_it_was(node, ovsr, copies, monkeypatch, way, topic):
    before = copies()
    outputs = node.segmenter._outputs
    with monkeypatch.context() as patch:
        if topic == "vocabulary":
            gone = node.create_publisher(msg.Vocabulary, "~/gone", 1)
            node.destroy_publisher(gone)
            patch.setattr(outputs, "_vocabulary", gone)
        else:  # no wheel has its message; what its publisher would raise
            patch.setattr(outputs._label_info, "publish", lambda *_: throw(RuntimeError("the publisher is gone"))())
        success, text = answered(ASKED[way](ovsr))
        assert not success
        assert "InvalidHandle" in text or "the publisher is gone" in text
    assert copies() == before
    assert answered(ASKED[way](ovsr))[0]
    assert copies()["latched"] == [(id, name, []) for id, name in enumerate(WORDS, start=2)]


@pytest.mark.parametrize("way", ASKED)
def test_where_another_change_came_first_that_one_holds_whole(node, ovsr, copies, encoder, way):
    pipeline = node.segmenter.pipeline

    def change_first():
        pipeline.commit(pipeline.prepare({"num_runners_up": 1}))

    before = copies()
    encoder.fail(1, change_first)
    success, text = answered(ASKED[way](ovsr))
    assert not success
    assert "changed meanwhile; send the change again" in text
    after = copies()
    assert after["state"].options.num_runners_up == 1
    for name in ("settings", "registry", "parameters", "file", "latched", "version"):
        assert after[name] == before[name]


def test_changes_that_come_at_once_are_made_one_after_the_other(node, ovsr, client, copies, encoder):
    """The second comes while the first is being encoded."""
    second = []
    request = srv.SetVocabulary.Request(operation=ADD, categories=[msg.Category(name="sofa")])
    encoder.fail(1, lambda: second.append(client.call_async("/ovsr/set_vocabulary", srv.SetVocabulary, request)))
    assert ovsr.set_parameters(categories=WORDS, text__templates="simple7").successful
    (answer,) = second
    client.wait(answer.done, "the second change's answer")
    assert answer.result().success
    after = copies()
    assert [name for _, name, _ in after["latched"]] == [*WORDS, "sofa"]
    assert after["parameters"]["categories"] == [*WORDS, "sofa"]
    assert after["settings"].pipeline.text.templates == "simple7"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"score_threshold": 1.5}, "score_threshold"),
        ({"clusters__k_min": 24, "clusters__k_max": 3}, "k_min"),
        ({"features__model": "another"}, "features.model"),
        ({"vocabulary_file": "/tmp/another"}, "vocabulary_file"),
        ({"no_such_parameter": 1}, "no_such_parameter"),
        ({"use_sim_time": "perhaps"}, "use_sim_time"),
        ({"rate_hz": "often"}, "rate_hz"),
    ],
)
def test_one_value_that_is_refused_leaves_the_others_as_they_were(ovsr, copies, values, said):
    before = copies()
    result = ovsr.set_parameters(categories=WORDS, text__templates="simple7", **values)
    assert not result.successful
    assert said in result.reason or "type" in result.reason
    assert copies() == before


def test_a_callback_that_somebody_else_added_may_refuse_too(node, ovsr, copies):
    before = copies()

    def refuse(parameters):
        return SetParametersResult(successful="rate_hz" not in {each.name for each in parameters}, reason="too fast")

    node.add_on_set_parameters_callback(refuse)
    assert ovsr.set_parameters(categories=WORDS, score_threshold=0.7, rate_hz=20.0).reason == "too fast"
    assert copies() == before
    assert ovsr.set_parameters(categories=WORDS, score_threshold=0.7).successful


def test_parameters_that_cannot_be_announced_are_set_all_the_same(node, ovsr, copies, monkeypatch):
    """/parameter_events comes after the change is in force, and says so in the log."""
    gone = node.create_publisher(msg.Vocabulary, "~/gone", 1)
    node.destroy_publisher(gone)
    with monkeypatch.context() as patch:
        patch.setattr(node, "_parameter_event_publisher", gone)
        assert ovsr.set_parameters(categories=WORDS, score_threshold=0.7).successful
    after = copies()
    assert after["parameters"]["categories"] == WORDS
    assert after["settings"].pipeline.score_threshold == after["parameters"]["score_threshold"] == 0.7
    ovsr.client.wait(lambda: ovsr.errors("in force, but not announced"), "a line in the log")


def test_on_a_full_disk_the_file_is_as_it_was_and_everything_else_is_changed_whole(node, ovsr, copies, path):
    """A robot whose disk is full is to take new words all the same: the file comes last, and is tried again."""
    before = copies()
    path.with_name(f".{path.name}.part").symlink_to("/dev/full")
    result = ovsr.set_parameters(categories=WORDS, score_threshold=0.7)
    assert result.successful
    assert "No space left on device" in result.reason
    after = copies()
    assert after["file"] in (before["file"], path.read_text(encoding="utf-8"))
    assert after["parameters"]["categories"] == [name for _, name, _ in after["latched"]] == WORDS
    assert after["settings"].pipeline.score_threshold == 0.7
    ovsr.client.wait(lambda: json.loads(path.read_text())["version"] == after["version"], "another attempt")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_start_whose_words_cannot_be_encoded_leaves_nothing_behind(start_node, ovsr, encoder, path, failure):
    call, act, said = FAILURES[failure]
    node = start_node(autostart=False, vocabulary_file=str(path), categories=WORDS)
    before, settings = node.registry.state, node.settings
    encoder.fail(call, act)
    assert not ovsr.change_state("configure")
    assert encoder.calls_left == 0
    assert (node.segmenter, node.registry.state, node.settings) == (None, before, settings)
    assert not path.exists()
    assert ovsr.state() == "unconfigured"
    ovsr.client.wait(lambda: said in ovsr.status_message("segmentation"), "the reason in /diagnostics")
    assert ovsr.change_state("configure")
    assert list(node.get_parameter("categories").value) == WORDS
