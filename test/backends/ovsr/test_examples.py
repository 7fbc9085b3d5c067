"""How words and examples are joined."""

import pytest
import torch
from torch.nn.functional import normalize

from ovsr_ros.backends.ovsr.alignment import AlignmentOptions, match_cosines, score_segments
from ovsr_ros.backends.ovsr.examples import ExampleOptions, join_examples
from ovsr_ros.vocabulary.example_rows import ExampleRows
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

RULES = ("weights", "maximum", "mean", "alone", "none")
MARGIN = 0.1


def rows_of(*text_rows, embeddings=None):
    count = len(text_rows)
    embeddings = torch.zeros(count, 4) if embeddings is None else embeddings
    return ExampleRows(embeddings, torch.tensor(text_rows))


def join(of_texts, of_examples, texts_of_examples, rows, **options):
    options = ExampleOptions(**{"margin": MARGIN, "reach": 0.2, **options})
    tensors = (torch.tensor(values) for values in (of_texts, of_examples, texts_of_examples))
    return join_examples(*tensors, rows, options)


# A segment, three texts; an example of the second, which the words take for the first.
OF_TEXTS, OF_EXAMPLE = [[0.30, 0.20, 0.10]], [0.30, 0.20, 0.10]


@pytest.mark.parametrize("rule", ["weights", "maximum", "alone"])
def test_what_is_an_example_is_of_its_category_by_the_margin(rule):
    joined = join(OF_TEXTS, [[1.0]], [OF_EXAMPLE], rows_of(1), rule=rule)
    torch.testing.assert_close(joined, torch.tensor([[0.30, 0.30 + MARGIN, 0.10]]))


def test_by_mean_words_have_their_say():
    joined = join(OF_TEXTS, [[1.0]], [OF_EXAMPLE], rows_of(1), rule="mean")
    torch.testing.assert_close(joined, torch.tensor([[0.30, (0.20 + 0.40) / 2, 0.10]]))
    twice = join(OF_TEXTS, [[1.0, 1.0]], [OF_EXAMPLE] * 2, rows_of(1, 1), rule="mean")
    torch.testing.assert_close(twice, torch.tensor([[0.30, (0.20 + 2 * 0.40) / 3, 0.10]]))


@pytest.mark.parametrize("rule", RULES)
def test_what_is_nothing_like_an_example_keeps_its_words(rule):
    joined = join(OF_TEXTS, [[-1.0]], [OF_EXAMPLE], rows_of(1), rule=rule, reach=0.05)
    if rule in ("alone", "mean"):
        assert joined[0, 1] < 0.1, "its category is out of the question"
    else:
        torch.testing.assert_close(joined, torch.tensor(OF_TEXTS))
    assert torch.equal(joined[:, [0, 2]], torch.tensor(OF_TEXTS)[:, [0, 2]])


@pytest.mark.parametrize("rule", RULES)
def test_the_more_alike_the_more_it_counts_and_other_categories_stay(rule):
    cosines = torch.linspace(0.3, 1.0, 20)[:, None]
    of_texts = torch.tensor(OF_TEXTS).expand(20, 3)
    joined = join_examples(of_texts, cosines, torch.tensor([OF_EXAMPLE]), rows_of(1), ExampleOptions(rule=rule))
    steps = joined[1:, 1] - joined[:-1, 1]
    assert (steps >= 0).all()
    assert bool(steps.sum() > 0.05) == (rule != "none")
    assert torch.equal(joined[:, [0, 2]], of_texts[:, [0, 2]])


def test_the_nearest_of_several_examples_counts():
    texts_of_examples = [OF_EXAMPLE, OF_EXAMPLE, OF_EXAMPLE]
    for rule in ("weights", "maximum", "alone"):
        several = join(OF_TEXTS, [[0.5, 0.9, 0.7]], texts_of_examples, rows_of(1, 1, 1), rule=rule)
        nearest = join(OF_TEXTS, [[0.9]], [OF_EXAMPLE], rows_of(1), rule=rule)
        torch.testing.assert_close(several, nearest)


def test_where_words_are_right_already_an_example_adds_no_more_than_the_margin():
    joined = join(OF_TEXTS, [[1.0]], [OF_EXAMPLE], rows_of(0), rule="weights")
    torch.testing.assert_close(joined, torch.tensor([[0.30 + MARGIN, 0.20, 0.10]]))


# --- In the joint space ---


def world(num_images=6, num_texts=5, dims=32, seed=0):
    """Images and texts apart from each other, as CLIP has them."""
    generator = torch.Generator().manual_seed(seed)
    images = normalize(torch.randn(num_images, dims, generator=generator) * 0.6 + 1.0, dim=1)
    texts = normalize(torch.randn(num_texts, dims, generator=generator) * 0.6 - 0.2, dim=1)
    return images, texts


def classifier_of(texts, examples=None):
    count = len(texts)
    return TextClassifier(texts, torch.arange(count, dtype=torch.uint8), tuple(map(str, range(count))), 1, examples)


@pytest.mark.parametrize("method", ["svd", "none"])
@pytest.mark.parametrize("rule", ["weights", "maximum", "alone"])
def test_a_segment_is_called_what_it_was_taught_to_be_and_the_scores_are_probabilities(method, rule):
    images, texts = world()
    options, examples = AlignmentOptions(method=method), ExampleOptions(rule=rule, margin=0.1, reach=0.05)
    before = score_segments(images, classifier_of(texts), 50.0, options)
    wrong = (int(before[2].argmax()) + 1) % len(texts)
    taught = classifier_of(texts, rows_of(wrong, embeddings=images[2:3]))
    after = score_segments(images, taught, 50.0, options, examples)
    assert after[2].argmax() == wrong
    torch.testing.assert_close(after.sum(1), torch.ones(len(images)))


def test_an_example_that_counts_for_nothing_changes_no_decision():
    images, texts = world()
    taught = classifier_of(texts, rows_of(1, embeddings=images[2:3]))
    options = AlignmentOptions(method="none")
    found = match_cosines(images, taught, options, ExampleOptions(rule="none"))
    torch.testing.assert_close(found, match_cosines(images, classifier_of(texts), options, ExampleOptions()))


def test_an_image_without_segments_has_no_scores():
    images, texts = world()
    taught = classifier_of(texts, rows_of(1, embeddings=images[2:3]))
    for method in ("svd", "none"):
        assert score_segments(images[:0], taught, 50.0, AlignmentOptions(method=method)).shape == (0, 5)
