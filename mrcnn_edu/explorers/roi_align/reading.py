"""What RoIAlign and RoIPool read for one RoI: every number that the explorer shows, by the package's own code."""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import product

import torch
import torchvision
from PIL import Image
from torch import Tensor

from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.window import photograph
from mrcnn_edu.model.boxes import box_iou, resize_boxes
from mrcnn_edu.model.detect import paste_masks
from mrcnn_edu.model.roi_align import axis_matrix, axis_samples, roi_align, to_rois

GLIDE = 81  # positions of the RoI along the curve
FINE = 8  # points a bin and axis for "the mean over the whole bin"


@dataclass(eq=False)
class RoIScene:
    """One run of the model on one picture, from which RoIs are read. Boxes in pixels of the resized image.

    masks  (G, H, W) bool, the true masks in pixels of the given image, or None where they are not known
    """

    model: object
    image: Tensor
    masks: Tensor | None = None
    levels: list[Tensor] = field(init=False)  # (1, C, h, w) each

    def __post_init__(self):
        stages = self.model.stages([self.image])
        self.levels = [stages.features[str(level)].float() for level in range(len(self.model.config.strides))]
        self.size = stages.image_sizes[0]
        self.detections = stages.detection_boxes[0]
        self.scores = stages.detections[0]["scores"].tolist()
        self.drawn = Memory(1)  # of the last region: the masks do not depend on channel and bins
        self.grounds = Memory(1)  # of the last piece of a map: its cells do not depend on the region
        self.photo = photograph(self.image)

    def level_of(self, roi: Tensor) -> int:
        """The level that the model pools this RoI (4,) from."""
        return int(self.model.box_roi_align.levels(roi[None])[0])

    def class_of(self, roi: Tensor) -> int:
        """The likeliest class of a RoI (4,), the background left out, by the model's own box head."""
        with torch.no_grad():
            features = {str(level): x for level, x in enumerate(self.levels)}
            logits, _ = self.model._classifier(self.model.box_roi_align(features, [roi[None]]))
        return int(logits[0, 1:].argmax()) + 1

    def masks_from(self, pooled: Tensor, label: int) -> Tensor:
        """Probabilities (R, M, M) of the masks of one class, from pooled features (R, C, P, P)."""
        with torch.no_grad():
            return self.model._mask_of_class(pooled, torch.tensor([label] * len(pooled))).sigmoid()

    @lru_cache(maxsize=1)  # noqa: B019 - a scene lives as long as its explorer
    def stretched(self, width: int, height: int) -> Image.Image:
        """The picture in another size."""
        return self.photo.resize((width, height), Image.Resampling.BICUBIC)

    def true_mask(self, roi: Tensor) -> Tensor | None:
        """The true mask (H, W) whose box the RoI (4,) fits best, in the given image's pixels; None if it fits none."""
        if self.masks is None or not len(self.masks):
            return None
        best, which = box_iou(self._to_image(roi), self._true_boxes)[0].max(dim=0)
        return self.masks[which] if best >= 0.3 else None

    def mask_quality(self, mask: Tensor, roi: Tensor) -> float | None:
        """IoU of the pasted mask (M, M) with the true mask of the RoI (4,); None where there is none."""
        true = self.true_mask(roi)
        if true is None:
            return None
        drawn = paste_masks(mask[None], self._to_image(roi), tuple(self.image.shape[1:]), "bool")[0, 0]
        return float((drawn & true).sum() / (drawn | true).sum().clamp(min=1))

    def _to_image(self, roi: Tensor) -> Tensor:
        return resize_boxes(roi[None], self.size, tuple(self.image.shape[1:]))

    @cached_property
    def _true_boxes(self) -> Tensor:
        return torchvision.ops.masks_to_boxes(self.masks) + torch.tensor([0.0, 0, 1, 1])


@dataclass(eq=False)
class Reading:
    """One RoI on one level, read both ways. Bin (p, q) is in row p and column q.

    roi       (4,) xyxy, pixels of the resized image
    level     0 the finest
    bins      P
    samples   points per bin and axis; 0: as many as the bin is long
    """

    scene: RoIScene
    roi: Tensor
    level: int
    channel: int
    bins: int
    samples: int
    aligned: bool

    def __post_init__(self):
        self.stride = self.scene.model.config.strides[self.level]
        self.features = self.scene.levels[self.level]  # (1, C, h, w)
        self.map = self.features[0, self.channel]
        self.cells = self.roi / self.stride

    def axis(self, axis: int):
        """`axis_samples` along y (0) or x (1): cells and weights, (P, S, 2) each."""
        low, high = self.cells[1 - axis, None], self.cells[3 - axis, None]
        size = torch.tensor([self.map.shape[axis]])
        cells, weights = axis_samples(low, high, self.bins, self.samples, size, self.aligned)
        return cells[0], weights[0]

    def places(self, axis: int) -> Tensor:
        """(P, S) where the samples lie along an axis, in cells: 0.5 is the middle of the first cell.

        A value stands for the middle of its cell. With `aligned` off, RoIAlign takes coordinate 0 for that middle
        instead of 0.5, so it reads half a cell further to the right and down than the RoI lies.
        """
        low, high = float(self.cells[1 - axis]), float(self.cells[3 - axis])
        length = high - low if self.aligned else max(high - low, 1)
        each = length / self.bins
        count = self.samples if self.samples > 0 else max(int(-(-each // 1)), 1)
        start = low + (0.0 if self.aligned else 0.5)
        p, s = torch.arange(self.bins)[:, None], torch.arange(count)
        return start + p * each + (s + 0.5) * each / count

    def read_box(self) -> tuple[float, float, float, float]:
        """The region that RoIAlign really reads, in cells: (x1, y1, x2, y2)."""
        shift = 0.0 if self.aligned else 0.5
        x1, y1, x2, y2 = self.cells.tolist()
        if not self.aligned:
            x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
        return x1 + shift, y1 + shift, x2 + shift, y2 + shift

    @lru_cache(maxsize=1)  # noqa: B019 - a reading lives as long as its picture
    def terms(self, p: int, q: int) -> list[dict]:
        """The samples of one bin: place (y, x), its four cells, values, weights, and the value they add up to."""
        (ys, wy), (xs, wx) = self.axis(0), self.axis(1)
        weights = wy[p, :, None, :, None] * wx[q, None, :, None, :] * (wy.shape[1] * wx.shape[1])  # (S, T, 2, 2)
        values = self.map[ys[p, :, None, :, None], xs[q, None, :, None, :]]  # (S, T, 2, 2)
        products = (weights * values).sum(dim=(2, 3)).flatten().tolist()
        weights, values = (part.flatten(2).flatten(0, 1).tolist() for part in (weights, values))
        at = product(self.places(0)[p].tolist(), self.places(1)[q].tolist())
        cells = product(ys[p].tolist(), xs[q].tolist())
        found = []
        for (y, x), (rows, columns), w, v, value in zip(at, cells, weights, values, products, strict=True):
            term = {"at": (y, x), "rows": rows, "columns": columns, "values": v, "weights": w, "value": value}
            found.append(term)
        return found

    @cached_property
    def rois(self) -> Tensor:
        """(1, 5), as the operators want it."""
        return to_rois([self.roi[None]])

    @cached_property
    def align(self) -> Tensor:
        """(P, P) what RoIAlign gives for the channel, by the package's two matrix products."""
        return self._align(self.map[None, None], self.bins)[0, 0]

    @cached_property
    def align_torchvision(self) -> Tensor:
        """(P, P) the same by torchvision's operator."""
        options = {"spatial_scale": 1 / self.stride, "sampling_ratio": self.samples or -1, "aligned": self.aligned}
        return torchvision.ops.roi_align(self.map[None, None], self.rois, self.bins, **options)[0, 0]

    @cached_property
    def pool(self) -> Tensor:
        """(P, P) what RoIPool gives for the channel."""
        return torchvision.ops.roi_pool(self.map[None, None], self.rois, self.bins, 1 / self.stride)[0, 0]

    def _align(self, features: Tensor, bins: int) -> Tensor:
        return roi_align(features, self.rois, bins, 1 / self.stride, self.samples, self.aligned)

    def pool_box(self) -> tuple[int, int, int, int]:
        """RoIPool's first rounding: the whole cells it takes, x1, y1, x2, y2 with the last ones left out."""
        x1, y1, x2, y2 = rounded(self.cells)
        return x1, y1, max(x2, x1) + 1, max(y2, y1) + 1

    def pool_bin(self, p: int, q: int) -> tuple[int, int, int, int]:
        """RoIPool's second rounding: the cells of one bin, grown to whole ones and cut at the map's edge."""
        left, top, right, bottom = self.pool_box()
        height, width = self.map.shape
        (y1, y2), (x1, x2) = whole(top, bottom - top, p, self.bins), whole(left, right - left, q, self.bins)
        return min(max(x1, 0), width), min(max(y1, 0), height), min(max(x2, 0), width), min(max(y2, 0), height)

    @lru_cache(maxsize=1)  # noqa: B019 - a reading lives as long as its picture
    def glide(self, p: int, q: int) -> dict[str, Tensor]:
        """The value of one bin while the RoI moves along x by up to one cell to either side.

        returns  "shift" (n,) pixels, and for each of them "align", "fine" (the mean over the whole bin) and "pool"
        """
        shift = torch.linspace(-self.stride, self.stride, GLIDE)
        x1, y1, x2, y2 = self.cells
        moved = shift / self.stride
        ends = {"align": self.samples, "fine": FINE}
        curves = {"shift": shift}
        for name, samples in ends.items():
            Y = axis_matrix(y1[None], y2[None], self.bins, samples, self.map.shape[0], self.aligned)[0]
            X = axis_matrix(x1 + moved, x2 + moved, self.bins, samples, self.map.shape[1], self.aligned)
            curves[name] = X[:, q] @ (Y[p] @ self.map)
        boxes = self.roi + shift[:, None] * torch.tensor([1.0, 0, 1, 0])
        pooled = torchvision.ops.roi_pool(self.map[None, None], to_rois([boxes]), self.bins, 1 / self.stride)
        curves["pool"] = pooled[:, 0, p, q]
        return curves

    @cached_property
    def masks(self) -> tuple[int, Tensor, Tensor]:
        """The class, and its mask (M, M) from features read by RoIAlign and by RoIPool."""
        key = (*self.roi.tolist(), self.level, self.samples, self.aligned)
        return self.scene.drawn.get(key, self._masks)

    def _masks(self) -> tuple[int, Tensor, Tensor]:
        side = self.scene.model.config.mask_pool_size
        label = self.scene.class_of(self.roi)
        pooled = torchvision.ops.roi_pool(self.features, self.rois, side, 1 / self.stride)
        with torch.no_grad():
            read = self._align(self.features, side)
        return label, *self.scene.masks_from(torch.cat([read, pooled]), label)


def rounded(values: Tensor) -> list[int]:
    """Nearest whole numbers, halves away from zero as in RoIPool's kernel (torch.round takes the even one)."""
    return (values.sign() * (values.abs() + 0.5).floor()).int().tolist()


def whole(start: int, length: int, number: int, bins: int) -> tuple[int, int]:
    """First cell and the one after the last of one bin along an axis, as RoIPool's kernel rounds them."""
    each = torch.tensor(float(length)) / bins
    return start + int((number * each).floor()), start + int(((number + 1) * each).ceil())
