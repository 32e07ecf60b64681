"""The whole of a COCO file: its images, categories and annotations, sorted into what is sound and what is not."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from .coco_annotation import AnnotationReader
from .coco_parse import AnnotationError, is_integer
from .faults import Fault, grouped, short

LISTS = ("images", "annotations", "categories")
# pycocotools sorts ids as 64-bit integers; of larger ones two could become one.
LARGEST_ID = 2**63

CROWDS = 'if each outlines one object, read them with `crowds="objects"`'


@dataclass
class CocoContents:
    """A checked COCO file.

    source       the file's name, for messages
    images       image id -> its sound entry, in file order
    categories   sound categories, ascending ids
    by_image     image id -> its sound annotations, in file order, with iscrowd, bbox and area filled in
    file_faults  what is wrong with images and categories: it spoils more than one annotation
    faults       what is wrong with annotations; those are not in `by_image`
    notes        what is harmless, but worth knowing
    """

    source: str
    images: dict[int, dict] = field(default_factory=dict)
    categories: list[dict] = field(default_factory=list)
    by_image: dict[int, list[dict]] = field(default_factory=dict)
    file_faults: list[Fault] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)


def parse_coco(content: object, source: str, outside: bool = False, crowds_are_objects: bool = False) -> CocoContents:
    """Check a COCO file's content, every annotation with its outline; no picture is opened.

    content             what the JSON holds
    source              the file's name, for messages
    outside             allow a `file_name` that leads out of the pictures' folder
    crowds_are_objects  read annotations with iscrowd 1 as objects
    raises              AnnotationError if it is no COCO file; whatever is wrong inside of one is listed
    """
    _require_lists(content, source)
    found = CocoContents(source)
    images = _by_id(content["images"], "images", source, found.file_faults)
    categories = _by_id(content["categories"], "categories", source, found.file_faults)
    annotations = _by_id(content["annotations"], "annotations", source, found.faults)
    found.images = {key: entry for key, entry in images.items() if not _add(found.file_faults, _image_fault(entry))}
    _check_names_of_files(found, outside)
    used = Counter(entry.get("category_id") for entry in annotations.values() if is_integer(entry.get("category_id")))
    found.categories = _read_categories(categories, used, found)
    found.by_image = {key: [] for key in found.images}
    known = {category["id"]: category for category in found.categories}
    reader = AnnotationReader(found.images, known, crowds_are_objects, source)
    # What is wrong with an image or a category is said once, and not again for each of its annotations.
    spoilt_images, spoilt_categories = images.keys() - found.images.keys(), categories.keys() - known.keys()
    outlines: dict[int, tuple[int, int]] = {}
    for annotation in annotations.values():
        image, category = annotation.get("image_id"), annotation.get("category_id")
        of_spoilt = (
            is_integer(image) and image in spoilt_images,
            is_integer(category) and category in spoilt_categories,
        )
        if not any(of_spoilt):
            _read_annotation(annotation, reader, outlines, found)
    _note_crowds(found)
    return found


def _require_lists(content: object, source: str) -> None:
    if not isinstance(content, dict):
        raise AnnotationError(
            f"{source}: a COCO file is a JSON object with the lists {', '.join(LISTS)}, "
            f"this one is a {type(content).__name__} (results of a model are no annotations)"
        )
    for key in LISTS:
        if not isinstance(content.get(key), list):
            raise AnnotationError(f'{source}: the list "{key}" is missing; export the file in COCO instance format')
        for position, entry in enumerate(content[key]):
            if not isinstance(entry, dict):
                raise AnnotationError(
                    f"{source}: {key}[{position}] is {short(entry)}, expected an object with fields; export it again"
                )


def _add(faults: list[Fault], fault: Fault | None) -> bool:
    if fault is not None:
        faults.append(fault)
    return fault is not None


def _by_id(entries: list[dict], key: str, source: str, faults: list[Fault]) -> dict[int, dict]:
    """The entries whose id is an integer of their own, by id."""
    found: dict[int, dict] = {}
    for position, entry in enumerate(entries):
        number = entry.get("id")
        if not is_integer(number):
            fix = "write the number without quotes"
            faults.append(Fault(source, f"{key}[{position}]", "id", f"id {short(number)} is no integer", fix))
        elif not -LARGEST_ID < number < LARGEST_ID:
            problem = f"id {short(number)} is beyond 64 bits"
            faults.append(Fault(source, f"{key}[{position}]", "id", problem, "number the entries from 1"))
        elif number in found:
            faults.append(Fault(source, key, "id", f"id {number} is used twice", "give each entry an id of its own"))
        else:
            found[number] = entry
    return found


def _image_fault(image: dict) -> Fault | None:
    name, who = image.get("file_name"), f"image id {image['id']}"
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        return Fault("images", who, "file_name", f'field "file_name" is {short(name)}', "write the picture's file name")
    for side in ("width", "height"):
        if not is_integer(image.get(side)) or image[side] < 1:
            problem = f"{side} {short(image.get(side))} must be a positive integer"
            return Fault(name, who, side, problem, "write the picture's size in pixels")
    if image["width"] * image["height"] >= 2**31:
        problem = f"width {short(image['width'])} × height {short(image['height'])} is beyond what RLE can count"
        return Fault(name, who, "width", problem, "correct the size, or cut the picture up (2^31 pixels at most)")
    return None


def leads_out(name: str) -> bool:
    """True if a `file_name` is absolute or climbs out of the pictures' folder, written for Windows or for others.

    Symbolic links inside the folder are the user's own and are followed.
    """
    parts, windows = PurePosixPath(name.replace("\\", "/")).parts, PureWindowsPath(name)
    if name.startswith(("/", "\\")) or windows.drive or windows.root:
        return True
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def _check_names_of_files(found: CocoContents, outside: bool) -> None:
    """Leave out the images whose file lies elsewhere, or belongs to an image before them."""
    owners: dict[str, int] = {}
    for key, entry in list(found.images.items()):
        name, who = entry["file_name"], f"image id {entry['id']}"
        path = posixpath.normpath(name)
        if not outside and leads_out(name):
            problem = f"file_name {short(name)} leads out of the folder of the pictures"
            fix = "move the picture into it and correct the name, or allow it with `outside=True`"
        elif path in owners:
            problem = f"file_name {short(name)} is that of image id {owners[path]} too: one picture under two ids"
            fix = "keep one of the entries, and give its id to the annotations of both"
        else:
            owners[path] = key
            continue
        found.file_faults.append(Fault(name, who, "file_name", problem, fix))
        del found.images[key]


def _read_categories(categories: dict[int, dict], used: Counter, found: CocoContents) -> list[dict]:
    """The sound categories, ascending; of several with one name, the one that has annotations."""
    by_name: dict[str, list[dict]] = {}
    for number in sorted(categories):
        name = categories[number].get("name")
        if isinstance(name, str):
            by_name.setdefault(name, []).append(categories[number])
        else:
            who, problem = f"category id {number}", f'field "name" is {short(name)}: it must be a text'
            found.file_faults.append(Fault(found.source, who, "name", problem, "write the class's name, in quotes"))
    sound = [_only_one(name, same, used, found) for name, same in by_name.items()]
    _note_names(list(by_name), found)
    return sorted(sound, key=lambda category: category["id"])


def _only_one(name: str, same: list[dict], used: Counter, found: CocoContents) -> dict:
    with_objects = [category for category in same if used[category["id"]]]
    numbers = ", ".join(str(category["id"]) for category in same)
    if len(with_objects) > 1:
        problem = f"name {short(name)} is that of the category ids {numbers}: two categories with one name"
        fix = "give each a name of its own, or give all their annotations one category id"
        found.file_faults.append(Fault(found.source, "categories", "name", problem, fix))
    elif len(same) > 1:
        # Roboflow's exports have a root category, which nothing uses and which may be named as a class is.
        problem = f"name {short(name)} is that of the category ids {numbers}"
        fix = "at most one of them has annotations, the others are left out"
        found.notes.append(Fault(found.source, "categories", "name", problem, fix))
    return with_objects[0] if with_objects else same[0]


def _note_names(names: list[str], found: CocoContents) -> None:
    def note(problem: str, fix: str) -> None:
        found.notes.append(Fault(found.source, "categories", "name", problem, fix))

    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(" ".join(name.split()).casefold(), []).append(name)
    for same in alike.values():
        if len(same) > 1:
            shown = ", ".join(short(name) for name in same)
            note(f"names that differ in space or case only: {shown}", "each is a class of its own")
    if any(not name.strip() for name in names):
        note("name of a category is empty", "give the class a name, so that results can be read")
    if "background" in alike:
        note("name 'background' of a category", "it is a class like others; class 0 of a model is what has no class")


def _read_annotation(
    annotation: dict, reader: AnnotationReader, outlines: dict[int, tuple[int, int]], found: CocoContents
) -> None:
    reading = reader.read(annotation)
    found.faults += reading.faults
    if reading.sound is None:
        return
    found.notes += reading.notes
    found.by_image[annotation["image_id"]].append(reading.sound)
    # A number of 64 bits stands for each outline: the run lengths of a million would not fit into memory.
    code = hash((tuple(reading.pixels["size"]), bytes(reading.pixels["counts"])))
    image, other = outlines.setdefault(code, (annotation["image_id"], annotation["id"]))
    if other == annotation["id"]:
        return
    if image == annotation["image_id"]:
        problem, fix = f"segmentation is the outline of annotation id {other} too", "it counts as two objects"
    else:
        name = found.images[image]["file_name"]
        problem = f"segmentation is the outline of annotation id {other} in {name} too"
        fix = "see whether it was copied there by mistake"
    who = f"annotation id {annotation['id']}"
    found.notes.append(Fault(found.images[annotation["image_id"]]["file_name"], who, "segmentation", problem, fix))


def _note_crowds(found: CocoContents) -> None:
    sound = [annotation for entries in found.by_image.values() for annotation in entries]
    crowds = sum(annotation["iscrowd"] for annotation in sound)
    if 0 < crowds < len(sound):
        problem = f"iscrowd is 1 for {crowds} of {len(sound)} annotations: they are crowd regions, which nothing learns"
        found.notes.append(Fault(found.source, "", "iscrowd", problem, CROWDS))


def fault_text(source: str, faults: Iterable[Fault]) -> str:
    """Faults of a file as the text of an error."""
    return "\n".join(f"{source}: {line}" for line in grouped(faults))
