"""Every fault that poisons training is found, named and explained; what is sound is left alone."""

import pytest
import torch
from torch.utils.data import Dataset

from mrcnn_edu.datasets import (
    DatasetError,
    Shapes,
    check_dataset,
    check_sample,
    collate,
    make_target,
    require_sound,
)

NAN, INF = float("nan"), float("inf")


def sample(**changes):
    masks = torch.zeros(2, 20, 30, dtype=torch.uint8)
    masks[0, 2:10, 3:15] = 1
    masks[1, 12:18, 20:28] = 1
    target = {
        "boxes": torch.tensor([[3.0, 2, 15, 10], [20, 12, 28, 18]]),
        "labels": torch.tensor([1, 2]),
        "masks": masks,
        "image_id": 0,
    }
    image = changes.pop("image", torch.rand(3, 20, 30))
    return image, {**target, **changes}


def box(*values):
    return {"boxes": torch.tensor([[3.0, 2, 15, 10], list(values)])}


def masks_with(change):
    masks = sample()[1]["masks"].clone()
    return {"masks": change(masks)}


def emptied(masks):
    masks[1] = 0
    return masks


def moved(masks):
    masks[1] = masks[1].roll(-6, dims=1)
    return masks


FAULTS = {
    "box without width": (box(20, 12, 20, 18), "object 1: boxes: (20, 12, 20, 18) has no area"),
    "box without height": (box(20, 12, 28, 12), "object 1: boxes: (20, 12, 28, 12) has no area"),
    "inverted box": (box(28, 12, 20, 18), "object 1: boxes: (28, 12, 20, 18) is inverted"),
    "NaN in box": (box(20, NAN, 28, 18), "object 1: boxes: (20, nan, 28, 18) is not finite"),
    "infinite box": (box(20, 12, INF, 18), "object 1: boxes: (20, 12, inf, 18) is not finite"),
    "minus infinity": (box(-INF, 12, 28, 18), "object 1: boxes: (-inf, 12, 28, 18) is not finite"),
    "box beyond the right": (
        box(20, 12, 33, 18),
        "object 1: boxes: (20, 12, 33, 18) lies outside the image of 30 × 20",
    ),
    "box before the left": (box(-8, 12, 28, 18), "lies outside the image of 30 × 20; clip the box"),
    "box wholly outside": (box(40, 12, 48, 18), "lies outside the image"),
    "mask of another size": (
        {"masks": torch.ones(2, 30, 20, dtype=torch.uint8)},
        "masks: size (30, 20) differs from the image's (20, 30)",
    ),
    "empty mask": (masks_with(emptied), "object 1: masks: the mask is empty"),
    "mask beside its box": (
        masks_with(moved),
        "object 1: masks: the mask fills (14, 12, 22, 18), the box is (20, 12, 28, 18)",
    ),
    "mask of 255": (
        masks_with(lambda masks: masks * 255),
        "object 0: masks: values run from 0 to 255, expected 0 and 1",
    ),
    "label 0": ({"labels": torch.tensor([1, 0])}, "object 1: labels: 0 is the background; number the classes from 1"),
    "negative label": ({"labels": torch.tensor([1, -3])}, "object 1: labels: -3 is negative"),
    "label = K": ({"labels": torch.tensor([1, 5])}, "object 1: labels: 5 is no class; use 1 to 4"),
    "label > K": ({"labels": torch.tensor([91, 1])}, "object 0: labels: 91 is no class"),
    "float labels": (
        {"labels": torch.tensor([1.0, 2.0])},
        "labels: shape (2,) of torch.float32, expected (N,) of int64",
    ),
    "integer boxes": ({"boxes": torch.tensor([[3, 2, 15, 10]] * 2)}, "boxes: values of type torch.int64"),
    "boxes of shape (4,)": ({"boxes": torch.zeros(4)}, "boxes: shape (4,), expected (N, 4); use torch.zeros(0, 4)"),
    "one mask for all": ({"masks": torch.ones(20, 30)}, "masks: shape (20, 30), expected (N, H, W)"),
    "counts differ": ({"labels": torch.tensor([1])}, "boxes: 2 boxes, 1 labels and 2 masks"),
    "a list of boxes": ({"boxes": [[3, 2, 15, 10]]}, "boxes: is a list, expected a tensor"),
    "image of bytes": ({"image": torch.zeros(3, 20, 30, dtype=torch.uint8)}, "image: values of type torch.uint8"),
    "image in 0 … 255": ({"image": torch.rand(3, 20, 30) * 255}, "expected 0 to 1; scale to [0, 1]"),
    "NaN in the image": ({"image": torch.full((3, 20, 30), NAN)}, "image: holds NaN or infinite values"),
    "image with four channels": ({"image": torch.rand(4, 20, 30)}, "image: (4, 20, 30), expected a tensor (3, H, W)"),
}


@pytest.mark.parametrize(("changes", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_named(changes, message):
    faults = check_sample(*sample(**changes), num_classes=5, name="lake.jpg")
    text = "\n".join(str(fault) for fault in faults)
    assert message in text
    assert all(str(fault).startswith("lake.jpg") and fault.fix for fault in faults)
    with pytest.raises(DatasetError, match="lake.jpg"):
        require_sound(*collate([sample(**changes)]), 5, ["lake.jpg"])


@pytest.mark.parametrize("key", ["boxes", "labels", "masks"])
def test_missing_fields_are_named(key):
    image, target = sample()
    del target[key]
    assert [fault.field for fault in check_sample(image, target, 5)] == [key]


def test_sound_samples_pass():
    assert check_sample(*sample(), num_classes=3) == []
    assert check_sample(*sample(masks=sample()[1]["masks"].bool()), num_classes=3) == []
    loose = box(19, 11, 29.5, 19)
    assert check_sample(*sample(**loose), num_classes=3) == []


def empty(height=20, width=30):
    image = torch.rand(3, height, width)
    return image, {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, height, width, dtype=torch.uint8),
        "image_id": 1,
    }


def test_an_empty_image_and_a_batch_of_empty_images_are_sound():
    assert check_sample(*empty(), num_classes=3) == []
    require_sound(*collate([empty(), empty(5, 8)]), 3, ["a", "b"])
    require_sound([], [], 3, [])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 1333), (1333, 20)])
def test_images_of_one_pixel_and_of_extreme_shape(height, width):
    import numpy as np

    masks = np.ones((1, height, width), np.uint8)
    target = make_target(np.array([[0, 0, width, height]], np.float32), np.array([1]), masks, 0)
    assert check_sample(torch.rand(3, height, width), target, 2) == []


class Listed(Dataset):
    """A data set of given samples; an exception in the list is raised when it is asked for."""

    name, class_names = "listed", ("background", "cup", "plate")

    def __init__(self, *samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        if isinstance(self.samples[index], Exception):
            raise self.samples[index]
        return self.samples[index]

    def describe(self, index):
        return f"photo {index}"


def test_report_names_every_fault_and_goes_on():
    broken = FileNotFoundError("photo.jpg: no such image file")
    dataset = Listed(
        sample(), sample(image_id=1, **box(1, 1, NAN, 5)), broken, sample(image_id=3, labels=torch.tensor([1, 7]))
    )
    report = check_dataset(dataset)
    assert not report.ok and (report.images, report.objects) == (4, 6)
    assert [(fault.image, fault.field) for fault in report.faults] == [
        ("photo 1", "boxes"),
        ("photo 2", "file"),
        ("photo 3", "labels"),
    ]
    assert str(report).splitlines()[0] == "listed: 4 images, 6 objects, 3 faults"
    assert "photo 3, object 1: labels: 7 is no class; use 1 to 2" in str(report)
    with pytest.raises(DatasetError, match="photo 1, object 1"):
        report.raise_if_faulty()


def test_a_set_without_any_object_is_a_fault():
    report = check_dataset(Listed(empty(), (empty()[0], {**empty()[1], "image_id": 2})))
    assert "listed: boxes: the whole set holds no object; add annotated images" in str(report)
    assert "2 images hold no object" in str(report)


def test_a_set_without_images_is_a_fault():
    assert "the set holds no image" in str(check_dataset(Listed()))


def test_repeated_image_ids_are_a_fault():
    assert "image_id: 0 is used by 2 images" in str(check_dataset(Listed(sample(), sample())))


def test_empty_images_and_unused_classes_are_notes():
    report = check_dataset(Listed(sample(labels=torch.tensor([1, 1])), empty()))
    assert report.ok
    report.raise_if_faulty()
    assert report.notes == ["1 images hold no object, which is allowed: photo 1", "no object of class plate"]


def test_limit_and_data_sets_without_names():
    report = check_dataset(Shapes(length=50), limit=5)
    assert report.images == 5

    class Bare(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return sample(labels=torch.tensor([1, -1]))

    assert "image 0, object 1: labels: -1 is negative" in str(check_dataset(Bare()))
