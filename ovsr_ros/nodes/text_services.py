"""~/encode_text: texts as CLIP sees them, for whoever keeps what ~/segment_embeddings told and searches it later."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros import srv
from ovsr_ros.errors import VocabularyError
from ovsr_ros.names import clean_name
from ovsr_ros.nodes.conversions.embeddings import to_floats
from ovsr_ros.nodes.parameter_node import ParameterNode
from ovsr_ros.nodes.qos import service_qos
from ovsr_ros.vocabulary.category import join_problems, parse_category, word_problem
from ovsr_ros.vocabulary.text_embeddings import TextEmbeddingCache

MOST_NAMES = 1000
"""Of one call, synonyms counted: so many take seconds to minutes."""


class TextServices:
    """For as long as the node lives. describe_failure: what to tell a caller of an exception."""

    def __init__(self, node: ParameterNode, describe_failure: Callable[[Exception], str]) -> None:
        self._node = node
        self._describe_failure = describe_failure
        # One call at a time: many texts keep one of the executor's threads busy, not all of them.
        group = MutuallyExclusiveCallbackGroup()
        node.create_service(
            srv.EncodeText, "~/encode_text", self._encode_text, callback_group=group, qos_profile=service_qos()
        )

    def _encode_text(
        self, request: srv.EncodeText.Request, response: srv.EncodeText.Response
    ) -> srv.EncodeText.Response:
        try:
            groups = _read_texts(request.texts)
            state = self._node.require_segmenter().pipeline.state
            rows = _encode(groups, state.texts)
            response.model_id = state.backend.text_encoder.model_id
            response.dimensions = rows.shape[1]
            response.data = to_floats(rows.numpy())
            response.success = True
        except Exception as error:  # whatever it is, the caller gets an answer
            response.success = False
            response.message = self._describe_failure(error)
        return response


def _read_texts(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Each text's name and synonyms. Raises VocabularyError with every reason for which they cannot be encoded."""
    if not texts:
        raise VocabularyError("texts: expected at least one, got none")
    requests = [parse_category(text) for text in texts[: MOST_NAMES + 1]]
    groups = [(request.name, *request.synonyms) for request in requests]
    count = len(texts) - len(groups) + sum(map(len, groups))
    if count > MOST_NAMES:
        raise VocabularyError(f"texts: {count} names are more than {MOST_NAMES}; send them in several calls")
    problems = [
        f"text {number}: {problem}"
        for number, group in enumerate(groups, start=1)
        for place, name in enumerate(group)
        if (problem := word_problem(name, is_synonym=place > 0))
    ]
    if problems:
        raise VocabularyError(join_problems(problems))
    return [tuple(map(clean_name, group)) for group in groups]


def _encode(groups: Sequence[tuple[str, ...]], cache: TextEmbeddingCache) -> Tensor:
    """(T, D) float32 on the CPU, L2-normalised: of each group the mean, as of a category's name and synonyms."""
    with torch.inference_mode():
        rows = cache.encode([name for group in groups for name in group])
        means = [part.mean(dim=0) for part in torch.split(rows, [len(group) for group in groups])]
        return normalize(torch.stack(means), dim=-1)
