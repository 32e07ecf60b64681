"""Which class of a data set each label of a model stands for, and which classes have no partner."""

from __future__ import annotations

from collections import Counter

NAMELESS = "N/A"  # what COCO's published weights call the labels that no class uses


def compare_classes(model_names: tuple[str, ...] | None, dataset, truth: dict | None = None) -> list[str]:
    """What an evaluation will not see because the model knows other classes than the data set, a line for each reason.

    Classes go by their names, in any order; names that differ in case or spaces are different.

    model_names  one a label, "background" first; None where the model names none
    dataset      with `class_names` and `category_ids`
    truth        what `dataset.coco()` gives: then objects are counted, and a class without one is no loss
    returns      no line if the model has the data set's classes and no others
    raises       ValueError if no class is in common
    """
    if model_names is None:
        return []
    theirs, ours = dataset.class_names[1:], model_names[1:]
    unknown = [name for name in theirs if name not in ours]
    unused = [name for name in ours if name not in theirs and name != NAMELESS]
    if theirs and len(unknown) == len(theirs):
        raise ValueError(
            f"the model knows {', '.join(ours)}, the data set {', '.join(theirs)}: no class in common"
            f"{_alike(unknown, ours)}. Use `class_agnostic=True` to count every class as one"
        )
    notes = _unknown_note(unknown, ours, dataset, truth)
    if unused:
        notes.append(f"the data set has no {listed(unused)}, which the model knows: such detections are left out")
    return notes


def label_categories(
    model, dataset, class_agnostic: bool = False, truth: dict | None = None
) -> tuple[list[int | None], list[str]]:
    """The data set's category id of each label of a model, and what has to be said of it.

    Labels go by the names of the classes. Where the model has none, they go by its `category_ids`; without those,
    label k is the data set's k-th class if there are as many, else the class with category id k, as in COCO.

    returns  a list with one id a label, None at labels that the data set does not have; and lines for people
    raises   ValueError if no class is in common
    """
    ids, names = dataset.category_ids, dataset.class_names
    if class_agnostic:
        return [ids[min(1, len(ids) - 1)]] * _label_count(model, dataset), []
    ours = getattr(model, "class_names", None)
    if ours is not None:
        notes = compare_classes(tuple(ours), dataset, truth)
        by_name = dict(zip(names[1:], ids[1:], strict=True))
        return [None, *(by_name.get(name) for name in ours[1:])], notes
    own = getattr(model, "category_ids", None)
    count = _label_count(model, dataset)
    if own is not None:
        categories, rule = [number if number in ids[1:] else None for number in own], "its category ids are matched"
    elif count == len(names) or max(ids) >= count:
        categories, rule = [*ids[:count], *[None] * (count - len(ids))], "its label k is taken for the k-th class"
    else:
        categories = [number if number in ids[1:] else None for number in range(count)]
        rule = "its labels are taken for category ids"
    known = [f"{name} ({number})" for name, number in zip(names[1:], ids[1:], strict=True) if number in categories[1:]]
    unknown = [name for name, number in zip(names[1:], ids[1:], strict=True) if number not in categories[1:]]
    said = f"the model does not name its classes: {rule} of the data set: {listed(known) or 'none fits'}"
    return [None, *categories[1:]], [said, *_unknown_note(unknown, (), dataset, truth)]


def listed(names: list[str] | tuple[str, ...], most: int = 6) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _label_count(model, dataset) -> int:
    config = getattr(model, "config", None)
    names = getattr(model, "class_names", None) or dataset.class_names
    return len(names) if config is None else config.num_classes


def _unknown_note(unknown: list[str], ours: tuple[str, ...], dataset, truth: dict | None) -> list[str]:
    """The line on classes that the model cannot find."""
    said = unknown
    if truth is not None:
        ids = dict(zip(dataset.class_names, dataset.category_ids, strict=True))
        counts = Counter(row["category_id"] for row in truth["annotations"] if not row.get("iscrowd"))
        unknown = [name for name in unknown if counts[ids[name]]]
        said = [f"{name} ({counts[ids[name]]} objects)" for name in unknown]
    if not unknown:
        return []
    return [
        f"the model does not know {listed(said)}: every such object counts as missed{_alike(unknown, ours)}. Use "
        "weights that were trained on these classes, or `class_agnostic=True` to count every class as one"
    ]


def _alike(unknown: list[str], ours: tuple[str, ...]) -> str:
    """A hint at names that differ in case or spaces alone."""
    spelled = {_plain(name): name for name in ours}
    pairs = [f"{name!r} for {spelled[_plain(name)]!r}" for name in unknown if _plain(name) in spelled]
    return f" (the data set writes {listed(pairs)}: spell them alike)" if pairs else ""


def _plain(name: str) -> str:
    return "".join(name.casefold().replace("_", " ").replace("-", " ").split())
