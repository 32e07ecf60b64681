"""Bad input to the model: each kind gets its own clear error, or the right answer."""

from __future__ import annotations

import pytest
import torch

from mrcnn_edu.model import MaskRCNN
from tests.model.scenes import fixed_twin, scenes, small_config, small_model, small_scenes

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    return small_model()


def boxes_of(*box: float):
    def change(images, targets):
        targets[1]["boxes"][1] = torch.tensor(box)

    return change


def labels_of(label: int):
    def change(images, targets):
        targets[1]["labels"][1] = label

    return change


def field(name: str, change):
    def apply(images, targets):
        targets[1][name] = change(targets[1][name])

    return apply


def missing(name: str):
    return lambda images, targets: targets[1].pop(name)


def image(change):
    def apply(images, targets):
        images[1] = change(images[1])

    return apply


POSITIVE = r"target of image 1: box 1 is \[.*positive width and height \(x1 < x2, y1 < y2\)"
BAD_TARGETS = {
    "inverted box": (boxes_of(30, 10, 20, 40), ValueError, POSITIVE),
    "box upside down": (boxes_of(20, 40, 30, 10), ValueError, POSITIVE),
    "box without width": (boxes_of(20, 10, 20, 40), ValueError, POSITIVE),
    "box without height": (boxes_of(20, 10, 30, 10), ValueError, POSITIVE),
    "box that is a point": (boxes_of(20, 10, 20, 10), ValueError, POSITIVE),
    "NaN corner": (boxes_of(NAN, 10, 20, 40), ValueError, r"box 1 is \[nan.*finite corners"),
    "NaN last corner": (boxes_of(2, 10, 20, NAN), ValueError, r"box 1 is .*nan\].*finite corners"),
    "infinite corner": (boxes_of(2, 10, INF, 40), ValueError, "box 1 is .*inf.*finite corners"),
    "minus infinite corner": (boxes_of(2, -INF, 9, 40), ValueError, "box 1 is .*-inf.*finite corners"),
    "boxes with five columns": (
        field("boxes", lambda b: torch.cat([b, b[:, :1]], 1)),
        ValueError,
        r"image 1: boxes has shape \(2, 5\), give \(N, 4\)",
    ),
    "boxes of integers": (
        field("boxes", lambda b: b.long()),
        TypeError,
        "image 1: boxes has type torch.int64, give floats",
    ),
    "boxes as a list": (
        field("boxes", lambda b: b.tolist()),
        TypeError,
        "image 1: field 'boxes' is missing or no tensor",
    ),
    "label of the background": (
        labels_of(0),
        ValueError,
        "image 1: the label of object 1 is 0.*give labels from 1 to 3",
    ),
    "negative label": (labels_of(-2), ValueError, "image 1: the label of object 1 is -2"),
    "label too large": (labels_of(4), ValueError, "object 1 is 4; the model has 4 classes.*raise num_classes"),
    "label far too large": (labels_of(90), ValueError, "object 1 is 90"),
    "labels of 32 bits": (
        field("labels", lambda x: x.int()),
        TypeError,
        "image 1: labels has type torch.int32, give int64",
    ),
    "labels as floats": (field("labels", lambda x: x.float()), TypeError, "image 1: labels has type torch.float32"),
    "one label too few": (field("labels", lambda x: x[:1]), ValueError, r"image 1: 2 boxes and labels of shape \(1,\)"),
    "one label too many": (
        field("labels", lambda x: torch.cat([x, x[:1]])),
        ValueError,
        r"image 1: 2 boxes and labels of shape \(3,\)",
    ),
    "mask of another size": (
        field("masks", lambda m: m[:, :-1]),
        ValueError,
        r"image 1: masks has shape \(2, 89, 70\), give \(2, 90, 70\)",
    ),
    "mask turned on its side": (
        field("masks", lambda m: m.transpose(1, 2)),
        ValueError,
        r"masks has shape \(2, 70, 90\)",
    ),
    "one mask too few": (field("masks", lambda m: m[:1]), ValueError, r"masks has shape \(1, 90, 70\).*one mask a box"),
    "masks with a channel": (field("masks", lambda m: m[:, None]), ValueError, r"masks has shape \(2, 1, 90, 70\)"),
    "no boxes": (missing("boxes"), TypeError, "image 1: field 'boxes' is missing"),
    "no labels": (missing("labels"), TypeError, "image 1: field 'labels' is missing"),
    "no masks": (missing("masks"), TypeError, "image 1: field 'masks' is missing"),
    "one target too few": (lambda i, t: t.pop(), ValueError, "2 images and 1 targets: give one target an image"),
    "one target too many": (lambda i, t: t.append(t[0]), ValueError, "2 images and 3 targets"),
    "target that is no dict": (
        lambda i, t: t.__setitem__(1, [1, 2]),
        TypeError,
        "target of image 1 is a list: give a dict",
    ),
}
BAD_IMAGES = {
    "bytes": (image(lambda x: (x * 255).to(torch.uint8)), TypeError, r"image 1 has type torch.uint8.*image / 255"),
    "grey": (image(lambda x: x[:1]), ValueError, r"image 1 has shape \(1, 90, 70\): give \(3, H, W\)"),
    "grey without channel": (image(lambda x: x[0]), ValueError, r"image 1 has shape \(90, 70\)"),
    "alpha": (image(lambda x: torch.cat([x, x[:1]])), ValueError, r"image 1 has shape \(4, 90, 70\)"),
    "channels last": (image(lambda x: x.permute(1, 2, 0)), ValueError, r"image 1 has shape \(90, 70, 3\)"),
    "numpy": (image(lambda x: x.numpy()), TypeError, "image 1 is a ndarray: give a tensor"),
    "no rows": (image(lambda x: x[:, :0]), ValueError, r"image 1 has no pixels: its shape is \(3, 0, 70\)"),
    "no columns": (image(lambda x: x[:, :, :0]), ValueError, r"image 1 has no pixels: its shape is \(3, 90, 0\)"),
    "no images": (lambda i, t: (i.clear(), t.clear()), ValueError, "images is empty: give at least one"),
}


@pytest.mark.parametrize(("spoil", "error", "message"), BAD_TARGETS.values(), ids=BAD_TARGETS)
def test_a_bad_target_is_named(model, spoil, error, message):
    images, targets = small_scenes()
    spoil(images, targets)
    with pytest.raises(error, match=message):
        model.loss(images, targets)


@pytest.mark.parametrize(("spoil", "error", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_a_bad_image_is_named(model, spoil, error, message):
    images, targets = small_scenes()
    spoil(images, targets)
    for call in (model.predict, model, model.stages, lambda x: model.loss(x, targets)):
        with pytest.raises(error, match=message):
            call(images)


def test_one_image_instead_of_a_list(model):
    images, targets = small_scenes()
    for call in (model.predict, model.stages, lambda x: model.loss(x, targets[:1])):
        with pytest.raises(ValueError, match=r"images is one image: give a list of images, \[image\]"):
            call(images[0])


def test_training_without_targets(model):
    model.train()
    try:
        with pytest.raises(ValueError, match="2 images and none targets"):
            model(small_scenes()[0])
    finally:
        model.eval()


def test_a_batch_tensor_is_taken_as_a_list(model):
    batch = torch.stack([image[:, :64, :70] for image in small_scenes()[0]])
    ours, wanted = model.predict(batch), model.predict(list(batch))
    assert all(torch.equal(a["boxes"], b["boxes"]) for a, b in zip(ours, wanted, strict=True))


def test_empty_masks_and_boxes_outside_the_image_train(model):
    """An object may lie outside after a crop, and its mask may be empty: no error, finite losses."""
    images, targets = small_scenes()
    targets[0]["boxes"][0] = torch.tensor([200.0, 200, 240, 260])
    targets[0]["masks"][0] = 0
    targets[1]["boxes"][0] = torch.tensor([-30.0, -20, 15, 25])
    losses = model.loss(images, targets)
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())


SIZES = [(1, 1), (1, 9), (20, 1333), (1333, 20), (1, 400)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_extreme_sizes_predict(model, size):
    found = model.predict([torch.rand(3, *size)])[0]
    height, width = size
    assert found["masks"].shape[1:] == (1, height, width)
    limits = torch.tensor([width, height, width, height])
    assert bool(((found["boxes"] >= 0) & (found["boxes"] <= limits + 1e-3)).all())
    stages = model.stages([torch.rand(3, *size)])
    assert all(side >= 1 for side in stages.image_sizes[0])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_extreme_sizes_train(model, size):
    height, width = size
    target = {
        "boxes": torch.tensor([[0.0, 0, width, height]]),
        "labels": torch.tensor([1]),
        "masks": torch.ones(1, height, width, dtype=torch.uint8),
    }
    losses = model.loss([torch.rand(3, *size)], [target])
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())


def test_a_long_strip_gives_torchvisions_answer():
    """20 × 1333 pixels: the long side decides the scale."""
    model = small_model(1, max_size=667)
    images, _ = scenes(3, [(20, 1333)], [5], 4)
    assert model.stages(images).image_sizes == [(10, 667)]
    wanted = fixed_twin(model)(images)[0]
    found = model.predict(images)[0]
    assert len(found["boxes"]) > 0 and found["boxes"].shape == wanted["boxes"].shape
    assert torch.allclose(found["boxes"], wanted["boxes"], atol=1e-3)
    assert torch.allclose(found["masks"], wanted["masks"], atol=1e-3)


def test_a_single_pixel_gives_the_right_answer():
    """It is enlarged to a square of one colour, as a square of that colour would be."""
    model = small_model(1)
    pixel = torch.rand(3, 1, 1)
    square = pixel.expand(3, 64, 64).clone()
    small, large = model.predict([pixel])[0], model.predict([square])[0]
    assert torch.allclose(small["boxes"] * 64, large["boxes"], atol=1e-2)
    assert torch.equal(small["labels"], large["labels"])


def test_values_that_are_no_numbers_do_not_stop_prediction():
    """A NaN pixel spreads through the network; scores that are no number are no detection."""
    image = torch.rand(3, 64, 64)
    image[0, 3, 3] = NAN
    found = MaskRCNN(small_config()).predict([image])[0]
    assert not bool(torch.isnan(found["scores"]).any())


def test_no_proposals_are_no_error():
    """Where no proposal passes `rpn_score_thresh`, there is nothing to find and little to learn."""
    model = MaskRCNN(small_config(rpn_score_thresh=1.0))
    images, targets = scenes(1, [(64, 80)], [0], 4)
    for form in ("soft", "bool", "rle", "none"):
        assert len(model.predict(images, masks=form)[0]["boxes"]) == 0
    assert model.stages(images).box_features.shape == (0, 64, 7, 7)
    losses = model.train()(images, targets)
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
