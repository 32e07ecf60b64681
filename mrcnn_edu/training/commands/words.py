"""What a message of the package says in Python, said in options of the command line.

A message that recommends something to write in Python puts it between backticks, such as `faulty="drop"`. What stands
there is translated by its name; elsewhere only the names of the tables below are, because around them stand file names
and classes, which are the user's own.
"""

from __future__ import annotations

import argparse
import re

# Python's name -> the option that does the same. Between backticks an argument named as an option needs no row.
OPTIONS = {
    "faulty": "--leave-out-faulty",
    "outside": "--allow-outside",
    "crowds": "--crowds-are-objects",
    "read_for": "--full-size",
    "class_agnostic": "--class-agnostic",
    "out": "--out",
    "box_detections_per_img": "--detections",
    "rpn_post_nms_top_n_test": "--proposals-kept",
    "max_detections": "--max-detections",
    "anchor_sizes": "--anchors",
    "min_size": "--min-size",
    "max_size": "--max-size",
}
# Python's name -> plain words, where the command has no option for it.
WORDS = {
    "check_dataset": "check-data",
    "faulty": "leaving faulty annotations out",
    "num_classes": "the number of classes",
    "max_side": "the longest side",
    "class_agnostic": "--class-agnostic of evaluate",
    "box_detections_per_img": "the limit of detections",
    "rpn_post_nms_top_n_test": "the limit of proposals",
    "rpn_post_nms_top_n_train": "the limit of proposals in training",
    "box_batch_size_per_image": "the number of regions trained on",
    "max_detections": "the limit of scored detections",
    "anchor_sizes": "the sizes of the anchors",
    "anchor_ratios": "the shapes of the anchors",
}
# Options without a value: what is assigned in Python is what they stand for.
SWITCHES = ("--leave-out-faulty", "--allow-outside", "--crowds-are-objects", "--class-agnostic", "--full-size")

ARGUMENT = re.compile(r"([A-Za-z_]\w*)(?:=(.+))?")
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
NAMES = "|".join(sorted({*OPTIONS, *WORDS} - {"faulty", "outside", "crowds", "out"}, key=len, reverse=True))
# A name of the tables that stands alone, with what is assigned to it; and the two ways in which settings name a field.
# What touches a slash, a backslash or a full stop with a letter behind it belongs to the name of a file.
ALONE = re.compile(rf"(?<![\w/\\.`-])({NAMES}|out(?==))(?:=([\w.]*\w)?)?(?![\w/\\`-]|\.\w)")
FIELD = re.compile(r"\b(?:TrainSettings|Config)\.([a-z_]+)|(?<![\w/\\.-])([a-z_]+)(?= \(now )")


def for_command_line(text: str, options: argparse.Namespace) -> str:
    """A message with the command's own options in place of Python's arguments.

    options  of the command: an argument of the same name is an option that it has
    """
    text = IN_BACKTICKS.sub(lambda found: _translated(found[1], options), text)
    text = FIELD.sub(lambda found: option_for(found[1] or found[2], None, options), text)
    return ALONE.sub(lambda found: option_for(found[1], found[2], options), text)


def option_for(name: str, value: str | None, options: argparse.Namespace) -> str:
    """The option of the command, or the plain words, for an argument of Python and what is assigned to it."""
    option = OPTIONS.get(name, "--" + name.replace("_", "-"))
    held = vars(options)
    dest = option.removeprefix("--").replace("-", "_")
    said = option if dest in held else WORDS.get(name, name)
    if not value or option in SWITCHES or isinstance(held.get(dest), bool):
        return said
    return f"{said} {value.strip(chr(34) + chr(39))}"


def _translated(python: str, options: argparse.Namespace) -> str:
    argument = ARGUMENT.fullmatch(python)
    return python if argument is None else option_for(argument[1], argument[2], options)
