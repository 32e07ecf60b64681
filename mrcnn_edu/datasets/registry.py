"""Data sets by name, for the command line and the lessons."""

from __future__ import annotations

from torch.utils.data import Dataset

# Far from the small seeds that people type, so that no training seed repeats a validation scene.
VALIDATION_SEED = 1_000_003
SPLITS = ("train", "val")


def _shapes(split: str, **options) -> Dataset:
    from .shapes import Shapes

    if split == "val":
        options["seed"] = VALIDATION_SEED + options.get("seed", 0)
        options.setdefault("length", 500)
    return Shapes(**options)


def _coins(split: str, **options) -> Dataset:
    from .coins import Coins

    return Coins(**options)


def _fruits_nuts(split: str, **options) -> Dataset:
    from .fruits_nuts import FruitsNuts

    return FruitsNuts(split=split, **options)


DATASETS = {"shapes": _shapes, "coins": _coins, "fruits_nuts": _fruits_nuts}


def load_dataset(name: str, split: str = "train", **options) -> Dataset:
    """A data set by name.

    name     "shapes": generated scenes, 10,000 for training and 500 others for validation (options of `Shapes`);
             "coins": one photograph, the same for both splits (options of `Coins`);
             "fruits_nuts": 12 photographs for training, 6 for validation (options of `FruitsNuts`)
    split    "train" or "val"
    options  passed on to the data set
    raises   ValueError for an unknown name or split
    """
    if name not in DATASETS:
        raise ValueError(f"name: there is no data set {name!r}; choose one of {', '.join(DATASETS)}")
    if split not in SPLITS:
        raise ValueError(f"split: {split!r} is neither 'train' nor 'val'")
    return DATASETS[name](split, **options)
