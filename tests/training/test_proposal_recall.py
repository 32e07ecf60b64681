import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from mrcnn_edu.training import proposal_recall
from mrcnn_edu.training.proposal_recall import COUNTS, THRESHOLDS, recall_curve

from .tiny import Noisy, tiny_model, tiny_shapes


@pytest.fixture(scope="module")
def model():
    return tiny_model(rpn_post_nms_top_n_test=60, rpn_pre_nms_top_n_test=60)


def by_hand(model, dataset, k, least):
    """Recall counted box by box, in pixels of the image as it came."""
    found = total = 0
    for image, target in (dataset[index] for index in range(len(dataset))):
        stages = model.stages([image])
        (height, width), (rows, columns) = stages.original_sizes[0], stages.image_sizes[0]
        scale = torch.tensor([width / columns, height / rows] * 2)
        boxes = stages.proposals[0][:k] * scale
        for box in target["boxes"].as_subclass(torch.Tensor):
            total += 1
            found += any(box_iou(box[None], one[None]).item() >= least for one in boxes)
    return found / total


def test_recall_is_that_counted_by_hand(model):
    dataset = tiny_shapes(4)
    found = proposal_recall(model, dataset)
    assert found["images"] == 4
    assert found["objects"] == sum(len(dataset[index][1]["boxes"]) for index in range(4))
    for k in COUNTS:
        for least in THRESHOLDS:
            assert found["recall"][str(k)][str(least)] == pytest.approx(by_hand(model, dataset, k, least))
    assert 0 < found["recall"]["200"]["0.5"] < 1, "or nothing was told apart"


def test_counts_are_those_of_the_proposals(model):
    dataset = tiny_shapes(3)
    stages = [model.stages([dataset[index][0]]) for index in range(3)]
    found = proposal_recall(model, dataset)
    assert found["proposals"] == pytest.approx(sum(len(one.proposals[0]) for one in stages) / 3)
    called = sum(int((one.proposal_scores[0] >= 0.5).sum()) for one in stages)
    assert found["called_objects"] == pytest.approx(called / 3)


def test_only_the_first_images_are_asked_for(model):
    assert proposal_recall(model, tiny_shapes(4), limit=2) == proposal_recall(model, tiny_shapes(2))


def test_nothing_to_find_is_minus_one(model):
    class Empty(Noisy):
        def __getitem__(self, index):
            return self.dataset[index][0], {"boxes": torch.zeros(0, 4)}

    found = proposal_recall(model, Empty(tiny_shapes(2)))
    assert found["objects"] == 0 and {value for group in found["recall"].values() for value in group.values()} == {-1.0}
    assert proposal_recall(model, tiny_shapes(2), limit=0)["images"] == 0


def test_the_model_stays_as_it_was(model):
    model.train()
    proposal_recall(model, tiny_shapes(1))
    assert model.training


@given(st.integers(0, 3), st.integers(0, 6), st.integers(0, 10_000))
def test_the_curve_is_the_best_of_the_first_k(objects, count, seed):
    generator = torch.Generator().manual_seed(seed)
    truth, proposals = (torch.rand(n, 4, generator=generator) * 9 for n in (objects, count))
    truth[:, 2:] += truth[:, :2] + 1
    proposals[:, 2:] += proposals[:, :2] + 1
    curve = recall_curve(truth, proposals)
    assert curve.shape == (objects, count + 1) and (curve[:, 0] == 0).all()
    for k in range(1, count + 1):
        assert curve[:, k].tolist() == pytest.approx(box_iou(truth, proposals[:k]).amax(1).tolist(), abs=1e-6)


def test_the_command(capsys):
    from mrcnn_edu.__main__ import main

    arguments = ["evaluate", "--data", "shapes", "--limit", "2", "--device", "cpu", "--proposals"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 2 and found["recall"]["200"]["0.5"] > 0.9
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"shapes, 2 images, {found['objects']} objects; 200.0 proposals an image" in printed
    assert f"200 best  recall at IoU 0.5 {found['recall']['200']['0.5']:.3f}" in printed
    assert main([*arguments, "--out", "anywhere"]) == 2
    assert "--out writes detections, and --proposals looks at none" in capsys.readouterr().err
