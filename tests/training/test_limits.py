import pytest
import torch

from mrcnn_edu.datasets import Shapes
from mrcnn_edu.training import evaluate, proposal_recall
from mrcnn_edu.training.limits import limit_notes, scored_detections

from .annotated import Scene, annotation, as_detection
from .tiny import Oracle, tiny_config, tiny_model, tiny_shapes

SIDE = 200


def crowded(count, images=1, side=9, categories=(7,)):
    """`count` objects in the first picture, one in each other."""
    places = [(x, y) for y in range(0, SIDE - side, side + 1) for x in range(0, SIDE - side, side + 1)]
    boxes = [(x, y, x + side, y + side) for x, y in places[:count]]
    rows = [annotation(number, box, category_id=categories[number % len(categories)])
            for number, box in enumerate(boxes, start=1)]  # fmt: skip
    rows += [annotation(count + image, boxes[0], image=100 + image) for image in range(1, images)]
    names = ("background", *(f"class {number}" for number in categories))
    return Scene(rows, images, (SIDE, SIDE), names, (0, *categories)), boxes


def large(**changes):
    """A configuration in which an object is as large as in its picture, and its anchors fit sides of 9 pixels."""
    return tiny_config(min_size=(SIDE,), max_size=SIDE, **changes)


def notes_of(scene, config, most=1000, class_agnostic=False):
    truth = scene.coco()
    return limit_notes(config, truth, [image["id"] for image in truth["images"]], most, class_agnostic)


def test_no_limit_is_reached_no_line():
    scene, _ = crowded(30, images=2)
    config = large(box_detections_per_img=30, rpn_post_nms_top_n_test=30)
    assert notes_of(scene, config, 30) == []


@pytest.mark.parametrize("name", ["box_detections_per_img", "rpn_post_nms_top_n_test", "max_detections"])
def test_each_limit_is_named_with_counts_and_what_lifts_it(name):
    scene, _ = crowded(130, images=3)
    given = {"box_detections_per_img": 200, "rpn_post_nms_top_n_test": 200, "max_detections": 200, name: 100}
    most = given.pop("max_detections")
    (note,) = notes_of(scene, large(**given), most)
    assert "1 of 3 pictures hold more than 100 objects" in note and "(up to 130)" in note and f"{name}=100" in note
    assert "at least 30 of 132 objects are missed" in note and f"{name}=130` lifts it" in note


def test_the_evaluation_counts_each_class_on_its_own():
    scene, _ = crowded(130, categories=(7, 9))
    wide = large(box_detections_per_img=200, rpn_post_nms_top_n_test=200)
    assert notes_of(scene, wide, 100) == []
    assert "max_detections=100" in notes_of(scene, wide, 100, True)[0]
    assert "of one class (up to 65)" in notes_of(scene, wide, 64)[0]


def test_crowds_do_not_count():
    scene, _ = crowded(130)
    for row in scene.annotations[:40]:
        row["iscrowd"] = 1
    assert notes_of(scene, large(rpn_post_nms_top_n_test=200), 100) == []


@pytest.mark.parametrize(
    ("side", "scale", "word"),
    [(9, 1, None), (5, 1, None), (4, 1, "small"), (9, 0.4, "small"), (40, 4, "large"), (40, 2, None), (90, 1, "large")],
)
def test_objects_that_no_anchor_fits_are_counted_at_the_models_scale(side, scale, word):
    scene, _ = crowded(3, side=side)
    size = int(SIDE * scale)
    notes = notes_of(scene, tiny_config(min_size=(size,), max_size=size))
    if word is None:
        assert notes == []
    else:
        (note,) = notes
        assert f"3 of 3 objects are too {word}" in note and "sides of 8, 16, 24, 48" in note
        assert f"one has {side * scale:.1f} × {side * scale:.1f} pixels" in note and f"min_size` than {size}" in note


def test_several_anchors_a_level_all_count():
    scene, _ = crowded(3, side=4)
    several = {"min_size": (SIDE,), "max_size": SIDE, "anchor_sizes": ((4, 8), (16, 20), (24, 30), (48, 60))}
    assert notes_of(scene, tiny_config(**several)) == []


def test_perfect_detections_of_a_crowded_picture_score_one_where_the_limit_is_lifted():
    scene, boxes = crowded(375)
    target = scene_target(boxes)
    with pytest.warns(UserWarning, match="max_detections=100` limits .* at least 275 of 375 objects are missed"):
        capped = evaluate(Oracle([as_detection(target)]), scene)
    lifted = evaluate(Oracle([as_detection(target)]), scene, max_detections=400)
    assert capped["segm"]["AP"] < 0.3 and "AR100" in capped["segm"]
    assert lifted["segm"]["AP"] == lifted["bbox"]["AP"] == lifted["segm"]["AR400"] == 1.0


def scene_target(boxes):
    masks = torch.zeros(len(boxes), SIDE, SIDE, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    labels = torch.ones(len(boxes), dtype=torch.int64)
    return {"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": labels, "masks": masks}


def test_the_limit_follows_the_model_where_it_gives_more_than_a_hundred():
    model = tiny_model(box_detections_per_img=400)
    assert scored_detections(model) == 400 and scored_detections(model, 100) == 100
    assert scored_detections(tiny_model(box_detections_per_img=7)) == scored_detections(Oracle([])) == 100
    assert "AR400" in evaluate(model, tiny_shapes(length=1), by_size=False)["segm"]


@pytest.mark.parametrize("wrong", [0, -1, 2.5, True, "100"])
def test_a_limit_that_is_none_is_refused_before_the_first_picture(wrong):
    scene, _ = crowded(1)
    with pytest.raises(ValueError, match=f"max_detections is {wrong!r}: give a whole number of at least 1"):
        evaluate(Oracle([]), scene, max_detections=wrong)


def test_proposals_are_told_their_limits_too():
    dataset = Shapes(length=2, size=96)
    most = max(len(dataset[index][1]["boxes"]) for index in range(2))
    few = tiny_model(rpn_post_nms_top_n_test=most - 1, anchor_sizes=((64,), (80,), (96,), (128,)))
    notes = proposal_recall(few, dataset)["notes"]
    assert f"rpn_post_nms_top_n_test={most - 1}` limits" in notes[0] and "too small for every anchor" in notes[1]
    assert proposal_recall(tiny_model(rpn_post_nms_top_n_test=most), dataset)["notes"] == []
