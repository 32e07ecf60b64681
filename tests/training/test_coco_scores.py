import contextlib
import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mrcnn_edu.training import evaluate
from mrcnn_edu.training.coco_scores import average_precision, missing_figures
from mrcnn_edu.training.evaluation import coco_results

from .annotated import Scene, annotation, found
from .tiny import Oracle, as_detection, tiny_shapes

TWELVE = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
SIDE = 130  # pixels: room for objects of all three sizes


def by_pycocotools(truth, results, kind, agnostic=False, limits=(1, 10, 100), images=None):
    """What pycocotools itself prints for results of one kind, as torchvision's and Detectron2's scripts give them."""
    leave_out = {"bbox": "segmentation", "segm": "bbox"}[kind]
    results = [{name: value for name, value in result.items() if name != leave_out} for result in results]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        theirs = COCOeval(coco, coco.loadRes(results), kind)
        theirs.params.useCats, theirs.params.maxDets = int(not agnostic), list(limits)
        theirs.params.imgIds = images or theirs.params.imgIds
        theirs.evaluate(), theirs.accumulate(), theirs.summarize()
    return theirs


def ellipse(x, y, width, height):
    """RLE of an ellipse in a box: its area is not that of the box."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    inside = ((columns - x - width / 2) / width) ** 2 + ((rows - y - height / 2) / height) ** 2 <= 0.25
    return mask_codec.encode(np.asfortranarray(inside.astype(np.uint8)))


def shape(draw, near=None):
    if near is None:
        width, height = draw(st.sampled_from([(5, 8), (20, 30), (31, 33), (32, 32), (40, 50), (90, 100), (110, 96)]))
        x, y = draw(st.integers(0, SIDE - width)), draw(st.integers(0, SIDE - height))
    else:
        x, y, width, height = (value + draw(st.integers(-2, 2)) for value in near)
    return max(0, x), max(0, y), width, height


@st.composite
def cases(draw):
    """Truth and results in COCO format: sizes at the borders, ties, crowds, classes without objects, sparse ids."""
    images = [{"id": number, "height": SIDE, "width": SIDE} for number in (3, 8, 40)]
    categories = [{"id": number, "name": str(number)} for number in (2, 7, 90)]
    truth = {"images": images, "categories": categories, "annotations": []}
    results = []
    for image in truth["images"]:
        for _ in range(draw(st.integers(0, 4))):
            box, category = shape(draw), draw(st.sampled_from([2, 7]))
            code = ellipse(*box)
            truth["annotations"].append({
                "id": len(truth["annotations"]) + 1, "image_id": image["id"], "category_id": category,
                "bbox": list(box), "segmentation": code, "area": float(mask_codec.area(code)),
                "iscrowd": int(draw(st.integers(0, 3)) == 3),
            })  # fmt: skip
            for _ in range(draw(st.integers(0, 3))):
                results.append((image["id"], category, shape(draw, box)))
        for _ in range(draw(st.integers(0, 3))):
            results.append((image["id"], draw(st.sampled_from([2, 7, 90])), shape(draw)))
    scores = st.sampled_from([0.1, 0.3, 0.3000001, 0.5, 0.9])
    rows = [{"image_id": image, "category_id": category, "bbox": [float(value) for value in box],
             "segmentation": ellipse(*box), "score": draw(scores)} for image, category, box in results]  # fmt: skip
    return truth, rows


@given(cases(), st.booleans())
def test_all_twelve_are_those_of_pycocotools(case, agnostic):
    truth, results = case
    ours = average_precision(truth, results, [3, 8, 40], agnostic)
    for kind in ("bbox", "segm") if results else ():
        theirs = by_pycocotools(truth, results, kind, agnostic).stats
        assert list(ours[kind]) == TWELVE
        assert list(ours[kind].values()) == pytest.approx(theirs.tolist(), abs=1e-12)


@given(cases(), st.sampled_from([1, 2, 10, 11, 300]))
def test_other_limits_than_a_hundred_are_those_of_pycocotools(case, limit):
    truth, results = case
    ours = average_precision(truth, results, [3, 8, 40], max_detections=limit)
    limits = sorted(number for number in {1, 10, limit} if number <= limit)
    assert [name for name in ours["segm"] if name[2:].isdigit() and name.startswith("AR")] == [
        f"AR{number}" for number in limits
    ]
    for kind in ("bbox", "segm") if results else ():
        # pycocotools' own summary asks for three limits, and for AP at a hundred: it is read from its tables instead.
        theirs = by_pycocotools(truth, results, kind, limits=(*[0] * (3 - len(limits)), *limits)).eval
        figures = [theirs["precision"][..., 0, -1], theirs["precision"][..., 2, -1]]
        figures += [theirs["recall"][:, :, 0, place] for place in range(-len(limits), 0)]
        means = [each[each > -1].mean() if (each > -1).any() else -1.0 for each in figures]
        names = ["AP", "APm", *(f"AR{number}" for number in limits)]
        assert [ours[kind][name] for name in names] == pytest.approx(means, abs=1e-12)


def test_without_sizes_the_other_six_stay_the_same():
    case = tiny_shapes(length=6)
    answers = list(disturbed(case, 0))
    whole, fewer = (evaluate(Oracle(answers), case, by_size=by_size) for by_size in (True, False))
    for kind in ("bbox", "segm"):
        assert list(fewer[kind]) == ["AP", "AP50", "AP75", "AR1", "AR10", "AR100"]
        assert fewer[kind] == {name: whole[kind][name] for name in fewer[kind]}


def disturbed(dataset, seed):
    """Detections that are a little beside the truth, some of another class."""
    generator = torch.Generator().manual_seed(seed)
    for index in range(len(dataset)):
        target = dict(dataset[index][1])
        shift = torch.randint(-2, 3, (2,), generator=generator).tolist()
        target["masks"] = torch.roll(target["masks"].as_subclass(torch.Tensor), shift, dims=(1, 2))
        target["boxes"] = target["boxes"].as_subclass(torch.Tensor) + torch.tensor([shift[1], shift[0]] * 2)
        flipped = torch.rand(len(target["labels"]), generator=generator) < 0.2
        target["labels"] = torch.where(flipped, target["labels"] % 4 + 1, target["labels"])
        yield as_detection(target, torch.rand(len(target["labels"]), generator=generator))


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_evaluate_are_those_of_pycocotools(seed):
    dataset = tiny_shapes(length=12, seed=seed)
    answers = list(disturbed(dataset, seed))
    ours = evaluate(Oracle(answers), dataset)
    results = [r for index, answer in enumerate(answers) for r in coco_results(answer, dataset[index][1]["image_id"])]
    for kind in ("bbox", "segm"):
        theirs = by_pycocotools(dataset.coco(), results, kind).stats
        assert list(ours[kind].values()) == pytest.approx(theirs.tolist(), abs=1e-12)
    assert 0.01 < ours["segm"]["AP"] < 0.99


def test_images_that_were_not_looked_at_are_ignored():
    truth = Scene([annotation(1, (2, 2, 12, 12)), annotation(2, (2, 2, 12, 12), image=101)], images=2).coco()
    results = [{**r, "category_id": 7} for r in coco_results(found((2, 2, 12, 12)), 100)]
    assert average_precision(truth, results, [100])["segm"]["AP"] == 1.0
    assert average_precision(truth, results, [100, 101])["segm"]["AP"] == pytest.approx(0.5, abs=0.01)


# Figures of -1, and why

BOX = (2, 2, 12, 12)


@pytest.mark.parametrize(
    ("scene", "ids", "said"),
    [
        (Scene([], images=0), [], "no picture is looked at"),
        (Scene([]), [100], "no object in the one picture"),
        (Scene([annotation(1, BOX)], images=3), [101, 102], "no object in the 2 pictures"),
        (Scene([annotation(1, BOX, iscrowd=1), annotation(2, BOX, iscrowd=1)]), [100], "all 2 annotations"),
    ],
)
def test_it_is_said_why_every_figure_is_minus_one(scene, ids, said):
    truth = scene.coco()
    (note,) = missing_figures(truth, ids)
    assert said in note and "every figure is -1" in note
    figures = average_precision(truth, [], ids)
    assert {value for group in figures.values() for value in group.values()} == {-1.0}


def test_crowds_are_named_with_what_to_do():
    (note,) = missing_figures(Scene([annotation(1, BOX, iscrowd=1)]).coco(), [100])
    assert "crowds (iscrowd 1)" in note and "write iscrowd 0 for single objects" in note


def test_a_class_without_objects_is_named_and_left_out_of_the_mean():
    scene = Scene([annotation(1, BOX)], names=("background", "thing", "other", "more"), ids=(0, 7, 8, 9))
    truth = scene.coco()
    note = missing_figures(truth, [100], by_size=False)
    assert note == [
        "no object of class other, more in the one picture looked at: the figures are the mean over the others"
    ]
    results = [{**r, "category_id": 7} for r in coco_results(found(BOX), 100)]
    assert average_precision(truth, results, [100])["segm"]["AP"] == 1.0
    assert missing_figures(truth, [100], class_agnostic=True, by_size=False) == []


@pytest.mark.parametrize("side", [10, 32, 50, 96, 120])
def test_sizes_without_an_object_are_named(side):
    box = (0, 0, side, side)
    scene = Scene([annotation(1, box)], size=(SIDE, SIDE))
    truth = scene.coco()
    figures = average_precision(truth, [], [100])["bbox"]
    empty = [name for name, value in figures.items() if value == -1]
    notes = missing_figures(truth, [100])
    assert len(notes) == 1 and empty
    for name in ("APs", "APm", "APl", "ARs", "ARm", "ARl"):
        assert (name in empty) == (name in notes[0])
    assert missing_figures(truth, [100], by_size=False) == []


def test_evaluate_warns_of_figures_that_are_minus_one():
    crowds = Scene([annotation(1, BOX, iscrowd=1)])
    with pytest.warns(UserWarning, match="crowds .*every figure is -1"):
        assert evaluate(Oracle([found(BOX)]), crowds)["segm"]["AP"] == -1.0
    later = Scene([annotation(1, BOX, image=101)], images=2)
    with pytest.warns(UserWarning, match="no object in the one picture"):
        assert evaluate(Oracle([found(BOX)]), later, limit=1)["segm"]["AP"] == -1.0
