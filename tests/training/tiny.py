"""A model and data sets small enough to train in a second, for the tests of training."""

from __future__ import annotations

import numpy as np
import torch
from pycocotools import mask as mask_codec
from torch import nn
from torch.utils.data import Dataset

from mrcnn_edu.datasets import Shapes
from mrcnn_edu.model import Config, MaskRCNN, preset
from mrcnn_edu.training import TrainSettings, train


def tiny_config(**changes) -> Config:
    small = {
        "num_classes": 5, "min_size": (48,), "max_size": 64, "fpn_channels": 8,
        "anchor_sizes": ((8,), (16,), (24,), (48,)), "box_fcs": (8,), "mask_convs": (8,), "mask_dim_reduced": 8,
        "rpn_batch_size_per_image": 16, "box_batch_size_per_image": 8, "rpn_pre_nms_top_n_train": 40,
        "rpn_post_nms_top_n_train": 30, "rpn_pre_nms_top_n_test": 40, "rpn_post_nms_top_n_test": 30,
    }  # fmt: skip
    return preset("lesson", **{**small, **changes})


def tiny_model(seed: int = 0, **changes) -> MaskRCNN:
    torch.manual_seed(seed)
    return MaskRCNN(tiny_config(**changes))


def tiny_settings(**changes) -> TrainSettings:
    return TrainSettings(**{"steps": 6, "batch": 2, "warmup": 2, "checkpoint_every": 2, "device": "cpu", **changes})


def tiny_shapes(length: int = 7, seed: int = 0) -> Shapes:
    return Shapes(length=length, seed=seed, size=48)


class Noisy(Dataset):
    """A data set whose items use all three global random generators, as augmentation does."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.class_names, self.category_ids, self.name = dataset.class_names, dataset.category_ids, dataset.name

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int):
        import random

        image, target = self.dataset[index]
        scale = random.random() + np.random.rand() + torch.rand(()).item()  # noqa: NPY002 - the generators under test
        return (image * (0.2 + 0.25 * scale)).clamp(0, 1), target

    def describe(self, index: int) -> str:
        return self.dataset.describe(index)

    def coco(self) -> dict:
        return self.dataset.coco()


class Hooked(Noisy):
    """Calls `hook(index)` before each item."""

    def __init__(self, dataset: Dataset, hook):
        super().__init__(dataset)
        self.hook = hook

    def __getitem__(self, index: int):
        self.hook(index)
        return self.dataset[index]


class Oracle(nn.Module):
    """A model that finds what it is told to: `answers[k]` on the k-th image that it sees."""

    class_names = None

    def __init__(self, answers):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.answers, self.seen = answers, 0

    def predict(self, images, masks="soft"):
        assert masks == "rle" and not self.training
        found = self.answers[self.seen : self.seen + len(images)]
        self.seen += len(images)
        return found


def as_detection(target: dict, scores=None) -> dict:
    """A target as the detections of a perfect model."""
    codes = [mask_codec.encode(np.asfortranarray(mask.numpy())) for mask in target["masks"]]
    scores = torch.ones(len(codes)) if scores is None else scores
    return {"boxes": target["boxes"].as_subclass(torch.Tensor), "labels": target["labels"], "scores": scores,
            "masks": codes}  # fmt: skip


def same_tensors(a, b) -> bool:
    """Whether two nested structures hold bit-identical values."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same_tensors(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same_tensors(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def run(model=None, dataset=None, out=None, resume=False, val=None, overwrite=False, **settings):
    model = tiny_model() if model is None else model
    dataset = Noisy(tiny_shapes()) if dataset is None else dataset
    settings = tiny_settings(**settings)
    result = train(model, dataset, settings, val, out, resume, overwrite, progress=False)
    return model, result
