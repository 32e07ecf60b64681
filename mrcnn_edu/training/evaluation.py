"""COCO evaluation: average precision of boxes and masks, from run-length codes, image by image."""

from __future__ import annotations

import contextlib
import copy
import io

import numpy as np
import torch
from pycocotools import mask as mask_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..datasets.checker import describe
from .errors import explained_out_of_memory

METRICS = tuple((kind, name) for kind in ("bbox", "segm") for name in ("AP", "AP50", "AP75"))
MAX_DETECTIONS = 100


def evaluate(
    model: nn.Module,
    dataset: Dataset,
    batch: int = 1,
    limit: int | None = None,
    class_agnostic: bool = False,
    progress: bool = False,
    truth: dict | None = None,
) -> dict[str, dict[str, float]]:
    """COCO average precision of the model's detections on a data set.

    Predictions become run-length codes image by image, so memory grows with the number of objects, not of pixels.
    The ground truth is `dataset.coco()`, the annotations themselves; crowds are ignored as COCO ignores them.

    batch           images per forward pass
    limit           only the first `limit` images
    class_agnostic  every class counts as one: for a model trained on other classes than the data set has
    truth           what `dataset.coco()` gives, to save asking again
    returns         {"bbox": {"AP", "AP50", "AP75"}, "segm": {...}}, from 0 to 1. As in pycocotools: 0 if there are
                    objects and nothing was detected, -1 if there is no object to detect
    raises          ValueError if the classes of model and data set differ, or if an image's size is not the one in its
                    annotations (a transform resizes it); torch.cuda.OutOfMemoryError that says what to lower
    source          Lin et al. 2014; the COCO detection evaluation, AP at IoU 0.50:0.05:0.95, 100 detections per image
    """
    truth = dataset.coco() if truth is None else truth
    results, seen = [], []
    for found, image_id in detections(model, dataset, truth, batch, limit, class_agnostic, progress):
        results.extend(found)
        seen.append(image_id)
    return average_precision(truth, results, seen, class_agnostic)


def detections(model, dataset, truth, batch=1, limit=None, class_agnostic=False, progress=False):
    """Yield for each image its detections as COCO results (a list of dicts with "segmentation" as RLE) and its id."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    category_of = _categories(model, dataset, class_agnostic)
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    count = len(dataset) if limit is None else min(limit, len(dataset))
    with _modes_kept(model), tqdm(total=count, desc="evaluating", unit="image", disable=not progress) as bar:
        for first in range(0, count, batch):
            samples = [dataset[index] for index in range(first, min(first + batch, count))]
            ids = [int(target["image_id"]) for _, target in samples]
            for index, (image, _) in enumerate(samples):
                _check_size(dataset, first + index, tuple(image.shape[-2:]), sizes.get(ids[index]))
            images = [image.as_subclass(torch.Tensor).to(device) for image, _ in samples]
            with explained_out_of_memory("evaluation", model, batch):
                predicted = model.predict(images, masks="rle")
            for image_id, found in zip(ids, predicted, strict=True):
                yield coco_results(found, image_id, category_of), image_id
            bar.update(len(samples))


def coco_results(detection: dict, image_id: int, category_of=None) -> list[dict]:
    """One image's detections in COCO's results format.

    detection    boxes (N, 4) xyxy, labels (N,), scores (N,), masks: N run-length codes
    category_of  COCO category id of each label, None at labels to leave out; None keeps the labels
    """
    corners = detection["boxes"].double().cpu()
    boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1)  # (N, 4) xywh
    rows = zip(boxes.tolist(), detection["labels"].tolist(), detection["scores"].tolist(), detection["masks"],
               strict=True)  # fmt: skip
    results = []
    for box, label, score, code in rows:
        category = label if category_of is None else category_of[label]
        if category is not None:
            results.append({"image_id": image_id, "category_id": category, "bbox": box, "score": score,
                            "segmentation": code})  # fmt: skip
    return results


def average_precision(truth: dict, results: list[dict], image_ids: list[int], class_agnostic: bool = False) -> dict:
    """AP, AP50 and AP75 of boxes and masks by pycocotools, which prints nothing here.

    truth      COCO format; annotations may lack area, iscrowd and bbox
    results    COCO results with "bbox" and "segmentation" (RLE)
    image_ids  the images to count
    """
    wanted = set(image_ids)
    images = [image for image in truth["images"] if image["id"] in wanted]
    boxes = {image["id"]: (image["height"], image["width"]) for image in images}
    # pycocotools takes annotation id 0 for "no match", so all are numbered anew from 1.
    annotations = [_complete(annotation, boxes[annotation["image_id"]]) for annotation in truth["annotations"]
                   if annotation["image_id"] in wanted]  # fmt: skip
    found = [{**result, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0} for result in results]
    scores = {}
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth, predictions = (_coco(images, truth["categories"], rows) for rows in (annotations, found))
        for kind in ("bbox", "segm"):
            scores[kind] = _score(ground_truth, predictions, kind, image_ids, class_agnostic)
    return scores


def _complete(annotation: dict, size: tuple[int, int]) -> dict:
    annotation = {"iscrowd": 0, **annotation}
    if "area" not in annotation or "bbox" not in annotation:
        code = encode_segmentation(annotation["segmentation"], *size)
        annotation.setdefault("area", float(mask_codec.area(code)))
        annotation.setdefault("bbox", mask_codec.toBbox(code).tolist())
    return annotation


def encode_segmentation(segmentation, height: int, width: int) -> dict:
    """Compressed run-length code of a COCO segmentation: polygons, uncompressed or compressed RLE."""
    if isinstance(segmentation, list):
        return mask_codec.merge(mask_codec.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return mask_codec.frPyObjects(segmentation, height, width)
    return segmentation


def _coco(images: list[dict], categories: list[dict], annotations: list[dict]) -> COCO:
    coco = COCO()
    numbered = [{**annotation, "id": number} for number, annotation in enumerate(annotations, start=1)]
    coco.dataset = {"images": images, "categories": copy.deepcopy(categories), "annotations": numbered}
    coco.createIndex()
    return coco


def _score(truth: COCO, predictions: COCO, kind: str, image_ids: list[int], class_agnostic: bool) -> dict[str, float]:
    evaluation = COCOeval(truth, predictions, kind)
    parameters = evaluation.params
    parameters.imgIds, parameters.useCats = sorted(set(image_ids)), int(not class_agnostic)
    # Only the figures over all areas are wanted: the other three ranges would take three times as long again.
    parameters.areaRng, parameters.areaRngLbl = parameters.areaRng[:1], parameters.areaRngLbl[:1]
    parameters.maxDets = [MAX_DETECTIONS]
    if not parameters.imgIds or not parameters.catIds:
        return dict.fromkeys(("AP", "AP50", "AP75"), -1.0)
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"]  # (10 IoUs, 101 recalls, K - 1, 1, 1), -1 where there is no object
    return {"AP": _mean(precision), "AP50": _mean(precision[0]), "AP75": _mean(precision[5])}


def _mean(precision: np.ndarray) -> float:
    counted = precision[precision > -1]
    # pycocotools divides by a sum plus 2e-16, so that a perfect score comes out a hair below 1.
    return round(float(counted.mean()), 12) if counted.size else -1.0


def _categories(model, dataset, class_agnostic: bool) -> list[int | None]:
    """COCO category id of each label of the model."""
    theirs = tuple(dataset.class_names)
    ours = tuple(getattr(model, "class_names", None) or theirs)
    if class_agnostic:
        return [dataset.category_ids[min(1, len(theirs) - 1)]] * len(ours)
    ids = dict(zip(theirs[1:], dataset.category_ids[1:], strict=True))
    if theirs[1:] and not any(name in ids for name in ours[1:]):
        raise ValueError(f"the model knows {', '.join(ours[1:])}, the data set {', '.join(theirs[1:])}: no class in "
                         "common. Use class_agnostic to count every class as one")  # fmt: skip
    return [None, *(ids.get(name) for name in ours[1:])]


def _check_size(dataset, index: int, shape: tuple[int, int], annotated: tuple[int, int] | None) -> None:
    if annotated != shape:
        known = "does not have it" if annotated is None else f"says {annotated[0]} x {annotated[1]}"
        raise ValueError(
            f"{describe(dataset, index)} is {shape[0]} x {shape[1]} pixels (height x width), but the ground truth "
            f"{known}: evaluate without transforms that resize or crop"
        )


@contextlib.contextmanager
def _modes_kept(model: nn.Module):
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
