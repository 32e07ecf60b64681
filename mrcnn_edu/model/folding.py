"""Convolution, normalisation and ReLU in one step, where nobody would miss the single layers.

The readable form of every layer is the layer itself, called. The fast forms stand in for it only where it is
torchvision's or torch's own class and nothing listens to it: see `untouched`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules import module as torchs
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import Conv2dNormActivation, FrozenBatchNorm2d

# The hooks that torch calls for every module; each is a dict, empty as a rule.
ON_ALL_MODULES = (
    torchs._global_forward_hooks,
    torchs._global_forward_pre_hooks,
    torchs._global_backward_hooks,
    torchs._global_backward_pre_hooks,
)

# The smallest positive number of half precision: a variance that underflowed to 0 there was at most this.
HALF_TINY = 6e-8


def untouched(module: nn.Module, *classes: type) -> bool:
    """Whether a module is of one of these classes exactly, and running it in another way would go unnoticed.

    It would be noticed by a hook (on the module, or on all modules), and where the module's forward was replaced or
    compiled.
    """
    return (
        type(module) in classes
        and not module._forward_hooks
        and not module._forward_pre_hooks
        and not module._backward_hooks
        and not module._backward_pre_hooks
        and "forward" not in vars(module)
        and module._compiled_call_impl is None
        and not any(ON_ALL_MODULES)
    )


def traced(x: Tensor) -> bool:
    """Whether x stands for a tensor while `torch.fx` writes down which layers are called."""
    return isinstance(x, fx.Proxy)


def parameter_dtype(module: nn.Module) -> torch.dtype | None:
    """The type of the module's first parameter of real numbers; None where it has none."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), None)


def as_parameters(x: Tensor, module: nn.Module) -> Tensor:
    """x in the type of the module's parameters. Under autocast as it is: the layers choose there."""
    if torch.is_autocast_enabled(x.device.type):
        return x
    return x.to(parameter_dtype(module) or x.dtype)


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """What a normalisation with fixed statistics does to each channel: x·scale + shift.

    scale = γ / √(σ² + ε)        shift = β - μ·scale

    Computed in float32: with ε = 0 a small variance in half precision is 0, and its root's inverse infinite. It stays
    0 in a float32 model that was loaded from half-precision weights.

    returns  (C,) and (C,) float32
    source   Ioffe and Szegedy 2015, algorithm 2
    """
    variance = norm.running_var.float() + norm.eps  # (C,)
    variance = torch.where(variance > 0, variance, HALF_TINY)  # (C,)
    scale = norm.weight.float() * variance.rsqrt()  # (C,)
    return scale, norm.bias.float() - norm.running_mean.float() * scale


def folded_conv(x: Tensor, conv: nn.Conv2d, norm: nn.Module) -> Tensor:
    """norm(conv(x)) as one convolution, for a normalisation with fixed statistics.

    x        (B, C, H, W)
    returns  (B, C', h, w)
    """
    scale, shift = scale_and_shift(norm)
    weight = (conv.weight * scale[:, None, None, None]).to(conv.weight.dtype)
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    shift = shift.to(conv.weight.dtype)
    return F.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)


def has_fixed_statistics(norm: nn.Module | None) -> bool:
    """Whether a normalisation is one scale and one shift a channel, whatever it is given."""
    if isinstance(norm, nn.BatchNorm2d):
        return not norm.training and norm.running_var is not None and norm.weight is not None
    return isinstance(norm, FrozenBatchNorm2d)


def convolve(
    x: Tensor, conv: nn.Module, norm: nn.Module | None = None, relu: nn.Module | None = None, fold: bool = True
) -> Tensor:
    """relu(norm(conv(x))), the two last where they are given.

    x        (B, C, H, W)
    fold     whether a normalisation with fixed statistics may be folded into the convolution
    returns  (B, C', h, w)
    """
    if (
        traced(x)
        or not untouched(conv, nn.Conv2d)
        or not (norm is None or untouched(norm, nn.BatchNorm2d, FrozenBatchNorm2d))
        or not (relu is None or untouched(relu, nn.ReLU))
    ):
        for layer in (conv, norm, relu):
            x = x if layer is None else layer(x)
        return x
    if fold and has_fixed_statistics(norm) and conv.padding_mode == "zeros":
        x = folded_conv(x, conv, norm)
    else:
        x = conv(x) if norm is None else norm(conv(x))
    return x if relu is None else F.relu_(x)


def conv_norm_relu(layer: nn.Module, x: Tensor, fold: bool = True) -> Tensor:
    """Run a layer; torchvision's convolution with its optional normalisation and ReLU in one step, as `convolve` does.

    x        (B, C, H, W)
    """
    if not untouched(layer, Conv2dNormActivation):
        return layer(x)
    layers = list(layer)
    conv, rest = layers[0], layers[1:]
    relu = rest.pop() if rest and isinstance(rest[-1], nn.ReLU) else None
    norm = rest.pop() if rest else None
    return layer(x) if rest else convolve(x, conv, norm, relu, fold)


def without_inplace(module: nn.Module) -> nn.Module:
    """Let the ReLUs within make new tensors: what a hook was given must not change, and its gradient must stand.

    The fast forms, to which no hook listens, still rectify in place.
    """
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return module


class Convs(nn.Sequential):
    """Convolutions of 3 × 3, each with an optional normalisation and a ReLU.

    channels  of the input
    widths    channels of each layer's output
    norm      the class of the normalisation, or None
    """

    def __init__(self, channels: int, widths: tuple[int, ...], norm=None):
        super().__init__(
            *(Conv2dNormActivation(i, o, 3, norm_layer=norm) for i, o in zip((channels, *widths), widths, strict=False))
        )
        without_inplace(self)

    def forward(self, x: Tensor) -> Tensor:
        """
        x        (B, C, h, w)
        returns  (B, C', h, w)
        """
        for layer in self:
            x = conv_norm_relu(layer, x)
        return x


class FoldedBasicBlock(BasicBlock):
    """torchvision's block of two convolutions, with `convolve` for each.

    source   He et al. 2016, figure 2
    """

    fold = True

    def forward(self, x: Tensor) -> Tensor:
        """
        x        (B, C, H, W)
        returns  (B, C', h, w)
        """
        inner = convolve(x, self.conv1, self.bn1, self.relu, self.fold)
        inner = convolve(inner, self.conv2, self.bn2, fold=self.fold)
        return add_and_rectify(inner, x, self)


class FoldedBottleneck(Bottleneck):
    """torchvision's block of three convolutions, with `convolve` for each.

    source   He et al. 2016, figure 5
    """

    fold = True

    def forward(self, x: Tensor) -> Tensor:
        """
        x        (B, C, H, W)
        returns  (B, C', h, w)
        """
        inner = convolve(x, self.conv1, self.bn1, self.relu, self.fold)
        inner = convolve(inner, self.conv2, self.bn2, self.relu, self.fold)
        inner = convolve(inner, self.conv3, self.bn3, fold=self.fold)
        return add_and_rectify(inner, x, self)


def add_and_rectify(inner: Tensor, x: Tensor, block: BasicBlock | Bottleneck) -> Tensor:
    """A block's output, from that of its convolutions and from its input x, which takes the shortcut.

    inner    (B, C', h, w)
    x        (B, C, H, W)
    returns  (B, C', h, w)
    """
    down = block.downsample
    if down is None:
        shortcut = x
    elif untouched(down, nn.Sequential) and len(down) == 2:
        shortcut = convolve(x, down[0], down[1], fold=block.fold)
    else:
        shortcut = down(x)
    total = inner + shortcut
    return F.relu_(total) if untouched(block.relu, nn.ReLU) and not traced(x) else block.relu(total)


def fold_blocks(resnet: nn.Module) -> nn.Module:
    """Give torchvision's blocks within the forward pass that folds. Their layers and names stay."""
    for block in resnet.modules():
        # torchvision's constructors take the name of a ResNet, not the class of its blocks.
        if type(block) in FOLDED:
            block.__class__ = FOLDED[type(block)]
    return without_inplace(resnet)


FOLDED = {BasicBlock: FoldedBasicBlock, Bottleneck: FoldedBottleneck}
