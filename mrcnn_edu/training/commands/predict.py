"""python -m mrcnn_edu predict"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..classes import listed
from ..evaluation import coco_results
from ..pictures import draw_detections
from .shared import load_model, model_sizes, write_results

# Pictures are drawn on at their own size, those of more than twice these sides reduced to that: larger than screens.
DRAWN = ((1024,), 1024)


def run(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu predict"""
    from ...datasets import read_image
    from ...datasets.files import read_sized

    images = [Path(name) for name in options.image]
    missing = [str(path) for path in images if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"no such image: {', '.join(missing)}")
    model = load_model(options, options.weights or "lesson")
    ids = getattr(model, "category_ids", None)
    device = next(model.parameters()).device
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    results = []
    for number, (path, picture) in enumerate(zip(images, _picture_names(images), strict=True), start=1):
        image, size = read_sized(path, read_for=model_sizes(options, model.config))
        found = model.predict([image.to(device)], masks="rle", sizes=[size])[0]
        found = _above(found, options.score)
        shown = read_image(path, read_for=None if options.full_size else DRAWN)
        draw_detections(shown, found, model.class_names).save(out / picture)
        rows = coco_results(found, number, range(model.config.num_classes) if ids is None else ids)
        for result, label in zip(rows, found["labels"].tolist(), strict=True):
            name = model.class_names[label] if model.class_names else None
            results.append({**result, "file_name": str(path), "category_name": name})
        print(f"{path}: {len(found['scores'])} objects, {out / picture}")
    write_results(out / "predictions.json", results)
    print(f"{len(results)} results in COCO format: {out / 'predictions.json'}")
    if ids is None:
        _say_whose_ids(model)
    return 0


def _say_whose_ids(model) -> None:
    names = model.class_names or [str(label) for label in range(model.config.num_classes)]
    pairs = [f"{label} {name}" if model.class_names else name for label, name in enumerate(names) if label]
    print(f"note: the weights bring no category ids: those in predictions.json are the model's labels, {listed(pairs)}",
          file=sys.stderr)  # fmt: skip


def _picture_names(images: list[Path]) -> list[str]:
    names: list[str] = []
    for path in images:
        same = sum(other.stem == path.stem for other in images[: len(names)])
        names.append(f"{path.stem}_predicted{f'_{same + 1}' if same else ''}.png")
    return names


def _above(found: dict, score: float) -> dict:
    keep = (found["scores"] >= score).nonzero().flatten().tolist()
    return {name: [value[i] for i in keep] if isinstance(value, list) else value[keep].cpu()
            for name, value in found.items()}  # fmt: skip
