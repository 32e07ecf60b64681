"""What a run does by itself is printed before it starts, and each part has an option: walked by program."""

import inspect
import re
from dataclasses import fields

import pytest

from mrcnn_edu.__main__ import build_parser
from mrcnn_edu.datasets import Transformed, train_transforms
from mrcnn_edu.training import CheckpointError, TrainSettings, train
from mrcnn_edu.training.commands.train import AUGMENTATION, OFF, SETTINGS
from mrcnn_edu.training.plan import LINES
from mrcnn_edu.training.recipes import OWN_DATA, RECIPES

from ..test_cli import SMALL, call, own_data, refused, scenes  # noqa: F401 - a fixture
from .tiny import run, tiny_model, tiny_settings, tiny_shapes

ARGUMENTS = tuple(inspect.signature(train_transforms).parameters)
# A value for each part that is not its default, as the command line takes it and as the plan prints it.
VALUES = {
    "steps": "0", "batch": "3", "optimizer": "sgd", "lr": "0.0375", "momentum": "0.87", "weight_decay": "0.0123",
    "warmup": "7", "schedule": "step", "final_lr": "0.043", "milestones": "0.31 0.62", "clip": "3.25",
    "amp": "bfloat16", "ema": "0.77", "channels_last": False, "seed": "5", "workers": "1", "checkpoint_every": "9",
    "eval_every": "11", "device": "cpu", "mistake": "roi_pool", "flip": False, "flip_vertical": True,
    "transpose": True, "degrees": "7.5", "zoom": "0.9 1.1", "colour": "0.15", "grey": "0.05", "least_visible": "0.45",
}  # fmt: skip


def options_of(command):
    parser = build_parser()
    commands = next(action for action in parser._actions if action.dest == "command")
    return {action.dest: action for action in commands.choices[command]._actions}


def test_every_setting_and_every_argument_has_an_option_and_a_line():
    names = [field.name for field in fields(TrainSettings)]
    assert set(SETTINGS) == set(names) and set(AUGMENTATION) == set(ARGUMENTS)
    assert sorted(name for _, line in LINES for name in line) == sorted(names)
    options = options_of("train")
    for name in (*names, *ARGUMENTS):
        assert options[name].option_strings[0] == f"--{name.replace('_', '-')}"
        assert options[name].help or options[name].choices, name
    assert set(VALUES) == {*names, *ARGUMENTS} and set(OFF) <= set(names)


@pytest.mark.parametrize("name", VALUES)
def test_the_option_acts_and_the_plan_prints_it(scenes, tmp_path, name):  # noqa: F811
    value = VALUES[name]
    option = name.replace("_", "-")
    if isinstance(value, bool):
        given, printed = [f"--{option}" if value else f"--no-{option}"], "on" if value else "off"
    else:
        given, printed = [f"--{option}", *value.split()], value
    train = ["train", *own_data(scenes), "--min-size", 48, "--max-size", 64, "--steps", 0, "--out", tmp_path]
    status, out, err = call(*train, *given)
    assert status == 0, err
    plan = dict(line.split(maxsplit=1) for line in out.splitlines() if re.match(r"\w+ +", line))
    subject = next((subject for subject, names in LINES if name in names), "augmentation")
    words = f"{subject} {plan[subject]}"
    assert re.search(rf"\b{option} {re.escape(printed)}(?![\w.])", words), (words, printed)


def test_the_plan_of_a_data_set_of_ones_own(scenes, tmp_path):  # noqa: F811
    status, out, err = call("train", *own_data(scenes), *SMALL, "--steps", 1, "--out", tmp_path / "run",
                            "--val-annotations", scenes / "annotations.json", "--limit", 3)  # fmt: skip
    assert status == 0, err
    for words in ("preset lesson, random weights", "annotations: 5 images, ", " objects", "disc, box, triangle, star",
                  "min-size 48, max-size 64", "steps        1, batch 2 (0.4 epochs)", "flip on, flip-vertical off",
                  "annotations: 3 images, at the end", f"saved in     {tmp_path / 'run'}"):  # fmt: skip
        assert words in out, (words, out)
    assert out.index("saved in") < out.index("weights of step 1")


def test_nothing_is_printed_when_a_run_is_refused(scenes, tmp_path):  # noqa: F811
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert "already holds a run" in refused("train", *own_data(scenes), *SMALL, "--steps", 1, "--out", tmp_path)


def test_the_plan_is_told_to_who_asks_in_python():
    told = []
    dataset = Transformed(tiny_shapes(), train_transforms(degrees=5.0))
    train(tiny_model(), dataset, tiny_settings(steps=1), progress=False, announce=told.append)
    assert len(told) == 1 and "degrees 5.0" in told[0] and "saved in     nowhere" in told[0]


def test_upright_things_are_not_turned_upside_down_unless_it_is_asked_for():
    assert inspect.signature(train_transforms).parameters["flip_vertical"].default is False
    assert "flip_vertical" not in OWN_DATA.augment
    assert all(RECIPES[name].augment == {"flip_vertical": True} for name in ("coins", "fruits_nuts"))


def test_augmentation_that_the_recipe_lacks_comes_part_by_part(tmp_path):
    _, out, _ = call("train", "--data", "shapes", "--steps", 0, "--limit", 1, "--degrees", 10, "--out", tmp_path)
    assert "flip off, flip-vertical off, transpose off, degrees 10.0, zoom 1.0 1.0, colour 0.0, grey 0.0" in out
    assert "--no-augment and --flip, --zoom exclude each other" in refused(
        "train", "--data", "shapes", "--no-augment", "--flip", "--zoom", 1, 2
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [(["--clip", -1], "--clip must be above 0"), (["--weight-decay", "nan"], "--weight-decay must be a finite number"),
     (["--milestones", 2], "2 does not lie between 0 and 1"), (["--zoom", 2, 1], "zoom"),
     (["--degrees", 400], "degrees must lie between 0 and 180"), (["--colour", 1.5], "1.5 does not lie")],
)  # fmt: skip
def test_bad_values_are_refused(scenes, tmp_path, given, words):  # noqa: F811
    assert words in refused("train", *own_data(scenes), *SMALL, "--out", tmp_path / "run", *given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["colour", "degrees", "grey", "least_visible"])
@pytest.mark.parametrize("value", [-0.1, 181.0, float("nan")])
def test_arguments_of_the_transforms_are_checked(name, value):
    with pytest.raises(ValueError, match=name):
        train_transforms(**{name: value})


def test_a_run_goes_on_with_its_own_augmentation_only(tmp_path):
    plain = tiny_shapes()

    def seen(**options):
        return Transformed(plain, train_transforms(**options))

    run(dataset=seen(), out=tmp_path, steps=2)
    with pytest.raises(CheckpointError, match="the augmentation flip_vertical False, this run has True"):
        run(dataset=seen(flip_vertical=True), out=tmp_path, steps=2, resume=True)
    with pytest.raises(CheckpointError, match="the augmentation flip True, this run has None"):
        run(dataset=plain, out=tmp_path, steps=2, resume=True)
    assert run(dataset=seen(), out=tmp_path, steps=2, resume=True)[1].step == 2


def test_several_scales_are_in_the_plan():
    told = []
    train(tiny_model(min_size=(48, 56)), tiny_shapes(), tiny_settings(steps=0), announce=told.append, progress=False)
    assert "min-size 48 56 (one is drawn for each image), max-size 64" in told[0]
