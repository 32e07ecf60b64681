"""A picture of an image with what was found in it: masks, boxes, labels and scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask as mask_codec
from torch import Tensor

from ..datasets.scaling import scaled_rle
from ..model.boxes import resize_boxes

# Okabe and Ito's colours without black: neighbours differ for every kind of colour vision.
OKABE_ITO = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))


def draw_detections(
    image: Tensor,
    detection: dict,
    class_names: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
) -> Image.Image:
    """The image with its detections drawn on it, best last, so that it lies on top.

    Each object has its own colour, a number of the label where the names are not known, and its score; touching
    objects are told apart by the line around each mask too.

    image      (3, H, W) float in [0, 1]
    detection  boxes (N, 4) xyxy, labels (N,), scores (N,), masks: N run-length codes, or none of a mere detector
    size       (height, width) of the picture in whose pixels the detection is, if the image was reduced from it
    """
    boxes, masks = _in_pixels_of(image, detection, size or tuple(image.shape[-2:]))
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy().astype(np.float32)  # (H, W, 3)
    order = detection["scores"].argsort().tolist()
    for index in order if masks else ():
        mask = mask_codec.decode(masks[index]).astype(bool)  # (H, W)
        colour = np.array(OKABE_ITO[index % len(OKABE_ITO)], np.float32)
        pixels[mask] = 0.55 * pixels[mask] + 0.45 * colour
        pixels[_edge(mask)] = colour
    picture = Image.fromarray(pixels.round().astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(10, min(picture.size) // 32))
    for index in order:
        box, label = boxes[index].tolist(), int(detection["labels"][index])
        name = class_names[label] if class_names else f"class {label}"
        colour = OKABE_ITO[index % len(OKABE_ITO)]
        draw.rectangle(box, outline=colour, width=max(1, min(picture.size) // 300))
        _caption(draw, box, f"{name} {float(detection['scores'][index]):.2f}", colour, font, picture.size)
    return picture


def _in_pixels_of(image: Tensor, detection: dict, full: tuple[int, int]) -> tuple[Tensor, list[dict]]:
    """Boxes (N, 4) and run-length codes at the size of the image; they are at the size `full`."""
    boxes, masks, size = detection["boxes"], detection.get("masks", []), tuple(image.shape[-2:])
    if full == size:
        return boxes, masks
    return resize_boxes(boxes, full, size), [scaled_rle(code, full, size) for code in masks]


def _edge(mask: np.ndarray) -> np.ndarray:
    inner = np.pad(mask, 1)
    inner = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~inner


def _caption(draw: ImageDraw.ImageDraw, box, text: str, colour, font, size: tuple[int, int]) -> None:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = min(max(0, box[0]), max(0, size[0] - width))
    y = box[1] - height if box[1] >= height else box[1]
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    # Black or white, whichever stands out more against the colour.
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 120
    draw.text((x + 2 - left, y + 2 - top), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)
