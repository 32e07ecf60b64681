"""Whatever `check_dataset` finds no fault in, the ground truth fed as predictions scores 1.0."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mrcnn_edu.datasets import CocoDataset, check_dataset
from mrcnn_edu.datasets.coco_parse import encode_mask
from mrcnn_edu.training.evaluation import average_precision, coco_results

from .tiny import as_detection

SIDES = (64, 48)  # height and width of the pictures
NUMBERS = st.integers(-(2**40), 2**40)


def perfect_scores(dataset):
    """AP of the ground truth as detections, masks of the targets and boxes of the file, and the number of these."""
    truth, results, ids = dataset.coco(), [], []
    boxes = {annotation["id"]: annotation["bbox"] for annotation in truth["annotations"]}
    for index in range(len(dataset)):
        _, target = dataset[index]
        ids.append(target["image_id"])
        found = coco_results(as_detection(target), target["image_id"], dataset.category_ids)
        own = dataset.annotation_ids(index)
        results += [{**row, "bbox": boxes[number]} for row, number in zip(found, own, strict=True)]
    scores = average_precision(truth, results, ids)
    return [scores[kind][name] for kind in ("bbox", "segm") for name in ("AP", "AP50", "AP75")], len(results)


def mask_of(x, y, w, h):
    mask = np.zeros(SIDES, np.uint8)
    mask[max(0, round(y)) : round(y + h), max(0, round(x)) : round(x + w)] = 1
    return mask


def runs_of(mask):
    columns = mask.T.ravel()
    changes = np.flatnonzero(np.diff(columns, prepend=0)) if columns.any() else np.array([], int)
    return np.diff([0, *changes.tolist(), columns.size]).tolist()


@st.composite
def outlines(draw):
    """A segmentation in one of COCO's forms, and the box x, y, width, height that it was drawn in."""
    number = st.integers(-6, 60) | st.floats(-6, 60, width=32)
    x, y = draw(number), draw(number)
    w, h = (
        draw(st.floats(0.5, 50, width=32) | st.integers(1, 50)),
        draw(st.floats(0.5, 50, width=32) | st.integers(1, 50)),
    )
    form = draw(st.sampled_from(("rectangle", "triangle", "two parts", "packed", "runs")))
    if form in ("packed", "runs"):
        mask = mask_of(x, y, w, h)
        return (encode_mask(mask) if form == "packed" else {"size": list(SIDES), "counts": runs_of(mask)}), [x, y, w, h]
    rectangle = [x, y, x + w, y, x + w, y + h, x, y + h]
    parts = {"rectangle": [rectangle], "triangle": [[x, y, x + w, y, x, y + h]]}
    return parts.get(form, [rectangle, [1.0, 1, 9, 1, 9, 9]]), [x, y, w, h]


@st.composite
def coco_files(draw):
    """A COCO content: sparse ids, any form of outline, bbox and area that are there, missing, loose or wrong."""
    categories = draw(st.lists(NUMBERS, min_size=1, max_size=3, unique=True))
    images = draw(st.lists(NUMBERS, min_size=1, max_size=3, unique=True))
    annotations = []
    for number in draw(st.lists(NUMBERS, min_size=1, max_size=6, unique=True)):
        segmentation, (x, y, w, h) = draw(outlines())
        entry = {"id": number, "image_id": draw(st.sampled_from(images)), "segmentation": segmentation}
        entry["category_id"] = draw(st.sampled_from(categories))
        loose = draw(st.floats(-3, 3, width=32))
        # What is wrong stands once among what is right, so that most objects of most files are read.
        sound, wrong = [[x, y, w, h]] * 5, [x, y, x + w, y + h]
        box = draw(st.sampled_from((None, [], "none", [x, y, w + loose, h], *sound, wrong)))
        area = draw(st.sampled_from((*["none"] * 6, w * h, w * h * 1.2, -1.0)))
        entry |= {} if box == "none" else {"bbox": box}
        entry |= {} if area == "none" else {"area": area}
        entry |= draw(st.sampled_from(({}, {}, {"iscrowd": 0}, {"iscrowd": False}, {"iscrowd": 1}, {"iscrowd": True})))
        annotations.append(entry)
    names = draw(st.lists(st.text(max_size=3), min_size=len(categories), max_size=len(categories)))
    height, width = SIDES
    return {
        "images": [{"id": k, "file_name": f"{k}.png", "width": width, "height": height} for k in images],
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for k, name in zip(categories, names, strict=True)],
    }


@settings(max_examples=150, deadline=None)
@given(coco_files())
def test_what_has_no_faults_scores_one(content):
    with tempfile.TemporaryDirectory() as folder:
        for image in content["images"]:
            Image.new("L", SIDES[::-1]).save(Path(folder) / image["file_name"])
        # Faulty annotations are left out and listed; what is read of the others has to be right.
        dataset = CocoDataset(content, folder, faulty="report")
        report = check_dataset(dataset)
        assert len(dataset.class_names) == len(set(dataset.class_names)) or report.faults
        scores, count = perfect_scores(dataset)
        assert count == report.objects
        assert scores == [1.0 if count else -1.0] * 6, report


@pytest.mark.parametrize("split", ["train", "val"])
def test_fruit_photographs_score_one(photos, split):
    from mrcnn_edu.datasets import FruitsNuts

    for max_side in (320, None):
        dataset = FruitsNuts(split, max_side=max_side, folder=photos)
        assert check_dataset(dataset).faults == [] and perfect_scores(dataset)[0] == [1.0] * 6
