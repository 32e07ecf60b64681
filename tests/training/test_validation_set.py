"""What is wrong with a validation set is said before the first step; what is not, changes no figure."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mrcnn_edu.datasets import CocoDataset, Transformed, export_coco, train_transforms
from mrcnn_edu.model import load_weights
from mrcnn_edu.training import evaluate, load_checkpoint, train

from .tiny import Hooked, Noisy, run, tiny_model, tiny_settings, tiny_shapes

KINDS = tiny_shapes().class_names[1:]


@pytest.fixture
def scenes(tmp_path):
    """A folder with three generated scenes, and its annotations as a dict."""
    folder = tmp_path / "val"
    export_coco(tiny_shapes(length=3, seed=9), folder)
    return folder, json.loads((folder / "annotations.json").read_text())


def refused(tmp_path, val, **more):
    """The words that refuse a validation set, before any step, with nothing left on disk."""
    steps = []
    dataset = Hooked(tiny_shapes(), steps.append)
    with pytest.raises(ValueError) as caught:
        run(dataset=dataset, val=val, out=tmp_path / "run", **more)
    assert len(steps) <= 7 and not (tmp_path / "run").exists()
    return str(caught.value)


def turn(path):
    Image.fromarray(np.zeros((60, 48, 3), np.uint8)).save(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(lambda path: path.unlink(), "no such image file"), (turn, "the picture is 48 × 60"),
     (lambda path: path.write_bytes(path.read_bytes()[:300]), "truncated or damaged"),
     (lambda path: path.write_text("text"), "no image that Pillow can read")],
)  # fmt: skip
def test_a_picture_that_cannot_be_read(tmp_path, scenes, spoil, words):
    folder, content = scenes
    val = CocoDataset(content, folder / "images", name="mine")
    spoil(folder / "images" / val.describe(1))
    message = refused(tmp_path, val)
    assert message.startswith("validation set 'mine': ") and val.describe(1) in message and words in message


class Changed(Noisy):
    """A data set with other attributes, items or truth."""

    def __init__(self, dataset, without=(), item=None, truth=None, **attributes):
        super().__init__(dataset)
        self.item, self.truth, self.without = item, truth, without
        for name, value in attributes.items():
            setattr(self, name, value)

    def __getattribute__(self, name):
        if name != "without" and name in getattr(self, "without", ()):
            raise AttributeError(name)
        return super().__getattribute__(name)

    def __getitem__(self, index):
        return self.dataset[index] if self.item is None else self.item(index, *self.dataset[index])

    def coco(self):
        return self.dataset.coco() if self.truth is None else self.truth(self.dataset.coco())


def narrow(index, image, target):
    masks = target["masks"][:, :, :44]
    return image[:, :, :44], {**target, "masks": masks, "boxes": target["boxes"].clamp(max=44)}


def no_area(index, image, target):
    target["boxes"][:1, 2] = target["boxes"][:1, 0]
    return image, target


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"without": ["coco"]}, "has no coco, and evaluate needs it"),
        ({"without": ["class_names"]}, "has no class_names"),
        ({"without": ["category_ids"]}, "has no category_ids"),
        ({"item": no_area}, "has no area"),
        ({"item": narrow}, "48"),
        ({"item": lambda index, image, target: (image, {**target, "image_id": 77})}, "image_id"),
        ({"truth": lambda truth: {**truth, "categories": None}}, "cannot be evaluated"),
        ({"truth": lambda truth: {}}, "cannot be evaluated: KeyError"),
        ({"truth": lambda truth: {**truth, "images": truth["images"][1:]}}, "the ground truth"),
        ({"class_names": ("background", "cat", "dog", "cow", "hen")}, "none in common"),
    ],
)
def test_a_set_that_could_not_be_evaluated(tmp_path, change, words):
    message = refused(tmp_path, Changed(tiny_shapes(3, seed=9), **change))
    assert "validation set" in message and words in message


def test_a_set_that_holds_nothing(tmp_path):
    def empty(index, image, target):
        return image, {k: v[:0] if isinstance(v, torch.Tensor) else v for k, v in target.items()}

    assert "holds no image" in refused(tmp_path, tiny_shapes(length=0))
    val = Changed(tiny_shapes(2), item=empty, truth=lambda truth: {**truth, "annotations": []})
    assert "holds no object" in refused(tmp_path, val)


def test_only_the_images_that_are_used_are_looked_at(tmp_path):
    seen = []
    model, val = tiny_model(), Hooked(tiny_shapes(length=40, seed=9), seen.append)
    result = train(model, tiny_shapes(), tiny_settings(steps=1), val, progress=False, limit=3)
    assert set(seen) == {0, 1, 2} and len(result.metrics) == 1


def renamed(content, names):
    """The annotations with categories of these names, under ids that do not run from 1."""
    ids = {kind["name"]: 10 + 3 * place for place, kind in enumerate(content["categories"])}
    old = {kind["id"]: ids[kind["name"]] for kind in content["categories"]}
    categories = [{"id": ids[old_name], "name": name} for old_name, name in zip(ids, names, strict=True)]
    annotations = [{**row, "category_id": old[row["category_id"]]} for row in content["annotations"]]
    return {**content, "categories": categories, "annotations": annotations}


def test_classes_in_another_order_change_no_figure(scenes, tmp_path, recwarn):
    folder, content = scenes
    plain = CocoDataset(content, folder / "images", name="val")
    ids = {name: 10 - place for place, name in enumerate(KINDS)}  # ascending ids turn the order of the classes round
    old = {kind["id"]: ids[kind["name"]] for kind in content["categories"]}
    kinds = [{"id": ids[name], "name": name} for name in KINDS]
    rows = [{**row, "category_id": old[row["category_id"]]} for row in content["annotations"]]
    turned = CocoDataset({**content, "categories": kinds, "annotations": rows}, folder / "images", name="val")
    assert turned.class_names[1:] == plain.class_names[:0:-1]
    scores = []
    for val in (plain, turned):
        _, result = run(dataset=tiny_shapes(3, seed=9), val=val, steps=60, lr=0.01, warmup=5, model=detecting())
        scores.append({name: value for name, value in result.metrics[-1].items() if name != "seconds"})
    assert scores[0] == scores[1] and scores[0]["bbox_AP50"] > 0
    assert not [warning for warning in recwarn if "training set" in str(warning.message)]


def detecting():
    return tiny_model(box_score_thresh=0.01)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("pear", *KINDS[1:]), ["not in the training set: pear", f"lacks classes of the training set: {KINDS[0]}"]),
        ((KINDS[0].upper(), *KINDS[1:]), [f"not in the training set: {KINDS[0].upper()}", "lacks classes"]),
    ],
)
def test_classes_of_one_set_alone_are_named(scenes, names, words):
    folder, content = scenes
    val = CocoDataset(renamed(content, names), folder / "images", name="val")
    with pytest.warns(UserWarning) as caught:
        run(val=val, steps=1)
    text = " ".join(str(warning.message) for warning in caught)
    assert all(word in text for word in words)


def test_faults_do_not_hide_under_the_augmentation(tmp_path):
    """Our transforms compute boxes anew, so a wrong one would pass in silence."""
    dataset = Transformed(Changed(tiny_shapes(), item=no_area), train_transforms())
    with pytest.raises(ValueError, match="has no area"):
        run(dataset=dataset, out=tmp_path / "run")


@pytest.mark.parametrize("settings", [{}, {"ema": 0.5}, {"amp": "bfloat16"}, {"channels_last": False}, {"batch": 3}],
                         ids=str)  # fmt: skip
def test_the_figure_of_the_run_is_that_of_evaluate(tmp_path, settings):
    val = tiny_shapes(4, seed=9)
    given = {"steps": 40, "lr": 0.01, "warmup": 5, **settings}
    _, result = run(dataset=tiny_shapes(4, seed=9), model=detecting(), val=val, out=tmp_path, **given)
    row = {name: value for name, value in result.metrics[-1].items() if name not in ("step", "seconds")}
    for path in (result.weights, result.checkpoint):
        scores = evaluate(load_weights(path), val)
        figures = {f"{kind}_{name}": value for kind, group in scores.items() for name, value in group.items()}
        assert {name: figures[name] for name in row} == row
    assert max(row.values()) > 0


def test_category_ids_go_with_the_model_and_its_checkpoint(scenes, tmp_path):
    folder, content = scenes
    dataset = CocoDataset(renamed(content, KINDS), folder / "images", name="ids")
    model, result = run(dataset=dataset, out=tmp_path / "run", ema=0.5, steps=2)
    assert tuple(model.category_ids) == dataset.category_ids == (0, 10, 13, 16, 19)
    assert load_checkpoint(result.checkpoint)["category_ids"] == [0, 10, 13, 16, 19]
    model, result = run(dataset=Changed(tiny_shapes(), without=["category_ids"]), out=tmp_path / "none", steps=1)
    assert model.category_ids is None and load_checkpoint(result.checkpoint)["category_ids"] is None


def test_a_model_that_knew_its_classes_by_other_names_is_told():
    model = tiny_model()
    model.class_names = ("background", *reversed(KINDS))
    with pytest.warns(UserWarning, match=f"the model's classes were {', '.join(reversed(KINDS))}; from now on"):
        run(model=model, steps=1)
    assert model.class_names == tiny_shapes().class_names
