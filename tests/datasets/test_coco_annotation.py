"""One annotation of a COCO file: each field that can be wrong is named with what to do, and what is harmless passes."""

import numpy as np
import pytest

from mrcnn_edu.datasets.coco_contents import parse_coco
from mrcnn_edu.datasets.coco_parse import encode_mask
from tests.coco_files import AREA, BBOX, HEIGHT, OUTLINE, WIDTH, annotation, content, rectangle

NAN, INF = float("nan"), float("inf")


def read(*annotations, **changes):
    return parse_coco(content(*annotations, **changes), "set.json")


def only_fault(**changes):
    """The text of the one fault of annotation 7, beside a sound annotation."""
    found = read(annotation(1, **rectangle(10, 20, 60, 90)), annotation(7, **changes))
    assert [one["id"] for one in found.by_image[1]] == [1]
    assert len(found.faults) == 1 and found.file_faults == []
    text = str(found.faults[0])
    assert text.startswith("a.png, annotation id 7: ") and "; " in text
    return text


def notes(**changes):
    """The texts of the notes of a sound annotation."""
    found = read(annotation(7, **changes))
    assert found.faults == [] and len(found.by_image[1]) == 1
    return [str(note) for note in found.notes], found.by_image[1][0]


BOXES = {
    "corners": ([100, 80, 180, 200], "the corners x1, y1, x2, y2", "write x2 - x1 and y2 - y1"),
    "corners off by one": ([100, 80, 179, 199], "the corners x1, y1, x2, y2", "write x2 - x1"),
    "y first": ([80, 100, 120, 80], "y, x, height, width", "swap them"),
    "corners, y first": ([80, 100, 200, 180], "the corners y1, x1, y2, x2", "write x1, y1"),
    "height first": ([100, 80, 120, 80], "x, y, height, width", "swap the last two"),
    "centre": ([140, 140, 80, 120], "the centre, width and height", "take half of width and height off"),
    "normalised": ([0.25, 0.2667, 0.2, 0.4], "normalised x, y, width, height", "multiply x and width"),
    "normalised corners": ([0.25, 0.2667, 0.45, 0.6667], "normalised corners", "write x, y, width, height, then"),
    "normalised centre": ([0.35, 0.4667, 0.2, 0.4], "normalised centre, width, height", "take half of"),
    "per cent": ([25, 26.67, 20, 40], "per cent of the picture", "divide by 100"),
    "another object's": (
        [300, 200, 50, 50],
        "spans (300, 200, 350, 250), the outline (100, 80, 180, 200)",
        "recompute",
    ),
    "shifted": ([130, 80, 80, 120], "spans (130, 80, 210, 200)", "leave it out"),
    "twice as large": ([60, 20, 160, 240], "spans (60, 20, 220, 260)", "recompute"),
    "outside": ([1000, 80, 80, 120], "spans (1000, 80, 1080, 200)", "recompute"),
}


@pytest.mark.parametrize(("box", "problem", "fix"), BOXES.values(), ids=BOXES.keys())
def test_a_box_that_contradicts_its_outline(box, problem, fix):
    text = only_fault(bbox=box)
    assert f"bbox {box}" in text and problem in text and fix in text


def test_corners_of_a_small_object_near_the_origin():
    assert "the corners x1, y1, x2, y2" in only_fault(**{**rectangle(2, 2, 8, 8), "bbox": [2, 2, 8, 8]})


@pytest.mark.parametrize("box", [[100, 80, 81, 121], [99, 79, 82, 122], [99.4, 80.3, 80, 120], [98, 78, 84, 124]])
def test_a_box_that_is_loose_by_a_little_is_harmless(box):
    said, sound = notes(bbox=box)
    kept = sound["bbox"] == box
    assert kept or (sound["bbox"] == BBOX and "it is computed from the outline" in said[0])


@pytest.mark.parametrize("corner", [10.0, 10.3, 10.5, 10.9])
def test_the_box_of_a_small_polygon_stays_the_files(corner):
    """As in COCO's own files: its pixels fill another box, and scores are to be those of pycocotools."""
    outline = rectangle(corner, 20.4, corner + 7.7, 29.6)
    box = [corner, 20.4, 7.7, 9.2]
    said, sound = notes(**{**outline, "bbox": box, "area": 7.7 * 9.2})
    assert said == [] and sound["bbox"] == box


@pytest.mark.parametrize("box", [None, [], "left out"])
def test_a_missing_box_is_computed(box):
    said, sound = notes(without=("bbox",)) if box == "left out" else notes(bbox=box)
    assert sound["bbox"] == BBOX and len(said) == 1
    assert said[0].startswith("a.png, annotation id 7: bbox is ") and "computed from the outline" in said[0]


AREAS = {
    "null": (None, "area None is no positive number"),
    "text": ("9600", "area '9600' is no positive number"),
    "list": ([9600], "area [9600] is no positive number"),
    "negative": (-5, "area -5 is no positive number"),
    "NaN": (NAN, "area nan is no positive number"),
    "infinite": (INF, "area inf is no positive number"),
    "truth value": (True, "area True is no positive number"),
    "beyond floats": (10**400, "is no positive number"),
    "zero": (0, "area 0 is far from the 9600 pixels"),
    "a hundredth": (96, "area 96 is far from the 9600 pixels"),
    "fourfold": (4 * AREA, "area 38400 is far from the 9600 pixels"),
    "of the picture": (WIDTH * HEIGHT, "area 120000 is far from the 9600 pixels"),
}


@pytest.mark.parametrize(("area", "problem"), AREAS.values(), ids=AREAS.keys())
def test_an_area_that_is_none_or_not_the_outlines(area, problem):
    text = only_fault(area=area)
    assert problem in text and "leave area out" in text


@pytest.mark.parametrize("area", [AREA, 9600.5, 9400, 10200.25])
def test_an_area_that_was_counted_another_way_is_harmless(area):
    said, sound = notes(area=area)
    assert said == [] and sound["area"] == area


def test_small_objects_need_slack():
    assert notes(**{**rectangle(10, 10, 12, 12), "area": 6.25})[0] == []


def test_a_missing_area_is_computed():
    said, sound = notes(without=("area",))
    assert sound["area"] == AREA and "area is missing; it is computed" in said[0]


def test_the_area_of_the_box_is_a_note():
    corner = [[100.0, 80, 180, 80, 180, 90, 110, 90, 110, 200, 100, 200]]
    said, sound = notes(segmentation=corner)
    assert sound["area"] == AREA and "area 9600 is the box's, the outline covers 1900 pixels" in said[0]


TURNED = encode_mask(np.ones((WIDTH, HEIGHT), np.uint8))
SEGMENTATIONS = {
    "text": ("100,80", "segmentation '100,80' is no list of polygons and no RLE"),
    "number": (7, "segmentation 7 is no list"),
    "numbers as text": ([["100", "80", "180", "80", "180", "200"]], "holds a coordinate that is no finite number"),
    "an integer beyond floats": ([[10**400, 80, 180, 80, 180, 200]], "no finite number"),
    "null polygon": ([None], "needs an even count of at least 6 coordinates"),
    "empty polygon": ([[]], "at least 6 coordinates, has 0"),
    "two points": ([[1, 2, 3, 4]], "at least 6 coordinates, has 4"),
    "normalised": ([[0.25, 0.3, 0.45, 0.3, 0.45, 0.7]], "runs from 0.25 to 0.7: the coordinates are normalised"),
    "a line": ([[10, 10, 20, 10, 30, 10]], "the mask is empty"),
    "one point": ([[10, 10, 10, 10, 10, 10]], "the mask is empty"),
    "RLE of nothing": ({"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}, "the mask is empty"),
    "turned RLE": (TURNED, "height and width are swapped"),
    "RLE as a list": ([HEIGHT, WIDTH], "one flat list of numbers"),
    "RLE without size": ({"counts": "abc"}, "segmentation size None differs"),
    "counts of null": ({"size": [HEIGHT, WIDTH], "counts": None}, "counts must be a list of integers"),
    "counts as floats": ({"size": [HEIGHT, WIDTH], "counts": [0.0, 120000.0]}, "counts must be a list of integers"),
    "wholly outside": ([[500, 80, 580, 80, 580, 200, 500, 200]], "(500, 80, 580, 200) lies outside the picture of 400"),
    "mostly outside": ([[350, 200, 600, 200, 600, 280, 350, 280]], "80% of the outline in (350, 200, 600, 280) lie"),
    "above": ([[100, -70, 180, -70, 180, 30, 100, 30]], "70% of the outline"),
}


@pytest.mark.parametrize(("segmentation", "problem"), SEGMENTATIONS.values(), ids=SEGMENTATIONS.keys())
def test_an_outline_that_is_none(segmentation, problem):
    found = read(annotation(7, segmentation=segmentation, without=("bbox", "area")))
    assert len(found.faults) == 1 and found.by_image[1] == []
    assert str(found.faults[0]).startswith("a.png, annotation id 7: segmentation")
    assert problem in str(found.faults[0])


@pytest.mark.parametrize("segmentation", [[], None])
def test_a_box_without_an_outline_says_so(segmentation):
    assert "only a box is given" in only_fault(segmentation=segmentation)
    assert "a mask cannot be learnt from a box" in only_fault(segmentation=segmentation)


def test_an_outline_that_reaches_out_a_little_is_harmless():
    over = [[350.0, 200, 420, 200, 420, 280, 350, 280]]
    said, sound = notes(segmentation=over, bbox=[350, 200, 70, 80], area=5600)
    assert sound["bbox"] == [350, 200, 50, 80]
    assert any("29% of the outline lie outside the picture" in note for note in said)
    assert notes(**rectangle(-0.5, 20, 60, 299.8))[0] == []


def test_overlapping_parts_are_not_taken_for_what_lies_outside():
    parts = [[300.0, 50, 402, 50, 402, 150, 300, 150]] * 4
    assert notes(segmentation=parts, without=("bbox", "area"))[1]["area"] == 10000


def test_outlines_that_cross_themselves_are_harmless():
    eight = [[100.0, 80, 180, 200, 180, 80, 100, 200]]
    assert notes(segmentation=eight, without=("area",))[1]["bbox"] == BBOX


@pytest.mark.parametrize("flag", [True, 1, 1.0])
def test_crowd_flags_that_mean_one(flag):
    assert notes(iscrowd=flag)[1]["iscrowd"] == 1


@pytest.mark.parametrize("flag", [False, 0, 0.0, None])
def test_crowd_flags_that_mean_none(flag):
    assert notes(iscrowd=flag)[1]["iscrowd"] == 0


@pytest.mark.parametrize("flag", ["0", "1", 2, -1, [], NAN])
def test_crowd_flags_that_mean_nothing(flag):
    assert "must be 0 or 1" in only_fault(iscrowd=flag)


def test_several_faults_of_one_annotation_are_all_named():
    found = read(annotation(7, bbox=[1, 2], area=-1, category_id=6))
    assert [fault.field for fault in found.faults] == ["category_id", "bbox", "area"]


def test_all_forms_of_an_outline_are_read_alike():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[80:200, 100:180] = 1
    packed = encode_mask(mask)
    columns = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0, append=0))
    runs = np.diff([0, *columns, mask.size]).tolist()
    for form in (OUTLINE, packed, {"size": [HEIGHT, WIDTH], "counts": runs}):
        said, sound = notes(segmentation=form)
        assert said == [] and (sound["bbox"], sound["area"]) == (BBOX, AREA)
