import weakref

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_codec

from mrcnn_edu.training import evaluate

from .annotated import NOTHING, Scene, annotation, box_mask, found
from .tiny import Hooked, Oracle, as_detection, tiny_model, tiny_shapes


@pytest.mark.parametrize("batch", [1, 3])
def test_ground_truth_as_predictions_scores_one(batch):
    dataset = tiny_shapes(length=8)
    oracle = Oracle([as_detection(dataset[index][1]) for index in range(len(dataset))])
    scores = evaluate(oracle, dataset, batch=batch)
    for kind in ("bbox", "segm"):
        assert {name: scores[kind][name] for name in ("AP", "AP50", "AP75", "APs", "AR100", "ARs")} == dict.fromkeys(
            ("AP", "AP50", "AP75", "APs", "AR100", "ARs"), 1.0
        )
    assert all(type(value) is float for group in scores.values() for value in group.values())


@pytest.mark.photos
@pytest.mark.parametrize("max_side", [None, 160])
def test_ground_truth_of_photographs_scores_one(photos, max_side):
    from mrcnn_edu.datasets import FruitsNuts

    dataset = FruitsNuts("val", max_side=max_side, folder=photos)
    scores = evaluate(Oracle([as_detection(dataset[index][1]) for index in range(len(dataset))]), dataset)
    assert scores["segm"]["AP"] == 1.0
    # At full size the file's own boxes are those of the polygons, a fraction of a pixel off those of the masks.
    assert scores["bbox"]["AP50"] == 1.0 and scores["bbox"]["AP"] > 0.95


def test_nothing_detected_scores_zero_and_nothing_to_detect_scores_minus_one():
    there = Scene([annotation(1, (2, 2, 12, 12))])
    assert {evaluate(Oracle([NOTHING]), there)["segm"][name] for name in ("AP", "AP50", "AP75", "AR100")} == {0.0}
    nowhere = Scene([])
    for answer in (NOTHING, found((2, 2, 12, 12))):
        assert set(evaluate(Oracle([answer]), nowhere)["bbox"].values()) == {-1.0}
    assert evaluate(Oracle([]), Scene([], images=0))["segm"]["AP"] == -1.0


def test_a_crowd_is_neither_missed_nor_does_it_make_false_positives():
    boxes = [(2, 2, 10, 10), (15, 5, 29, 18)]
    crowd = mask_codec.encode(np.asfortranarray(box_mask(*boxes[1]).numpy()))
    dataset = Scene([annotation(1, boxes[0]), annotation(2, boxes[1], segmentation=crowd, iscrowd=1)])
    alone = evaluate(Oracle([found(boxes[0])]), dataset)
    within = evaluate(Oracle([found((16, 6, 20, 10), (22, 6, 28, 12), boxes[0], scores=[0.9, 0.8, 0.5])]), dataset)
    assert alone["segm"]["AP"] == within["segm"]["AP"] == within["bbox"]["AP"] == 1.0
    beside = evaluate(Oracle([found((10, 12, 14, 19), boxes[0], scores=[0.9, 0.5])]), dataset)
    assert beside["segm"]["AP"] == pytest.approx(0.5, abs=0.01)


def test_an_annotation_with_id_zero_counts_as_found():
    dataset = Scene([annotation(0, (2, 2, 12, 12))])
    assert evaluate(Oracle([found((2, 2, 12, 12))]), dataset)["segm"]["AP"] == 1.0


def test_annotations_without_area_box_and_crowd_flag():
    bare = {"id": 5, "image_id": 100, "category_id": 7, "segmentation": [[2, 2, 12, 2, 12, 12, 2, 12]]}
    assert evaluate(Oracle([found((2, 2, 12, 12))]), Scene([bare]))["bbox"]["AP"] == 1.0


@pytest.mark.parametrize("form", ["polygon", "counts", "compressed"])
def test_segmentations_of_all_three_forms(form):
    mask = box_mask(3, 4, 9, 15)
    code = mask_codec.encode(np.asfortranarray(mask.numpy()))
    runs = np.diff(np.flatnonzero(np.diff(np.r_[2, mask.numpy().ravel(order="F"), 2])))
    given = {"polygon": [[3, 4, 9, 4, 9, 15, 3, 15]], "counts": {"size": [20, 30], "counts": runs.tolist()},
             "compressed": code}[form]  # fmt: skip
    bare = {"id": 5, "image_id": 100, "category_id": 7, "segmentation": given}
    scores = evaluate(Oracle([found((3, 4, 9, 15))]), Scene([bare]))
    assert scores["bbox"]["AP"] == scores["segm"]["AP"] == 1.0


def test_sparse_category_ids_and_limit():
    boxes = [(2, 2, 12, 12), (5, 5, 20, 15)]
    dataset = Scene([annotation(3, boxes[0]), annotation(4, boxes[1], image=101)], images=2)
    assert evaluate(Oracle([found(boxes[0]), NOTHING]), dataset)["segm"]["AP"] == pytest.approx(0.5, abs=0.01)
    assert evaluate(Oracle([found(boxes[0])]), dataset, limit=1)["segm"]["AP"] == 1.0


def test_labels_go_by_name_and_unknown_classes_are_left_out():
    dataset = Scene([annotation(1, (2, 2, 12, 12))])
    answer = found((2, 2, 12, 12), (14, 2, 20, 9), scores=[0.5, 0.9])
    answer["labels"] = torch.tensor([2, 1])
    oracle = Oracle([answer])
    oracle.class_names = ("background", "other", "thing")
    assert evaluate(oracle, dataset)["segm"]["AP"] == 1.0


def test_classes_that_share_no_name_are_refused_unless_all_count_as_one():
    dataset = Scene([annotation(1, (2, 2, 12, 12))])
    oracle = Oracle([found((2, 2, 12, 12), label=2)])
    oracle.class_names = ("background", "disc", "star")
    with pytest.raises(ValueError, match="knows disc, star, the data set thing: no class in common.*class_agnostic"):
        evaluate(oracle, dataset)
    oracle.seen = 0
    assert evaluate(oracle, dataset, class_agnostic=True)["segm"]["AP"] == 1.0


def test_an_image_of_another_size_than_its_annotations_is_named():
    dataset = Scene([annotation(1, (2, 2, 12, 12))])
    truth = dataset.coco()
    dataset.size = (10, 15)
    with pytest.raises(ValueError, match=r"scene 0 is 10 x 15 pixels .* says 20 x 30: evaluate without transforms"):
        evaluate(Oracle([NOTHING]), dataset, truth=truth)


def test_evaluation_is_quiet_and_keeps_the_models_modes(capfd):
    model = tiny_model().train()
    model.backbone.eval()
    modes = [module.training for module in model.modules()]
    evaluate(model, tiny_shapes(length=2))
    assert [module.training for module in model.modules()] == modes
    assert capfd.readouterr() == ("", "")


def test_modes_come_back_after_an_error_too():
    def fail(index):
        raise OSError("unreadable")

    model = tiny_model().train()
    with pytest.raises(OSError, match="unreadable"):
        evaluate(model, Hooked(tiny_shapes(), fail))
    assert all(module.training for module in model.modules())


def test_memory_does_not_grow_with_the_images():
    dataset = tiny_shapes(length=9)
    alive = []

    class Watching(Oracle):
        def predict(self, images, masks="soft"):
            assert sum(reference() is not None for reference in alive) <= 2 * len(images)
            found = super().predict(images, masks)
            alive.extend(weakref.ref(image) for image in images)
            alive.extend(weakref.ref(entry["boxes"]) for entry in found)
            return found

        @property
        def answers(self):
            return _Fresh(dataset)

        @answers.setter
        def answers(self, value):
            pass

    class _Fresh:
        def __init__(self, dataset):
            self.dataset = dataset

        def __getitem__(self, part):
            return [as_detection(self.dataset[index][1]) for index in range(part.start, part.stop)]

    assert evaluate(Watching(None), dataset)["segm"]["AP"] == 1.0
    assert len(alive) == 18


def test_out_of_memory_while_evaluating_says_what_to_lower(monkeypatch):
    model = tiny_model()

    def full(*_, **__):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(model, "predict", full)
    with pytest.raises(
        torch.cuda.OutOfMemoryError, match=r"evaluation ran out of memory. Lower batch \(now 2\).*max_size"
    ):
        evaluate(model, tiny_shapes(), batch=2)


def test_a_detector_without_masks_is_evaluated_by_its_boxes():
    answer = found((2, 2, 12, 12))
    del answer["masks"]
    oracle = Oracle([answer])
    oracle.roi_heads = torch.nn.Identity()
    oracle.roi_heads.has_mask = False
    with pytest.warns(UserWarning, match="no mask head: every figure of masks is -1"):
        scores = evaluate(oracle, Scene([annotation(1, (2, 2, 12, 12))]))
    assert scores["bbox"]["AP"] == 1.0 and set(scores["segm"].values()) == {-1.0}
    assert list(scores["segm"]) == list(scores["bbox"])
