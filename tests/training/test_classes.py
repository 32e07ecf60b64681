import warnings

import pytest
import torch

from mrcnn_edu.training import evaluate
from mrcnn_edu.training.classes import compare_classes, label_categories, listed
from mrcnn_edu.training.evaluation import evaluation_notes

from .annotated import Scene, annotation, found
from .tiny import Oracle, tiny_config

FRUIT = ("background", "apple", "fig", "date")


class Fruit:
    class_names, category_ids = FRUIT, (0, 3, 7, 90)


class Model:
    """Only what names labels."""

    def __init__(self, names=None, ids=None, classes=None):
        self.class_names, self.category_ids = names, ids
        if classes is not None:
            self.config = tiny_config(num_classes=classes)


def test_equal_names_in_any_order_need_no_word():
    assert compare_classes(FRUIT, Fruit) == []
    assert compare_classes(("background", "date", "apple", "fig"), Fruit) == []
    assert label_categories(Model(("background", "date", "apple", "fig")), Fruit) == ([None, 90, 3, 7], [])


def test_classes_that_the_model_does_not_know_are_named():
    (note,) = compare_classes(("background", "fig"), Fruit)
    assert "does not know apple, date" in note and "counts as missed" in note


def test_classes_that_the_data_set_does_not_have_are_named():
    (note,) = compare_classes((*FRUIT, "nut", "N/A"), Fruit)
    assert "has no nut, which the model knows" in note and "left out" in note and "N/A" not in note
    categories, notes = label_categories(Model(("background", "nut", "date")), Fruit)
    assert categories == [None, None, 90] and len(notes) == 2


@pytest.mark.parametrize("spelled", ["Apple", "apple ", " APPLE", "ap-ple"])
def test_another_spelling_is_another_class_and_is_pointed_at(spelled):
    note = compare_classes(("background", spelled, "fig", "date"), Fruit)[0]
    assert "does not know apple" in note and f"'apple' for '{spelled}'" in note
    with pytest.raises(ValueError, match="no class in common.*spell them alike"):
        compare_classes(("background", spelled), Fruit)


def test_no_class_in_common_is_refused():
    with pytest.raises(ValueError, match="knows disc, star, the data set apple, fig, date: no class in common"):
        compare_classes(("background", "disc", "star"), Fruit)
    with pytest.raises(ValueError, match="no class in common"):
        label_categories(Model(("background", "disc")), Fruit)
    assert label_categories(Model(("background", "disc", "star")), Fruit, class_agnostic=True) == ([3, 3, 3], [])


def test_without_names_the_own_category_ids_count():
    categories, (note,) = label_categories(Model(ids=(0, 90, 3, 7), classes=4), Fruit)
    assert categories == [None, 90, 3, 7] and "its category ids" in note and "apple (3), fig (7), date (90)" in note
    categories, notes = label_categories(Model(ids=(0, 90, 5), classes=3), Fruit)
    assert categories == [None, 90, None] and "does not know apple, fig" in notes[1]


def test_without_names_and_ids_as_many_labels_stand_for_the_classes_in_order():
    categories, (note,) = label_categories(Model(classes=4), Fruit)
    assert categories == [None, 3, 7, 90] and "label k is taken for the k-th class" in note and "date (90)" in note


def test_without_names_and_ids_the_labels_of_coco_are_category_ids():
    categories, (note,) = label_categories(Model(classes=91), Fruit)
    assert [label for label, category in enumerate(categories) if category] == [3, 7, 90]
    assert all(category in (None, label) for label, category in enumerate(categories))
    assert "its labels are taken for category ids" in note


@pytest.mark.parametrize("classes", [3, 6])
def test_without_names_other_counts_than_the_data_sets_go_by_order(classes):
    categories, notes = label_categories(Model(classes=classes), Fruit)
    assert categories == [None, 3, 7, 90, None, None][:classes]
    assert (len(notes) == 2) == (classes == 3)
    if classes == 3:
        assert "does not know date" in notes[1]


def two_classes():
    rows = [annotation(1, (2, 2, 12, 12)), annotation(2, (14, 2, 20, 9), category_id=8)]
    return Scene(rows, names=("background", "thing", "other", "unseen"), ids=(0, 7, 8, 9))


def test_evaluate_says_it_before_the_first_picture():
    oracle = Oracle([found((2, 2, 12, 12))])
    oracle.class_names = ("background", "thing", "more")
    with pytest.warns(UserWarning) as caught:
        scores = evaluate(oracle, two_classes())
    said = [str(warning.message) for warning in caught]
    assert any("does not know other (1 objects): every such object counts as missed" in line for line in said)
    assert any("has no more, which the model knows" in line for line in said)
    assert all(warning.filename == __file__ for warning in caught)
    assert scores["segm"]["AP"] == 0.5


def test_what_has_been_said_is_not_said_again():
    oracle = Oracle([found((2, 2, 12, 12))])
    oracle.class_names = ("background", "thing", "more")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate(oracle, two_classes(), warn=False)["segm"]["AP"] == 0.5


def test_only_objects_of_pictures_that_are_looked_at_are_counted():
    scene = two_classes()
    scene.images = 2
    scene.annotations[1]["image_id"] = 101
    truth = scene.coco()
    assert not any(
        "does not know" in note for note in evaluation_notes(Model(("background", "thing")), scene, truth, 1)
    )
    assert any("other (1 objects)" in note for note in evaluation_notes(Model(("background", "thing")), scene, truth))


def test_a_model_without_names_and_with_more_labels_is_evaluated():
    scene = Scene([annotation(1, (2, 2, 12, 12))])
    answer = found((2, 2, 12, 12), (14, 2, 20, 9), scores=[0.5, 0.9])
    answer["labels"] = torch.tensor([7, 60])
    oracle = Oracle([answer])
    oracle.config = tiny_config(num_classes=91)
    with pytest.warns(UserWarning, match=r"its labels are taken for category ids of the data set: thing \(7\)"):
        assert evaluate(oracle, scene)["segm"]["AP"] == 1.0


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(number) for number in range(80)]) == "0, 1, 2, 3, 4, 5 and 74 more"
