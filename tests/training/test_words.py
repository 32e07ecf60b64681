"""On the command line nothing is recommended in Python: each way of Python's is said as the option that does it."""

import argparse
import ast
import re

import pytest

from mrcnn_edu.__main__ import build_parser
from mrcnn_edu.training.commands.words import OPTIONS, SWITCHES, WORDS, for_command_line
from tests.project import PACKAGE, place

ARGUMENT = re.compile(r"(?<![\w-])[a-z_]+=(?!=)")
COMMANDS = {"train": ["train"], "evaluate": ["evaluate"], "predict": ["predict", "x.png"], "check-data": ["check-data"]}


def options_of(command):
    return build_parser().parse_args(COMMANDS[command])


SAID = {
    'pass `faulty="drop"` to leave out': "pass --leave-out-faulty to leave out",
    "allow it with `outside=True`": "allow it with --allow-outside",
    'read them with `crowds="objects"`': "read them with --crowds-are-objects",
    "lower `batch` (now 4)": "lower --batch (now 4)",
    "Lower batch (now 4); min_size (now (320,))": "Lower --batch (now 4); --min-size (now (320,))",
    "set `amp=\"bfloat16\"`": "set --amp bfloat16",
    "resume it (`resume=True`)": "resume it (--resume)",
    "TrainSettings.lr must be finite": "--lr must be finite",
    "Config.max_size is 0": "--max-size is 0",
    "see check_dataset": "see check-data",
    "look with `check_dataset`.": "look with check-data.",
    "give out=": "give --out",
    "make it with num_classes=5, or": "make it with the number of classes 5, or",
    "(`max_side` is 20)": "(the longest side is 20)",
    "a `word` of another kind": "a word of another kind",
}  # fmt: skip


@pytest.mark.parametrize(("python", "said"), SAID.items())
def test_pythons_way_becomes_the_option(python, said):
    assert for_command_line(python, options_of("train")) == said


def test_the_command_has_to_have_the_option():
    assert for_command_line("Use class_agnostic to count", options_of("evaluate")) == "Use --class-agnostic to count"
    assert "--class-agnostic of evaluate" in for_command_line("Use class_agnostic to count", options_of("train"))
    given = argparse.Namespace(detections=None)
    assert for_command_line("`box_detections_per_img=375` lifts it", given) == "--detections 375 lifts it"
    plain = for_command_line("`box_detections_per_img=375` lifts it", argparse.Namespace())
    assert plain == "the limit of detections 375 lifts it"


@pytest.mark.parametrize(
    "name",
    ["run/class_agnostic/x.json", "check_dataset.json", "lr=0.1/model.pt", "a\\num_classes=5\\b.png", "batch=4.json",
     "max_side.png", "my-check_dataset", "out.png"],
)  # fmt: skip
def test_names_of_files_stay(name):
    text = f"{name}: no such file; check the name"
    assert for_command_line(text, options_of("train")) == text


def test_every_option_of_the_table_exists_or_has_words():
    there = {action for command in COMMANDS for action in vars(options_of(command))}
    for name, option in OPTIONS.items():
        assert option.removeprefix("--").replace("-", "_") in there or name in WORDS, name
    assert set(SWITCHES) <= set(OPTIONS.values())


def texts_of(call):
    """The texts in a call, formatted parts as 0."""
    inner = {id(part) for node in ast.walk(call) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(call):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def messages():
    """(place, text) of whatever a command can show: what is raised, warned of, or listed as a fault or a note."""
    # Of the model, what stands between a command and a network; the rest speaks to who writes Python.
    paths = [PACKAGE / "model" / name for name in ("config.py", "images.py", "weights.py")]
    for path in sorted([*paths, *(PACKAGE / "datasets").rglob("*.py"), *(PACKAGE / "training").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", ""))
            shows = isinstance(node, ast.Call) and name in ("warn", "Fault", "fault", "note", "refuse", "append")
            if isinstance(node, ast.Raise) or shows or isinstance(node, (ast.Return, ast.Assign)):
                for text in texts_of(node):
                    # No command hands arguments on to the generator of scenes.
                    if " " in text and not text.startswith("Shapes: "):
                        yield f"{place(path)}:{node.lineno}", text


def test_no_message_of_the_package_recommends_an_argument_that_has_no_words():
    found, seen = set(), 0
    for where, text in messages():
        seen += 1
        for command in COMMANDS:
            said = for_command_line(text, options_of(command))
            if ARGUMENT.search(said):
                found.add(f"{where}: {said}")
    assert seen > 300 and sorted(found) == []
