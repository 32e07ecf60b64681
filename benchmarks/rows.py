"""The rows of the table: what each compares, on which inputs, and what is expected of it on two CPU cores."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops import MultiScaleRoIAlign

from benchmarks import check, inputs
from mrcnn_edu.model import Config, MaskRCNN, preset, torchvision_twin
from mrcnn_edu.model.detect import paste_masks
from mrcnn_edu.model.images import resize_masks
from mrcnn_edu.model.roi_align import PyramidRoIAlign


@dataclass(frozen=True)
class Case:
    """One comparison, ready to run.

    ours, theirs   one call each of the two implementations
    check          raises `check.Differs` unless both give the same outputs; returns the difference in words
    inputs         what they run on, in words
    counted        whether convolutions and matrix products make up the work, so that a share of GEMM rate has a meaning
    models         the two models, where whole models run
    """

    ours: Callable[[], object]
    theirs: Callable[[], object]
    check: Callable[[], str]
    inputs: str
    counted: bool = False
    models: tuple[nn.Module, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row of the table.

    build      makes the case on a device; the second argument asks for bfloat16 autocast
    expected   how many times faster than torchvision on two CPU cores, at least; None where no figure was set
    share      share of the GEMM rate expected there, at least
    """

    title: str
    build: Callable[[torch.device, bool], Case]
    expected: float | None = None
    share: float | None = None
    precisions: tuple[str, ...] = ("float32",)


def autocast(device: torch.device, bfloat16: bool):
    """The context that a row's calls run in."""
    return torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()


def resnet50_model(device: torch.device) -> MaskRCNN:
    """The preset `resnet50_fpn` with frozen normalisation, as published weights have it, and seeded random weights.

    Two things are set so that the work resembles a trained model's: the residual branches are damped (with the
    statistics of no data, 16 blocks would double the signal 16 times), and the class scores are spread, so that the
    photograph yields up to 100 detections of several classes instead of none.
    """
    torch.manual_seed(0)
    model = MaskRCNN(preset("resnet50_fpn", norm="frozen", trainable_layers=3))
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("bn3.weight"):
                buffer.fill_(0.2)
        scores = model.roi_heads.box_predictor.cls_score
        scores.weight.mul_(SCORE_SPREAD)
    return model.to(device)


SCORE_SPREAD = 30.0


def inference(device: torch.device, bfloat16: bool) -> Case:
    """Detections of one photograph, from pixels to pasted soft masks."""
    model = resnet50_model(device).eval()
    twin = torchvision_twin(model).to(device).eval()
    image, source = inputs.photo()
    images = [image.to(device)]

    def run(which: nn.Module) -> Callable[[], list[dict]]:
        def call():
            with torch.inference_mode(), autocast(device, bfloat16):
                return which(images)

        return call

    def compare() -> str:
        with torch.inference_mode():
            return check.same_detections(model(images)[0], twin(images)[0])

    what = f"{source}, 480 × 640, resized to 800 × 1066"
    return Case(run(model), run(twin), compare, what, counted=True, models=(model, twin))


def inference_with_hooks(*parts: str) -> Callable[[torch.device, bool], Case]:
    """The same with a forward hook on these modules, or on all: where somebody listens, ours runs layer by layer."""

    def build(device: torch.device, bfloat16: bool) -> Case:
        case = inference(device, bfloat16)
        for which in case.models:
            for name, module in which.named_modules():
                if name in parts or not parts:
                    module.register_forward_hook(lambda *_: None)
        return replace(case, inputs=f"{case.inputs}; hooks on {', '.join(parts) or 'all modules'}")

    return build


def training_case(model: MaskRCNN, images: list[Tensor], targets: list[dict], what: str, device, bfloat16) -> Case:
    """A step: forward, five losses, backward, SGD. Both draw the same samples: the seed is set before each step."""
    twin = torchvision_twin(model).to(device)
    images, targets = inputs.to_device(images, device), inputs.to_device(targets, device)

    def losses(which: nn.Module) -> dict[str, Tensor]:
        torch.manual_seed(1)
        return which(images, targets)

    def step_of(which: nn.Module) -> Callable[[], None]:
        which.train()
        # A rate so small that the weights, and with them the work, stay the same over thousands of steps.
        optimizer = torch.optim.SGD([p for p in which.parameters() if p.requires_grad], lr=1e-7, momentum=0.9)

        def step():
            with autocast(device, bfloat16):
                total = sum(losses(which).values())
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            optimizer.step()

        return step

    def compare() -> str:
        model.train()
        twin.train()
        with torch.no_grad(), check.same_regions(model, twin):
            theirs = losses(twin)
            return check.same_losses(losses(model), theirs)

    return Case(step_of(model), step_of(twin), compare, what, counted=True)


def lesson_model(device: torch.device, **changes) -> MaskRCNN:
    """The preset `lesson` with seeded random weights."""
    torch.manual_seed(0)
    return MaskRCNN(preset("lesson", **changes)).to(device)


def lesson_training(device: torch.device, bfloat16: bool) -> Case:
    """A training step of the lesson preset on eight scenes of 128 × 128 with six objects each."""
    images, targets = inputs.scenes(8, objects=6)
    counts = sum(len(target["labels"]) for target in targets) / 8
    what = f"8 generated scenes, 128 × 128, {counts:.1f} objects each"
    return training_case(lesson_model(device), images, targets, what, device, bfloat16)


def fruit_training(device: torch.device, bfloat16: bool) -> Case:
    """A training step as the recipe of the fruit photographs has it."""
    images, targets, source = inputs.four_photographs()
    counts = sum(len(target["labels"]) for target in targets) / len(targets)
    model = lesson_model(device, num_classes=4, min_size=(240,), max_size=320)
    return training_case(model, images, targets, f"{source}, {counts:.1f} objects each", device, bfloat16)


def fruit_recipe(device: torch.device, bfloat16: bool) -> Case:
    """The same, ours in the bfloat16 that the recipe asks for, torchvision's in its own float32."""
    case = fruit_training(device, False)
    what = f"{case.inputs}; ours in bfloat16, torchvision's in float32"
    return replace(case, ours=fruit_training(device, True).ours, inputs=what, counted=False)


def resnet50_training(device: torch.device, bfloat16: bool) -> Case:
    """A training step of the preset resnet50_fpn on one photograph with six objects."""
    image, source = inputs.photo()
    target = inputs.target_of(inputs.random_boxes(6, inputs.PHOTO_SIZE, 60, 240), inputs.PHOTO_SIZE, num_classes=91)
    what = f"{source}, 480 × 640, resized to 800 × 1066, 6 objects"
    return training_case(resnet50_model(device), [image], [target], what, device, bfloat16)


def roi_align_pair(device: torch.device) -> tuple:
    """Both implementations, the feature maps and 1000 RoIs of 16 to 600 pixels."""
    config = Config()
    ours = PyramidRoIAlign(config.box_pool_size, config)
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], config.box_pool_size, config.sampling_ratio)
    maps = inputs.to_device(inputs.pyramid(), device)
    boxes = [inputs.random_boxes(1000, (800, 1066), 16, 600).to(device)]
    return ours, (lambda features, rois: theirs(features, rois, [(800, 1088)])), maps, boxes


ROI_INPUTS = "1000 RoIs of 16 to 600 px, 4 levels of 800 × 1088, 256 channels, 7 × 7 bins"


def roi_align_forward(device: torch.device, bfloat16: bool) -> Case:
    """RoIAlign over the whole pyramid, no gradient."""
    ours, theirs, maps, boxes = roi_align_pair(device)

    def run(which) -> Callable[[], Tensor]:
        def call():
            with torch.inference_mode():
                return which(maps, boxes)

        return call

    one, other = run(ours), run(theirs)
    return Case(one, other, lambda: check.same_values(one(), other(), "pooled maps"), ROI_INPUTS)


def roi_align_both_ways(device: torch.device, bfloat16: bool) -> Case:
    """RoIAlign over the whole pyramid and its gradient with respect to every feature map."""
    ours, theirs, maps, boxes = roi_align_pair(device)
    for level in maps.values():
        level.requires_grad_(True)
    torch.manual_seed(0)
    upstream = torch.randn(1000, 256, 7, 7, device=device)

    def run(which) -> Callable[[], tuple[Tensor, ...]]:
        return lambda: torch.autograd.grad(which(maps, boxes), list(maps.values()), upstream)

    one, other = run(ours), run(theirs)

    def compare() -> str:
        pairs = zip(one(), other(), strict=True)
        return [check.same_values(a, b, "gradients") for a, b in pairs][-1]

    return Case(one, other, compare, ROI_INPUTS)


def pasting(device: torch.device, bfloat16: bool) -> Case:
    """100 soft masks of 28 × 28 into their boxes on a 480 × 640 image, as bool."""
    size = inputs.PHOTO_SIZE
    masks = inputs.soft_masks(100).to(device)
    boxes = inputs.random_boxes(100, size, 30, 300).to(device)

    def ours() -> Tensor:
        return paste_masks(masks, boxes, size, form="bool")

    def theirs() -> Tensor:
        return paste_masks_in_image(masks[:, None], boxes, size) > 0.5

    return Case(ours, theirs, lambda: check.same_masks(ours(), theirs()), "100 masks, boxes of 30 to 300 px")


def resizing(device: torch.device, bfloat16: bool) -> Case:
    """50 ground-truth masks of 480 × 640 to 800 × 1066, nearest."""
    masks = inputs.binary_masks(50, inputs.PHOTO_SIZE).to(device)

    def ours() -> Tensor:
        return resize_masks(masks, (800, 1066))

    def theirs() -> Tensor:
        scale = 800 / 480
        resized = F.interpolate(masks[:, None].float(), scale_factor=scale, recompute_scale_factor=True)
        return resized[:, 0].byte()

    return Case(ours, theirs, lambda: check.same_masks(ours(), theirs()), "480 × 640 to 800 × 1066")


BOTH = ("float32", "bfloat16")
ROWS = {
    "lesson-train": Row("lesson preset, training step, batch 8", lesson_training, 2.0, precisions=BOTH),
    "fruit-train": Row("lesson preset, fruit training step, batch 4", fruit_training, 2.0),
    "fruit-recipe": Row("the same as the recipe runs it, in bfloat16", fruit_recipe, 2.0),
    "r50-infer": Row("R50-FPN, inference, one photograph", inference, 1.3, share=0.85, precisions=BOTH),
    "r50-hook": Row("the same with a hook on the last stage", inference_with_hooks("backbone.body.layer4")),
    "r50-hooks": Row("the same with a hook on every module", inference_with_hooks()),
    "r50-train": Row("R50-FPN, training step, one photograph", resnet50_training, 1.3, precisions=BOTH),
    "roialign": Row("RoIAlign of 1000 RoIs, forward", roi_align_forward, 3.0),
    "roialign-grad": Row("RoIAlign of 1000 RoIs, forward + backward", roi_align_both_ways, 3.0),
    "paste": Row("pasting 100 masks to bool", pasting, 5.0),
    "resize": Row("resizing 50 ground-truth masks", resizing, 4.0),
}
