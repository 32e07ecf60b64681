"""Detections in the pixels of the file that an image was reduced from."""

import pytest
import torch
from pycocotools import mask as coco_mask

from mrcnn_edu.model import MaskRCNN, preset


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    # Every region counts, so that random weights give detections.
    return MaskRCNN(preset("lesson", box_score_thresh=0.0, box_detections_per_img=5)).eval()


def images():
    torch.manual_seed(1)
    return [torch.rand(3, 60, 90), torch.rand(3, 64, 64)]


@pytest.mark.parametrize("masks", ["soft", "bool", "rle", "none"])
def test_boxes_and_masks_come_at_the_sizes_asked_for(model, masks):
    own, given = model.predict(images(), masks), model.predict(images(), masks, sizes=[(600, 450), (64, 64)])
    scale = torch.tensor([5.0, 10, 5, 10])
    assert len(own[0]["boxes"]) > 0
    torch.testing.assert_close(given[0]["boxes"], own[0]["boxes"] * scale)
    assert torch.equal(given[0]["scores"], own[0]["scores"]) and torch.equal(given[1]["boxes"], own[1]["boxes"])
    if masks == "rle":
        assert given[0]["masks"][0]["size"] == [600, 450]
        pasted = model.predict(images(), "bool", sizes=[(600, 450), (64, 64)])[0]["masks"]
        assert (coco_mask.area(given[0]["masks"]) == pasted.sum(dim=(1, 2, 3)).numpy()).all()
    elif masks != "none":
        assert given[0]["masks"].shape[-2:] == (600, 450)


@pytest.mark.parametrize("wrong", [[(60, 90)], [(60, 90), (64, 64, 3)], [(60, 90), (0, 64)], [(60.5, 90), (64, 64)]])
def test_sizes_that_are_none_are_refused(model, wrong):
    with pytest.raises(ValueError, match="height, width"):
        model.predict(images(), sizes=wrong)
