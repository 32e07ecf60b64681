"""Data that would poison training, or gives it nothing to learn: right answers, or errors that name the image."""

import math

import pytest
import torch

from .tiny import Hooked, Noisy, run, tiny_model, tiny_shapes


class Emptied(Noisy):
    """A data set whose images at `where` have lost their objects."""

    def __init__(self, dataset, where):
        super().__init__(dataset)
        self.where = where

    def __getitem__(self, index):
        image, target = self.dataset[index]
        if index in self.where:
            target = {name: value[:0] if isinstance(value, torch.Tensor) else value for name, value in target.items()}
        return image, target

    def coco(self):
        gone = {self.dataset[index][1]["image_id"] for index in self.where}
        content = self.dataset.coco()
        content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] not in gone]
        return content


@pytest.mark.parametrize("where", [{1}, {0, 1, 2}])
def test_no_objects_in_an_image_or_a_batch(tmp_path, where):
    dataset = Emptied(tiny_shapes(length=4), where)
    _, result = run(dataset=dataset, out=tmp_path, steps=4, val=dataset)
    assert result.step == 4 and all(math.isfinite(row["loss"]) for row in result.losses)
    assert result.metrics[-1]["segm_AP"] >= 0
    if len(where) == 3:
        without = [row for row in result.losses if row["loss_mask"] == 0]
        assert without and all(row["loss_box_reg"] == row["loss_rpn_box_reg"] == 0 for row in without)


def test_no_objects_in_the_whole_set_is_refused_before_the_first_step():
    with pytest.raises(ValueError, match="shapes: boxes: the whole set holds no object; add annotated images"):
        run(dataset=Emptied(tiny_shapes(length=4), {0, 1, 2, 3}))


class Poisoned(Noisy):
    """A data set whose image 3 has a box without area."""

    def __getitem__(self, index):
        image, target = self.dataset[index]
        if index == 3:
            target["boxes"][0, 2] = target["boxes"][0, 0]
        return image, target


def test_poison_is_found_before_the_first_step(tmp_path):
    assert len(tiny_shapes()[3][1]["boxes"])
    with pytest.raises(ValueError, match=r"shapes seed 0 image 3, object 0: boxes: .*has no area"):
        run(dataset=Poisoned(tiny_shapes()), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_endless_set_is_checked_by_a_sample():
    served = []
    dataset = Hooked(tiny_shapes(length=1 << 40), served.append)
    run(dataset=dataset, steps=1)
    assert served[:-2] == list(range(200))


def test_a_fault_that_only_training_meets_names_step_and_images():
    class Late(Noisy):
        def __getitem__(self, index):
            image, target = self.dataset[index]
            if index >= 200 and len(target["boxes"]):
                target["boxes"][0, 2] = math.nan
            return image, target

    dataset = Late(tiny_shapes(length=5000))
    with pytest.raises(ValueError, match=r"step 1, images shapes seed 0 image \d+, shapes seed 0 image \d+: "):
        run(dataset=dataset)


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="'shapes' holds no image: nothing to train on"):
        run(dataset=tiny_shapes(length=0))


def test_classes_of_model_and_data_must_agree():
    with pytest.raises(ValueError, match=r"5 classes .*background, disc.* the model 3: make it with num_classes=5"):
        run(model=tiny_model(num_classes=3))
    model, _ = run(steps=1)
    assert model.class_names == tiny_shapes().class_names
