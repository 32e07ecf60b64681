"""A COCO file as a whole: images, categories, ids, names of files. What is spoilt is named once."""

import json

import pytest

from mrcnn_edu.datasets import AnnotationError, CocoDataset
from mrcnn_edu.datasets.coco_contents import leads_out, parse_coco
from tests.coco_files import annotation, content, picture, rectangle, write


def read(*annotations, **changes):
    options = {key: changes.pop(key) for key in ("outside", "crowds_are_objects") if key in changes}
    return parse_coco(content(*annotations, **changes), "set.json", **options)


def texts(faults):
    return "\n".join(str(fault) for fault in faults)


@pytest.mark.parametrize(
    "name",
    ["../x.png", "../../x.png", "sub/../../x.png", "/data/x.png", "C:\\data\\x.png", "C:x.png", "..\\x.png",
     "\\\\server\\x.png", "\\x.png", "./../x.png", "c:/x.png"],
)  # fmt: skip
def test_names_that_lead_out_of_the_folder(name):
    assert leads_out(name)
    found = read(annotation(), images=[picture(1, name)])
    assert "image id 1: file_name" in texts(found.file_faults) and "leads out of the folder" in texts(found.file_faults)
    assert found.faults == [] and found.images == {}
    assert read(annotation(), images=[picture(1, name)], outside=True).file_faults == []


@pytest.mark.parametrize("name", ["x.png", "sub/x.png", "./x.png", "sub/../x.png", "..x.png", "a..b/x.png", "été.png"])
def test_names_that_stay_in_the_folder(name):
    assert not leads_out(name) and read(annotation(), images=[picture(1, name)]).file_faults == []


def test_a_picture_outside_is_read_where_it_is_allowed_only(tmp_path):
    inner = tmp_path / "images"
    inner.mkdir()
    write(tmp_path)
    outside = content(annotation(), images=[picture(1, "../a.png")])
    with pytest.raises(AnnotationError, match=r"'\.\./a\.png' leads out of the folder of the pictures"):
        CocoDataset(outside, inner)
    assert CocoDataset(outside, inner, outside=True)[0][0].shape == (3, 300, 400)
    with pytest.raises(AnnotationError, match="leads out"):
        CocoDataset(outside, inner, faulty="drop")


@pytest.mark.parametrize("twin", ["a.png", "./a.png", "sub/../a.png", ".//a.png"])
def test_one_picture_under_two_ids(twin):
    found = read(annotation(), annotation(2, image_id=2), images=[picture(1, "a.png"), picture(2, twin)])
    assert "image id 2: file_name" in texts(found.file_faults)
    assert "image id 1 too: one picture under two ids" in texts(found.file_faults)
    assert list(found.images) == [1] and found.faults == []


IMAGES = {
    "id as text": ([{**picture(1, "a.png"), "id": "1"}], r"images\[0\]: id '1' is no integer"),
    "no id": ([{"file_name": "a.png"}], r"images\[0\]: id None is no integer"),
    "truth value as id": ([{**picture(1, "a.png"), "id": True}], "id True is no integer"),
    "id beyond 64 bits": ([{**picture(1, "a.png"), "id": 2**63}], "beyond 64 bits"),
    "id twice": ([picture(1, "a.png"), picture(1, "b.png")], "images: id 1 is used twice"),
    "no name": ([{**picture(1, "a.png"), "file_name": None}], 'image id 1: field "file_name"'),
    "empty name": ([picture(1, " ")], 'image id 1: field "file_name"'),
    "zero byte": ([picture(1, "a\0.png")], 'image id 1: field "file_name"'),
    "no width": ([{"id": 1, "file_name": "a.png", "height": 3}], "a.png, image id 1: width None"),
    "height as text": ([picture(1, "a.png", 4, "3")], "a.png, image id 1: height '3' must be a positive integer"),
    "negative width": ([picture(1, "a.png", -4, 3)], "width -4 must be a positive"),
    "width beyond floats": ([picture(1, "a.png", 10**400, 3)], "beyond what RLE can count"),
}


@pytest.mark.parametrize(("images", "problem"), IMAGES.values(), ids=IMAGES.keys())
def test_entries_of_images_that_cannot_be_used(tmp_path, images, problem):
    with pytest.raises(AnnotationError, match=problem):
        CocoDataset(content(images=images), tmp_path)
    assert CocoDataset(content(images=images), tmp_path, faulty="report").faults


def test_two_categories_with_one_name():
    same = [{"id": 5, "name": "apple"}, {"id": 90, "name": "apple"}]
    found = read(annotation(), annotation(2, **rectangle(9, 9, 30, 30), category_id=90), categories=same)
    assert "name 'apple' is that of the category ids 5, 90: two categories with one name" in texts(found.file_faults)
    assert len(found.file_faults) == 1 and "one category id" in texts(found.file_faults)


@pytest.mark.parametrize("used", [5, 90])
def test_a_category_that_nothing_uses_may_have_the_name_of_another(used):
    """A root category, as Roboflow writes it."""
    same = [{"id": 5, "name": "apple"}, {"id": 90, "name": "apple", "supercategory": "none"}]
    found = read(annotation(category_id=used), categories=same)
    assert found.file_faults == found.faults == [] and [one["id"] for one in found.categories] == [used]
    assert "at most one of them has annotations" in texts(found.notes)


def test_names_of_categories_that_are_odd_but_harmless():
    names = ["Apple", "apple ", "", "background"]
    found = read(categories=[{"id": k, "name": name} for k, name in enumerate(names)])
    assert found.file_faults == [] and [one["name"] for one in found.categories] == names
    assert "differ in space or case only: 'Apple', 'apple '" in texts(found.notes)
    assert "is empty" in texts(found.notes) and "name 'background'" in texts(found.notes)


@pytest.mark.parametrize("name", [None, 7, ["apple"], {"en": "apple"}])
def test_names_of_categories_that_are_no_text(name):
    found = read(annotation(), categories=[{"id": 5, "name": name}])
    assert 'category id 5: field "name"' in texts(found.file_faults) and found.faults == []


def test_annotations_with_one_id():
    found = read(annotation(4), annotation(4, **rectangle(9, 9, 30, 30)), annotation("4"), annotation(2**70))
    assert [one["bbox"] for one in found.by_image[1]] == [annotation()["bbox"]]
    assert "annotations: id 4 is used twice" in texts(found.faults)
    assert "annotations[2]: id '4' is no integer" in texts(found.faults) and "beyond 64 bits" in texts(found.faults)


def test_copies_of_an_outline_are_notes():
    found = read(annotation(3), annotation(4), annotation(5, image_id=2), annotation(6, **rectangle(9, 9, 30, 30)))
    assert found.faults == [] and len(found.by_image[1]) == 3
    assert [note.object for note in found.notes] == ["annotation id 4", "annotation id 5"]
    assert "the outline of annotation id 3 too; it counts as two objects" in str(found.notes[0])
    assert "the outline of annotation id 3 in a.png too" in str(found.notes[1])


def test_crowds_among_objects_are_counted_in_one_note():
    found = read(annotation(), *(annotation(k, **rectangle(9, 9, 9 + k, 30), iscrowd=1) for k in range(2, 12)))
    assert "iscrowd is 1 for 10 of 11 annotations" in texts(found.notes)
    again = read(annotation(), annotation(2, iscrowd=1, **rectangle(9, 9, 30, 30)), crowds_are_objects=True)
    assert again.notes == [] and [one["iscrowd"] for one in again.by_image[1]] == [0, 0]


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("value", [None, "left out", {}, "text"])
def test_a_list_that_is_missing(tmp_path, key, value):
    given = content(**{key: value})
    if value == "left out":
        del given[key]
    with pytest.raises(AnnotationError, match=f'the list "{key}" is missing'):
        CocoDataset(given, tmp_path)


@pytest.mark.parametrize("text", ["1" * 5000, "[" * 100000, '{"images": [NaN'])
def test_json_that_no_reader_takes(tmp_path, text):
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(AnnotationError, match="odd.json"):
        CocoDataset(tmp_path / "odd.json", tmp_path)


def test_a_file_that_is_read_is_left_as_it_was(tmp_path):
    given = content(annotation(without=("bbox",)), annotation(2, bbox=None, iscrowd=None))
    before = json.dumps(given)
    dataset = CocoDataset(given, tmp_path)
    assert json.dumps(given) == before
    assert [one["bbox"] for one in dataset.coco()["annotations"]] == [[100, 80, 80, 120]] * 2


def test_what_is_left_out_is_counted(tmp_path):
    given = content(annotation(1), annotation(2, bbox=[1, 2], area=-1), annotation(3, category_id=7))
    with pytest.warns(UserWarning, match="2 faulty annotations are left out"):
        dataset = CocoDataset(given, tmp_path, faulty="drop")
    assert dataset.annotation_ids(0) == [1] and dataset.faults == []
    assert len(CocoDataset(given, tmp_path, faulty="report").faults) == 3


@pytest.mark.parametrize("options", [{"crowds": "drop"}, {"faulty": "keep"}])
def test_options_with_no_such_choice(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        CocoDataset(content(), tmp_path, **options)
