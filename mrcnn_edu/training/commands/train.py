"""python -m mrcnn_edu train"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from ..errors import EvaluationError
from ..evaluation import METRICS
from ..folder import CHECKPOINT, WEIGHTS
from ..loop import TrainResult, train
from ..order import seed_all
from ..recipes import Recipe, recipe
from ..settings import TrainSettings
from .shared import config_changes, load_changed, network_changes, open_data, read_for_model

SETTINGS = tuple(TrainSettings.__dataclass_fields__)
AUGMENTATION = ("flip", "flip_vertical", "transpose", "degrees", "zoom", "colour", "grey", "least_visible")
# What an option says that switches a setting off.
OFF = {"ema": 0, "clip": 0, "amp": "none"}


def run(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu train"""
    plan = recipe(options.data)
    settings = _settings(options, plan)
    if options.weights and options.preset:
        raise ValueError("--weights and --preset exclude each other: weights bring their model along")
    dataset, val = _training_data(options, plan), _validation_data(options)
    seed_all(settings.seed)
    model = _new_model(options, plan, dataset)
    read_for_model(options, model.config, dataset, val)
    if options.resume and not (Path(options.out) / CHECKPOINT).exists():
        print(f"no checkpoint in {options.out} yet: starting at step 0", file=sys.stderr)
    try:
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
            announce=lambda text: _announce(options, plan, settings, text),
        )
    except EvaluationError as error:
        return _without_metrics(options, error.result, f"failed: {error.reason}", 1)
    except KeyboardInterrupt:
        print(f"train: interrupted; {_on_disk(Path(options.out))}", file=sys.stderr)
        return 130
    return _report(options, settings, result)


def _settings(options: argparse.Namespace, plan: Recipe) -> TrainSettings:
    given = {name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None}
    return plan.settings.changed(**{name: None if OFF.get(name) == value else value for name, value in given.items()})


def _announce(options: argparse.Namespace, plan: Recipe, settings: TrainSettings, text: str) -> None:
    if settings.mistake:
        print(f"mistake switched on for the whole run: {settings.mistake}")
    if not options.weights:
        print(f"{'start':<13}preset {options.preset or plan.preset}, random weights")
    print(text, flush=True)


def _report(options: argparse.Namespace, settings: TrainSettings, result: TrainResult) -> int:
    if result.interrupted and result.step == settings.steps:
        return _without_metrics(options, result, "was interrupted", 130)
    if result.interrupted and result.weights is None:
        print("train: stopped before the first step: nothing was saved", file=sys.stderr)
        return 130
    if result.interrupted:
        print(f"stopped after step {result.step} of {settings.steps}: the same command with --resume goes on")
    print(f"weights of step {result.step}: {result.weights}")
    if result.metrics:
        scores = {name: result.metrics[-1][name] for name in (f"{kind}_{name}" for kind, name in METRICS)}
        print(", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    return 0


def _without_metrics(options: argparse.Namespace, result: TrainResult, why: str, status: int) -> int:
    where = ["--annotations", options.val_annotations, "--images", options.val_images or options.images]
    data = where if options.val_annotations else ["--data", options.data]
    for name in ("limit", "mistake"):
        value = getattr(options, name)
        data += [] if value is None else [f"--{name}", str(value)]
    for name in ("leave_out_faulty", "allow_outside", "crowds_are_objects", "full_size"):
        data += [f"--{name.replace('_', '-')}"] if getattr(options, name) else []
    later = shlex.join(["python", "-m", "mrcnn_edu", "evaluate", *data, "--weights", str(result.weights)])
    print(f"train: error: the evaluation after the last step {why}. The training is complete, and its results are "
          f"saved: {result.weights} and {result.checkpoint}. Evaluate later: {later}", file=sys.stderr)  # fmt: skip
    return status


def _on_disk(folder: Path) -> str:
    """What a run that was ended at once has left."""
    there = [name for name in (CHECKPOINT, WEIGHTS) if (folder / name).exists()]
    if CHECKPOINT not in there:
        return "no checkpoint was saved yet"
    return f"what was saved last is whole: {' and '.join(there)} in {folder}; the same command with --resume goes on"


def _training_data(options: argparse.Namespace, plan: Recipe):
    from ...datasets import Transformed, train_transforms

    dataset = open_data(options, **(plan.data if options.data else {}))
    given = {name: getattr(options, name) for name in AUGMENTATION if getattr(options, name) is not None}
    if options.no_augment:
        if given:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ValueError(f"--no-augment and {names} exclude each other: give one of them")
        return dataset
    if plan.augment is None and not given:
        return dataset
    return Transformed(dataset, train_transforms(**_augmentation(plan, given)))


def _augmentation(plan: Recipe, given: dict) -> dict:
    from ...datasets.transforms import NO_AUGMENTATION

    # Where the recipe has none, an option for one part does not bring the others.
    return {**(NO_AUGMENTATION if plan.augment is None else plan.augment), **given}


def _validation_data(options: argparse.Namespace):
    """The validation set, opened as `evaluate` opens it."""
    own = {**vars(options), "split": "val", "seed": 0}
    if options.val_annotations:
        own |= {"data": None, "annotations": options.val_annotations, "images": options.val_images or options.images}
    elif options.val_images:
        raise ValueError("--val-images needs --val-annotations FILE")
    elif not options.data:
        return None
    return open_data(argparse.Namespace(**own))


def _new_model(options: argparse.Namespace, plan: Recipe, dataset):
    from ...model import MaskRCNN, preset

    classes = len(dataset.class_names)
    if options.weights:
        if options.anchors:
            note = "the weights were trained with anchors of their own: the RPN has to learn those of --anchors anew"
            print(f"note: {note}", file=sys.stderr)
        return load_changed(options, options.weights, num_classes=classes)
    name = options.preset or plan.preset
    changes = config_changes(options, plan.config if name == plan.preset else {})
    changes |= network_changes(options, preset(name))
    return MaskRCNN(preset(name, num_classes=classes, **changes), dataset.class_names)
