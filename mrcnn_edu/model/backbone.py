"""F = Backbone(I): a ResNet body and the feature pyramid on top of it."""

from collections import OrderedDict

import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
from torchvision.ops import Conv2dNormActivation, FrozenBatchNorm2d

from mrcnn_edu.model.config import BODY_WIDTHS, Config
from mrcnn_edu.model.folding import FOLDED, conv_norm_relu, convolve, fold_blocks
from mrcnn_edu.model.settings import Refusing, step


class LessonBody(nn.Module):
    """A ResNet of three stages of two basic blocks, at strides 4, 8 and 16: small enough to train in minutes.

    widths   channels of the stages
    norm     the normalisation layer's class
    source   He et al. 2016, section 3.3
    """

    def __init__(self, widths: tuple[int, ...], norm):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = norm(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        inner = widths[0]
        for i, width in enumerate(widths, start=1):
            stride = 1 if i == 1 else 2
            shortcut = None
            if stride != 1 or inner != width:
                shortcut = nn.Sequential(nn.Conv2d(inner, width, 1, stride, bias=False), norm(width))
            stage = nn.Sequential(
                BasicBlock(inner, width, stride, shortcut, norm_layer=norm), BasicBlock(width, width, norm_layer=norm)
            )
            self.add_module(f"layer{i}", stage)
            inner = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class Body(Refusing, nn.ModuleDict):
    """A ResNet without its classifier; gives the last feature map of each stage.

    Where a normalisation's statistics are fixed (frozen, or in evaluation mode), its scale is folded into the
    convolution before it: conv(x, w)·s + b = conv(x, s·w) + b. That spares two passes over every feature map and is
    exact while training too, because the scale is a buffer. `fold = False` runs the layers one by one.
    """

    REFUSED = {"return_layers": "every stage gives its last map, as the pyramid needs it"}

    def __init__(self, resnet: nn.Module, num_stages: int):
        stages = [f"layer{i}" for i in range(1, num_stages + 1)]
        super().__init__({name: getattr(resnet, name) for name in ("conv1", "bn1", "relu", "maxpool", *stages)})
        self.stages = stages
        fold_blocks(self)
        self.fold = True

    @property
    def fold(self) -> bool:
        """Whether fixed normalisations are folded into the convolutions before them."""
        return self._fold

    @fold.setter
    def fold(self, fold: bool) -> None:
        self._fold = fold
        for block in self.modules():
            if isinstance(block, tuple(FOLDED.values())):
                block.fold = fold

    def forward(self, x: Tensor) -> list[Tensor]:
        """
        x        (B, 3, H, W)
        returns  one (B, C, h, w) a stage, at strides 4, 8, 16, …
        """
        x = self["maxpool"](convolve(x, self["conv1"], self["bn1"], self["relu"], self.fold))
        maps = []
        for stage in self.stages:
            x = self[stage](x)
            maps.append(x)
        return maps


class FeaturePyramid(Refusing):
    """Each level gets the detail of its own stage and the meaning of all deeper ones.

    P_l = conv3×3(conv1×1(C_l) + upsample(inner_{l+1}))

    Upsampling is nearest, to the exact size of the finer level. One more level is a max-pool of the last with kernel
    1 and stride 2; only the RPN sees it.

    source   Lin et al. 2017, section 3
    """

    REFUSED = {
        "extra_blocks": "the one level more is a max-pool in `forward`",
        **dict.fromkeys(
            ("get_result_from_inner_blocks", "get_result_from_layer_blocks"), step("FeaturePyramid.forward")
        ),
    }

    def __init__(self, in_channels: list[int], channels: int, norm):
        super().__init__()
        make = {"norm_layer": norm, "activation_layer": None}
        self.inner_blocks = nn.ModuleList(Conv2dNormActivation(c, channels, 1, padding=0, **make) for c in in_channels)
        self.layer_blocks = nn.ModuleList(Conv2dNormActivation(channels, channels, 3, **make) for _ in in_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, maps: list[Tensor]) -> "OrderedDict[str, Tensor]":
        """
        maps     one (B, C, h, w) a stage, finest first
        returns  "0", "1", … and "pool": (B, C, h, w) each, C the same for all
        """
        inner = None
        levels = []
        for x, lateral, smooth in zip(
            reversed(maps), reversed(self.inner_blocks), reversed(self.layer_blocks), strict=True
        ):
            detail = conv_norm_relu(lateral, x)
            if inner is not None:
                detail = detail + F.interpolate(inner, size=detail.shape[-2:], mode="nearest")
            inner = detail
            levels.insert(0, conv_norm_relu(smooth, inner))
        features = OrderedDict((str(i), level) for i, level in enumerate(levels))
        features["pool"] = F.max_pool2d(levels[-1], kernel_size=1, stride=2, padding=0)
        return features


class Backbone(nn.Module):
    """F = Backbone(I).

    raises   ValueError naming a backbone that torchvision does not have
    """

    def __init__(self, config: Config):
        super().__init__()
        norm = make_norm(config)
        if config.backbone in BODY_WIDTHS:
            widths = list(BODY_WIDTHS[config.backbone])
            resnet = LessonBody(widths, norm)
        else:
            resnet = _torchvision_resnet(config.backbone, norm)
            widths = [resnet.fc.in_features // 8 * 2**i for i in range(4)]
        self.body = Body(resnet, len(widths))
        self.fpn = FeaturePyramid(widths, config.fpn_channels, nn.BatchNorm2d if config.fpn_norm else None)
        self.out_channels = config.fpn_channels
        self._freeze(config.trainable_layers)

    def _freeze(self, trainable_layers: int) -> None:
        last_first = [*reversed(self.body.stages), "conv1"]
        trained = last_first[:trainable_layers] + (["bn1"] if trainable_layers == 5 else [])
        for name, parameter in self.body.named_parameters():
            if name.split(".")[0] not in trained:
                parameter.requires_grad_(False)

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """
        images   (B, 3, H, W)
        returns  "0", "1", … and "pool": (B, C, h, w) each
        """
        return self.fpn(self.body(images))


def make_norm(config: Config):
    """The class of the body's normalisation layers, or a function that makes one."""
    layer = FrozenBatchNorm2d if config.norm == "frozen" else nn.BatchNorm2d

    def norm(channels: int) -> nn.Module:
        return layer(channels, eps=config.norm_eps)

    return norm


def _torchvision_resnet(name: str, norm) -> nn.Module:
    names = [
        n for n in torchvision.models.list_models(module=torchvision.models) if hasattr(torchvision.models.resnet, n)
    ]
    if name not in names:
        raise ValueError(f"Config.backbone is {name!r}: give 'lesson' or one of torchvision's {', '.join(names)}")
    return torchvision.models.get_model(name, weights=None, norm_layer=norm)
