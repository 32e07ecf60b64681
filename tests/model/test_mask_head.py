"""The mask head against torchvision's; the mask of one class against those of all."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.detection import mask_rcnn

from mrcnn_edu.model.mask_head import MaskHead, MaskPredictor
from tests.model.test_backbone import with_statistics


@pytest.mark.parametrize("norm", [None, nn.BatchNorm2d])
@pytest.mark.parametrize("training", [True, False])
def test_the_head_is_torchvisions(norm, training):
    ours = with_statistics(MaskHead(6, (8, 8), norm)).train(training)
    theirs = mask_rcnn.MaskRCNNHeads(6, (8, 8), 1, norm_layer=norm).train(training)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 6, 14, 14)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)


def test_the_predictor_is_torchvisions():
    ours, theirs = MaskPredictor(6, 8, 5), mask_rcnn.MaskRCNNPredictor(6, 8, 5)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 6, 14, 14)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_class_is_that_of_all(layout):
    predictor = MaskPredictor(6, 8, 5)
    nn.init.normal_(predictor.mask_fcn_logits.bias)
    nn.init.normal_(predictor.conv5_mask.bias)
    x, labels = torch.randn(9, 6, 7, 7), torch.randint(0, 5, (9,))
    x = x.to(memory_format=layout).requires_grad_()
    readable, fast = predictor(x)[torch.arange(9), labels], predictor.of_class(x, labels)
    assert fast.shape == (9, 14, 14)
    assert torch.allclose(fast, readable, atol=1e-5)
    wanted = torch.randn(9, 14, 14)
    inputs = [x, *predictor.parameters()]
    gradients = [torch.autograd.grad((masks * wanted).sum(), inputs) for masks in (fast, readable)]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*gradients, strict=True))


def test_no_regions_give_no_masks_and_a_gradient():
    predictor = MaskPredictor(6, 8, 5)
    x = torch.zeros(0, 6, 7, 7)
    masks = predictor.of_class(x, torch.zeros(0, dtype=torch.int64))
    assert masks.shape == (0, 14, 14) and predictor(x).shape == (0, 5, 14, 14)
    masks.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in predictor.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_one_class_under_autocast(dtype):
    predictor = MaskPredictor(6, 8, 5)
    x, labels = torch.randn(4, 6, 7, 7), torch.tensor([1, 4, 2, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = predictor.of_class(x.to(dtype), labels)
        readable = predictor(x.to(dtype))[torch.arange(4), labels]
    assert fast.dtype == readable.dtype == torch.float32
    assert torch.allclose(fast, readable, atol=0.05)
