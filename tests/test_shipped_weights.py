"""What is said of the weights that ship, measured again."""

import re

import pytest
import torch

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.model import load_weights
from mrcnn_edu.model.weights import SHIPPED, WEIGHTS_FOLDER
from mrcnn_edu.training import evaluate, proposal_recall

SCORE = 0.5  # the default threshold of `python -m mrcnn_edu predict`


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_are_small_and_name_their_classes(name):
    assert (WEIGHTS_FOLDER / SHIPPED[name]).stat().st_size <= 8_000_000
    model = load_weights(name)
    assert len(model.class_names) == model.config.num_classes
    assert model.class_names[0] == "background"


def test_lesson_weights_on_500_held_out_scenes():
    scores = evaluate(load_weights("lesson"), load_dataset("shapes", "val"))
    assert scores["segm"]["AP"] >= 0.80


def test_proposals_of_the_lesson_weights_are_as_lesson_05_tells(root):
    found = proposal_recall(load_weights("lesson"), load_dataset("shapes", "val"), limit=200)
    text = (root / "notebooks" / "05_region_proposals.ipynb").read_text(encoding="utf-8")
    called = re.search(r"\(objectness at least ½\), ours ([\d.]+)\.", text)
    reached = re.search(r"of the objects at IoU 0\.7, ours ([\d.]+):", text)
    assert float(called.group(1)) == pytest.approx(found["called_objects"], abs=0.1)
    assert float(reached.group(1)) == pytest.approx(found["recall"]["10"]["0.7"], abs=2e-3)
    assert found["recall"]["200"]["0.7"] >= 0.99


def test_lesson_weights_find_the_coins_that_they_never_saw():
    image, target = load_dataset("coins")[0]
    found = load_weights("lesson").predict([image], masks="bool")[0]
    masks = found["masks"][found["scores"] >= SCORE].flatten(1).float()
    coins = target["masks"].as_subclass(torch.Tensor).flatten(1).float()
    overlap = masks @ coins.T
    iou = overlap / (masks.sum(dim=1, keepdim=True) + coins.sum(dim=1) - overlap)
    hit = iou >= 0.5
    assert int(hit.any(dim=0).sum()) >= 20
    assert int((~hit.any(dim=1)).sum()) + int((hit.sum(dim=0) > 1).sum()) <= 2


def test_fruit_weights_on_the_six_validation_photographs(photos):
    scores = evaluate(load_weights("fruits"), load_dataset("fruits_nuts", "val"))
    assert scores["segm"]["AP"] >= 0.70
    assert scores["segm"]["AP50"] >= 0.945
