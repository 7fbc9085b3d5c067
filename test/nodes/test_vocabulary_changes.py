"""The vocabulary changes while frames flow: acknowledged, whole, and in force for the very next frame."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA

from ovsr_ros import msg, srv
from ovsr_ros.messages.images import to_label_array

REPLACE, ADD, REMOVE = (
    srv.SetVocabulary.Request.REPLACE,
    srv.SetVocabulary.Request.ADD,
    srv.SetVocabulary.Request.REMOVE,
)
LATCHED = QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


def names_of(vocabulary):
    return [category.name for category in vocabulary.categories]


def as_set(vocabulary):
    """A vocabulary without its stamp, to compare."""
    return vocabulary.version, [(c.id, c.name, tuple(c.synonyms)) for c in vocabulary.categories]


def test_the_frame_after_the_answer_is_labelled_by_the_new_words(active_node, ovsr):
    before = ovsr.label()
    assert before.vocabulary_version == 1
    answer = ovsr.set_vocabulary(REPLACE, "wall", "floor; ground")
    assert answer.success, answer.message
    assert answer.vocabulary.version == 2
    after = ovsr.label()
    assert after.vocabulary_version == 2
    assert {segment.label for segment in after.segments} <= {"wall", "floor"}
    assert after.segments


def test_ids_stay_with_their_names(active_node, ovsr):
    first = {category.name: category.id for category in ovsr.set_vocabulary(ADD, "wall").vocabulary.categories}
    assert names_of(ovsr.set_vocabulary(REMOVE, "ball").vocabulary) == ["mug", "wall"]
    assert ovsr.set_vocabulary(ADD, "floor").vocabulary.categories[-1].id not in first.values()
    again = {category.name: category.id for category in ovsr.set_vocabulary(ADD, "ball").vocabulary.categories}
    assert again["ball"] == first["ball"]


@pytest.mark.parametrize(
    ("operation", "words", "said"),
    [
        (ADD, ["wall", "floor"], "version 2: 4 categories; added 'wall' (id 2), 'floor' (id 3)"),
        (REMOVE, ["ball"], "version 2: 1 category; removed 'ball'"),
        (REPLACE, ["ball", "mug; beaker"], "version 2: 2 categories; changed 'mug'"),
        (REPLACE, ["mug; cup", "ball"], "version 2: 2 categories; the same as before"),
        (REPLACE, ["wall", "ball"], "version 2: 2 categories; added 'wall' (id 2); removed 'mug'"),
        (REPLACE, [], "version 2: 0 categories; removed 'mug', 'ball'; everything stays unlabeled until there are"),
    ],
)
def test_the_answer_and_the_log_say_what_a_change_did(active_node, ovsr, operation, words, said):
    answer = ovsr.set_vocabulary(operation, *words)
    assert answer.success
    assert answer.message.startswith(said)
    ovsr.client.wait(lambda: [log for log in ovsr.logs if log.msg == f"vocabulary, {answer.message}"], "it in the log")


def test_of_many_names_some_are_told(active_node, ovsr):
    message = ovsr.set_vocabulary(ADD, *(f"thing {number}" for number in range(20))).message
    assert message.endswith("'thing 7' (id 9) and 12 more")


def test_a_request_of_defaults_says_that_it_took_every_word_away(active_node, ovsr):
    answer = ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, srv.SetVocabulary.Request())
    assert answer.success
    assert "removed 'mug', 'ball'; everything stays unlabeled" in answer.message


def test_a_change_by_the_parameter_is_in_the_log_and_so_are_refusals(active_node, ovsr):
    def logged(text):
        ovsr.client.wait(lambda: [log for log in ovsr.logs if text in log.msg], f"'{text}' in the log")

    assert ovsr.set_parameters(categories=["wall"]).successful
    logged("vocabulary, version 2: 1 category; added 'wall' (id 2); removed 'mug', 'ball'")
    assert not ovsr.set_parameters(categories=["wall", "wall"]).successful
    logged("parameters refused: ")
    assert not ovsr.set_vocabulary(REMOVE, "moon").success
    logged("set_vocabulary refused: 'moon' is unknown")


def test_a_chosen_color_is_kept(active_node, ovsr):
    request = srv.SetVocabulary.Request(operation=ADD, categories=[msg.Category(name="wall")])
    color = request.categories[0].color
    color.r, color.g, color.b, color.a = 1.0, 0.0, 0.2, 1.0
    answer = ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, request)
    chosen = answer.vocabulary.categories[-1].color
    assert (chosen.r, chosen.g, round(chosen.b, 2)) == (1.0, 0.0, 0.2)


@pytest.mark.parametrize(
    ("rgba", "chosen"),
    [
        ((0.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0)),  # none: the one in the name
        ((0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)),
        ((0.2, 0.4, 1.0, 0.01), (0.2, 0.4, 1.0)),
    ],
)
def test_a_color_counts_where_alpha_is_not_0(active_node, ovsr, rgba, chosen):
    red, green, blue, alpha = rgba
    wall = msg.Category(name="wall; #00ff00", color=ColorRGBA(r=red, g=green, b=blue, a=alpha))
    request = srv.SetVocabulary.Request(operation=ADD, categories=[wall])
    answer = ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, request)
    assert answer.success, answer.message
    color = answer.vocabulary.categories[-1].color
    assert (round(color.r, 3), round(color.g, 3), round(color.b, 3), color.a) == (*chosen, 1.0)


def test_colors_and_synonyms_of_what_is_removed_are_ignored(active_node, ovsr):
    ball = msg.Category(name="ball", synonyms=["\ufffd", "mug"], color=ColorRGBA(r=float("nan"), a=-1.0))
    request = srv.SetVocabulary.Request(operation=REMOVE, categories=[ball])
    answer = ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, request)
    assert answer.success, answer.message
    assert names_of(answer.vocabulary) == ["mug"]


def test_invisible_characters_make_no_other_name(active_node, ovsr):
    answer = ovsr.set_vocabulary(ADD, "\ufeffwall\u200b; pain\u00adt")
    assert answer.success, answer.message
    assert as_set(answer.vocabulary)[1][-1] == (2, "wall", ("paint",))
    assert ovsr.get_parameter("categories") == ["mug; cup", "ball", "wall; paint"]
    assert names_of(ovsr.set_vocabulary(REMOVE, "BALL\U000e0061").vocabulary) == ["mug", "wall"]
    assert ovsr.set_parameters(categories=["wa\u2060ll", "\uff42all"]).successful
    ids = {category.name: category.id for category in ovsr.get_vocabulary().categories}
    assert ids == {"wall": 2, "\uff42all": 1}
    assert {segment.label for segment in ovsr.label().segments} <= set(ids)
    refused = ovsr.set_parameters(text__background_names=["sky", "\u3164"])
    assert not refused.successful
    assert "text.background_names: name 2: is empty" in refused.reason


@pytest.mark.parametrize(("operation", "name"), [(REPLACE, "lamp"), (ADD, "lamp"), (REMOVE, "ball")])
def test_a_change_that_was_made_from_another_version_is_refused_whole(active_node, ovsr, operation, name):
    """Two who read version 1 and write it back: the second is refused, the first one's change is not lost."""
    first = _request(REPLACE, "mug; cup", "ball", "wall", expected_version=1)
    assert ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, first).success
    second = _request(operation, name, expected_version=1)
    refused = ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, second)
    assert not refused.success
    assert refused.message == (
        "the change was made from version 1, and version 2 is in force: another change came first; read the vocabulary "
        "again, and make the change from that"
    )
    assert as_set(refused.vocabulary) == as_set(ovsr.get_vocabulary())
    assert names_of(refused.vocabulary) == ["mug", "ball", "wall"]
    assert ovsr.get_parameter("categories") == ["mug; cup", "ball", "wall"]
    second.expected_version = refused.vocabulary.version
    answer = ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, second)
    assert answer.success, answer.message
    assert answer.vocabulary.version == 3


def test_the_vocabulary_may_become_empty(active_node, ovsr):
    assert ovsr.set_vocabulary(REPLACE).success
    segments = ovsr.label()
    assert segments.vocabulary_version == 2
    assert {segment.class_id for segment in segments.segments} == {255}
    ovsr.client.wait(lambda: "no categories" in ovsr.status_message("vocabulary"), "a warning about no categories")


def test_who_subscribes_late_gets_the_vocabulary_in_force(active_node, ovsr, client):
    ovsr.set_vocabulary(ADD, "wall")
    received = client.collect("/ovsr/vocabulary", msg.Vocabulary, LATCHED)
    client.wait(lambda: received, "the vocabulary for a late subscriber")
    assert (received[-1].version, names_of(received[-1])) == (2, ["mug", "ball", "wall"])


def test_the_parameter_shows_what_the_service_did(active_node, ovsr):
    assert ovsr.get_parameter("categories") == ["mug; cup", "ball"]
    ovsr.set_vocabulary(ADD, "floor;ground;  the  ground")
    assert ovsr.get_parameter("categories") == ["mug; cup", "ball", "floor; ground; the ground"]


def test_the_parameter_changes_the_vocabulary(active_node, ovsr):
    assert ovsr.set_parameters(categories=["wall ;paint", "mug"]).successful
    assert as_set(ovsr.get_vocabulary()) == (2, [(0, "mug", ()), (2, "wall", ("paint",))])
    assert ovsr.label().vocabulary_version == 2
    assert ovsr.get_parameter("categories") == ["mug", "wall; paint"], "in the words and order of the vocabulary"
    assert ovsr.set_parameters(categories=[]).successful
    assert as_set(ovsr.get_vocabulary()) == (3, [])


@contextmanager
def stream_of(ovsr):
    """Images sent one after the other from a thread; gives the list of (monotonic time, header) as it grows."""
    stop, sent = threading.Event(), []

    def stream():
        while not stop.is_set():
            sent.append((time.monotonic(), ovsr.send(ovsr.image(seed=len(sent)))))
            time.sleep(0.03)

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


def wait_for_a_frame(ovsr):
    count = len(ovsr.segments)
    ovsr.client.wait(lambda: len(ovsr.segments) > count, "another labelled frame")


def stamp_of(header):
    return header.stamp.sec, header.stamp.nanosec


def test_every_frame_names_its_version_whatever_clients_do(active_node, ovsr, client):
    """Over a stream of frames with several clients changing the words at once: a frame's version never goes back, each
    of its labels is a word of its version, and a frame that was sent after an answer is of that answer's version or a
    later one.
    """
    words = {1: {"mug", "ball"}}
    answered = []
    with stream_of(ovsr) as sent:
        for number in range(8):
            requests = (
                _request(REPLACE, "mug", f"thing {number}"),
                _request(ADD, f"other {number}"),
                _request(REPLACE, "ball", "wall", "floor"),
            )
            calls = [client.call_async("/ovsr/set_vocabulary", srv.SetVocabulary, request) for request in requests]
            for call in calls:
                answer = client.wait(call.result, "an answer of set_vocabulary")
                assert answer.success, answer.message
                words[answer.vocabulary.version] = set(names_of(answer.vocabulary))
                answered.append((time.monotonic(), answer.vocabulary.version))
            wait_for_a_frame(ovsr)
        wait_for_a_frame(ovsr)
    assert sorted(words) == list(range(1, 26)), "each change is one version"
    versions = [segments.vocabulary_version for segments in ovsr.segments]
    assert versions == sorted(versions)
    assert len(set(versions)) >= 8
    sent_at = {stamp_of(header): when for when, header in sent}
    for segments in ovsr.segments:
        assert {segment.label for segment in segments.segments} <= words[segments.vocabulary_version]
        acknowledged = [version for when, version in answered if when < sent_at[stamp_of(segments.header)]]
        assert segments.vocabulary_version >= max(acknowledged, default=1)


def test_whatever_is_published_after_a_vocabulary_is_labelled_by_it(active_node, ovsr, client):
    """The publisher's own time stamps tell: on each topic, outputs are of version v or later exactly when they were
    published after version v of ~/vocabulary, frames that were in work at that moment included.
    """
    vocabularies = client.collect("/ovsr/vocabulary", msg.Vocabulary, LATCHED)
    client.wait(lambda: vocabularies, "the vocabulary in force")
    with stream_of(ovsr):
        wait_for_a_frame(ovsr)
        changes, deadline = 0, time.monotonic() + 60
        while changes < 60 or len({segments.vocabulary_version for segments in list(ovsr.segments)}) < 5:
            assert time.monotonic() < deadline, "the stream is to see several versions"
            time.sleep(random.Random(changes).uniform(0, 0.05))  # another phase of the frame in work each time
            assert ovsr.set_vocabulary(REPLACE, f"thing {changes % 3}", "wall").success
            changes += 1
        wait_for_a_frame(ovsr)
        wait_for_a_frame(ovsr)
    applied = {vocabulary.version: published for vocabulary, published in client.with_times("/ovsr/vocabulary")}
    assert max(applied) == changes + 1
    version_of = {stamp_of(segments.header): segments.vocabulary_version for segments in ovsr.segments}
    for topic in ("/ovsr/segments", "/ovsr/label_map"):
        for message, published in client.with_times(topic):
            for version, applied_ns in applied.items():
                if stamp_of(message.header) in version_of:
                    assert (published > applied_ns) == (version_of[stamp_of(message.header)] >= version), topic


def _request(operation, *names, expected_version=0):
    categories = [msg.Category(name=name) for name in names]
    return srv.SetVocabulary.Request(operation=operation, categories=categories, expected_version=expected_version)


def test_without_words_every_segment_is_published_and_none_is_labelled(active_node, ovsr):
    """The answer to "segment everything": where things are, in pixels and as tracks, before any word."""
    ovsr.watch(active_node, "/ovsr/segment_map", Image)
    labelled = ovsr.label(ovsr.image(seed=3))
    assert ovsr.set_vocabulary(REPLACE).success
    header = ovsr.send(ovsr.image(seed=3))
    frame, segment_map, label_map = (
        ovsr.result(f"/ovsr/{topic}", header) for topic in ("segments", "segment_map", "label_map")
    )
    assert frame.vocabulary_version == 2
    assert len(frame.segments) == len(labelled.segments) > 1
    assert {(each.class_id, each.label, each.score) for each in frame.segments} == {(255, "", 0.0)}
    assert all(each.track_id > 0 and each.area_px > 0 and each.x_max > each.x_min for each in frame.segments)
    assert set(np.unique(to_label_array(segment_map))) - {0} == {each.id for each in frame.segments}
    assert set(np.unique(to_label_array(label_map))) == {255}


def test_ids_of_a_label_space_are_chosen_by_name_or_by_field_and_shown_as_chosen(active_node, ovsr):
    request = srv.SetVocabulary.Request(operation=REPLACE)
    request.categories = [msg.Category(name="road=7; street"), msg.Category(name="wall", id=0, id_chosen=True)]
    refused = ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, request)
    assert not refused.success
    assert "'wall': id 0 is 'mug' and never given to another name" in refused.message

    request.categories[1].id = 200
    answer = ovsr.client.call("/ovsr/set_vocabulary", srv.SetVocabulary, request)
    assert answer.success, answer.message
    shown = [(each.id, each.id_chosen, each.name) for each in answer.vocabulary.categories]
    assert shown == [(7, True, "road"), (200, True, "wall")]
    assert "added 'road' (id 7), 'wall' (id 200)" in answer.message
    assert ovsr.get_parameter("categories") == ["road=7; street", "wall=200"]
    header = ovsr.send(ovsr.image())
    assert set(np.unique(to_label_array(ovsr.result("/ovsr/label_map", header)))) <= {7, 200}
    assert {each.class_id for each in ovsr.result("/ovsr/segments", header).segments} <= {7, 200}

    assert ovsr.set_parameters(categories=["road=7", "sky=30", "car"]).successful
    shown = [(each.id, each.id_chosen, each.name) for each in ovsr.get_vocabulary().categories]
    assert shown == [(7, True, "road"), (30, True, "sky"), (201, False, "car")]
    refused = ovsr.set_parameters(categories=["road=8"])
    assert not refused.successful
    assert "'road': id 8 was asked for, but it has had id 7 since it was first used and keeps it" in refused.reason
