"""The body and the pyramid: folding the normalisation changes nothing, forwards or backwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from mrcnn_edu.model import Config, preset
from mrcnn_edu.model.backbone import Backbone
from mrcnn_edu.model.folding import conv_norm_relu, folded_conv, scale_and_shift


def with_statistics(module: nn.Module) -> nn.Module:
    """Give every normalisation weights and statistics as training would."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2.0)
    return module


def close(a: torch.Tensor, b: torch.Tensor, share: float = 1e-5) -> bool:
    return bool((a - b).abs().max() <= share * b.abs().max())


@pytest.mark.parametrize("layer", [nn.BatchNorm2d, FrozenBatchNorm2d])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_folded_convolution_is_convolution_then_norm(layer, bias, groups):
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=bias, groups=groups)
    norm = with_statistics(layer(6, eps=1e-3)).eval()
    x = torch.randn(2, 4, 9, 11)
    assert close(folded_conv(x, conv, norm), norm(conv(x)))


def test_folded_gradients_are_those_of_convolution_then_frozen_norm():
    conv = nn.Conv2d(4, 6, 3, padding=1, bias=False)
    norm = with_statistics(FrozenBatchNorm2d(6)).train()
    x = torch.randn(2, 4, 9, 11, requires_grad=True)
    wanted = torch.randn(2, 6, 9, 11)
    folded = torch.autograd.grad((folded_conv(x, conv, norm) * wanted).sum(), [x, conv.weight])
    plain = torch.autograd.grad((norm(conv(x)) * wanted).sum(), [x, conv.weight])
    assert all(close(a, b) for a, b in zip(folded, plain, strict=True))


def test_folding_gradcheck():
    conv = nn.Conv2d(2, 3, 3, bias=False).double()
    norm = with_statistics(nn.BatchNorm2d(3)).double().eval()
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    # The scale is computed in float32, so only its values, not the gradients' form, are rounded.
    assert torch.autograd.gradcheck(lambda x: folded_conv(x, conv, norm), (x,))


@pytest.mark.parametrize("name", ["lesson", "resnet18", "resnet50"])
@pytest.mark.parametrize("norm", ["batch", "frozen"])
def test_fold_on_and_off_give_the_same_features(name, norm):
    config = preset("lesson", norm=norm) if name == "lesson" else Config(backbone=name, norm=norm, fpn_channels=32)
    backbone = with_statistics(Backbone(config)).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        folded = backbone(images)
        backbone.body.fold = False
        plain = backbone(images)
    assert list(folded) == list(plain) == [*map(str, range(config.num_levels)), "pool"]
    assert all(close(folded[k], plain[k], 1e-4) for k in plain)


def test_fold_on_and_off_give_the_same_gradients_while_training_with_frozen_norm():
    backbone = with_statistics(Backbone(preset("lesson", norm="frozen"))).train()
    images = torch.randn(2, 3, 64, 64)
    gradients = []
    for fold in (True, False):
        backbone.body.fold = fold
        backbone.zero_grad()
        sum(f.square().mean() for f in backbone(images).values()).backward()
        gradients.append({n: p.grad.clone() for n, p in backbone.named_parameters()})
    assert all(close(gradients[0][n], gradients[1][n], 1e-4) for n in gradients[1])


def test_live_norm_is_never_folded():
    backbone = Backbone(preset("lesson")).train()
    images = torch.randn(2, 3, 64, 64)
    before = backbone.body["bn1"].running_mean.clone()
    folded = backbone(images)
    assert not torch.equal(backbone.body["bn1"].running_mean, before)
    backbone.body.fold = False
    assert all(torch.equal(a, b) for a, b in zip(folded.values(), backbone(images).values(), strict=True))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_conv_norm_relu_is_the_layer_itself(training, relu):
    from torchvision.ops import Conv2dNormActivation

    layer = Conv2dNormActivation(4, 4, 3, norm_layer=nn.BatchNorm2d, activation_layer=nn.ReLU if relu else None)
    layer = with_statistics(layer).train(training)
    x = torch.randn(2, 4, 8, 8)
    before = layer[1].running_mean.clone()
    folded = conv_norm_relu(layer, x.clone())
    layer[1].running_mean.copy_(before)
    assert close(folded, layer(x.clone()))


def test_a_layer_without_norm_is_run_as_it_is():
    from torchvision.ops import Conv2dNormActivation

    layer = Conv2dNormActivation(4, 4, 3, norm_layer=None)
    x = torch.randn(1, 4, 6, 6)
    assert torch.equal(conv_norm_relu(layer, x), layer(x))


def test_scale_and_shift_are_the_norm():
    norm = with_statistics(nn.BatchNorm2d(5)).eval()
    scale, shift = scale_and_shift(norm)
    x = torch.randn(1, 5, 3, 3)
    assert close(x * scale[:, None, None] + shift[:, None, None], norm(x))


@pytest.mark.parametrize("size", [(64, 96), (32, 32), (96, 32)])
def test_strides_of_the_levels(size):
    for config in (preset("lesson"), Config(backbone="resnet18", fpn_channels=16)):
        features = Backbone(config).eval()(torch.zeros(1, 3, *size))
        for stride, level in zip(config.strides, features.values(), strict=False):
            assert level.shape[-2:] == (-(-size[0] // stride), -(-size[1] // stride))
        last = features[str(config.num_levels - 1)]
        assert torch.equal(features["pool"], last[..., ::2, ::2])


@pytest.mark.parametrize("layers", range(6))
def test_as_many_stages_are_trained_as_asked(layers):
    backbone = Backbone(Config(backbone="resnet18", trainable_layers=layers, fpn_channels=16))
    trained = {n.split(".")[0] for n, p in backbone.body.named_parameters() if p.requires_grad}
    expected = {*["layer4", "layer3", "layer2", "layer1", "conv1"][:layers], *(["bn1"] if layers == 5 else [])}
    assert trained == expected
    assert all(p.requires_grad for p in backbone.fpn.parameters())


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_trained_stages_are_torchvisions(layers):
    from torchvision.models import resnet18
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor

    theirs = _resnet_fpn_extractor(resnet18(), layers)
    ours = Backbone(Config(backbone="resnet18", trainable_layers=layers))
    wanted = {n for n, p in theirs.named_parameters() if p.requires_grad}
    assert {n for n, p in ours.named_parameters() if p.requires_grad} == wanted
