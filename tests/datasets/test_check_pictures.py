"""Pictures of a COCO file are decoded once and its masks never, and each picture that cannot be used is named."""

import os
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from mrcnn_edu.datasets import CocoDataset, Transformed, check_dataset, check_sample, coco, train_transforms
from mrcnn_edu.model import preset
from tests.coco_files import annotation, content, picture, rectangle, write


def many(count, side, **changes):
    """A content with `count` objects on one picture of side × side pixels."""
    step = side // count
    objects = [annotation(k + 1, **rectangle(step * k, 0, step * k + step - 1, side)) for k in range(count)]
    return content(*objects, images=[picture(1, "a.png", side, side)], **changes)


@pytest.fixture
def wide(tmp_path):
    """A picture of 1500 × 1500 with 100 objects: its masks would take 225 MB."""
    Image.new("RGB", (1500, 1500)).save(tmp_path / "a.png")
    return CocoDataset(many(100, 1500), tmp_path)


def peak_of(call):
    """The most memory that a call holds at one time, in bytes, of what Python and NumPy ask for."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_checking_holds_no_stack_of_masks(wide):
    peaks = [peak_of(lambda: check_dataset(wide)), peak_of(wide.coco), peak_of(lambda: wide.annotation_ids(0))]
    assert max(peaks) < 20e6


def test_checking_decodes_no_mask(wide, monkeypatch):
    def refuse(*_):
        raise AssertionError("a mask was decoded")

    for name in ("decode_masks", "scaled_rle"):
        monkeypatch.setattr(coco, name, refuse)
    report = check_dataset(wide)
    assert report.ok and report.objects == 100 and len(wide.coco()["annotations"]) == 100


def test_masks_of_other_sets_are_looked_at_one_by_one():
    masks = torch.zeros(60, 800, 800, dtype=torch.bool)
    masks[:, 100:200, 100:300] = True
    target = {"boxes": torch.tensor([[100.0, 100, 300, 200]] * 60), "labels": torch.ones(60, dtype=torch.int64)}
    image = torch.rand(3, 800, 800)
    faults = []
    peak = peak_of(lambda: faults.extend(check_sample(image, {**target, "masks": masks}, 2)))
    assert faults == [] and peak < 10e6


def checked(folder, *annotations, **changes):
    options = {key: changes.pop(key) for key in ("max_side", "crowds") if key in changes}
    return check_dataset(CocoDataset(content(*annotations, **changes), folder, faulty="report", **options))


def test_pictures_that_cannot_be_used_are_named(tmp_path):
    write(tmp_path)
    whole = (tmp_path / "a.png").read_bytes()
    names = ("cut.png", "empty.png", "text.png", "turned.png", "missing.png", "folder.png", "exif.jpg")
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    Image.new("RGB", (300, 400)).save(tmp_path / "turned.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 300)).save(tmp_path / "exif.jpg", exif=exif)
    report = checked(tmp_path, images=[picture(k, name) for k, name in enumerate(names)], annotations=[])
    named = {fault.image: str(fault) for fault in report.faults if fault.field == "file"}
    assert set(named) == set(names)
    assert "width and height are swapped" in named["turned.png"] and "EXIF" in named["exif.jpg"]
    assert "no such image file" in named["missing.png"]


def test_a_picture_turned_by_exif_is_read_as_viewers_show_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 400)).save(tmp_path / "a.jpg", exif=exif)
    assert checked(tmp_path, annotation(), images=[picture(1, "a.jpg")]).ok


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA", "I;16"])
def test_pictures_of_every_mode_are_looked_at(tmp_path, mode):
    name = "a.tif" if mode in ("CMYK", "I;16") else "a.png"
    pixels = np.full((300, 400), 7000, np.uint16)
    image = Image.fromarray(pixels) if mode == "I;16" else Image.new("RGB", (400, 300), (1, 2, 3)).convert(mode)
    image.save(tmp_path / name)
    report = checked(tmp_path, annotation(), images=[picture(1, name)])
    assert report.ok, str(report)


def test_one_file_under_two_names_and_a_copy(tmp_path):
    write(tmp_path)
    os.link(tmp_path / "a.png", tmp_path / "linked.png")
    (tmp_path / "copied.png").write_bytes((tmp_path / "a.png").read_bytes())
    report = checked(tmp_path, annotation(), images=[picture(k + 1, n) for k, n in enumerate(("a.png", "linked.png"))])
    assert "linked.png: file_name: is the same file as a.png" in str(report) and not report.ok
    report = checked(tmp_path, annotation(), images=[picture(k + 1, n) for k, n in enumerate(("a.png", "copied.png"))])
    assert report.ok and "copied.png: file: the picture is a copy of a.png" in str(report)


def test_annotations_that_are_all_crowds_are_said_in_one_line(tmp_path):
    write(tmp_path)
    crowds = [annotation(k, **rectangle(9, 9, 40 + k, 30), iscrowd=1) for k in range(1, 30)]
    report = checked(tmp_path, *crowds)
    assert len(report.faults) == 1 and "all 29 annotations are crowd regions (iscrowd 1)" in str(report)
    assert '`crowds="objects"`' in str(report)
    report = checked(tmp_path, *crowds, crowds="objects")
    assert report.ok and report.objects == 29


def test_all_annotations_left_out_is_no_second_fault(tmp_path):
    write(tmp_path)
    boxes = [annotation(k, segmentation=[]) for k in range(1, 200)]
    report = checked(tmp_path, *boxes)
    assert len(report.faults) == 199 and len(str(report).splitlines()) == 2
    assert "segmentation, 199 times" in str(report) and "only a box is given" in str(report)


def test_a_limit_opens_fewer_pictures_and_checks_all_annotations(tmp_path):
    write(tmp_path)
    (tmp_path / "b.png").unlink()
    dataset = CocoDataset(content(annotation(), annotation(2, image_id=2, area=-1)), tmp_path, faulty="report")
    report = check_dataset(dataset, limit=1)
    assert report.images == 1 and [fault.field for fault in report.faults] == ["area"]


def test_a_transform_that_breaks_objects_is_found(tmp_path):
    write(tmp_path)

    def break_boxes(image, target):
        return image, {**target, "boxes": target["boxes"] * float("nan")}

    dataset = CocoDataset(content(annotation()), tmp_path)
    assert check_dataset(Transformed(dataset, train_transforms())).ok
    assert "is not finite" in str(check_dataset(Transformed(dataset, break_boxes)))


def test_a_subclass_with_its_own_samples_is_asked_for_them(tmp_path):
    write(tmp_path)

    class Emptied(CocoDataset):
        def __getitem__(self, index):
            image, target = super().__getitem__(index)
            return image, {**target, "masks": target["masks"] * 0}

    report = check_dataset(Emptied(content(annotation()), tmp_path))
    assert "a.png, annotation id 1: masks: the mask is empty" in str(report)


def test_limits_that_cap_the_score_are_notes(tmp_path):
    Image.new("RGB", (3000, 3000)).save(tmp_path / "a.png")
    small = preset("lesson", min_size=(300,), max_size=512)
    report = check_dataset(CocoDataset(many(250, 3000), tmp_path), config=small)
    assert report.ok and report.notes[0] == "no object of class pear"
    detections, proposals = report.notes[1:3]
    assert "1 of 1 pictures hold more than 100 objects (up to 250), and `box_detections_per_img=100`" in detections
    assert "at least 150 of 250 objects are missed, so that 40.0% of them can be found at most" in detections
    assert "more than 200 objects" in proposals and "`rpn_post_nms_top_n_test=250` lifts it" in proposals


@pytest.mark.parametrize(("side", "word"), [(60, "too small"), (800, None), (2900, "too large")])
def test_objects_that_no_anchor_fits_are_a_note(tmp_path, side, word):
    Image.new("RGB", (3000, 3000)).save(tmp_path / "a.png")
    one = content(annotation(**rectangle(0, 0, side, side)), images=[picture(1, "a.png", 3000, 3000)])
    dataset, small = CocoDataset(one, tmp_path), preset("lesson", min_size=(300,), max_size=512)
    notes = [note for note in check_dataset(dataset, config=small).notes if "anchor" in note]
    assert [f"1 of 1 objects are {word} for every anchor" in note for note in notes] == ([True] if word else [])
    assert not any("anchor" in note for note in check_dataset(dataset).notes)
