"""The random cases on which the model is compared with torchvision's."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from mrcnn_edu.model import Config, MaskRCNN, preset
from tests.model.scenes import condition, fixed_twin, scenes

# The heads of the ResNet-50 presets at a quarter of their width, so that many cases fit into little time.
NARROW = {
    "resnet50_fpn": {"fpn_channels": 64, "box_fcs": (256, 256), "mask_convs": (64,) * 4, "mask_dim_reduced": 64},
    "resnet50_fpn_v2": {
        "fpn_channels": 64, "box_convs": (64,) * 4, "box_fcs": (256,), "mask_convs": (64,) * 4, "mask_dim_reduced": 64,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """One draw of random weights.

    narrow  whether the heads are a quarter as wide
    frozen  whether the normalisation is frozen, and its epsilon then
    """

    preset: str
    seed: int
    narrow: bool = False
    frozen: float | None = None

    def config(self) -> Config:
        draw = random.Random(f"{self.preset} {self.seed}")
        changes = {
            "num_classes": draw.choice([2, 3, 5, 8]),
            "min_size": draw.choice([(64,), (80,), (96,), (64, 80, 96)]),
            "max_size": draw.choice([112, 128, 160]),
            "rpn_post_nms_top_n_train": draw.choice([60, 100, 200]),
            "rpn_post_nms_top_n_test": draw.choice([60, 100, 200]),
            "box_detections_per_img": draw.choice([10, 20, 50]),
        }
        if self.preset != "lesson":
            changes |= {
                "num_classes": draw.choice([2, 5, 21, 91]),
                "min_size": draw.choice([(64,), (80,)]),
                "max_size": 128,
                "rpn_pre_nms_top_n_train": 100,
                "rpn_pre_nms_top_n_test": 100,
                "rpn_post_nms_top_n_train": 60,
                "rpn_post_nms_top_n_test": 40,
                "rpn_batch_size_per_image": 64,
                "box_batch_size_per_image": 24,
                "box_detections_per_img": 8,
            }
            changes |= NARROW[self.preset] if self.narrow else {}
        return preset(self.preset, **changes)


@dataclass(frozen=True)
class Case:
    """One batch for one draw of weights."""

    weights: Weights
    seed: int

    def __str__(self):
        kind = "-narrow" if self.weights.narrow else ""
        kind += "" if self.weights.frozen is None else f"-frozen{self.weights.frozen:g}"
        return f"{self.weights.preset}{kind}-w{self.weights.seed}-c{self.seed}"

    def batch(self, num_classes: int) -> tuple[list[Tensor], list[dict]]:
        """One to three images of any sizes with 0 to 12 objects; in one batch of ten there are none at all."""
        draw = random.Random(str(self))
        count = draw.choice([1, 2, 3] if self.weights.preset == "lesson" else [1, 1, 2, 2, 3])
        sizes = [(draw.randint(40, 150), draw.randint(40, 150)) for _ in range(count)]
        all_empty = self.seed == 0
        objects = [0 if all_empty or draw.random() < 0.15 else draw.randint(1, 12) for _ in range(count)]
        return scenes(draw.randrange(2**31), sizes, objects, num_classes)


DRAWS = [
    *((Weights("lesson", seed), 10) for seed in range(13)),
    (Weights("lesson", 13, frozen=1e-5), 6),
    (Weights("resnet50_fpn", 0), 5),
    (Weights("resnet50_fpn", 1, frozen=0.0), 6),
    (Weights("resnet50_fpn", 2, narrow=True), 12),
    (Weights("resnet50_fpn", 3, narrow=True, frozen=1e-5), 12),
    (Weights("resnet50_fpn_v2", 0), 5),
    (Weights("resnet50_fpn_v2", 1, narrow=True), 15),
    (Weights("resnet50_fpn_v2", 2, narrow=True), 15),
]
CASES = [Case(weights, seed) for weights, count in DRAWS for seed in range(count)]


@lru_cache(maxsize=1)
def models(weights: Weights) -> tuple[MaskRCNN, nn.Module]:
    """Our model with conditioned random weights, and torchvision's with the same."""
    torch.manual_seed(weights.seed)
    config = weights.config()
    model = MaskRCNN(config)
    condition(model, *scenes(weights.seed, [(90, 120), (120, 90)], [5, 6], config.num_classes))
    if weights.frozen is not None:
        frozen = MaskRCNN(replace(config, norm="frozen", norm_eps=weights.frozen))
        frozen.load_state_dict(model.state_dict())
        model = frozen.eval()
    twin = fixed_twin(model)
    for norm in (m for m in [*model.modules(), *twin.modules()] if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = 0.0  # a training pass then leaves the statistics as they are
    return model, twin
