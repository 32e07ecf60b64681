"""Augmentation keeps boxes, masks, labels and picture together, and repeats under the same seed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mrcnn_edu.datasets import Shapes, Transformed, boxes_from_masks, check_sample, make_target, train_transforms

EVERYTHING = {"transpose": True, "degrees": 20.0, "grey": 0.3}


def view(seed, sample, **options):
    torch.manual_seed(seed)
    return train_transforms(**options)(*sample)


@given(st.integers(0, 10**6), st.integers(0, 10**4))
def test_a_view_is_sound(seed, index):
    image, target = view(seed, Shapes(length=10**5)[index], **EVERYTHING)
    assert check_sample(image, target, 5) == []
    assert type(image) is tv_tensors.Image and image.dtype == torch.float32
    assert type(target["boxes"]) is tv_tensors.BoundingBoxes and type(target["masks"]) is tv_tensors.Mask
    assert target["boxes"].canvas_size == tuple(image.shape[-2:])
    assert np.array_equal(target["boxes"].numpy(), boxes_from_masks(target["masks"].numpy()))
    assert target["image_id"] == index
    assert set(target) == {"boxes", "labels", "masks", "image_id"}


@given(st.integers(0, 10**6))
def test_same_seed_same_view(seed):
    sample = Shapes()[seed % 100]
    first, again = (view(seed, sample, **EVERYTHING) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert all(torch.equal(torch.as_tensor(first[1][key]), torch.as_tensor(again[1][key])) for key in first[1])


def test_the_sample_given_is_not_changed():
    image, target = Shapes()[3]
    before = image.clone(), target["masks"].clone(), target["boxes"].clone(), set(target)
    for seed in range(10):
        view(seed, (image, target), **EVERYTHING)
    assert torch.equal(image, before[0]) and torch.equal(target["masks"], before[1])
    assert torch.equal(target["boxes"], before[2]) and set(target) == before[3]


def coloured(height=60, width=80):
    """Boxes of one colour each on black, so that every mask can be read off the picture."""
    masks = np.zeros((3, height, width), np.uint8)
    masks[0, 5:25, 8:30], masks[1, 30:55, 10:34], masks[2, 12:40, 44:70] = 1, 1, 1
    image = torch.from_numpy(masks.astype(np.float32))
    return tv_tensors.Image(image), make_target(boxes_from_masks(masks), np.array([1, 2, 3]), masks, 0)


@given(st.integers(0, 10**6))
def test_masks_labels_and_picture_move_together(seed):
    image, target = view(seed, coloured(), transpose=True, degrees=10.0, colour=0.0)
    for label, mask in zip(target["labels"].tolist(), target["masks"].numpy().astype(bool), strict=True):
        seen = image[label - 1].numpy() > 0.5
        union = (seen | mask).sum()
        assert (seen & mask).sum() >= 0.85 * union


@pytest.mark.parametrize("options", [{"flip": True}, {"flip_vertical": True}, {"transpose": True}])
def test_each_mirror_happens_half_of_the_time_and_exactly(options):
    off = {"flip": False, "flip_vertical": False, "zoom": (1.0, 1.0), "colour": 0.0}
    image, target = coloured()
    turned = 0
    for seed in range(60):
        new, new_target = view(seed, (image, target), **{**off, **options})
        if new.shape == image.shape and torch.equal(new, image):
            assert torch.equal(new_target["masks"], target["masks"])
            continue
        turned += 1
        expected = {"flip": image.flip(-1), "flip_vertical": image.flip(-2), "transpose": image.transpose(-1, -2)}
        assert torch.equal(new, expected[next(iter(options))])
        assert torch.equal(new_target["masks"].float(), new.as_subclass(torch.Tensor))
    assert 15 <= turned <= 45


def test_nothing_asked_nothing_changed():
    image, target = coloured()
    new, new_target = train_transforms(flip=False, flip_vertical=False, zoom=(1.0, 1.0), colour=0.0)(image, target)
    assert torch.equal(new, image)
    assert all(torch.equal(torch.as_tensor(new_target[key]), torch.as_tensor(target[key])) for key in target)


def test_zoom_keeps_the_size_and_scales_objects():
    for factor in (0.5, 1.5):
        image, target = view(0, coloured(), flip=False, flip_vertical=False, zoom=(factor, factor), colour=0.0)
        assert image.shape == (3, 60, 80)
        whole = [box for box in target["boxes"].tolist() if box[0] > 0 and box[1] > 0 and box[2] < 80 and box[3] < 60]
        sizes = {(26, 28): (2, 1), (22, 20): (1, 0), (24, 25): (2, 1)}
        assert whole
        for x1, y1, x2, y2 in whole:
            assert any(abs(x2 - x1 - w * factor) <= 1 and abs(y2 - y1 - h * factor) <= 1 for w, h in sizes)


def test_objects_cut_to_slivers_are_dropped():
    image, target = coloured()
    full = target["masks"].numpy().sum(axis=(1, 2))
    dropped = 0
    for seed in range(80):
        _, seen = view(seed, (image, target), flip=False, flip_vertical=False, zoom=(1.8, 1.8), least_visible=0.4)
        dropped += 3 - len(seen["labels"])
        left = seen["masks"].numpy().sum(axis=(1, 2)) / 1.8**2 / full[seen["labels"].numpy() - 1]
        assert (left > 0.36).all()
    assert dropped > 20


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 333), (333, 20)])
@pytest.mark.parametrize("count", [0, 1])
def test_extreme_sizes_and_empty_targets(height, width, count):
    masks = np.ones((count, height, width), np.uint8)
    target = make_target(boxes_from_masks(masks), np.ones(count, np.int64), masks, 0)
    for seed in range(8):
        image, new = view(seed, (tv_tensors.Image(torch.rand(3, height, width)), target), **EVERYTHING)
        assert new["masks"].shape[1:] == image.shape[1:]
        assert len(new["boxes"]) == len(new["labels"]) == len(new["masks"]) <= count


def test_wrong_zoom_is_named():
    with pytest.raises(ValueError, match="zoom"):
        train_transforms(zoom=(1.2, 0.8))


def test_a_transformed_data_set_keeps_its_names(tmp_path):
    import pickle

    dataset = Transformed(Shapes(length=4), train_transforms())
    assert isinstance(dataset, Dataset) and len(dataset) == 4
    assert dataset.class_names == Shapes.class_names and dataset.describe(2) == "shapes seed 0 image 2"
    assert dataset[1][1]["image_id"] == 1
    assert len(pickle.loads(pickle.dumps(dataset))) == 4
    with pytest.raises(AttributeError):
        dataset.nothing_here  # noqa: B018
