"""From class scores and deltas to detections, and from small soft masks to the pixels of the image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mrcnn_edu.model.boxes import clip_boxes, decode, grouped_nms, large_enough
from mrcnn_edu.model.config import Config

MIN_SIDE = 1e-2  # pixels; thinner detections are dropped
MASK_THRESHOLD = 0.5

MASK_FORMS = ("soft", "bool", "rle", "none")


def select_detections(
    class_logits: Tensor,
    box_regression: Tensor,
    proposals: list[Tensor],
    image_sizes: list[tuple[int, int]],
    config: Config,
) -> list[dict[str, Tensor]]:
    """The detections of each image: scores above the threshold, one box a class, NMS within each class.

    Only the boxes of classes that pass the threshold are decoded. One proposal may yield several classes.

    class_logits    (R, K)
    box_regression  (R, 4·K)
    proposals       one (n, 4) an image, pixels of the resized image
    image_sizes     (height, width) of each resized image
    returns         for each image boxes (D, 4) in pixels of the resized image, scores (D,), labels (D,) and
                    proposals (D,), the index of the proposal that each detection came from; best first
    source          Girshick 2015, section 2.4
    """
    counts = [len(p) for p in proposals]
    scores = class_logits.softmax(dim=-1).split(counts)
    deltas = box_regression.view(*class_logits.shape, 4).split(counts)
    found = []
    for image_scores, image_deltas, image_proposals, size in zip(scores, deltas, proposals, image_sizes, strict=True):
        source, label = torch.where(image_scores[:, 1:] > config.box_score_thresh)
        label = label + 1
        score = image_scores[source, label]
        boxes = decode(image_deltas[source, label], image_proposals[source], config.bbox_reg_weights)
        boxes = clip_boxes(boxes, size)
        sound = torch.where(large_enough(boxes, MIN_SIDE))[0]
        kept = grouped_nms(boxes[sound], score[sound], label[sound], config.box_nms_thresh)
        kept = sound[kept[: config.box_detections_per_img]]
        found.append({"boxes": boxes[kept], "labels": label[kept], "scores": score[kept], "proposals": source[kept]})
    return found


def paste_windows(boxes: Tensor, side: int) -> Tensor:
    """The whole-pixel windows that masks are pasted into.

    The mask is padded by one cell on each side, so the box grows by (M + 2) / M about its centre; then its corners
    are truncated toward zero.

    boxes    (D, 4) xyxy, pixels
    side     M
    returns  (D, 4) int64: x, y of the first pixel, width and height, 0 where a box is inverted
    """
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * ((side + 2) / side)
    centre = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    first, last = (centre - half).long(), (centre + half).long()
    return torch.cat([first, (last - first + 1).clamp(min=0)], dim=1)  # (D, 4)


def mask_window(mask: Tensor, window: list[int], size: tuple[int, int]) -> tuple[Tensor, int, int]:
    """The part of one pasted mask that lies in the image: the mask, resized to its window, then cut.

    mask     (M + 2, M + 2) padded, soft
    window   x, y, width, height, from `paste_windows`
    size     (height, width) of the image
    returns  the soft values (h, w), and the x and y of their first pixel
    """
    x, y, width, height = window
    if width == 0 or height == 0:
        return mask.new_zeros(0, 0), 0, 0
    left, top = max(x, 0), max(y, 0)
    right, bottom = max(left, min(x + width, size[1])), max(top, min(y + height, size[0]))
    values = F.interpolate(mask[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
    return values[top - y : bottom - y, left - x : right - x], left, top


def paste_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int], form: str = "soft"):
    """Masks of M × M cells, put where they belong in the image.

    Each mask is resized into its window of one allocation; nothing of the image's size is made for each mask.

    masks    (D, M, M) soft, in [0, 1]
    boxes    (D, 4) xyxy, pixels of the image
    size     (height, width) of the image, pixels
    form     "soft": (D, 1, H, W) float32, torchvision's form. "bool": (D, 1, H, W), soft > ½. "rle": a list of D
             dicts {"size": [H, W], "counts": bytes}, COCO's compressed run lengths of the same
    raises   ValueError for another form
    source   He et al. 2017, section 3.1
    """
    if form not in ("soft", "bool", "rle"):
        raise ValueError(f"form is {form!r}: give 'soft', 'bool' or 'rle'")
    windows = paste_windows(boxes.float(), masks.shape[-1]).tolist()
    padded = F.pad(masks.float(), (1, 1, 1, 1))
    if form == "rle":
        return [
            window_rle(*mask_window(mask, window, size), size) for mask, window in zip(padded, windows, strict=True)
        ]
    dtype = torch.float32 if form == "soft" else torch.bool
    canvas = torch.zeros((len(masks), 1, *size), dtype=dtype, device=masks.device)
    for k, (mask, window) in enumerate(zip(padded, windows, strict=True)):
        values, left, top = mask_window(mask, window, size)
        region = canvas[k, 0, top : top + values.shape[0], left : left + values.shape[1]]
        region.copy_(values if form == "soft" else values > MASK_THRESHOLD)
    return canvas


def window_rle(values: Tensor, left: int, top: int, size: tuple[int, int]) -> dict:
    """COCO's run lengths of a mask that is zero outside one window.

    values   (h, w) soft values of the window
    left, top  its first pixel
    size     (height, width) of the image
    returns  {"size": [H, W], "counts": bytes}
    """
    height, width = size
    columns = torch.zeros(values.shape[1] * height + 2, dtype=torch.int8)
    inner = columns[1:-1].view(values.shape[1], height)
    inner[:, top : top + values.shape[0]] = (values > MASK_THRESHOLD).T.to("cpu")
    # Runs end where the value changes, down each column, then on to the next.
    ends = torch.where(columns[1:] != columns[:-1])[0] + left * height
    edges = torch.cat([torch.tensor([0]), ends, torch.tensor([height * width])])
    counts = (edges[1:] - edges[:-1]).tolist()
    if len(counts) > 1 and counts[-1] == 0:
        counts.pop()
    return {"size": [height, width], "counts": compress_counts(counts)}


def compress_counts(counts: list[int]) -> bytes:
    """COCO's text form of run lengths: from the third on the difference to the one before the last, five bits a
    character, lowest first, bit 6 set while more follow, plus 48.

    source   cocodataset/cocoapi, common/maskApi.c, rleToString
    """
    text = bytearray()
    for i, count in enumerate(counts):
        x = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits = x & 0x1F
            x >>= 5
            more = x != -1 if bits & 0x10 else x != 0
            text.append((bits | 0x20 if more else bits) + 48)
    return bytes(text)
