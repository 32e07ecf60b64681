"""M_i = MaskHead(F_Ri): which pixels of each region belong to the object."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from mrcnn_edu.model.backbone import conv_norm_relu
from mrcnn_edu.model.config import Config


class RowDots(torch.autograd.Function):
    """The dot product of each row with its region's vector: out_rn = Σ_c x_rnc w_rc.

    A batched matrix product gives the same; with one output column it takes four times as long, mostly in its gradient.
    """

    @staticmethod
    def forward(ctx, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return (x * w[:, None]).sum(dim=-1)

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, w = ctx.saved_tensors
        return grad[:, :, None] * w[:, None], torch.bmm(grad[:, None], x)[:, 0]


class MaskHead(nn.Sequential):
    """3 × 3 convolutions on the pooled map.

    source   He et al. 2017, figure 4
    """

    def __init__(self, channels: int, widths: tuple[int, ...], norm):
        layers = []
        for width in widths:
            layers.append(Conv2dNormActivation(channels, width, 3, norm_layer=norm))
            channels = width
        super().__init__(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """
        x        (R, C, P, P)
        returns  (R, C', P, P)
        """
        for layer in self:
            x = conv_norm_relu(layer, x)
        return x


class MaskPredictor(nn.Module):
    """Doubles the side, then one mask of logits for each class.

    source   He et al. 2017, figure 4
    """

    def __init__(self, channels: int, dim_reduced: int, num_classes: int):
        super().__init__()
        self.conv5_mask = nn.ConvTranspose2d(channels, dim_reduced, kernel_size=2, stride=2)
        self.mask_fcn_logits = nn.Conv2d(dim_reduced, num_classes, kernel_size=1)
        for module in (self.conv5_mask, self.mask_fcn_logits):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The masks of all classes. The readable form.

        x        (R, C, P, P)
        returns  (R, K, M, M) float32 logits
        """
        return self.mask_fcn_logits(F.relu_(self.conv5_mask(x))).float()

    def of_class(self, x: Tensor, labels: Tensor) -> Tensor:
        """The mask of one class each: only that class's weights are used, of K times as many.

        x        (R, C, P, P)
        labels   (R,) int64
        returns  (R, M, M) float32 logits, equal to forward(x)[range(R), labels]
        """
        dim, side = self.conv5_mask.out_channels, x.shape[-1]
        # Kernel 2 and stride 2: each cell becomes 2 × 2 cells of its own, so the deconvolution is one matrix product.
        weight = self.conv5_mask.weight.permute(0, 2, 3, 1).flatten(1).to(x.dtype)
        bias = self.conv5_mask.bias.to(x.dtype).repeat(4)
        hidden = F.relu_(torch.addmm(bias, x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]), weight))
        of_class = self.mask_fcn_logits.weight[labels].flatten(1).to(hidden.dtype)
        logits = RowDots.apply(hidden.view(len(x), 4 * side * side, dim), of_class).float()
        logits = logits.view(-1, side, side, 2, 2) + self.mask_fcn_logits.bias[labels].float().view(-1, 1, 1, 1, 1)
        return logits.transpose(2, 3).reshape(-1, 2 * side, 2 * side)  # (R, M, M)


def make_mask_head(config: Config) -> MaskHead:
    """The mask head that the configuration asks for."""
    return MaskHead(config.fpn_channels, config.mask_convs, nn.BatchNorm2d if config.head_norm else None)
