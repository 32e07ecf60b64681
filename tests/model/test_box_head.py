"""The box heads against torchvision's, with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.detection import faster_rcnn

from mrcnn_edu.model import box_head
from mrcnn_edu.model.box_head import BoxPredictor, ConvFCHead, TwoMLPHead, make_box_head
from tests.model.scenes import small_config
from tests.model.test_backbone import with_statistics


@pytest.mark.parametrize("regions", [0, 1, 20, 40])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_two_layers_are_torchvisions(regions, layout):
    """With more regions than outputs and maps stored channels last, the weight is turned instead of the maps."""
    ours, theirs = TwoMLPHead(6, 5, (30, 20)), faster_rcnn.TwoMLPHead(6 * 25, 30)
    theirs.fc7 = nn.Linear(30, 20)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(regions, 6, 5, 5).to(memory_format=layout).requires_grad_()
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    wanted = torch.randn(regions, 20)
    ours_grad = torch.autograd.grad((ours(x) * wanted).sum(), [x, *ours.parameters()])
    theirs_grad = torch.autograd.grad((theirs(x) * wanted).sum(), [x, *theirs.parameters()])
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours_grad, theirs_grad, strict=True))


@pytest.mark.parametrize("training", [True, False])
def test_convolutions_and_layers_are_torchvisions(training):
    ours = with_statistics(ConvFCHead(6, 5, (8, 8), (20,))).train(training)
    theirs = faster_rcnn.FastRCNNConvFCHead((6, 5, 5), [8, 8], [20], norm_layer=nn.BatchNorm2d).train(training)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(7, 6, 5, 5)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    assert ours(x).std() > 0


@pytest.mark.parametrize("regions", [0, 9])
def test_predictor_is_torchvisions(regions):
    ours, theirs = BoxPredictor(20, 5), faster_rcnn.FastRCNNPredictor(20, 5)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(regions, 20)
    for a, b in zip(ours(x), theirs(x), strict=True):
        assert torch.equal(a, b) and a.dtype == torch.float32


def test_the_predictions_are_float32_in_half_precision_too():
    logits, deltas = BoxPredictor(20, 5).bfloat16()(torch.randn(3, 20).bfloat16())
    assert logits.dtype == deltas.dtype == torch.float32


def test_the_configuration_chooses():
    assert isinstance(make_box_head(small_config()), box_head.TwoMLPHead)
    assert isinstance(make_box_head(small_config(box_convs=(16,), box_fcs=(8,))), box_head.ConvFCHead)
