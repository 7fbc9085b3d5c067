import numpy as np
import pytest
import torch

from ovsr_ros.backends.contract import FrameEmbeddings, Regions
from ovsr_ros.backends.decision import decide, paint

CLASS_IDS = torch.tensor([3, 7, 0, 255, 255], dtype=torch.uint8)


def probabilities(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_the_best_category_wins_and_the_others_follow():
    decisions = decide(probabilities([0.1, 0.5, 0.2, 0.15, 0.05]), CLASS_IDS, 0.3, 3)
    assert decisions.class_ids.tolist() == [7]
    assert decisions.scores.tolist() == [0.5]
    assert decisions.runner_up_ids.tolist() == [[0, 255, 3]]
    torch.testing.assert_close(decisions.runner_up_scores, probabilities([0.2, 0.15, 0.1]))


def test_something_else_unlabels_by_its_maximum():
    decisions = decide(probabilities([0.1, 0.3, 0.1, 0.1, 0.4]), CLASS_IDS, 0.0, 2)
    assert decisions.class_ids.tolist() == [255]
    assert decisions.scores.tolist() == pytest.approx([0.3])  # of the best category
    assert decisions.runner_up_ids.tolist()[0][0] == 7


def test_two_weak_something_elses_do_not_add_up():
    decisions = decide(probabilities([0.0, 0.4, 0.0, 0.3, 0.3]), CLASS_IDS, 0.0, 1)
    assert decisions.class_ids.tolist() == [7]


def test_a_score_under_the_threshold_unlabels_and_shows_the_rejected_category():
    decisions = decide(probabilities([0.1, 0.4, 0.2, 0.3, 0.0]), CLASS_IDS, 0.5, 3)
    assert decisions.class_ids.tolist() == [255]
    assert decisions.runner_up_ids.tolist() == [[7, 255, 0]]
    at_threshold = decide(probabilities([0.0, 0.5, 0.2, 0.3, 0.0]), CLASS_IDS, 0.5, 3)
    assert at_threshold.class_ids.tolist() == [7]


@pytest.mark.parametrize("num_runners_up", [0, 1, 3, 20])
def test_missing_runners_up_are_padded(num_runners_up):
    decisions = decide(probabilities([0.6, 0.2, 0.2, 0.0, 0.0]), CLASS_IDS, 0.0, num_runners_up)
    assert decisions.runner_up_ids.shape == (1, num_runners_up)
    assert decisions.runner_up_scores.shape == (1, num_runners_up)
    assert (decisions.runner_up_scores[0, 3:] == 0).all()
    assert (decisions.runner_up_ids[0, 3:] == 255).all()


@pytest.mark.parametrize("class_ids", [[], [255], [255, 255]])
def test_no_categories_label_nothing(class_ids):
    table = torch.full((4, len(class_ids)), 1.0 / max(1, len(class_ids)))
    decisions = decide(table, torch.tensor(class_ids, dtype=torch.uint8), 0.0, 2)
    assert decisions.class_ids.tolist() == [255] * 4
    assert decisions.scores.tolist() == [0.0] * 4


def test_order_of_the_texts_does_not_matter():
    table = torch.rand(20, 5, generator=torch.Generator().manual_seed(0)).softmax(1)
    order = torch.tensor([4, 1, 3, 0, 2])
    one, other = decide(table, CLASS_IDS, 0.22, 3), decide(table[:, order], CLASS_IDS[order], 0.22, 3)
    assert torch.equal(one.class_ids, other.class_ids)
    assert torch.equal(one.runner_up_ids, other.runner_up_ids)


def test_no_segments():
    decisions = decide(torch.zeros(0, 5), CLASS_IDS, 0.2, 3)
    assert decisions.class_ids.shape == (0,)
    assert decisions.runner_up_ids.shape == (0, 3)


def test_pixels_take_their_segments_decision():
    labels = torch.tensor([[1, 1, 2], [3, 1, 0]], dtype=torch.int32)
    frame = FrameEmbeddings(Regions.from_labels(labels, np.zeros(3, np.int64)), torch.zeros(3, 4), {})
    table = probabilities([0.1, 0.8, 0.1, 0.0, 0.0], [0.1, 0.2, 0.1, 0.6, 0.0], [0.5, 0.2, 0.3, 0.0, 0.0])
    segmentation = paint(frame, decide(table, CLASS_IDS, 0.3, 1), 9, {"x": 1.0})
    assert segmentation.label_map.tolist() == [[7, 7, 255], [3, 7, 255]]
    assert segmentation.confidence.tolist() == [[204, 204, 0], [128, 204, 0]]
    assert segmentation.segment_map.tolist() == [[1, 1, 2], [3, 1, 0]]
    assert segmentation.vocabulary_version == 9
    assert segmentation.stage_seconds == {"x": 1.0}
