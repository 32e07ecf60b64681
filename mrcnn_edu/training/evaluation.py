"""COCO evaluation of a model on a data set: average precision and recall of boxes and masks, picture by picture."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..datasets.checker import describe
from ..model import MaskRCNN
from ..model.images import resized_size
from .classes import label_categories
from .coco_scores import KINDS, average_precision, counted, missing_figures
from .errors import explained_out_of_memory
from .limits import limit_notes, scored_detections

METRICS = tuple((kind, name) for kind in KINDS for name in ("AP", "AP50", "AP75"))


def evaluate(
    model: nn.Module,
    dataset: Dataset,
    batch: int = 1,
    limit: int | None = None,
    class_agnostic: bool = False,
    progress: bool = False,
    truth: dict | None = None,
    max_detections: int | None = None,
    by_size: bool = True,
    warn: bool = True,
) -> dict[str, dict[str, float]]:
    """COCO's figures of the model's detections on a data set.

    Predictions become run-length codes picture by picture, so memory grows with the number of objects, not of pixels.
    The ground truth is `dataset.coco()`, the annotations themselves; crowds are ignored as COCO ignores them.

    The rule of padding: each picture is resized and padded on its own, whatever else is evaluated. So the figure of a
    validation while training, of this function and of the command are one and the same for the same weights.

    batch           the most pictures that share a forward pass on a GPU, which is faster there. Only neighbours that
                    are padded to one size do, and still the last digits of the scores may differ with it. On a CPU
                    each picture has a pass of its own, and every figure is the same bit for bit
    limit           only the first `limit` images
    class_agnostic  every class counts as one: for a model trained on other classes than the data set has
    truth           what `dataset.coco()` gives, to save asking again
    max_detections  how many detections of a class count in one picture; None: 100 as COCO has it, or
                    `box_detections_per_img` of the model's configuration where that is more
    by_size         False leaves out the six figures by size
    warn            False leaves out what has been said before
    returns         {"bbox": {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"},
                    "segm": {...}}, from 0 to 1: see `average_precision`. As in pycocotools: 0 if there are objects
                    and nothing was detected, -1 if there is no object to detect or the model has no masks
    warns           UserWarning, before the first picture, of what `evaluation_notes` and `missing_figures` list
    raises          ValueError if the classes of model and data set differ, or if an image's size is not the one in its
                    annotations (a transform resizes it); torch.cuda.OutOfMemoryError that says what to lower
    source          Lin et al. 2014; the COCO detection evaluation
    """
    truth = dataset.coco() if truth is None else truth
    most = scored_detections(model, max_detections)
    ids = looked_at(truth, limit)
    notes = evaluation_notes(model, dataset, truth, limit, class_agnostic, most)
    for note in notes + missing_figures(truth, ids, class_agnostic, by_size) if warn else ():
        warnings.warn(note, stacklevel=2)
    results, seen = [], []
    for found, image_id in detections(model, dataset, truth, batch, limit, class_agnostic, progress):
        results.extend(found)
        seen.append(image_id)
    return average_precision(truth, results, seen, class_agnostic, most, by_size, kinds_of(model))


def evaluation_notes(
    model: nn.Module,
    dataset: Dataset,
    truth: dict,
    limit: int | None = None,
    class_agnostic: bool = False,
    max_detections: int | None = None,
) -> list[str]:
    """What keeps the figures low whatever the model finds, a line each, told from annotations and configuration alone:
    classes that have no partner, and limits that cap the score. Arguments as for `evaluate`.

    raises   ValueError if model and data set have no class in common, or for a limit that is none
    """
    ids = looked_at(truth, limit)
    truth = {**truth, "annotations": counted(truth, ids)[1]}
    _, notes = label_categories(model, dataset, class_agnostic, truth)
    if "segm" not in kinds_of(model):
        notes = ["the model has no mask head: every figure of masks is -1", *notes]
    most = scored_detections(model, max_detections)
    return notes + limit_notes(getattr(model, "config", None), truth, ids, most, class_agnostic)


def figure_notes(model: nn.Module, truth: dict, limit: int | None = None) -> list[str]:
    """What limits the figures of a validation whatever the model learns, a line each: its settings, and what is absent.

    Arguments as for `evaluate`.
    """
    ids = looked_at(truth, limit)
    capped = limit_notes(getattr(model, "config", None), truth, ids, scored_detections(model))
    return capped + missing_figures(truth, ids, by_size=False)


def kinds_of(model: nn.Module) -> tuple[str, ...]:
    """What a model gives: boxes, and masks unless its mask head was taken away."""
    return KINDS if getattr(getattr(model, "roi_heads", None), "has_mask", True) else KINDS[:1]


def looked_at(truth: dict, limit: int | None) -> list[int]:
    """The ids of the first `limit` images; None takes all. A data set's `coco()` has them in its own order."""
    return [image["id"] for image in truth["images"][:limit]]


@dataclass
class _Picture:
    """One picture on its way to the model."""

    image: Tensor
    image_id: int
    size: tuple[int, int]  # (height, width) in the annotations


def detections(model, dataset, truth, batch=1, limit=None, class_agnostic=False, progress=False):
    """Yield for each image its detections as COCO results (a list of dicts with "segmentation" as RLE) and its id."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    category_of, _ = label_categories(model, dataset, class_agnostic)
    count = len(dataset) if limit is None else min(limit, len(dataset))
    shared = 1 if device.type == "cpu" else batch
    with _evaluating(model), tqdm(total=count, desc="evaluating", unit="image", disable=not progress) as bar:
        for group in passes(_pictures(dataset, truth, count), getattr(model, "config", None), shared):
            images = [picture.image.as_subclass(Tensor).to(device) for picture in group]
            sizes = [picture.size for picture in group]
            # Only a set that reads its pictures smaller than they are annotated needs the sizes.
            reduced = any(tuple(image.shape[-2:]) != size for image, size in zip(images, sizes, strict=True))
            with explained_out_of_memory("evaluation", model, batch):
                predicted = model.predict(images, masks="rle", **({"sizes": sizes} if reduced else {}))
            for picture, found in zip(group, predicted, strict=True):
                yield coco_results(found, picture.image_id, category_of), picture.image_id
            bar.update(len(group))


def coco_results(detection: dict, image_id: int, category_of=None) -> list[dict]:
    """One image's detections in COCO's results format.

    detection    boxes (N, 4) xyxy, labels (N,), scores (N,), masks: N run-length codes, or none of a mere detector
    category_of  COCO category id of each label, None at labels to leave out; None keeps the labels
    """
    corners = detection["boxes"].double().cpu()
    boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1)  # (N, 4) xywh
    masks = [{"segmentation": code} for code in detection["masks"]] if "masks" in detection else [{}] * len(boxes)
    rows = zip(boxes.tolist(), detection["labels"].tolist(), detection["scores"].tolist(), masks, strict=True)
    results = []
    for box, label, score, mask in rows:
        category = label if category_of is None else category_of[label]
        if category is not None:
            results.append({"image_id": image_id, "category_id": category, "bbox": box, "score": score, **mask})
    return results


def passes(pictures: Iterable, config, most: int) -> Iterator[list]:
    """The pictures in groups of neighbours that are padded to one size, at most so many in each.

    pictures  with an `image` (3, H, W)
    config    of the model; None takes the images to go in as they are
    """
    group = []
    for picture in pictures:
        if group and padded_size(picture.image, config) != padded_size(group[0].image, config):
            yield group
            group = []
        group.append(picture)
        if len(group) == most:
            yield group
            group = []
    if group:
        yield group


def padded_size(image: Tensor, config) -> tuple[int, int]:
    """(height, width) of the batch that holds this one image, pixels."""
    size = tuple(image.shape[-2:])
    if config is None:
        return size
    step = config.size_divisible
    return tuple(-(-side // step) * step for side in resized_size(size, config.min_size[-1], config.max_size))


def picture_of(dataset: Dataset, index: int) -> tuple[Tensor, int]:
    """The picture and its image id, without its masks where the data set has `picture`."""
    if gives_pictures(type(dataset)):
        return dataset.picture(index)
    image, target = dataset[index]
    return image, int(target["image_id"])


def gives_pictures(kind: type) -> bool:
    """Whether a data set's `picture` is as much its own as its samples are: a subclass or a wrapper that changes the
    samples must not be passed by."""
    for cls in kind.__mro__:
        if "picture" in vars(cls):
            return True
        if "__getitem__" in vars(cls):
            return False
    return False


def _pictures(dataset, truth: dict, count: int) -> Iterator[_Picture]:
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    reads_smaller = gives_pictures(type(dataset)) and getattr(dataset, "read_for", None) is not None
    for index in range(count):
        image, image_id = picture_of(dataset, index)
        shape, annotated = tuple(image.shape[-2:]), sizes.get(image_id)
        smaller = reads_smaller and annotated and shape[0] <= annotated[0] and shape[1] <= annotated[1]
        if shape != annotated and not smaller:
            known = "does not have it" if annotated is None else f"says {annotated[0]} x {annotated[1]}"
            raise ValueError(
                f"{describe(dataset, index)} is {shape[0]} x {shape[1]} pixels (height x width), but the ground truth "
                f"{known}: evaluate without transforms that resize or crop"
            )
        yield _Picture(image, image_id, annotated)


@contextlib.contextmanager
def _evaluating(model: nn.Module):
    """Evaluation mode for a model of another kind; a `MaskRCNN` sees to it by itself, also while it is trained."""
    if isinstance(model, MaskRCNN):
        yield
        return
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
