"""What is looked at before the first step: the training set, the validation set, and the classes of both."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.utils.data import Dataset

from ..datasets.checker import DatasetError, Report, check_dataset
from ..datasets.faults import grouped
from .errors import in_one_line
from .evaluation import evaluate, figure_notes
from .order import seeded

# The checker looks at all images of sets up to this size, and at the first so many of larger ones.
CHECK_ALL, CHECK_SOME = 1000, 200


def check_training_set(model: nn.Module, dataset: Dataset, seed: int) -> Report:
    """Look for what would poison training.

    raises   ValueError if the set is empty or its classes are not as many as the model's; DatasetError for its faults
    """
    name = getattr(dataset, "name", "")
    if len(dataset) == 0:
        raise ValueError(f"data set {name!r} holds no image: nothing to train on")
    names, config = _class_names(dataset, f"data set {name!r}"), getattr(model, "config", None)
    if config is not None and config.num_classes != len(names):
        raise ValueError(f"the data set has {len(names)} classes with the background ({', '.join(names)}), the model "
                         f"{config.num_classes}: make it with num_classes={len(names)}")  # fmt: skip
    with seeded(seed):
        report = check_dataset(_checked(dataset), _how_many(len(dataset)))
    _refuse(report)
    return report


def name_classes(model: nn.Module, dataset: Dataset) -> None:
    """Give the model the data set's class names and category ids; warn where it knew its classes by other names."""
    if not hasattr(model, "class_names"):
        return
    names, before = tuple(dataset.class_names), model.class_names
    if before is not None and tuple(before) != names:
        warnings.warn(
            f"the model's classes were {', '.join(before[1:])}; from now on, in this order, they are "
            f"{', '.join(names[1:])}: what it knew of one is the start of another",
            stacklevel=6,
        )
    ids = getattr(dataset, "category_ids", None)
    model.class_names, model.category_ids = names, None if ids is None else tuple(ids)


def check_validation_set(model: nn.Module, dataset: Dataset, val: Dataset, seed: int, limit: int | None) -> dict:
    """Look at the validation set as at the training set, and rehearse its evaluation. Returns the ground truth.

    Classes are compared by name, so their order does not matter. Without one in common there is nothing to measure,
    which is an error. Classes that only one of the two sets has are a warning: of those that only validation has,
    every object counts as missed.

    raises   DatasetError for faults, and for what `evaluate` would stop at; ValueError for a set that holds nothing
    """
    who = f"validation set {getattr(val, 'name', '')!r}"
    if len(val) == 0:
        raise ValueError(f"{who} holds no image: give one that does, or none")
    for name, why in (("coco", "the ground truth is read from it"), ("category_ids", "the truth's ids of the classes")):
        if not hasattr(val, name):
            raise ValueError(f"{who} has no {name}, and evaluate needs it: {why}. Give it one, or train without")
    names, known = _class_names(val, who), tuple(dataset.class_names)
    _compare_classes(known, names, who)
    count = _how_many(len(val) if limit is None else min(limit, len(val)))
    with seeded(seed):
        _refuse(check_dataset(_checked(val), count), f"{who}: ")
        return _rehearse(model, val, who, count)


def _rehearse(model: nn.Module, val: Dataset, who: str, count: int | None) -> dict:
    """Go through an evaluation with a model that finds nothing: all is read that the real one will read."""
    try:
        truth = val.coco()
        for note in figure_notes(model, truth, count):
            warnings.warn(f"{who}: {note}", stacklevel=7)
        evaluate(_Blind(model), val, limit=count, truth=truth, by_size=False, warn=False)
    except Exception as error:
        words = str(error) if isinstance(error, (ValueError, OSError)) else in_one_line(error)
        raise DatasetError(f"{who} cannot be evaluated: {words}") from error
    return truth


class _Blind(nn.Module):
    """A stand-in for the model that finds nothing in any image."""

    def __init__(self, model: nn.Module):
        super().__init__()
        for name in ("config", "class_names", "category_ids"):
            setattr(self, name, getattr(model, name, None))

    def predict(self, images, *_, **__) -> list[dict]:
        return [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0),
                 "masks": []} for _ in images]  # fmt: skip


def _class_names(dataset: Dataset, who: str) -> tuple[str, ...]:
    if not getattr(dataset, "class_names", None):
        raise ValueError(f'{who} has no class_names: give it a tuple of names, "background" first')
    return tuple(dataset.class_names)


def _compare_classes(known: tuple[str, ...], names: tuple[str, ...], who: str) -> None:
    unknown, absent = ([name for name in a[1:] if name not in b[1:]] for a, b in ((names, known), (known, names)))
    if len(unknown) == len(names) - 1:
        raise ValueError(f"{who} has the classes {', '.join(names[1:])}, the training set {', '.join(known[1:])}: none "
                         "in common, so there is nothing to measure; name them alike")  # fmt: skip
    if unknown:
        warnings.warn(f"{who} has classes that are not in the training set: {', '.join(unknown)}. Each of their "
                      "objects will count as missed; name them alike if they are the same", stacklevel=6)  # fmt: skip
    if absent:
        warnings.warn(f"{who} lacks classes of the training set: {', '.join(absent)}. They are trained, but not "
                      "measured", stacklevel=6)  # fmt: skip


def _checked(dataset: Dataset) -> Dataset:
    """The samples as they are annotated: under our own augmentation faults would hide, and objects be dropped."""
    return dataset.dataset if hasattr(getattr(dataset, "transform", None), "options") else dataset


def _how_many(count: int) -> int | None:
    # Looking at every image of a large set would take longer than a short run.
    return count if count <= CHECK_ALL else CHECK_SOME


def _refuse(report: Report, who: str = "") -> None:
    if report.faults:
        raise DatasetError(who + "\n".join(grouped(report.faults)))
