"""Generated scenes: the same for the same seed, and exactly what they say they are."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mrcnn_edu.datasets import Shapes, boxes_from_masks, check_dataset, load_dataset
from mrcnn_edu.datasets.dice import Dice
from mrcnn_edu.datasets.outlines import CLASSES, random_outline
from mrcnn_edu.datasets.shapes import LEAST_VISIBLE, draw_scene

seeds = st.integers(0, 2**31)
indices = st.integers(0, 10**6)


def scene(seed: int, index: int, **options):
    return Shapes(length=10**7, seed=seed, **options)[index]


@given(seeds, indices)
def test_types_shapes_and_ranges(seed, index):
    image, target = scene(seed, index)
    count = len(target["labels"])
    assert image.shape == (3, 128, 128) and image.dtype == torch.float32
    assert 0 <= image.min() and image.max() <= 1
    assert target["boxes"].shape == (count, 4) and target["boxes"].dtype == torch.float32
    assert target["labels"].dtype == torch.int64 and target["masks"].dtype == torch.uint8
    assert target["masks"].shape == (count, 128, 128)
    assert set(target["labels"].tolist()) <= {1, 2, 3, 4}
    assert target["image_id"] == index


@given(seeds, indices)
def test_boxes_are_tight_and_masks_disjoint(seed, index):
    _, target = scene(seed, index)
    masks = target["masks"].numpy()
    assert set(np.unique(masks)) <= {0, 1}
    assert masks.sum(axis=0).max(initial=0) <= 1
    for mask, box in zip(masks, target["boxes"].tolist(), strict=True):
        rows, columns = np.nonzero(mask)
        assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@given(seeds, indices)
def test_same_seed_same_scene_in_any_order(seed, index):
    first = scene(seed, index)
    scene(seed, index + 1)
    again = scene(seed, index)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1]["masks"], again[1]["masks"])


def test_global_random_state_is_neither_read_nor_changed():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = scene(3, 8)[0]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    torch.manual_seed(99)
    assert torch.equal(scene(3, 8)[0], first)


def test_neighbouring_seeds_and_scenes_differ():
    pictures = [scene(seed, index)[0] for seed in (0, 1) for index in (0, 1)]
    assert all(not torch.equal(a, b) for i, a in enumerate(pictures) for b in pictures[:i])


@given(st.sampled_from([32, 64, 200, 256]), indices)
def test_objects_scale_with_the_image(size, index):
    image, target = scene(1, index, size=size)
    assert image.shape == (3, size, size)
    sides = target["boxes"][:, 2:] - target["boxes"][:, :2]
    if len(sides):
        assert sides.max() <= 0.5 * size + 2


def test_counts_classes_and_empty_scenes():
    targets = [target for _, target in (Shapes(length=400, seed=5)[i] for i in range(400))]
    counts = np.array([len(target["labels"]) for target in targets])
    assert 5 <= counts.mean() <= 7.5
    assert counts.min() == 0 and 0.01 <= (counts == 0).mean() <= 0.1
    labels = torch.cat([target["labels"] for target in targets])
    assert (torch.bincount(labels, minlength=5)[1:] > 250).all()
    alone = [len(set(target["labels"].tolist())) == 1 for target in targets if len(target["labels"]) > 2]
    assert 0.2 <= np.mean(alone) <= 0.7


def test_objects_touch_and_overlap_often_with_their_own_class():
    touching = same = 0
    for index in range(100):
        _, target = scene(2, index)
        masks, labels = target["masks"].numpy().astype(bool), target["labels"].tolist()
        for i in range(len(masks)):
            grown = masks[i].copy()
            grown[1:] |= masks[i][:-1]
            grown[:-1] |= masks[i][1:]
            for j in range(i):
                if (grown & masks[j]).any():
                    touching += 1
                    same += labels[i] == labels[j]
    assert touching > 50 and same > 20


def test_no_slivers():
    areas = torch.cat([scene(7, index)[1]["masks"].sum(dim=(1, 2)) for index in range(150)])
    assert areas.min() >= 30


def test_an_object_keeps_most_of_its_pixels(monkeypatch):
    import mrcnn_edu.datasets.shapes as module

    canvases = []
    original = module.Canvas

    def recorded(*args, **kwargs):
        canvases.append(original(*args, **kwargs))
        return canvases[-1]

    monkeypatch.setattr(module, "Canvas", recorded)
    for index in range(60):
        _, _, masks = draw_scene(Dice(11, index), 128)
        for mask, drawn in zip(masks, canvases[-1].drawn, strict=True):
            assert mask.sum() >= LEAST_VISIBLE * drawn
    assert sum(len(canvas.drawn) for canvas in canvases) > 200


@given(st.sampled_from(CLASSES), st.floats(6, 32), seeds)
def test_distance_is_coverage_of_the_same_outline_drawn_finely(kind, radius, seed):
    outline = random_outline(Dice(seed), kind, radius)
    side, fine = 72, 5
    x = np.arange(side, dtype=np.float32) + 0.5 - side / 2
    mask = outline.distance(x[None], x[:, None]) >= 0
    x = (np.arange(side * fine, dtype=np.float32) + 0.5) / fine - side / 2
    inside = outline.distance(x[None], x[:, None]) >= 0
    covered = inside.reshape(side, fine, side, fine).mean(axis=(1, 3))
    # Sharp corners aside, a pixel whose centre is inside is covered by half or more.
    assert (mask != (covered > 0.5)).sum() <= 0.04 * mask.sum() + 6
    assert np.hypot(*np.meshgrid(x, x))[inside].max() <= radius + 0.5


def test_masks_lie_on_what_is_seen():
    """The picture changes across mask edges more than elsewhere, so masks and picture are not shifted."""

    def edge_contrast(picture, masks, shift):
        total = 0.0
        for mask in masks:
            moved = np.roll(mask, shift, axis=(0, 1)).astype(bool)
            ring = np.zeros_like(moved)
            ring[:, 1:] = moved[:, 1:] != moved[:, :-1]
            total += np.abs(np.diff(picture, axis=1, prepend=picture[:, :1]))[ring].sum() / max(ring.sum(), 1)
        return total

    sums = dict.fromkeys(((0, 0), (0, 3), (0, -3)), 0.0)
    for index in range(40):
        image, target = scene(4, index)
        for shift in sums:
            sums[shift] += edge_contrast(image.numpy().mean(axis=0), target["masks"].numpy(), shift)
    assert sums[0, 0] > 1.5 * max(sums[0, 3], sums[0, -3])


def test_length_and_indices():
    dataset = Shapes(length=3, seed=1)
    assert len(dataset) == len(list(dataset)) == 3
    assert dataset[-1][1]["image_id"] == 2
    with pytest.raises(IndexError, match="has 3 scenes"):
        dataset[3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"length": -1}, "length"),
        ({"size": 16}, "size=16"),
        ({"max_objects": -2}, "max_objects"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Shapes(**options)


@pytest.mark.parametrize("most", [0, 1, 5])
def test_max_objects_holds(most):
    assert max(len(scene(6, index, max_objects=most)[1]["labels"]) for index in range(80)) == most


def test_validation_scenes_are_others():
    train, val = load_dataset("shapes"), load_dataset("shapes", "val")
    assert len(train) == 10_000 and len(val) == 500
    assert not torch.equal(train[0][0], val[0][0])
    assert val.describe(3) == f"shapes seed {val.seed} image 3"


def test_generated_scenes_pass_the_checker():
    report = check_dataset(Shapes(length=120, seed=9))
    assert report.ok, str(report)


def test_boxes_of_no_masks_and_of_an_empty_mask():
    assert boxes_from_masks(np.zeros((0, 5, 5), np.uint8)).shape == (0, 4)
    masks = np.zeros((2, 6, 9), np.uint8)
    masks[1, 4, 2] = 1
    assert boxes_from_masks(masks).tolist() == [[0, 0, 0, 0], [2, 4, 3, 5]]
