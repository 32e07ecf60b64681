"""python -m mrcnn_edu evaluate"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path

from ...mistakes import break_it
from ..coco_scores import average_precision, missing_figures
from ..evaluation import detections, evaluation_notes, kinds_of, looked_at
from ..limits import scored_detections
from ..proposal_recall import proposal_recall
from .shared import load_model, open_data, read_for_model, write_results
from .words import for_command_line

DEFAULT_WEIGHTS = {"shapes": "lesson", "coins": "lesson", "fruits_nuts": "fruits"}


def run(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu evaluate"""
    dataset = open_data(options)
    model = load_model(options, options.weights or DEFAULT_WEIGHTS.get(options.data))
    read_for_model(options, model.config, dataset)
    mistake = f", with the mistake {options.mistake}" if options.mistake else ""
    broken = break_it(options.mistake) if options.mistake else nullcontext()
    if options.mistake and broken.only_training:
        print(f"{options.mistake} matters only while training: the scores are the same without it", file=sys.stderr)
    if options.proposals:
        with broken:
            return _evaluate_proposals(options, model, dataset, mistake)
    agnostic, notes = _class_agnostic(options, model, dataset)
    most, truth = scored_detections(model, options.max_detections), dataset.coco()
    notes += evaluation_notes(model, dataset, truth, options.limit, agnostic, most)
    _say(notes, options)
    reasons = missing_figures(truth, looked_at(truth, options.limit), agnostic)
    results, seen = [], []
    found = detections(model, dataset, truth, options.batch, options.limit, agnostic, progress=sys.stderr.isatty())
    with broken:
        for of_image, image_id in found:
            results.extend(of_image)
            seen.append(image_id)
    scores = average_precision(truth, results, seen, agnostic, most, kinds=kinds_of(model))
    if options.out:
        write_results(Path(options.out) / "detections.json", results)
    if options.json:
        print(json.dumps({**scores, "notes": [for_command_line(note, options) for note in notes + reasons]}))
    else:
        print(f"{dataset.name}, {len(seen)} images, {len(results)} detections{mistake}")
        _print_table(scores)
        print(*(f"note: {reason}\n" for reason in reasons), sep="", end="")
    return 0


def _say(notes: list[str], options: argparse.Namespace) -> None:
    for note in notes:
        print(f"note: {for_command_line(note, options)}", file=sys.stderr)


def _print_table(scores: dict[str, dict[str, float]]) -> None:
    """Two lines for each kind, precision and recall."""
    for kind, group in scores.items():
        for title, start in ((kind, "AP"), ("", "AR")):
            cells = [f"{name} {value:.3f}" if value >= 0 else f"{name} -1" for name, value in group.items()
                     if name.startswith(start)]  # fmt: skip
            print(f"{title:4}  " + "  ".join(cells))


def _evaluate_proposals(options: argparse.Namespace, model, dataset, mistake: str) -> int:
    """python -m mrcnn_edu evaluate --proposals"""
    if options.out:
        raise ValueError("--out writes detections, and --proposals looks at none: give one of them")
    if options.max_detections:
        raise ValueError("--max-detections counts detections, and --proposals looks at none: give one of them")
    found = proposal_recall(model, dataset, options.limit, progress=sys.stderr.isatty())
    _say(found["notes"], options)
    if options.json:
        print(json.dumps({**found, "notes": [for_command_line(note, options) for note in found["notes"]]}))
        return 0
    print(
        f"{dataset.name}, {found['images']} images, {found['objects']} objects{mistake}; "
        f"{found['proposals']:.1f} proposals an image, {found['called_objects']:.1f} of objectness 0.5 or more"
    )
    for count, group in found["recall"].items():
        print(f"{count:>3} best  " + "  ".join(f"recall at IoU {iou} {value:.3f}" for iou, value in group.items()))
    return 0


def _class_agnostic(options: argparse.Namespace, model, dataset) -> tuple[bool, list[str]]:
    """Whether every class counts as one, and what to say of it."""
    names, notes = dataset.class_names, []
    agnostic = options.class_agnostic
    if not agnostic and len(names) == 2 and model.class_names and names[1] not in model.class_names:
        agnostic = True
        notes.append(f"the model knows no {names[1]!r}: each of its classes counts as one")
    if agnostic and options.out and len(names) > 1:
        number = dataset.category_ids[1]
        notes.append(f"every class counts as one: all of detections.json has the category id {number} ({names[1]})")
    return agnostic, notes
