"""Large photographs on disk: what a training step costs that reads them, next to one whose files were shrunk before."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageDraw

FULL, SHRUNK = (4160, 6240), (107, 160)  # (height, width), pixels: 26 megapixels, and what --max-size 160 needs
PICTURES, OBJECTS = 4, 20


@cache
def folder() -> TemporaryDirectory:
    """A folder with `full` and `shrunk`, the same pictures and outlines at both sizes; it goes with the process."""
    place = TemporaryDirectory()
    root, draw = Path(place.name), np.random.default_rng(0)
    for name in ("full", "shrunk"):
        (root / name).mkdir()
    outlines = [[_ellipse(draw) for _ in range(OBJECTS)] for _ in range(PICTURES)]
    for number, ellipses in enumerate(outlines):
        noise = draw.integers(0, 255, (130, 195, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize(FULL[::-1], Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(picture)
        for ellipse in ellipses:
            pen.polygon([tuple(point) for point in ellipse], fill=tuple(draw.integers(0, 255, 3).tolist()))
        picture.save(root / "full" / f"{number}.jpg", quality=90)
        picture.resize(SHRUNK[::-1], Image.Resampling.LANCZOS).save(root / "shrunk" / f"{number}.jpg", quality=95)
    for name, size in (("full", FULL), ("shrunk", SHRUNK)):
        text = json.dumps(_content(outlines, size))
        (root / f"{name}.json").write_text(text, encoding="utf-8")
    return place


def _ellipse(draw: np.random.Generator) -> np.ndarray:
    """Corners (40, 2) of an ellipse, pixels of the full picture."""
    corner, sides = draw.uniform(0, (0.85 * FULL[1], 0.78 * FULL[0])), draw.uniform(0.05, 0.14, 2) * FULL[1]
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return corner + sides / 2 * (1 + np.stack([np.cos(turn), np.sin(turn)], axis=1))


def _content(outlines: list[list[np.ndarray]], size: tuple[int, int]) -> dict:
    """A COCO file's content for pictures of a size (height, width)."""
    scale = np.array([size[1] / FULL[1], size[0] / FULL[0]])
    pairs = [(number, ellipse * scale) for number, ellipses in enumerate(outlines, 1) for ellipse in ellipses]
    return {
        "images": [
            {"id": number, "file_name": f"{number - 1}.jpg", "height": size[0], "width": size[1]}
            for number in range(1, PICTURES + 1)
        ],
        "annotations": [
            {"id": i, "image_id": number, "category_id": 1, "iscrowd": 0, "segmentation": [corners.ravel().tolist()]}
            for i, (number, corners) in enumerate(pairs, 1)
        ],
        "categories": [{"id": 1, "name": "ellipse"}],
    }
