"""What the four commands of `python -m mrcnn_edu` do."""

from __future__ import annotations

import argparse
import errno
import json
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import torch

from ..mistakes import break_it
from .checkpoint import CheckpointError
from .errors import NonFiniteLossError
from .evaluation import METRICS, average_precision, coco_results, detections
from .loop import CHECKPOINT, train
from .order import seed_all
from .pictures import draw_detections
from .proposal_recall import proposal_recall
from .recipes import recipe
from .settings import pick_device

DEFAULT_WEIGHTS = {"shapes": "lesson", "coins": "lesson", "fruits_nuts": "fruits"}
RUN_SETTINGS = (
    "steps", "batch", "lr", "warmup", "optimizer", "schedule", "amp", "ema", "workers", "seed", "eval_every",
    "checkpoint_every", "device", "mistake",
)  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run the command that was parsed. Bad input ends in one line on standard error and status 2, without traceback."""
    command = {"train": run_train, "evaluate": run_evaluate, "predict": run_predict, "check-data": run_check_data}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        try:
            return command[options.command](options)
        except (NonFiniteLossError, torch.cuda.OutOfMemoryError) as error:
            return _fail(options, error, 1)
        except CheckpointError as error:
            return _fail(options, error, 1 if isinstance(error.__cause__, OSError) else 2)
        except (ValueError, OSError) as error:
            return _fail(options, error, 1 if getattr(error, "errno", None) == errno.ENOSPC else 2)
        except KeyboardInterrupt:
            return _fail(options, "interrupted", 130)


def _fail(options: argparse.Namespace, error, status: int) -> int:
    print(f"{options.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
    return status


def open_data(options: argparse.Namespace, faulty: str = "raise", **changes):
    """The data set that --data, or --annotations and --images, name.

    faulty   what `CocoDataset` does with annotations that cannot be used
    raises   ValueError if neither or both are given
    """
    from ..datasets import CocoDataset, load_dataset

    if options.annotations or options.images:
        if options.data:
            raise ValueError("--data and --annotations exclude each other: give one of them")
        if not (options.annotations and options.images):
            raise ValueError("--annotations FILE and --images DIR belong together: give both")
        return CocoDataset(options.annotations, options.images, faulty=faulty)
    if not options.data:
        raise ValueError("no data: give --data NAME, or --annotations FILE and --images DIR")
    if options.data == "shapes" and getattr(options, "seed", None):
        changes["seed"] = options.seed
    return load_dataset(options.data, options.split, **changes)


def _config_changes(options: argparse.Namespace, defaults: dict) -> dict:
    changes = dict(defaults)
    if options.min_size is not None:
        changes["min_size"] = (options.min_size,)
    if options.max_size is not None:
        changes["max_size"] = options.max_size
    if {"min_size", "max_size"} <= set(changes) and min(changes["min_size"]) > changes["max_size"]:
        changes["max_size" if options.max_size is None else "min_size"] = (
            changes["min_size"][0] if options.max_size is None else (options.max_size,)
        )
    return changes


def _load(options: argparse.Namespace, weights: str | None):
    from ..model import load_weights

    if weights is None:
        raise ValueError("no weights: give --weights lesson, fruits, coco, or a file")
    device = pick_device(options.device)
    return load_weights(weights, **_config_changes(options, {})).to(device)


def run_train(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu train"""
    from ..model import save_weights

    plan = recipe(options.data)
    given = {name: getattr(options, name) for name in RUN_SETTINGS if getattr(options, name) is not None}
    if "ema" in given:
        given["ema"] = given["ema"] or None
    settings = plan.settings.changed(**given)
    if options.weights and options.preset:
        raise ValueError("--weights and --preset exclude each other: weights bring their model along")
    dataset, val = _training_data(options, plan), _validation_data(options)
    seed_all(settings.seed)
    model = _new_model(options, plan, dataset)
    if options.resume and not (Path(options.out) / CHECKPOINT).exists():
        print(f"no checkpoint in {options.out} yet: starting at step 0", file=sys.stderr)
    if settings.mistake:
        print(f"mistake switched on for the whole run: {settings.mistake}")
    result = train(
        model,
        dataset,
        settings,
        val,
        options.out,
        options.resume,
        options.overwrite,
        sys.stderr.isatty(),
        options.limit,
    )
    weights = Path(options.out) / "model.safetensors"
    save_weights(model, weights)
    if result.interrupted:
        print(f"stopped after step {result.step} of {settings.steps}: the same command with --resume goes on")
    print(f"weights of step {result.step}: {weights}")
    if result.metrics:
        scores = {name: result.metrics[-1][name] for name in (f"{kind}_{name}" for kind, name in METRICS)}
        print(", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    return 0


def _training_data(options: argparse.Namespace, plan):
    from ..datasets import Transformed, train_transforms

    dataset = open_data(options, **(plan.data if options.data else {}))
    if plan.augment is None or options.no_augment:
        return dataset
    return Transformed(dataset, train_transforms(**plan.augment))


def _validation_data(options: argparse.Namespace):
    from ..datasets import CocoDataset, load_dataset

    if options.val_annotations:
        return CocoDataset(options.val_annotations, options.val_images or options.images)
    if options.val_images:
        raise ValueError("--val-images needs --val-annotations FILE")
    return load_dataset(options.data, "val") if options.data else None


def _new_model(options: argparse.Namespace, plan, dataset):
    from ..model import MaskRCNN, load_weights, preset

    classes = len(dataset.class_names)
    if options.weights:
        changes = _config_changes(options, {})
        return load_weights(options.weights, num_classes=classes, class_names=dataset.class_names, **changes)
    name = options.preset or plan.preset
    changes = _config_changes(options, plan.config if name == plan.preset else {})
    return MaskRCNN(preset(name, num_classes=classes, **changes), dataset.class_names)


def run_evaluate(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu evaluate"""
    dataset = open_data(options)
    model = _load(options, options.weights or DEFAULT_WEIGHTS.get(options.data))
    mistake = f", with the mistake {options.mistake}" if options.mistake else ""
    broken = break_it(options.mistake) if options.mistake else nullcontext()
    if options.mistake and broken.only_training:
        print(f"{options.mistake} matters only while training: the scores are the same without it", file=sys.stderr)
    if options.proposals:
        with broken:
            return _evaluate_proposals(options, model, dataset, mistake)
    agnostic = options.class_agnostic or _one_unknown_class(model, dataset)
    truth, results, seen = dataset.coco(), [], []
    found = detections(model, dataset, truth, options.batch, options.limit, agnostic, progress=sys.stderr.isatty())
    with broken:
        for of_image, image_id in found:
            results.extend(of_image)
            seen.append(image_id)
    scores = average_precision(truth, results, seen, agnostic)
    if options.out:
        _write_results(Path(options.out) / "detections.json", results)
    if options.json:
        print(json.dumps(scores))
    else:
        print(f"{dataset.name}, {len(seen)} images, {len(results)} detections{mistake}")
        for kind, group in scores.items():
            print(f"{kind}  " + "  ".join(f"{name} {value:.3f}" for name, value in group.items()))
    return 0


def _evaluate_proposals(options: argparse.Namespace, model, dataset, mistake: str) -> int:
    """python -m mrcnn_edu evaluate --proposals"""
    if options.out:
        raise ValueError("--out writes detections, and --proposals looks at none: give one of them")
    found = proposal_recall(model, dataset, options.limit, progress=sys.stderr.isatty())
    if options.json:
        print(json.dumps(found))
        return 0
    print(
        f"{dataset.name}, {found['images']} images, {found['objects']} objects{mistake}; "
        f"{found['proposals']:.1f} proposals an image, {found['called_objects']:.1f} of objectness 0.5 or more"
    )
    for count, group in found["recall"].items():
        print(f"{count:>3} best  " + "  ".join(f"recall at IoU {iou} {value:.3f}" for iou, value in group.items()))
    return 0


def _one_unknown_class(model, dataset) -> bool:
    names = dataset.class_names
    if len(names) != 2 or not model.class_names or names[1] in model.class_names:
        return False
    print(f"the model knows no {names[1]!r}: each of its classes counts as one", file=sys.stderr)
    return True


def _write_results(path: Path, results: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([_plain(result) for result in results]), encoding="utf-8")


def _plain(result: dict) -> dict:
    code = result["segmentation"]
    counts = code["counts"].decode("ascii") if isinstance(code["counts"], bytes) else code["counts"]
    return {**result, "segmentation": {"size": [int(side) for side in code["size"]], "counts": counts}}


def run_predict(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu predict"""
    from ..datasets import read_image

    images = [Path(name) for name in options.image]
    missing = [str(path) for path in images if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"no such image: {', '.join(missing)}")
    model = _load(options, options.weights or "lesson")
    device = next(model.parameters()).device
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    results = []
    for number, (path, picture) in enumerate(zip(images, _picture_names(images), strict=True), start=1):
        image = read_image(path)
        found = model.predict([image.to(device)], masks="rle")[0]
        found = _above(found, options.score)
        draw_detections(image, found, model.class_names).save(out / picture)
        for result in coco_results(found, number):
            name = model.class_names[result["category_id"]] if model.class_names else None
            results.append({**result, "file_name": str(path), "category_name": name})
        print(f"{path}: {len(found['scores'])} objects, {out / picture}")
    _write_results(out / "predictions.json", results)
    print(f"{len(results)} results in COCO format: {out / 'predictions.json'}")
    return 0


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


def run_check_data(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu check-data"""
    from ..datasets import check_dataset

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        dataset = open_data(options, faulty="drop")
    report = check_dataset(dataset, limit=options.limit, progress=sys.stderr.isatty())
    print(report)
    for warning in caught:
        print(f"  fault: {warning.message}")
    return 0 if report.ok and not caught else 1
