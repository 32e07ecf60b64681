"""p_i, b_i = Classifier(F_Ri): what each region holds, and where exactly."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from mrcnn_edu.model.config import Config
from mrcnn_edu.model.folding import conv_norm_relu, untouched, without_inplace


class TwoMLPHead(nn.Module):
    """Two fully connected layers on the pooled map.

    source   Lin et al. 2017, section 4.2
    """

    def __init__(self, channels: int, pooled: int, widths: tuple[int, ...]):
        super().__init__()
        inner = channels * pooled**2
        self.layers = [f"fc{i}" for i in range(6, 6 + len(widths))]
        for name, width in zip(self.layers, widths, strict=True):
            self.add_module(name, nn.Linear(inner, width))
            inner = width

    def forward(self, x: Tensor) -> Tensor:
        """
        x        (R, C, P, P)
        returns  (R, width of the last layer)
        """
        x = flat_linear(x, getattr(self, self.layers[0])).relu()
        for name in self.layers[1:]:
            x = getattr(self, name)(x).relu()
        return x


def flat_linear(x: Tensor, layer: nn.Module) -> Tensor:
    """layer(x.flatten(1)) for maps stored channels last.

    Flattening would move every number of x into the order (C, P, P). It is cheaper to move those of the weight,
    unless there are fewer regions than outputs.

    x        (R, C, P, P)
    returns  (R, outputs)
    """
    last = x.is_contiguous(memory_format=torch.channels_last)
    if not last or not untouched(layer, nn.Linear) or len(x) <= layer.out_features:
        return layer(x.flatten(1))
    weight = layer.weight.view(-1, *x.shape[1:]).permute(0, 2, 3, 1).flatten(1)
    return F.linear(x.permute(0, 2, 3, 1).flatten(1), weight, layer.bias)


class ConvFCHead(nn.Sequential):
    """Convolutions with BatchNorm, then fully connected layers.

    source   Li et al. 2021 (arXiv 2111.11429), section 3
    """

    def __init__(self, channels: int, pooled: int, convs: tuple[int, ...], widths: tuple[int, ...]):
        layers: list[nn.Module] = []
        for width in convs:
            layers.append(Conv2dNormActivation(channels, width, 3, norm_layer=nn.BatchNorm2d))
            channels = width
        layers.append(nn.Flatten())
        inner = channels * pooled**2
        for width in widths:
            layers += [nn.Linear(inner, width), nn.ReLU(inplace=True)]
            inner = width
        super().__init__(*layers)
        without_inplace(self)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """
        x        (R, C, P, P)
        returns  (R, width of the last layer)
        """
        for layer in self:
            x = conv_norm_relu(layer, x) if isinstance(layer, Conv2dNormActivation) else layer(x)
        return x


def make_box_head(config: Config) -> nn.Module:
    """The box head that the configuration asks for."""
    if config.box_convs:
        return ConvFCHead(config.fpn_channels, config.box_pool_size, config.box_convs, config.box_fcs)
    return TwoMLPHead(config.fpn_channels, config.box_pool_size, config.box_fcs)


class BoxPredictor(nn.Module):
    """K class logits, and four deltas for each class.

    source   Girshick 2015, section 2.1
    """

    def __init__(self, inner: int, num_classes: int):
        super().__init__()
        self.cls_score = nn.Linear(inner, num_classes)
        self.bbox_pred = nn.Linear(inner, num_classes * 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """
        x        (R, width of the box head)
        returns  class_logits (R, K) and box_regression (R, 4·K), float32
        """
        return self.cls_score(x).float(), self.bbox_pred(x).float()
