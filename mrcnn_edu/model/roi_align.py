"""F_Ri = RoIAlign(F, R_i): a small map of the same size from each region, whatever the region's size."""

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

from mrcnn_edu.model.boxes import box_area
from mrcnn_edu.model.config import Config
from mrcnn_edu.model.settings import Configured, instead


def axis_samples(low: Tensor, high: Tensor, bins: int, samples: int, size: Tensor, aligned: bool = False):
    """Where RoIAlign reads along one axis, and with which weights.

    The side of each RoI is cut into `bins`, each bin is read at `samples` points, and each point lies between two
    cells: weights 1 - d and d for a point at distance d from the first. A point outside [-1, size] counts as zero,
    but is still counted in the mean. The order of operations is that of torchvision's kernel. With `aligned`, a RoI may
    be inverted: then its bins run backwards. One whose corners are not numbers reads nothing.

    low, high  (R,) the RoI's two sides in cells of the feature map
    samples    points per bin; below 1: as many as the bin is long, rounded up
    size       (R,) how many cells the axis has
    returns    cells (R, P, S, 2) int64 and weights (R, P, S, 2), P bins, S the largest number of samples
    source     He et al. 2017, section 3
    """
    offset = 0.5 if aligned else 0.0
    low, length = low - offset, high - low
    if not aligned:
        length = length.clamp(min=1)
    count = length.new_tensor(samples) if samples > 0 else (length / bins).ceil().nan_to_num(0, 0, 0)[:, None, None]
    bin_size = (length / bins)[:, None, None]  # (R, 1, 1)
    p = torch.arange(bins, device=low.device, dtype=low.dtype)[:, None]  # (P, 1)
    s = torch.arange(max(1, int(count.max())) if count.numel() else 1, device=low.device, dtype=low.dtype)  # (S,)
    # A side without length has no point of its own to divide by.
    share = count.clamp(min=1)
    at = low[:, None, None] + p * bin_size + (s + 0.5) * bin_size / share  # (R, P, S)
    last = (size - 1)[:, None, None]  # (R, 1, 1)
    counted = (at >= -1) & (at <= last + 1) & (s < count)  # (R, P, S)
    at = torch.minimum(at.clamp(min=0).nan_to_num(), last.to(at.dtype))  # (R, P, S)
    first = at.floor()  # (R, P, S)
    fraction = at - first  # (R, P, S)
    cells = torch.stack([first.long(), torch.minimum(first.long() + 1, last)], dim=-1)  # (R, P, S, 2)
    weights = torch.stack([1 - fraction, fraction], dim=-1)  # (R, P, S, 2)
    return cells, weights * (counted / share)[..., None]


def axis_matrix(
    low: Tensor,
    high: Tensor,
    bins: int,
    samples: int,
    size: int,
    aligned: bool = False,
    source: tuple[Tensor, int] | None = None,
) -> Tensor:
    """The same as a matrix for each RoI: row p holds the weight with which bin p reads each cell of the axis.

    source   where the axis was itself picked from a longer or shorter one: for each of its cells the index there, and
             that one's size. The matrix then reads the other axis directly
    returns  (R, P, size), or (R, P, the other size)
    """
    sizes = torch.full((len(low),), size, device=low.device)  # (R,)
    cells, weights = axis_samples(low, high, bins, samples, sizes, aligned)  # (R, P, S, 2), (R, P, S, 2)
    if source is not None:
        cells, size = source[0][cells], source[1]
    return weights.new_zeros(len(low), bins, size).scatter_add_(2, cells.flatten(2), weights.flatten(2))


def check_rois(features: Tensor, rois: Tensor) -> None:
    """Refuse what has not the shape of RoIs or, on a CPU, names an image that is not there.

    On a GPU the numbers are not looked at: that would wait for the device.

    features  (B, C, h, w)
    rois      (R, 5)
    raises    ValueError naming the shape, or the RoI and its image
    """
    if rois.dim() != 2 or rois.shape[1] != 5:
        raise ValueError(f"rois has shape {tuple(rois.shape)}, give (R, 5): image index, x1, y1, x2, y2 of each")
    if rois.device.type != "cpu" or len(rois) == 0:
        return
    low, high = (float(value) for value in rois[:, 0].detach().aminmax())
    if not (low >= 0 and high < len(features)):
        wrong = ~((rois[:, 0] >= 0) & (rois[:, 0] < len(features)))
        bad = int(wrong.nonzero()[0])
        raise ValueError(f"roi {bad} is of image {float(rois[bad, 0]):g}, there are {len(features)} images from 0 on")


def roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: int,
    spatial_scale: float,
    sampling_ratio: int = 2,
    aligned: bool = False,
) -> Tensor:
    """RoIAlign as two small matrix products: F_R = Y · F · Xᵀ, one region at a time. The readable form.

    Row p of Y holds the weights with which bin p reads the rows of F, row q of X those for the columns.

    features        (B, C, H, W)
    rois            (R, 5) image index, x1, y1, x2, y2 in image pixels
    spatial_scale   cells per pixel
    sampling_ratio  points per bin and axis; below 1: as many as the bin is long, rounded up
    returns         (R, C, P, P), P = output_size
    raises          ValueError for RoIs of another shape, or of an image that is not there
    source          He et al. 2017, section 3
    """
    check_rois(features, rois)
    height, width = features.shape[-2:]
    x1, y1, x2, y2 = (rois[:, 1:] * spatial_scale).unbind(1)
    pooled = []
    for i in range(len(rois)):
        this = slice(i, i + 1)
        Y = axis_matrix(y1[this], y2[this], output_size, sampling_ratio, height, aligned)[0].to(features.dtype)
        X = axis_matrix(x1[this], x2[this], output_size, sampling_ratio, width, aligned)[0].to(features.dtype)
        pooled.append(Y @ features[int(rois[i, 0])] @ X.T)
    return torch.stack(pooled) if pooled else features.new_zeros(0, features.shape[1], output_size, output_size)


class WeightedBags(torch.autograd.Function):
    """Each output row is a weighted sum of table rows: out_n = Σ_k w_nk table[i_nk].

    The gradient is a sum of the same kind with the roles changed: each table row gathers the output rows that read
    it. Both ways run torch's embedding bag, which is threaded and vectorised; its own backward is several times
    slower than this one.
    """

    @staticmethod
    def forward(ctx, table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(index, weights)
        ctx.rows = len(table)
        return F.embedding_bag(index, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx, grad: Tensor):
        index, weights = ctx.saved_tensors
        # The sort is by digits: half as long numbers take half the time.
        small = torch.int16 if ctx.rows < 2**15 else torch.int32
        read, order = index.flatten().to(small).sort(stable=True)
        rows = torch.arange(ctx.rows, device=read.device, dtype=small)
        starts = torch.searchsorted(read, rows)
        readers = order // index.shape[1]
        grad_table = F.embedding_bag(
            readers, grad.contiguous(), starts, per_sample_weights=weights.flatten()[order], mode="sum"
        )
        return grad_table, None, None


def pyramid_roi_align(
    features: list[Tensor],
    rois: Tensor,
    levels: Tensor,
    output_size: int,
    scales: list[float],
    sampling_ratio: int = 2,
    aligned: bool = False,
) -> Tensor:
    """RoIAlign of all RoIs on all levels at once: each bin is one weighted sum of at most 4·S² feature rows.

    S is the sampling ratio, which must be at least 1 here: every bag of rows has the same size.

    features  one (B, C, h, w) a level
    rois      (R, 5) image index, x1, y1, x2, y2 in image pixels
    levels    (R,) the level each RoI is pooled from
    scales    cells per pixel of each level
    returns   (R, C, P, P)
    raises    ValueError for RoIs of another shape, or of an image that is not there
    """
    check_rois(features[0], rois)
    batch, channels = features[0].shape[:2]
    sizes = torch.tensor([f.shape[-2:] for f in features], device=rois.device)  # (L, 2)
    first_row = torch.cumsum(batch * sizes.prod(dim=1), dim=0) - batch * sizes.prod(dim=1)  # (L,)
    height, width = sizes[levels].unbind(1)  # (R,), (R,)
    x1, y1, x2, y2 = (rois[:, 1:] * rois.new_tensor(scales)[levels, None]).unbind(1)
    y_cells, y_weights = axis_samples(
        y1, y2, output_size, sampling_ratio, height, aligned
    )  # (R, P, S, 2), (R, P, S, 2)
    x_cells, x_weights = axis_samples(x1, x2, output_size, sampling_ratio, width, aligned)  # (R, P, S, 2), (R, P, S, 2)
    image_row = first_row[levels] + rois[:, 0].long() * height * width  # (R,)
    y_cells, y_weights = merge_cells(y_cells, y_weights)
    x_cells, x_weights = merge_cells(x_cells, x_weights)
    y_rows = image_row[:, None, None] + y_cells * width[:, None, None]
    index = y_rows[:, :, None, :, None] + x_cells[:, None, :, None]
    weights = y_weights[:, :, None, :, None] * x_weights[:, None, :, None]
    tables = [f.permute(0, 2, 3, 1).reshape(-1, channels) for f in features]
    table = torch.cat(tables) if len(tables) > 1 else tables[0]
    rows_per_bag = index.shape[-2] * index.shape[-1]
    pooled = WeightedBags.apply(table, index.view(-1, rows_per_bag), weights.view(-1, rows_per_bag).to(table.dtype))
    return pooled.view(len(rois), output_size, output_size, channels).permute(0, 3, 1, 2)  # (R, C, P, P)


def level_roi_align(level_map: Tensor, rois: Tensor, output_size: int, scale: float, sampling_ratio: int) -> Tensor:
    """`pyramid_roi_align` on one level. A map in channels_last is a table of rows as it stands.

    level_map  (B, C, h, w)
    rois       (R, 5)
    returns    (R, C, P, P)
    """
    levels = torch.zeros(len(rois), dtype=torch.int64, device=rois.device)
    return pyramid_roi_align([level_map], rois, levels, output_size, [scale], sampling_ratio)


def merge_cells(cells: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The cells that each bin reads along one axis, with the weights of a cell that is read twice added up.

    Where samples are at most a cell apart, the 2·S reads of a bin fall on S + 1 neighbours.

    cells, weights  (R, P, S, 2), from `axis_samples`
    returns         the same as three axes, the last of S + 1 cells, or of 2·S where some bin is too long for that
    """
    samples = cells.shape[2]
    first = cells[..., 0].amin(dim=2, keepdim=True)  # (R, P, 1)
    offset = (cells - first[..., None]).flatten(2)
    if samples == 1 or (offset.numel() and int(offset.max()) > samples):
        return cells.flatten(2), weights.flatten(2)
    merged = weights.new_zeros(*cells.shape[:2], samples + 1).scatter_add_(2, offset, weights.flatten(2))
    last = cells[..., 1].amax(dim=2, keepdim=True)  # (R, P, 1)
    return torch.minimum(first + torch.arange(samples + 1, device=cells.device), last), merged


def roi_levels(boxes: Tensor, num_levels: int, canonical_scale: int, canonical_level: int) -> Tensor:
    """Large RoIs are pooled from coarse levels: k = ⌊k₀ + log₂(√area / s₀)⌋, kept within the levels there are.

    boxes    (N, 4) xyxy, pixels
    returns  (N,) int64, 0 for the finest level (k = 2, stride 4)
    source   Lin et al. 2017, eq. 1
    """
    side = box_area(boxes).sqrt()  # (N,)
    k = torch.floor(canonical_level + torch.log2(side / canonical_scale) + 1e-6)  # (N,)
    return k.clamp(2, num_levels + 1).long() - 2


def to_rois(boxes: list[Tensor]) -> Tensor:
    """The boxes of all images in one tensor, each with its image's index in front.

    boxes    one (N, 4) an image
    returns  (R, 5)
    """
    index = torch.cat([b.new_full((len(b), 1), i) for i, b in enumerate(boxes)])
    return torch.cat([index, torch.cat(boxes)], dim=1)


class PyramidRoIAlign(Configured):
    """F_Ri = RoIAlign(F, R_i), each R_i on the level that fits its size.

    The scale of a level is 1 / its stride, fixed by the architecture. (torchvision infers it from the first image it
    sees and keeps it, so an odd-shaped first image spoils all later ones.)

    `fast = False` runs the readable form.
    """

    REFUSED = {
        "output_size": "the heads were built for it: make another model with box_pool_size=… or mask_pool_size=…",
        "scales": "they are 1 / config.strides, fixed by the architecture",
        **dict.fromkeys(
            ("map_levels", "featmap_names"), "each level of the pyramid is read; " + instead("canonical_scale")
        ),
    }

    def __init__(self, output_size: int, config: Config):
        super().__init__(config)
        self._output_size = output_size
        self.fast = True

    @property
    def output_size(self) -> int:
        """P."""
        return self._output_size

    @property
    def scales(self) -> list[float]:
        """Cells per pixel of each level."""
        return [1 / stride for stride in self.config.strides]

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """
        features  "0", "1", …: (B, C, h, w) each; "pool" is not read
        boxes     one (N, 4) an image, xyxy, pixels of the padded batch
        returns   (R, C, P, P) float32, R the boxes of all images in order
        """
        maps = [features[str(level)].float() for level in range(len(self.scales))]
        rois = to_rois(boxes)  # (R, 5)
        levels = self.levels(rois[:, 1:])  # (R,)
        if self._at_once(maps, rois):
            return pyramid_roi_align(maps, rois, levels, self.output_size, self.scales, self.sampling_ratio)
        pooled = rois.new_zeros(len(rois), maps[0].shape[1], self.output_size, self.output_size)
        for level, (level_map, scale) in enumerate(zip(maps, self.scales, strict=True)):
            here = torch.where(levels == level)[0]
            if len(here):
                part = self._kernel(level_map)(level_map, rois[here], self.output_size, scale, self.sampling_ratio)
                pooled = pooled.index_copy(0, here, part)
        return pooled

    def _at_once(self, maps: list[Tensor], rois: Tensor) -> bool:
        """Whether all levels are read together, by `pyramid_roi_align`."""
        # The bags need one table of all maps; for fewer reads than it has rows it is not worth making.
        samples = self.sampling_ratio
        reads = len(rois) * (2 * samples * self.output_size) ** 2
        enough = samples >= 1 and reads >= sum(x[:, 0].numel() for x in maps)
        return self.fast and rois.device.type == "cpu" and enough

    def _kernel(self, level_map: Tensor):
        """RoIAlign on one level: the readable form, or the one that reads a map of this layout without copying it."""
        if not self.fast:
            return roi_align
        rows = level_map.is_contiguous(memory_format=torch.channels_last)
        if rows and level_map.device.type == "cpu" and self.sampling_ratio >= 1:
            return level_roi_align
        return torchvision.ops.roi_align

    def levels(self, boxes: Tensor) -> Tensor:
        """Which level each box is pooled from.

        boxes    (N, 4) xyxy, pixels
        returns  (N,) int64
        """
        config = self.config
        return roi_levels(boxes, config.num_levels, config.canonical_scale, config.canonical_level)
