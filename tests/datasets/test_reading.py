"""The rule of reading, what is kept of reduced samples, and pictures read in every way that files have."""

from __future__ import annotations

import argparse
import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader

from mrcnn_edu.datasets import CocoDataset, Coins, Shapes, Transformed, collate, read_image, train_transforms
from mrcnn_edu.datasets.files import read_sized
from mrcnn_edu.datasets.reading import Kept, packed, read_size, shrink, unpacked
from mrcnn_edu.datasets.scaling import scaled_rle
from mrcnn_edu.model.images import resized_size
from mrcnn_edu.training.commands.words import for_command_line

MODEL = ((40,), 60)
SIZE = (400, 600)  # (height, width) of the large pictures here; the model resizes them to 40 × 60


def smooth(size=SIZE, seed=0) -> np.ndarray:
    """A picture (H, W, 3) in bytes whose colours change slowly."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize(size[::-1], Image.Resampling.BICUBIC))


def floats(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels, np.float32) / 255).permute(2, 0, 1)


def rectangle(x1, y1, x2, y2):
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def runs(x1, y1, x2, y2, size=SIZE):
    """A rectangle as uncompressed RLE."""
    height, width = size
    counts = [x1 * height + y1]
    for _ in range(x1, x2):
        counts += [y2 - y1, height - (y2 - y1)]
    counts[-1] = height * width - sum(counts[:-1])
    return {"size": [height, width], "counts": counts}


def coco_set(folder, *segmentations, pictures=1, size=SIZE, **options) -> CocoDataset:
    """Pictures of one size, with the same outlines in each."""
    for number in range(pictures):
        Image.fromarray(smooth(size, number)).save(folder / f"{number}.png")
    images = [{"id": n + 1, "file_name": f"{n}.png", "height": size[0], "width": size[1]} for n in range(pictures)]
    objects = [
        {"id": n * 100 + k + 1, "image_id": n + 1, "category_id": 7, "segmentation": outline, "iscrowd": 0}
        for n in range(pictures)
        for k, outline in enumerate(segmentations)
    ]
    content = {"images": images, "annotations": objects, "categories": [{"id": 7, "name": "thing"}]}
    return CocoDataset(content, folder, **options)


def same(one, other) -> bool:
    (image, target), (image2, target2) = one, other
    return torch.equal(image, image2) and all(
        torch.equal(value, target2[key]) if isinstance(value, torch.Tensor) else value == target2[key]
        for key, value in target.items()
    )


@pytest.mark.parametrize("size", [(80, 120), (79, 118), (30, 20), (1, 1), (120, 40)])
def test_pictures_that_are_not_much_larger_are_read_as_they_are(size):
    assert read_size(*size, MODEL) == size


def test_larger_ones_are_read_at_one_and_a_half_times_the_models_size():
    assert read_size(400, 600, MODEL) == (60, 90)
    assert read_size(600, 400, MODEL) == (90, 60)
    assert read_size(400, 600, None) == (400, 600)
    assert read_size(400, 600, ((20, 40, 30), 60)) == (60, 90)
    assert read_size(40, 8000, MODEL) == (2, 90)


def test_the_model_resizes_what_was_reduced_to_the_size_it_would_have_had():
    # But for one pixel: the model's scale is a float, and may fall a hair below a whole number.
    for height in range(130, 900, 37):
        for width in range(130, 900, 41):
            size = read_size(height, width, ((40,), 61))
            pairs = zip(resized_size(size, 40, 61), resized_size((height, width), 40, 61), strict=True)
            assert all(abs(ours - whole) <= 1 for ours, whole in pairs)
            assert size[0] <= height and size[1] <= width


@pytest.mark.parametrize("wrong", [5, (40,), ((), 60), (0, 60), ("a", 60), ((40,), None), (40, 60, 80), ((40, -1), 60)])
def test_read_for_that_is_no_pair_of_sizes_is_refused(tmp_path, wrong):
    Image.fromarray(smooth()).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="min_size, max_size"):
        read_image(tmp_path / "a.png", read_for=wrong)
    with pytest.raises(ValueError, match="min_size, max_size"):
        coco_set(tmp_path, read_for=wrong)


def test_a_picture_within_the_rule_is_read_bit_for_bit(tmp_path):
    for name in ("a.png", "a.jpg"):
        Image.fromarray(smooth((80, 120))).save(tmp_path / name)
        assert torch.equal(read_image(tmp_path / name, read_for=MODEL), read_image(tmp_path / name))


FILES = {
    "rgb.png": lambda image: image,
    "rgb.jpg": lambda image: image,
    "grey.jpg": lambda image: image.convert("L"),
    "cmyk.jpg": lambda image: image.convert("CMYK"),
    "grey.png": lambda image: image.convert("L"),
    "palette.png": lambda image: image.quantize(64),
    "bits.png": lambda image: image.convert("1"),
    "deep.png": lambda image: Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257),
    "clear.png": lambda image: Image.merge("RGBA", (*image.split(), image.getchannel("G"))),
    "grey_clear.png": lambda image: Image.merge("LA", (image.getchannel("R"), image.getchannel("G"))),
    "rgb.webp": lambda image: image,
    "rgb.bmp": lambda image: image,
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_reduced_looks_like_the_whole_one_reduced(tmp_path, name):
    FILES[name](Image.fromarray(smooth())).save(tmp_path / name)
    reduced, full = read_sized(tmp_path / name, read_for=MODEL)
    whole = read_image(tmp_path / name)
    assert full == SIZE and reduced.shape == (3, 60, 90) and reduced.dtype == torch.float32
    assert (reduced - shrink(whole, (60, 90))).abs().mean() < 0.02
    assert 0 <= reduced.min() and reduced.max() <= 1


def test_a_colour_that_stands_for_clear_is_white_before_it_is_mixed(tmp_path):
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[::2] = (10, 200, 30)
    Image.fromarray(pixels).save(tmp_path / "key.png", transparency=(10, 200, 30))
    middle = read_image(tmp_path / "key.png", read_for=MODEL)[:, 10:50, 10:80]
    assert (middle - 0.5).abs().max() < 0.1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_was_held_turned_is_reduced_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=exif)
    reduced, full = read_sized(tmp_path / "a.jpg", read_for=MODEL)
    whole = read_image(tmp_path / "a.jpg")
    assert full == tuple(whole.shape[1:]) == (SIZE if orientation < 5 else SIZE[::-1])
    assert (reduced - shrink(whole, read_size(*full, MODEL))).abs().mean() < 0.02


def test_a_truncated_large_picture_is_named(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="a.jpg"):
        read_image(tmp_path / "a.jpg", read_for=MODEL)


def test_max_side_comes_first(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.png")
    whole = read_image(tmp_path / "a.png", max_side=120)
    assert torch.equal(read_image(tmp_path / "a.png", max_side=120, read_for=MODEL), whole)
    assert read_image(tmp_path / "a.png", max_side=300, read_for=MODEL).shape == (3, 60, 90)


@pytest.mark.parametrize("outline", [rectangle, runs])
def test_masks_are_reduced_with_the_picture_and_the_truth_stays(tmp_path, outline):
    dataset = coco_set(tmp_path, outline(100, 200, 200, 300), read_for=MODEL)
    image, target = dataset[0]
    assert image.shape == (3, 60, 90) and target["masks"].shape == (1, 60, 90)
    assert target["boxes"].tolist() == [[15, 30, 30, 45]] and target["masks"].sum() == 15 * 15
    truth = dataset.coco()
    whole = coco_set(tmp_path, outline(100, 200, 200, 300)).coco()
    assert truth == whole and (truth["images"][0]["height"], truth["images"][0]["width"]) == SIZE


@pytest.mark.parametrize(("height", "width", "times"), [(40, 60, 4), (33, 21, 3), (50, 10, 10), (16, 16, 2), (7, 9, 1)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_of_run_lengths_the_pixels_stay_that_are_covered_by_half(height, width, times, share):
    draw = np.random.default_rng(0)
    small = height // times, width // times
    mask = (draw.random((height, width)) < share).astype(np.uint8)
    covered = mask.reshape(small[0], times, small[1], times).mean(axis=(1, 3))
    found = scaled_rle(coco_mask.encode(np.asfortranarray(mask)), (height, width), small)
    assert (coco_mask.decode(found) == (covered >= 0.5)).all()


def test_run_lengths_at_a_size_that_divides_nothing_and_of_no_pixel():
    mask = np.zeros((401, 599), np.uint8)
    mask[100:200, 300:] = 1
    found = scaled_rle(coco_mask.encode(np.asfortranarray(mask)), mask.shape, (61, 91))
    assert np.abs(coco_mask.toBbox(found) - np.array([300, 100, 299, 100]) * 91 / 599).max() < 1
    empty = coco_mask.encode(np.zeros((40, 60), np.uint8, order="F"))
    assert coco_mask.area(scaled_rle(empty, (40, 60), (4, 6))) == 0


def test_no_mask_of_the_full_size_is_ever_decoded(tmp_path, monkeypatch):
    dataset = coco_set(tmp_path, *[runs(10 * k, 20, 10 * k + 90, 200) for k in range(20)], read_for=MODEL)
    decoded = []
    from mrcnn_edu.datasets import coco as module

    keep = module.decode_masks
    monkeypatch.setattr(module, "decode_masks", lambda rles, *size: decoded.append(size) or keep(rles, *size))
    assert len(dataset[0][1]["labels"]) == 20
    assert decoded == [(60, 90)]


def test_an_object_without_a_pixel_is_named_once_with_what_to_do(tmp_path):
    dataset = coco_set(tmp_path, rectangle(100, 200, 200, 300), runs(301, 201, 302, 202), read_for=MODEL)
    with pytest.warns(UserWarning, match="0.png: annotation id 2 has no pixel left at 90 × 60") as caught:
        assert len(dataset[0][1]["labels"]) == len(dataset.annotation_ids(0)) == 1
        dataset[0]
    found = [warning for warning in caught if "no pixel left" in str(warning.message)]
    assert len(found) == 1 and len(dataset.coco()["annotations"]) == 2
    options = argparse.Namespace(min_size=None, max_size=160, full_size=False)
    assert "--full-size" in for_command_line(str(found[0].message), options)


def test_samples_are_the_same_from_memory_and_from_the_file(tmp_path):
    dataset = coco_set(tmp_path, rectangle(100, 200, 200, 300), runs(10, 20, 90, 200), pictures=2, read_for=MODEL)
    forgetful = coco_set(tmp_path, rectangle(100, 200, 200, 300), runs(10, 20, 90, 200), pictures=2, read_for=MODEL)
    forgetful._kept = Kept(most=0)
    first = copy.deepcopy(dataset[1])
    for _ in range(2):
        image, target = dataset[1]
        assert same((image, target), first) and same(forgetful[1], first)
        # A caller may do to a sample what it wants.
        image.zero_()
        for value in target.values():
            if isinstance(value, torch.Tensor):
                value.zero_()
        dataset.picture(1)[0].zero_()
    (tmp_path / "1.png").unlink()
    assert same(dataset[1], first)
    with pytest.raises(FileNotFoundError):
        forgetful[1]


def test_16_bit_pictures_are_kept_as_they_are(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, SIZE, dtype=np.uint16)
    dataset = coco_set(tmp_path, rectangle(100, 200, 200, 300), read_for=MODEL)
    Image.fromarray(values).save(tmp_path / "0.png")
    first, second = dataset.picture(0)[0], dataset.picture(0)[0]
    assert torch.equal(first, second) and torch.equal(first, read_image(tmp_path / "0.png", read_for=MODEL))
    assert not torch.equal((first * 255).round() / 255, first)


def test_pictures_of_bytes_are_packed_to_a_quarter():
    image = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, -1, -1) / 255.0
    assert packed(image).dtype == torch.uint8 and torch.equal(unpacked(packed(image)), image)
    assert packed(image * 0.999).dtype == torch.float32


def test_what_is_kept_has_a_limit():
    kept, made = Kept(most=10), []

    def get(key):
        return kept.get(key, lambda: made.append(key) or key, lambda value: 4)

    assert [get(key) for key in "abcabc"] == list("abcabc")
    assert made == ["a", "b", "c", "c"]


def test_threads_and_workers_get_the_same_samples(tmp_path):
    dataset = coco_set(tmp_path, rectangle(100, 200, 200, 300), pictures=4, read_for=MODEL)
    wanted = [dataset[index] for index in range(4)]
    other = pickle.loads(pickle.dumps(dataset))
    assert other._kept._values == {} and same(other[2], wanted[2])
    found = {}

    def read(name):
        found[name] = [other[index] for index in (0, 1, 2, 3, 3, 2, 1, 0)]

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    twice = [*wanted, *reversed(wanted)]
    assert all(same(ours, one) for got in found.values() for ours, one in zip(got, twice, strict=True))
    for (images, targets), one in zip(DataLoader(dataset, num_workers=2, collate_fn=collate), wanted, strict=True):
        assert same((images[0], targets[0]), one)


def test_read_for_may_be_set_later(tmp_path):
    dataset = coco_set(tmp_path, rectangle(100, 200, 200, 300), cache=True)
    assert dataset[0][0].shape == (3, *SIZE)
    dataset.read_for = MODEL
    assert dataset[0][0].shape == (3, 60, 90) and dataset[0][1]["masks"].shape == (1, 60, 90)
    dataset.read_for = (20, 30)
    assert dataset.read_for == ((20,), 30) and dataset[0][0].shape == (3, 30, 45)
    dataset.read_for = None
    assert torch.equal(dataset[0][0], floats(smooth()))


def test_an_annotation_of_another_size_is_named_also_when_the_picture_is_reduced(tmp_path):
    dataset = coco_set(tmp_path, rectangle(100, 200, 200, 300), read_for=MODEL)
    Image.fromarray(smooth((401, 600))).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match="600 × 401"):
        dataset[0]


def test_a_picture_is_the_samples_image_without_its_masks(tmp_path, monkeypatch):
    own = coco_set(tmp_path, rectangle(100, 200, 200, 300), pictures=2)
    for dataset in (own, coco_set(tmp_path, pictures=2, cache=True), Shapes(4), Coins()):
        index = len(dataset) - 1
        image, number = dataset.picture(index)
        assert torch.equal(image, dataset[index][0]) and number == dataset[index][1]["image_id"]
        assert torch.equal(dataset.picture(-1)[0], image)
        with pytest.raises(IndexError):
            dataset.picture(len(dataset))
    monkeypatch.setattr("mrcnn_edu.datasets.coco.decode_masks", lambda *_: pytest.fail("a mask was decoded"))
    own.picture(0)


def test_a_transform_is_not_passed_by(tmp_path):
    dataset = Transformed(coco_set(tmp_path, rectangle(100, 200, 200, 300)), train_transforms())
    assert not hasattr(dataset, "picture") and dataset.class_names == ("background", "thing")
