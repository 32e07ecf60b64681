"""python -m mrcnn_edu predict"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..classes import listed
from ..evaluation import coco_results
from ..pictures import draw_detections
from .messages import print_error
from .predict_files import OutputNames, pictures_in, require_folder, save_picture
from .shared import load_model, model_sizes, write_results

# Pictures are drawn on at their own size, those of more than twice these sides reduced to that: larger than screens.
DRAWN = ((1024,), 1024)


def run(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu predict

    A picture that fails is named, and the others are done; what is done is kept, whatever ends the command.

    returns  0; 1 if some of the pictures failed; 2 if all did, and then nothing is written
    """
    pictures, failed = _pictures(options)
    if not any(path.is_file() for path in pictures):
        return _all_missing(options, pictures)
    out = Path(options.out)
    require_folder(out)
    model = load_model(options, options.weights or "lesson")
    names = OutputNames(out, pictures)
    results_file, results, done = names.free("predictions", ".json"), [], 0
    try:
        for number, path in enumerate(pictures, start=1):
            found = _found(options, model, path)
            if found is None:
                failed += 1
            else:
                picture = names.free(f"{path.stem}_predicted", ".png")
                save_picture(found.pop("picture"), picture)
                results += _rows(model, found, number, path)
                done += 1
                print(f"{path}: {len(found['scores'])} objects, {picture}")
    finally:
        if done:
            write_results(results_file, results)
            print(f"{len(results)} results in COCO format: {results_file}")
    if done and getattr(model, "category_ids", None) is None:
        _say_whose_ids(model)
    if failed and done:
        print(f"note: {failed} of {failed + done} failed, the others are done", file=sys.stderr)
    return 0 if not failed else 1 if done else 2


def _pictures(options: argparse.Namespace) -> tuple[list[Path], int]:
    """The pictures that the paths name, in their order, of a folder those in it; and how many folders hold none."""
    pictures, failed = [], 0
    for path in map(Path, options.image):
        if not path.is_dir():
            pictures.append(path)
            continue
        try:
            inside, left = pictures_in(path)
        except OSError as error:
            inside, left = [], [str(error)]
        pictures += inside
        if not inside:
            there = f" ({', '.join(left)})" if left else ""
            print_error(options, f"{path}: no picture in this folder{there}; give a folder that holds the pictures")
            failed += 1
        elif left:
            print(f"note: {path}: left out {', '.join(left)}", file=sys.stderr)
    return pictures, failed


def _all_missing(options: argparse.Namespace, pictures: list[Path]) -> int:
    from ...datasets import read_image

    for path in pictures:
        try:
            read_image(path)
        except (ValueError, OSError) as error:
            print_error(options, error)
    return 2


def _found(options: argparse.Namespace, model, path: Path) -> dict | None:
    """The detections of one picture in its file's pixels, on the CPU, and the picture with them; None if it fails."""
    from ...datasets import read_image
    from ...datasets.files import read_sized

    try:
        image, size = read_sized(path, read_for=model_sizes(options, model.config))
        device = next(model.parameters()).device
        found = _above(model.predict([image.to(device)], masks="rle", sizes=[size])[0], options.score)
        shown = read_image(path, read_for=None if options.full_size else DRAWN)
        return {**found, "picture": draw_detections(shown, found, model.class_names, size)}
    except (ValueError, OSError) as error:
        print_error(options, error if path.name in str(error) else f"{path}: {error}")
    except (RuntimeError, MemoryError) as error:
        print_error(options, f"{path}: {str(error) or type(error).__name__}; reduce the picture, or give --max-size")
    return None


def _rows(model, found: dict, number: int, path: Path) -> list[dict]:
    """COCO results of one picture, with the names of its file and classes."""
    ids = getattr(model, "category_ids", None)
    rows = coco_results(found, number, range(model.config.num_classes) if ids is None else ids)
    names = [model.class_names[label] if model.class_names else None for label in found["labels"].tolist()]
    return [{**row, "file_name": str(path), "category_name": name} for row, name in zip(rows, names, strict=True)]


def _say_whose_ids(model) -> None:
    names = model.class_names or [str(label) for label in range(model.config.num_classes)]
    pairs = [f"{label} {name}" if model.class_names else name for label, name in enumerate(names) if label]
    print(f"note: the weights bring no category ids: those in predictions.json are the model's labels, {listed(pairs)}",
          file=sys.stderr)  # fmt: skip


def _above(found: dict, score: float) -> dict:
    keep = (found["scores"] >= score).nonzero().flatten().tolist()
    return {name: [value[i] for i in keep] if isinstance(value, list) else value[keep].cpu()
            for name, value in found.items()}  # fmt: skip
