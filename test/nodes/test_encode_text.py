"""Texts in the space of the segments' embeddings, asked for and refused."""

from __future__ import annotations

import numpy as np
import pytest

from ovsr_ros import srv
from ovsr_ros.nodes.text_services import MOST_NAMES


def encode(ovsr, *texts):
    return ovsr.client.call("/ovsr/encode_text", srv.EncodeText, srv.EncodeText.Request(texts=texts))


def rows(message):
    return np.array(message.data).reshape(-1, message.dimensions)


def test_texts_may_be_any_words_and_leave_the_vocabulary_as_it_is(shared_ovsr):
    before = shared_ovsr.get_vocabulary()
    answer = encode(shared_ovsr, "a red mug", "ball", "a red mug", "mug=7")
    assert answer.success, answer.message
    found = rows(answer)
    assert found.shape == (4, answer.dimensions)
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(found[3], rows(encode(shared_ovsr, "mug"))[0])
    assert np.abs(found[0] - found[1]).max() > 0.01
    assert shared_ovsr.get_vocabulary().categories == before.categories


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "texts: expected at least one, got none"),
        (["mug", ""], "text 2: is empty"),
        (["mug", "ball; a\x07"], "text 2: ' a\\x07' has control characters"),
        (["mug", "ball", "#ff8000"], "text 3: '#ff8000' is read as a colour"),
        (["mug"] * (MOST_NAMES + 1), f"texts: 1001 names are more than {MOST_NAMES}; send them in several calls"),
        (["mug; cup"] * MOST_NAMES, f"texts: 2000 names are more than {MOST_NAMES}"),
    ],
)
def test_texts_that_cannot_be_encoded_are_refused_with_the_reason(shared_ovsr, texts, said):
    answer = encode(shared_ovsr, *texts)
    assert not answer.success
    assert said in answer.message
    assert not answer.data
