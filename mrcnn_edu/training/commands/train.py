"""python -m mrcnn_edu train"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..evaluation import METRICS
from ..loop import CHECKPOINT, train
from ..order import seed_all
from ..recipes import recipe
from .shared import config_changes, load_changed, network_changes, open_coco, open_data, read_for_model

RUN_SETTINGS = (
    "steps", "batch", "lr", "warmup", "optimizer", "schedule", "amp", "ema", "workers", "seed", "eval_every",
    "checkpoint_every", "device", "mistake",
)  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu train"""
    from ...model import save_weights

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
    read_for_model(options, model.config, dataset, val)
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
    from ...datasets import Transformed, train_transforms

    dataset = open_data(options, **(plan.data if options.data else {}))
    if plan.augment is None or options.no_augment:
        return dataset
    return Transformed(dataset, train_transforms(**plan.augment))


def _validation_data(options: argparse.Namespace):
    from ...datasets import load_dataset

    if options.val_annotations:
        return open_coco(options, options.val_annotations, options.val_images or options.images)
    if options.val_images:
        raise ValueError("--val-images needs --val-annotations FILE")
    return load_dataset(options.data, "val") if options.data else None


def _new_model(options: argparse.Namespace, plan, dataset):
    from ...model import MaskRCNN, preset

    classes = len(dataset.class_names)
    if options.weights:
        if options.anchors:
            note = "the weights were trained with anchors of their own: the RPN has to learn those of --anchors anew"
            print(f"note: {note}", file=sys.stderr)
        return load_changed(options, options.weights, num_classes=classes, class_names=dataset.class_names)
    name = options.preset or plan.preset
    changes = config_changes(options, plan.config if name == plan.preset else {})
    changes |= network_changes(options, preset(name))
    return MaskRCNN(preset(name, num_classes=classes, **changes), dataset.class_names)
