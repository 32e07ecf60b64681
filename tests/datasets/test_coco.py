"""COCO files: what is read, what is written, and the error for everything that cannot be used."""

import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask

from mrcnn_edu.datasets import AnnotationError, CocoDataset, ImageFileError, Shapes, check_dataset, export_coco
from mrcnn_edu.datasets.coco_parse import decode_masks, encode_mask, rle_runs, to_rle

SQUARE = [2.0, 1.0, 8.0, 1.0, 8.0, 5.0, 2.0, 5.0]


def annotation(number=1, **changes):
    full = {"id": number, "image_id": 10, "category_id": 5, "segmentation": [SQUARE], "iscrowd": 0}
    return {**full, "bbox": [2, 1, 6, 4], "area": 24, **changes}


def content(*annotations, **changes):
    return {
        "images": [
            {"id": 10, "file_name": "a.png", "width": 12, "height": 9},
            {"id": 3, "file_name": "b.png", "width": 7, "height": 5},
        ],
        "annotations": list(annotations),
        "categories": [{"id": 90, "name": "pear"}, {"id": 5, "name": "apple"}],
        **changes,
    }


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (12, 9), (255, 128, 0)).save(tmp_path / "a.png")
    Image.new("L", (7, 5), 90).save(tmp_path / "b.png")
    return tmp_path


def box_mask(height=9, width=12, rows=slice(1, 5), columns=slice(2, 8)):
    mask = np.zeros((height, width), np.uint8)
    mask[rows, columns] = 1
    return mask


def test_sparse_categories_empty_images_and_names(folder):
    dataset = CocoDataset(content(annotation(category_id=90), annotation(2)), folder)
    assert dataset.class_names == ("background", "apple", "pear") and dataset.category_ids == (0, 5, 90)
    image, target = dataset[0]
    assert target["labels"].tolist() == [2, 1] and target["image_id"] == 10
    assert target["boxes"].tolist() == [[2, 1, 8, 5]] * 2
    image, target = dataset[1]
    assert image.shape == (3, 5, 7)
    assert target["boxes"].shape == (0, 4) and target["masks"].shape == (0, 5, 7) and target["image_id"] == 3
    assert dataset.describe(1) == "b.png" and dataset.annotation_ids(0) == [1, 2]


def test_polygons_and_both_kinds_of_rle_give_the_same_mask(folder):
    mask = box_mask()
    columns = mask.T.ravel()
    changes = np.flatnonzero(np.diff(columns)) + 1
    runs = np.diff([0, *changes, len(columns)]).tolist()
    forms = [[SQUARE], {"size": [9, 12], "counts": runs}, encode_mask(mask)]
    dataset = CocoDataset(content(*(annotation(i, segmentation=form) for i, form in enumerate(forms, 1))), folder)
    assert all(np.array_equal(found, mask) for found in dataset[0][1]["masks"].numpy())


def test_polygon_in_two_parts_and_holes_by_rle(folder):
    parts = [[0.0, 0, 3, 0, 3, 3, 0, 3], [6.0, 0, 9, 0, 9, 3, 6, 3]]
    ring = box_mask()
    ring[2:4, 4:6] = 0
    dataset = CocoDataset(
        content(annotation(segmentation=parts), annotation(2, segmentation=encode_mask(ring))), folder
    )
    masks = dataset[0][1]["masks"].numpy()
    assert masks[0].sum() == 18 and masks[0, 1, 4] == 0
    assert np.array_equal(masks[1], ring)


def test_crowds_stay_out_of_targets_and_in_the_ground_truth(folder):
    crowd = annotation(2, iscrowd=1, segmentation=encode_mask(box_mask()))
    dataset = CocoDataset(content(annotation(), crowd), folder)
    assert len(dataset[0][1]["labels"]) == 1 and dataset.annotation_ids(0) == [1]
    assert [entry["iscrowd"] for entry in dataset.coco()["annotations"]] == [0, 1]


def test_ground_truth_keeps_the_files_own_polygons_and_ids(folder):
    given_content = content(annotation(7, category_id=90, note="kept"))
    before = copy.deepcopy(given_content)
    truth = CocoDataset(given_content, folder).coco()
    assert truth["annotations"] == given_content["annotations"] == before["annotations"]
    assert truth["images"] == before["images"]
    truth["annotations"][0]["segmentation"][0][0] = -1
    assert given_content == before


def test_ground_truth_fills_in_what_the_file_leaves_out(folder):
    bare = {"id": 1, "image_id": 10, "category_id": 5, "segmentation": [SQUARE]}
    found = CocoDataset(content(bare), folder).coco()["annotations"][0]
    assert (found["bbox"], found["area"], found["iscrowd"]) == ([2.0, 1.0, 6.0, 4.0], 24.0, 0)


def test_subset_holds_its_images_and_their_annotations_only(folder):
    dataset = CocoDataset(content(annotation(), annotation(2, image_id=3)), folder, subset=[1])
    assert len(dataset) == 1 and dataset.describe(0) == "b.png"
    assert [entry["id"] for entry in dataset.coco()["annotations"]] == [2]


@pytest.mark.parametrize("form", ["polygon", "rle"])
def test_images_and_masks_are_reduced_together(tmp_path, form):
    mask = box_mask(40, 80, slice(12, 32), slice(20, 60))
    polygon = [[20.0, 12, 60, 12, 60, 32, 20, 32]]
    Image.fromarray(mask * 255).save(tmp_path / "a.png")
    entry = annotation(
        segmentation=polygon if form == "polygon" else encode_mask(mask), bbox=[20, 12, 40, 20], area=800
    )
    images = [{"id": 10, "file_name": "a.png", "width": 80, "height": 40}]
    dataset = CocoDataset(content(entry, images=images), tmp_path, max_side=20)
    image, target = dataset[0]
    assert image.shape == (3, 10, 20) and target["masks"].shape == (1, 10, 20)
    assert target["boxes"].tolist() == [[5, 3, 15, 8]]
    assert ((image[0] > 0.5).numpy() == target["masks"][0].numpy().astype(bool)).all()
    truth = dataset.coco()
    assert (truth["images"][0]["height"], truth["images"][0]["width"]) == (10, 20)
    again = coco_mask.decode(truth["annotations"][0]["segmentation"])
    assert np.array_equal(again, target["masks"][0].numpy())
    assert truth["annotations"][0]["area"] == again.sum()


def test_an_object_that_vanishes_when_reduced_is_announced(tmp_path):
    Image.new("L", (400, 400)).save(tmp_path / "a.png")
    mask = box_mask(400, 400, slice(8, 10), slice(8, 10))
    tiny = annotation(segmentation=encode_mask(mask), bbox=[8, 8, 2, 2], area=4)
    images = [{"id": 10, "file_name": "a.png", "width": 400, "height": 400}]
    dataset = CocoDataset(content(tiny, images=images), tmp_path, max_side=20)
    with pytest.warns(UserWarning, match="a.png: annotation id 1 .*load the images larger"):
        _, target = dataset[0]
    assert len(target["labels"]) == len(dataset.coco()["annotations"]) == 0


def test_cached_samples_cannot_be_changed_from_outside(folder):
    dataset = CocoDataset(content(annotation()), folder, cache=True)
    image, target = dataset[0]
    image.zero_(), target["masks"].zero_(), target.pop("boxes")
    image, target = dataset[0]
    assert image.max() == 1 and target["masks"].sum() == 24 and "boxes" in target
    assert type(image).__name__ == "Image" and type(target["masks"]).__name__ == "Mask"


def write(folder, text):
    path = folder / "annotations.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(content(annotation()))[:200], "not valid JSON at line 1.*download the file again"),
        ('{"images": [', "truncated"),
        ("[]", "is a JSON object with the lists images, annotations, categories, this one is a list"),
        ({"images": [], "annotations": []}, 'the list "categories" is missing'),
        (content(7), r"annotations\[0\] is 7, expected an object"),
        (content(images=[{"id": 10, "width": 4, "height": 4}]), 'image id 10: field "file_name"'),
        (
            content(images=[{"id": 1, "file_name": "a.png", "width": 0, "height": 4}]),
            "a.png.*width 0 must be a positive",
        ),
        (content(images=[{"id": 1, "file_name": "a.png", "width": 4}]), "a.png.*height None must be a positive"),
        (
            content(images=[{"id": 1, "file_name": "a.png", "width": 10**6, "height": 10**6}]),
            "a.png.*beyond what RLE can count",
        ),
        (content(images=[{"id": "10", "file_name": "a.png"}]), r"images\[0\]: id '10' is no integer.*without quotes"),
        (content(images=content()["images"][:1] * 2), "images: id 10 is used twice"),
        (content(annotation(4), annotation(4)), "annotations: id 4 is used twice"),
        (content(annotation("4")), r"annotations\[0\]: id '4' is no integer"),
        (content(annotation(None)), r"annotations\[0\]: id None is no integer"),
        (content(categories=[{"id": 5, "name": "a"}, {"id": 5, "name": "b"}]), "categories: id 5 is used twice"),
        (content(categories=[{"id": 5}]), 'category id 5: field "name"'),
    ],
)
def test_files_that_cannot_be_used_as_a_whole(folder, text, message):
    path = write(folder, text)
    with pytest.raises(AnnotationError, match=message) as caught:
        CocoDataset(path, folder)
    assert "annotations.json" in str(caught.value)


ANNOTATION_FAULTS = {
    "dangling image id": ({"image_id": 11}, "image_id 11 is not among the images"),
    "string image id": ({"image_id": "10"}, "image_id '10' is no integer"),
    "unknown category": ({"category_id": 6}, "a.png.*unknown category_id 6; the file's categories are 5, 90"),
    "string category": ({"category_id": "5"}, "a.png.*category_id '5' is no integer"),
    "crowd flag": ({"iscrowd": 2}, "a.png.*iscrowd 2 must be 0 or 1"),
    "zero-area box": ({"bbox": [2, 1, 0, 4]}, "a.png.*without area"),
    "inverted box": ({"bbox": [8, 1, -6, 4]}, "a.png.*inverted"),
    "NaN box": ({"bbox": [2, float("nan"), 6, 4]}, "a.png.*not finite.*recompute it from the mask"),
    "infinite box": ({"bbox": [2, 1, float("inf"), 4]}, "a.png.*not finite"),
    "box of three": ({"bbox": [2, 1, 6]}, "a.png.*must be four numbers"),
    "no segmentation": ({"segmentation": []}, "a.png.*segmentation is missing or empty"),
    "segmentation absent": ({"segmentation": None}, "a.png.*segmentation is missing or empty"),
    "flat polygon": ({"segmentation": SQUARE}, "a.png.*list of polygons"),
    "odd polygon": ({"segmentation": [SQUARE[:7]]}, "a.png.*even count of at least 6 coordinates, has 7"),
    "two points": ({"segmentation": [SQUARE[:4]]}, "a.png.*at least 6 coordinates, has 4"),
    "NaN in polygon": ({"segmentation": [[float("nan"), *SQUARE[1:]]]}, "a.png.*no finite number"),
    "polygon far away": ({"segmentation": [[1e9, *SQUARE[1:]]]}, r"a.png.*coordinate 1e\+09, far outside the image"),
    "text in polygon": ({"segmentation": [["2", *SQUARE[1:]]]}, "a.png.*no finite number"),
    "mask of another size": (
        {"segmentation": {"size": [12, 9], "counts": [108]}},
        r"a.png.*size \[12, 9\] differs from the image's height and width \[9, 12\]",
    ),
    "runs too short": (
        {"segmentation": {"size": [9, 12], "counts": [50, 8]}},
        "a.png.*cover 58 pixels, the image has 108",
    ),
    "negative run": ({"segmentation": {"size": [9, 12], "counts": [118, -10]}}, "a.png.*counts cover"),
    "damaged RLE": ({"segmentation": {"size": [9, 12], "counts": "\x10"}}, "a.png.*no valid compressed RLE"),
    "truncated RLE": ({"segmentation": {"size": [9, 12], "counts": "PP"}}, "a.png.*no valid compressed RLE"),
    "counts missing": ({"segmentation": {"size": [9, 12]}}, "a.png.*must be a list of integers"),
}


@pytest.mark.parametrize(("changes", "message"), ANNOTATION_FAULTS.values(), ids=ANNOTATION_FAULTS.keys())
def test_faulty_annotations_are_named_or_dropped(folder, changes, message):
    path = write(folder, content(annotation(1), annotation(41, **changes)))
    message = message.removeprefix("a.png.*") if "image" in changes else message
    with pytest.raises(AnnotationError, match=message) as caught:
        CocoDataset(path, folder)
    assert "annotation id 41" in str(caught.value) and 'faulty="drop"' in str(caught.value)
    with pytest.warns(UserWarning, match="1 faulty annotations are left out"):
        dataset = CocoDataset(path, folder, faulty="drop")
    assert dataset.annotation_ids(0) == [1]


def test_many_faults_are_counted_not_flooded(folder):
    faulty = [annotation(number, category_id=1) for number in range(1, 31)]
    with pytest.raises(AnnotationError, match="and 27 more"):
        CocoDataset(content(*faulty), folder)


def test_missing_files_and_folders(folder):
    with pytest.raises(FileNotFoundError, match="nowhere.json: no such annotation file"):
        CocoDataset(folder / "nowhere.json", folder)
    with pytest.raises(FileNotFoundError, match="no such folder of images"):
        CocoDataset(content(), folder / "nowhere")
    (folder / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="a.png"):
        CocoDataset(content(annotation()), folder)[0]


def test_binary_file_in_place_of_json(folder):
    (folder / "x.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(AnnotationError, match="x.json: not a text file"):
        CocoDataset(folder / "x.json", folder)


def test_picture_of_another_size_than_annotated(folder):
    Image.new("RGB", (13, 9)).save(folder / "a.png")
    with pytest.raises(ImageFileError, match="a.png: the picture is 13 × 9, the annotations say width 12 and height 9"):
        CocoDataset(content(annotation()), folder)[0]


def test_picture_annotated_before_its_exif_rotation(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (12, 9)).save(folder / "a.png", exif=exif)
    with pytest.raises(ImageFileError, match="a.png: the picture is 9 × 12.*EXIF rotation"):
        CocoDataset(content(annotation()), folder)[0]


@pytest.mark.parametrize("options", [{"faulty": "ignore"}, {"max_side": 0}])
def test_wrong_options_are_named(folder, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        CocoDataset(content(), folder, **options)


def test_index_past_the_end(folder):
    with pytest.raises(IndexError, match="has 2 images"):
        CocoDataset(content(), folder)[2]


def test_polygon_outside_the_image_is_found_by_the_checker(folder):
    outside = [[14.0, 14, 20, 14, 20, 20, 14, 20]]
    given_content = content(annotation(41, segmentation=outside), annotation(1))
    report = check_dataset(CocoDataset(given_content, folder, faulty="report"))
    assert not report.ok and report.objects == 1
    assert "a.png, annotation id 41: segmentation: the outline in (14, 14, 20, 20) lies outside" in str(report)
    assert "annotation id 1:" not in str(report)
    with pytest.raises(AnnotationError, match="annotation id 41: segmentation: the outline .* lies outside"):
        CocoDataset(given_content, folder)


@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 1)))
def test_rle_round_trip(mask):
    rle = encode_mask(mask)
    assert np.array_equal(decode_masks([to_rle(rle, *mask.shape)], *mask.shape)[0], mask)
    runs = rle_runs(rle["counts"])
    assert sum(runs) == mask.size
    assert np.array_equal(np.repeat(np.arange(len(runs)) % 2, runs), mask.T.ravel())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
places = [("images",), ("annotations",), ("categories",)]
places += [("images", 0, key) for key in ("id", "file_name", "width", "height")]
places += [("annotations", 0, key) for key in annotation()]
places += [("annotations", 0, "segmentation", 0), ("annotations", 0, "segmentation", 0, 3)]
places += [("annotations", 1, "segmentation", key) for key in ("size", "counts")]


@given(st.sampled_from(places), json_values)
def test_any_value_in_any_field_is_read_or_refused_by_name(place, value):
    mutated = copy.deepcopy(content(annotation(1), annotation(2, segmentation=encode_mask(box_mask()))))
    spot = mutated
    for key in place[:-1]:
        spot = spot[key]
    spot[place[-1]] = value
    try:
        dataset = CocoDataset(mutated, ".")
    except AnnotationError as error:
        assert "annotations" in str(error)
    else:
        assert len(dataset.coco()["annotations"]) <= 2


def test_export_reads_back_the_same(tmp_path):
    scenes = Shapes(length=12, seed=3)
    path = export_coco(scenes, tmp_path / "out")
    again = CocoDataset(path, path.parent / "images")
    assert len(again) == 12 and again.class_names == scenes.class_names
    for (image, target), (image_2, target_2) in zip(scenes, again, strict=True):
        assert (image - image_2).abs().max() <= 0.5 / 255 + 1e-6
        for key in ("boxes", "labels", "masks"):
            assert torch.equal(target[key], target_2[key])
        assert target["image_id"] == target_2["image_id"]
    first, second = scenes.coco(), again.coco()
    assert first == second


def test_export_of_a_coco_set_keeps_its_ids_and_crowds(folder):
    dataset = CocoDataset(content(annotation(7, category_id=90), annotation(8, iscrowd=1)), folder)
    path = export_coco(dataset, folder / "out")
    again = CocoDataset(path, path.parent / "images")
    assert again.category_ids == dataset.category_ids
    assert again.coco()["annotations"] == dataset.coco()["annotations"]
    assert [entry["id"] for entry in again.images] == [10, 3]
    assert dataset.images[0]["file_name"] == "a.png"
