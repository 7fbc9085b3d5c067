"""How a service that changes the vocabulary answers: what was done or why nothing was, and what is in force then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ovsr_ros import msg
from ovsr_ros.nodes.conversions.messages import to_vocabulary_message
from ovsr_ros.nodes.parameter_node import ParameterNode
from ovsr_ros.vocabulary.category import Vocabulary
from ovsr_ros.vocabulary.change import VocabularyChange


def answer_change(
    node: ParameterNode,
    response: Any,
    service: str,
    make: Callable[[], VocabularyChange],
    describe_failure: Callable[[Exception], str],
) -> VocabularyChange | None:
    """Make a change, and fill in success, message and vocabulary; None where it was refused, which is logged.

    service: its name, for the log. describe_failure: what to tell a caller of an exception.
    """
    change = None
    try:
        change = make()
        response.message = change.describe()
        if node.keeper.unsaved:
            response.message += f"; not saved: {node.keeper.unsaved}"
    except Exception as error:  # whatever it is, the caller gets an answer
        response.message = describe_failure(error)
        node.log_refusal(f"{service} refused: {response.message}")
    response.success = change is not None
    response.vocabulary = vocabulary_message(node, node.vocabulary if change is None else change.after)
    return change


def vocabulary_message(node: ParameterNode, vocabulary: Vocabulary) -> msg.Vocabulary:
    """The vocabulary as the node answers with it, stamped now."""
    return to_vocabulary_message(vocabulary, node.get_clock().now().to_msg(), node.example_model_id)
