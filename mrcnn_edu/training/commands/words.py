"""What a message of the package says in Python, said in options of the command line.

A message that recommends something to write in Python puts it between backticks, such as `faulty="drop"`. Only what
stands between backticks is translated: the names of files and classes around it are the user's own.
"""

from __future__ import annotations

import argparse
import re

# Python's way -> the option that does it. An argument that has an option of its own name needs no row.
OPTIONS = {
    'faulty="drop"': "--leave-out-faulty",
    "outside=True": "--allow-outside",
    'crowds="objects"': "--crowds-are-objects",
    "read_for=None": "--full-size",
    "num_classes": "--weights or --preset",
}
# Python's way -> plain words, where a command has no option for it.
WORDS = {
    "check_dataset": "check-data",
    "anchor_sizes": "the sizes of the anchors",
    "box_detections_per_img": "the number of detections",
    "rpn_post_nms_top_n_test": "the number of proposals",
    "rpn_post_nms_top_n_train": "the number of proposals in training",
    "box_batch_size_per_image": "the number of regions sampled",
    "max_side": "the longest side",
    "out": "--out",
}
# `name` and `name=value`; and the two ways in which settings are named without backticks.
ARGUMENT = re.compile(r"([A-Za-z_]\w*)(?:=(.+))?")
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
FIELD = re.compile(r"\b(?:TrainSettings|Config)\.([a-z_]+)|(?<![\w/\\.-])([a-z_]+)(?= \(now )")


def for_command_line(text: str, options: argparse.Namespace) -> str:
    """A message with the command's own options in place of Python's arguments.

    options  of the command: an argument of the same name is an option that it has
    """
    text = IN_BACKTICKS.sub(lambda found: translated(found[1], options), text)
    return FIELD.sub(lambda found: translated(found[1] or found[2], options), text)


def translated(python: str, options: argparse.Namespace) -> str:
    """One Python way as an option of the command, or in plain words; unchanged if it is neither."""
    if python in OPTIONS and hasattr(options, OPTIONS[python].lstrip("-").replace("-", "_")):
        return OPTIONS[python]
    argument = ARGUMENT.fullmatch(python)
    if argument is None:
        return python
    name, value = argument[1], argument[2]
    if hasattr(options, name):
        option = "--" + name.replace("_", "-")
        switch = isinstance(getattr(options, name), bool) or value is None
        return option if switch else f"{option} {value.strip(chr(34) + chr(39))}"
    words = WORDS.get(name, name)
    return words if value is None else f"{words} {value.strip(chr(34) + chr(39))}"
