"""Contents of COCO files for the tests: two pictures, a sound annotation, and changes to it."""

from __future__ import annotations

import json

from PIL import Image

WIDTH, HEIGHT = 400, 300
OUTLINE = [[100.0, 80, 180, 80, 180, 200, 100, 200]]
BBOX, AREA = [100, 80, 80, 120], 9600


def annotation(number: int = 1, without: tuple[str, ...] = (), **changes) -> dict:
    """An annotation of a.png, a rectangle from (100, 80) to (180, 200), with some fields changed or left out."""
    full = {"id": number, "image_id": 1, "category_id": 5, "segmentation": OUTLINE, "iscrowd": 0}
    full = {**full, "bbox": BBOX, "area": AREA, **changes}
    return {key: value for key, value in full.items() if key not in without}


def rectangle(x1: float, y1: float, x2: float, y2: float) -> dict:
    """The fields of an annotation that outline a rectangle."""
    outline = [[x1, y1, x2, y1, x2, y2, x1, y2]]
    return {"segmentation": outline, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}


def content(*annotations: dict, **changes) -> dict:
    """A COCO file's content with the pictures a.png and b.png."""
    return {
        "images": [picture(1, "a.png"), picture(2, "b.png")],
        "annotations": list(annotations),
        "categories": [{"id": 5, "name": "apple"}, {"id": 90, "name": "pear"}],
        **changes,
    }


def picture(number: int, name: str, width: int = WIDTH, height: int = HEIGHT) -> dict:
    """An entry of `images`."""
    return {"id": number, "file_name": name, "width": width, "height": height}


def write(folder, *annotations: dict, **changes) -> list[str]:
    """Write the file and its pictures, and return the options that name them on the command line."""
    for number, name in enumerate(("a.png", "b.png")):
        Image.new("RGB", (WIDTH, HEIGHT), (200, 60 * number, 90)).save(folder / name)
    (folder / "set.json").write_text(json.dumps(content(*annotations, **changes)), encoding="utf-8")
    return ["--annotations", str(folder / "set.json"), "--images", str(folder)]
