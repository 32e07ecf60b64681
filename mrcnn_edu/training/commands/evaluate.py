"""python -m mrcnn_edu evaluate"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path

from ...mistakes import break_it
from ..evaluation import average_precision, detections
from ..proposal_recall import proposal_recall
from .shared import load_model, open_data, write_results

DEFAULT_WEIGHTS = {"shapes": "lesson", "coins": "lesson", "fruits_nuts": "fruits"}


def run(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu evaluate"""
    dataset = open_data(options)
    model = load_model(options, options.weights or DEFAULT_WEIGHTS.get(options.data))
    mistake = f", with the mistake {options.mistake}" if options.mistake else ""
    broken = break_it(options.mistake) if options.mistake else nullcontext()
    if options.mistake and broken.only_training:
        print(f"{options.mistake} matters only while training: the scores are the same without it", file=sys.stderr)
    if options.proposals:
        with broken:
            return _evaluate_proposals(options, model, dataset, mistake)
    agnostic = options.class_agnostic or _one_unknown_class(model, dataset)
    truth, results, seen = dataset.coco(), [], []
    found = detections(model, dataset, truth, options.batch, options.limit, agnostic, progress=sys.stderr.isatty())
    with broken:
        for of_image, image_id in found:
            results.extend(of_image)
            seen.append(image_id)
    scores = average_precision(truth, results, seen, agnostic)
    if options.out:
        write_results(Path(options.out) / "detections.json", results)
    if options.json:
        print(json.dumps(scores))
    else:
        print(f"{dataset.name}, {len(seen)} images, {len(results)} detections{mistake}")
        for kind, group in scores.items():
            print(f"{kind}  " + "  ".join(f"{name} {value:.3f}" for name, value in group.items()))
    return 0


def _evaluate_proposals(options: argparse.Namespace, model, dataset, mistake: str) -> int:
    """python -m mrcnn_edu evaluate --proposals"""
    if options.out:
        raise ValueError("--out writes detections, and --proposals looks at none: give one of them")
    found = proposal_recall(model, dataset, options.limit, progress=sys.stderr.isatty())
    if options.json:
        print(json.dumps(found))
        return 0
    print(
        f"{dataset.name}, {found['images']} images, {found['objects']} objects{mistake}; "
        f"{found['proposals']:.1f} proposals an image, {found['called_objects']:.1f} of objectness 0.5 or more"
    )
    for count, group in found["recall"].items():
        print(f"{count:>3} best  " + "  ".join(f"recall at IoU {iou} {value:.3f}" for iou, value in group.items()))
    return 0


def _one_unknown_class(model, dataset) -> bool:
    names = dataset.class_names
    if len(names) != 2 or not model.class_names or names[1] in model.class_names:
        return False
    print(f"the model knows no {names[1]!r}: each of its classes counts as one", file=sys.stderr)
    return True
