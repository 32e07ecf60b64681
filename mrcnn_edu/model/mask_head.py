"""M_i = MaskHead(F_Ri): which pixels of each region belong to the object."""

import torch
from torch import Tensor, nn

from mrcnn_edu.model.config import Config
from mrcnn_edu.model.folding import Convs, untouched

DOTS_CHUNK = 2**19  # on a CPU the products of so many numbers at a time exist: they stay in the cache


class ReluDots(torch.autograd.Function):
    """The dot product of each rectified row with its region's vector: out_rn = Σ_c max(x_rnc, 0) w_rc.

    A batched matrix product gives the same; with one output column it takes four times as long, mostly in its
    gradient. The rows are many, so nothing of their size is made that is not needed: x is rectified in place, the
    products are summed a few regions at a time, and the gradient is gated where it stands.
    """

    @staticmethod
    def forward(ctx, x: Tensor, w: Tensor):
        """
        x        R·n rows of c numbers, in any shape; rectified in place
        w        (R, c)
        returns  the dot products (R, n), and x
        """
        ctx.set_materialize_grads(False)
        ctx.mark_dirty(x.relu_())
        ctx.save_for_backward(x, w)
        rows = rows_of(x, w)  # (R, n, c)
        chunk = max(1, DOTS_CHUNK // max(1, rows[:1].numel())) if x.device.type == "cpu" else max(1, len(w))
        out = x.new_empty(rows.shape[:2])  # (R, n)
        for part, vectors, sums in zip(rows.split(chunk), w.split(chunk), out.split(chunk), strict=True):
            torch.sum(part * vectors[:, None], dim=-1, out=sums)
        return out, x

    @staticmethod
    def backward(ctx, grad: Tensor, _):
        x, w = ctx.saved_tensors
        rows = rows_of(x, w)  # (R, n, c)
        grad_rows = grad[:, :, None] * w[:, None]  # (R, n, c)
        torch.ops.aten.threshold_backward.grad_input(grad_rows, rows, 0, grad_input=grad_rows)
        return grad_rows.view_as(x), torch.bmm(grad[:, None], rows)[:, 0]


def rows_of(x: Tensor, w: Tensor) -> Tensor:
    """x as (R, n, c) for the R vectors (R, c) of w. R may be 0."""
    count, dim = w.shape
    return x.view(count, x.numel() // max(1, count * dim), dim)


class MaskHead(Convs):
    """3 × 3 convolutions on the pooled map.

    source   He et al. 2017, figure 4
    """

    def __init__(self, channels: int, widths: tuple[int, ...], norm):
        super().__init__(channels, widths, norm)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class MaskPredictor(nn.Sequential):
    """Doubles the side, then one mask of logits for each class.

    source   He et al. 2017, figure 4
    """

    def __init__(self, channels: int, dim_reduced: int, num_classes: int):
        super().__init__()
        self.conv5_mask = nn.ConvTranspose2d(channels, dim_reduced, kernel_size=2, stride=2)
        self.relu = nn.ReLU()
        self.mask_fcn_logits = nn.Conv2d(dim_reduced, num_classes, kernel_size=1)
        for module in (self.conv5_mask, self.mask_fcn_logits):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The masks of all classes. The readable form.

        x        (R, C, P, P)
        returns  (R, K, M, M) float32 logits
        """
        return super().forward(x).float()

    def of_class(self, x: Tensor, labels: Tensor) -> Tensor:
        """The mask of one class each: only that class's weights are used, of K times as many.

        x        (R, C, P, P)
        labels   (R,) int64
        returns  (R, M, M) float32 logits, equal to self(x)[range(R), labels]
        """
        if not self.is_built_as_it_was():
            return mask_of_class(self(x), labels)
        side = x.shape[-1]
        # Kernel 2 and stride 2: each cell becomes 2 × 2 cells of its own, so the deconvolution is one matrix product.
        weight = self.conv5_mask.weight.permute(0, 2, 3, 1).flatten(1).to(x.dtype)
        bias = self.conv5_mask.bias.to(x.dtype).repeat(4)
        hidden = torch.addmm(bias, x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]), weight)
        of_class = self.mask_fcn_logits.weight[labels].flatten(1).to(hidden.dtype)
        logits = ReluDots.apply(hidden, of_class)[0].float()
        logits = logits.view(-1, side, side, 2, 2) + self.mask_fcn_logits.bias[labels].float().view(-1, 1, 1, 1, 1)
        return logits.transpose(2, 3).reshape(-1, 2 * side, 2 * side)  # (R, M, M)

    def is_built_as_it_was(self) -> bool:
        """Whether the layers are those that `of_class` computes, and nothing listens to them."""
        up, out = self.conv5_mask, self.mask_fcn_logits
        return (
            untouched(self, MaskPredictor)
            and untouched(up, nn.ConvTranspose2d)
            and untouched(self.relu, nn.ReLU)
            and untouched(out, nn.Conv2d)
            and len(self) == 3
            and up.kernel_size == up.stride == (2, 2)
            and up.padding == up.output_padding == (0, 0)
            and out.kernel_size == out.stride == (1, 1)
            and out.padding == (0, 0)
            and up.groups == out.groups == 1
            and up.dilation == (1, 1)
            and up.bias is not None
            and out.bias is not None
        )


def mask_of_class(mask_logits: Tensor, labels: Tensor) -> Tensor:
    """The mask of one class each, of those of all classes. The readable form.

    mask_logits  (R, K, M, M)
    labels       (R,) int64
    returns      (R, M, M) float32
    """
    return mask_logits[torch.arange(len(labels), device=labels.device), labels].float()


def make_mask_head(config: Config) -> MaskHead:
    """The mask head that the configuration asks for."""
    return MaskHead(config.fpn_channels, config.mask_convs, nn.BatchNorm2d if config.head_norm else None)
