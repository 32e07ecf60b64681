"""COCO's twelve figures of boxes and of masks, as pycocotools computes them, and why some of them are -1."""

from __future__ import annotations

import contextlib
import copy
import io

import numpy as np
from pycocotools import mask as mask_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..datasets.coco_parse import to_rle
from .classes import listed

KINDS = ("bbox", "segm")
SIZES = {"s": "small", "m": "medium", "l": "large"}
SIZE_WORDS = {"s": "up to 32² pixels", "m": "32² to 96² pixels", "l": "96² pixels or more"}
COCO_LIMIT = 100  # detections a picture


def average_precision(
    truth: dict,
    results: list[dict],
    image_ids: list[int],
    class_agnostic: bool = False,
    max_detections: int = COCO_LIMIT,
    by_size: bool = True,
    kinds: tuple[str, ...] = KINDS,
) -> dict[str, dict[str, float]]:
    """COCO's figures of boxes and masks by pycocotools, which prints nothing here.

    AP averages the precision over recalls and over the IoU thresholds 0.50, 0.55, …, 0.95; AP50 and AP75 are those at
    one threshold; APs, APm and APl count only objects of an area up to 32², from 32² to 96², and from 96² pixels.
    AR1, AR10 and AR100 are the recall of the best so many detections of a class in a picture, averaged over the
    thresholds; ARs, ARm and ARl that of all that count, by size. The size of a detection is the area of its box for
    boxes, of its mask for masks, as torchvision's and Detectron2's scripts have it. (pycocotools' `loadRes` takes the
    box's for both where a file holds both: leave "bbox" out there for the figures of masks.)

    truth           COCO format; annotations may lack area, iscrowd and bbox
    results         COCO results with "bbox" and "segmentation" (RLE)
    image_ids       the images to count
    class_agnostic  every class counts as one
    max_detections  how many detections of a class count in one picture; with 300 it is AR300 instead of AR100
    by_size         False leaves out the figures by size
    kinds           "bbox", "segm" or both; the figures of the other are -1, and its part of the results is not needed
    returns         {"bbox": {"AP": …, "AP50": …, …}, "segm": {…}} from 0 to 1, -1 where there is no object to find
    source          Lin et al. 2014; cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py
    """
    images, annotations = counted(truth, image_ids)
    ground_truth = _coco(images, truth["categories"], annotations)
    scores = {}
    for kind in KINDS:
        rows = [_sized(result, kind) for result in results] if kind in kinds else []
        predictions = _coco(images, truth["categories"], rows)
        scores[kind] = _score(ground_truth, predictions, kind, image_ids, class_agnostic, max_detections, by_size)
        if kind not in kinds:
            scores[kind] = dict.fromkeys(scores[kind], -1.0)
    return scores


def counted(truth: dict, image_ids: list[int]) -> tuple[list[dict], list[dict]]:
    """The images with these ids and their annotations, with area, bbox and iscrowd filled in."""
    wanted = set(image_ids)
    images = [image for image in truth["images"] if image["id"] in wanted]
    sizes = {image["id"]: (image["height"], image["width"]) for image in images}
    annotations = [_complete(annotation, sizes[annotation["image_id"]]) for annotation in truth["annotations"]
                   if annotation["image_id"] in wanted]  # fmt: skip
    return images, annotations


def missing_figures(truth: dict, image_ids: list[int], class_agnostic: bool = False, by_size: bool = True) -> list[str]:
    """Why figures are -1 or leave a class out, a line for each reason; arguments as for `average_precision`."""
    images, annotations = counted(truth, image_ids)
    objects = [annotation for annotation in annotations if not annotation["iscrowd"]]
    every = "so every figure is -1"
    if not images:
        return [f"no picture is looked at, {every}"]
    looked = f"the {len(images)} pictures that are looked at" if len(images) > 1 else "the one picture looked at"
    if not annotations:
        return [f"there is no object in {looked}, {every}"]
    if not objects:
        return [f"all {len(annotations)} annotations of {looked} are crowds (iscrowd 1), which are not scored, "
                f"{every}; write iscrowd 0 for single objects"]  # fmt: skip
    notes = []
    present = {annotation["category_id"] for annotation in objects}
    absent = [category["name"] for category in truth["categories"] if category["id"] not in present]
    if absent and not class_agnostic:
        notes.append(f"no object of class {listed(absent)} in {looked}: the figures are the mean over the others")
    if by_size:
        areas = np.array([annotation["area"] for annotation in objects])
        ranges = dict(zip(SIZES, COCOeval(iouType="bbox").params.areaRng[1:], strict=True))
        empty = [size for size, (low, high) in ranges.items() if not ((areas >= low) & (areas <= high)).any()]
        if empty:
            words = " or ".join(f"{SIZE_WORDS[size]} (AP{size}, AR{size})" for size in empty)
            notes.append(f"no object in {looked} has an area of {words}: these figures are -1")
    return notes


def _complete(annotation: dict, size: tuple[int, int]) -> dict:
    annotation = {"iscrowd": 0, **annotation}
    if "area" not in annotation or "bbox" not in annotation:
        code = to_rle(annotation["segmentation"], *size)
        annotation.setdefault("area", float(mask_codec.area(code)))
        annotation.setdefault("bbox", mask_codec.toBbox(code).tolist())
    return annotation


def _sized(result: dict, kind: str) -> dict:
    side = result["bbox"][2:]
    area = side[0] * side[1] if kind == "bbox" else float(mask_codec.area(result["segmentation"]))
    return {**result, "area": area, "iscrowd": 0}


def _coco(images: list[dict], categories: list[dict], annotations: list[dict]) -> COCO:
    coco = COCO()
    # pycocotools takes annotation id 0 for "no match", so all are numbered anew from 1.
    numbered = [{**annotation, "id": number} for number, annotation in enumerate(annotations, start=1)]
    coco.dataset = {"images": images, "categories": copy.deepcopy(categories), "annotations": numbered}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


class _Evaluation(COCOeval):
    """pycocotools' evaluation with its matching in a faster form: the same pairs, and only those objects are tried that
    a detection overlaps enough. In crowded pictures that is twenty times as fast."""

    def evaluateImg(self, imgId, catId, aRng, maxDet):
        categories = [catId] if self.params.useCats else self.params.catIds
        truths, found = ([row for category in categories for row in rows[imgId, category]]
                         for rows in (self._gts, self._dts))  # fmt: skip
        order = np.argsort([-row["score"] for row in found], kind="mergesort")
        found = [found[index] for index in order[:maxDet]]
        out_of_range = [[not aRng[0] <= row["area"] <= aRng[1] for row in rows] for rows in (truths, found)]
        # Where the range holds none of them, all would be ignored, and the picture adds nothing.
        if all(out_of_range[0]) and all(out_of_range[1]):
            return None
        ignored = [bool(row["ignore"] or out) for row, out in zip(truths, out_of_range[0], strict=True)]
        matched, by_ignored = self._match(truths, found, self.ious[imgId, catId], ignored)
        return {
            "dtScores": [row["score"] for row in found],
            "dtMatches": matched,
            "dtIgnore": by_ignored | (~matched & np.array(out_of_range[1], bool)),
            "gtIgnore": np.array(ignored, bool),
        }

    def _match(self, truths: list[dict], found: list[dict], ious, ignored: list[bool]) -> tuple[np.ndarray, np.ndarray]:
        """Which detections are matched at each threshold, and which of them by an object that is ignored: (10, D) each.

        Best first, a detection takes the object of largest IoU that is not taken; one that is ignored, only if there
        is no other. Crowds are never taken.
        """
        thresholds = np.minimum(self.params.iouThrs, 1 - 1e-10).tolist()
        matched, by_ignored = np.zeros((2, len(thresholds), len(found)), bool)
        if len(ious) == 0:
            return matched, by_ignored
        crowd = [bool(row["iscrowd"]) for row in truths]
        order = sorted(range(len(truths)), key=ignored.__getitem__)
        enough = np.asarray(ious) >= thresholds[0]
        near = [[(g, ious[d, g]) for g in order if enough[d, g]] if any_near else []
                for d, any_near in enumerate(enough.any(axis=1))]  # fmt: skip
        for t, threshold in enumerate(thresholds):
            taken = [False] * len(truths)
            for d, objects in enumerate(near):
                best, least = None, threshold
                for g, iou in objects:
                    if taken[g] and not crowd[g]:
                        continue
                    if best is not None and ignored[g] and not ignored[best]:
                        break
                    if iou >= least:
                        best, least = g, iou
                if best is not None:
                    matched[t, d], by_ignored[t, d], taken[best] = True, ignored[best], True
        return matched, by_ignored


def _score(truth: COCO, predictions: COCO, kind: str, image_ids, class_agnostic, max_detections, by_size) -> dict:
    evaluation = _Evaluation(truth, predictions, kind)
    parameters = evaluation.params
    parameters.imgIds, parameters.useCats = sorted(set(image_ids)), int(not class_agnostic)
    limits = sorted({1, 10, max_detections} - set(range(max_detections + 1, 11)))
    parameters.maxDets = limits
    sizes = list(SIZES) if by_size else []
    parameters.areaRng = parameters.areaRng[: 1 + len(sizes)]
    if not parameters.imgIds or not parameters.catIds:
        return dict.fromkeys(_names(sizes, limits), -1.0)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    # (10 IoUs, 101 recalls, K - 1, sizes, limits) and (10 IoUs, K - 1, sizes, limits), -1 where there is no object
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    every = precision[:, :, :, 0, -1]
    figures = [every, every[0], every[5]]
    figures += [precision[:, :, :, 1 + index, -1] for index in range(len(sizes))]
    figures += [recall[:, :, 0, index] for index in range(len(limits))]
    figures += [recall[:, :, 1 + index, -1] for index in range(len(sizes))]
    return dict(zip(_names(sizes, limits), map(_mean, figures), strict=True))


def _names(sizes: list[str], limits: list[int]) -> list[str]:
    by_size = [[f"{kind}{size}" for size in sizes] for kind in ("AP", "AR")]
    return ["AP", "AP50", "AP75", *by_size[0], *(f"AR{limit}" for limit in limits), *by_size[1]]


def _mean(figures: np.ndarray) -> float:
    counted = figures[figures > -1]
    # pycocotools divides by a sum plus 2e-16, so that a perfect score comes out a hair below 1.
    return round(float(counted.mean()), 12) if counted.size else -1.0
