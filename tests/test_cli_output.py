"""Output in any code page: no character ends a command, and what is written is UTF-8."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from mrcnn_edu.__main__ import every_character_printable
from mrcnn_edu.training.commands.messages import WarningPrinter
from tests import coco_files
from tests.training.tiny import tiny_model

NAMES = ("background", "Feige für Öl", "日本 🍎")
SMALL = ["--min-size", "48", "--max-size", "64", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A COCO file with pictures and classes of names that no small code page has, and weights that know them."""
    from mrcnn_edu.model import save_weights

    folder = tmp_path_factory.mktemp("Bäume_日本")
    objects = [coco_files.annotation(1), coco_files.annotation(2, image_id=2, category_id=90)]
    categories = [{"id": 5, "name": NAMES[1]}, {"id": 90, "name": NAMES[2]}]
    pictures = [coco_files.picture(1, "Öl_日本.png"), coco_files.picture(2, "b.png")]
    for entry in pictures:
        Image.new("RGB", (coco_files.WIDTH, coco_files.HEIGHT), (200, 60, 90)).save(folder / entry["file_name"])
    content = coco_files.content(*objects, categories=categories, images=pictures)
    (folder / "set.json").write_text(json.dumps(content), encoding="utf-8")
    model = tiny_model(num_classes=3, box_score_thresh=0.0)
    model.class_names = NAMES
    save_weights(model, folder / "tiny.safetensors")
    return folder


def started(page, *arguments, cwd=None):
    """One command in a process of its own whose standard streams have a code page."""
    command = [sys.executable, "-m", "mrcnn_edu", *map(str, arguments)]
    environment = {**os.environ, "PYTHONIOENCODING": page}
    done = subprocess.run(command, capture_output=True, timeout=300, env=environment, cwd=cwd)
    assert b"Traceback" not in done.stderr, done.stderr.decode("ascii", "replace")
    return done


def data(folder):
    return ["--annotations", folder / "set.json", "--images", folder]


@pytest.mark.parametrize("page", ["ascii", "cp1252:strict", "cp437"])
def test_predict(folder, tmp_path, root, page):
    odd, broken = tmp_path / os.fsdecode(b"photo_\xff_\xe9.png"), tmp_path / "日本.png"
    Image.new("RGB", (64, 48)).save(odd)
    broken.write_text("no picture")
    pictures = [folder / "Öl_日本.png", odd, folder / "b.png"]
    done = started(page, "predict", broken, *pictures, "--weights", folder / "tiny.safetensors", "--out",
                   tmp_path / "out", "--score", "0", *SMALL, cwd=root)  # fmt: skip
    assert done.returncode == 1 and b"\\u65e5\\u672c.png" in done.stderr, done.stderr
    written = json.loads((tmp_path / "out" / "predictions.json").read_bytes().decode("utf-8"))
    assert {row["file_name"] for row in written} == {str(path) for path in pictures}
    assert {row["category_name"] for row in written} <= set(NAMES[1:])
    assert len(os.listdir(tmp_path / "out")) == 4 and b"results in COCO format" in done.stdout


def test_evaluate(folder, tmp_path, root):
    done = started("ascii", "evaluate", *data(folder), "--weights", folder / "tiny.safetensors", "--out", tmp_path,
                   *SMALL, cwd=root)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "detections.json").read_bytes().decode("utf-8")) is not None


def test_train(folder, tmp_path, root):
    out = tmp_path / "Lauf_日本"
    steps = ["--steps", "1", "--batch", "1"]
    done = started("ascii:strict", "train", *data(folder), *steps, "--out", out, *SMALL, cwd=root)
    assert done.returncode == 0, done.stderr
    assert (out / "model.safetensors").exists()


def test_check_data(folder, tmp_path, root):
    content = json.loads((folder / "set.json").read_text(encoding="utf-8"))
    content["annotations"][0]["category_id"] = 77
    (tmp_path / "日本.json").write_text(json.dumps(content), encoding="utf-8")
    done = started("ascii:strict", "check-data", "--annotations", tmp_path / "日本.json", "--images", folder, cwd=root)
    assert done.returncode == 1 and b"\\xd6l_\\u65e5\\u672c.png" in done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [["check-data", "--help"], ["fly_日本"]])
def test_help_and_wrong_options(root, arguments):
    done = started("ascii:strict", *arguments, cwd=root)
    assert done.returncode == (0 if "--help" in arguments else 2)


def test_streams_are_as_before_afterwards(monkeypatch, tmp_path):
    with open(tmp_path / "out", "w", encoding="ascii", errors="strict") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with every_character_printable():
            print("Öl 日本 \udcff")
        assert stream.errors == "strict"
    assert (tmp_path / "out").read_text() == "\\xd6l \\u65e5\\u672c \\udcff\n"


def test_warnings_of_one_kind_are_three_and_a_count(capsys):
    printer = WarningPrinter(None)
    for number in range(7):
        for _ in range(2):
            printer(UserWarning(f"photo_{number}.png: 12-bit values (the largest is {number})"))
    printer(UserWarning("other.png: a word of its own"))
    printer.finish()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in lines] == [" photo_0.png", " photo_1.png", " photo_2.png", " other.png",
                                                      " 4 more of the kind"]  # fmt: skip


def test_warnings_of_a_library_name_the_file_that_is_read(capsys, tmp_path, monkeypatch):
    from tests.test_cli import call

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    names = [tmp_path / name for name in ("a.png", "b.png")]
    for name in names:
        Image.new("RGB", (64, 64)).save(name)
    status, _, err = call("predict", *names, "--weights", "lesson", "--out", tmp_path / "out", *SMALL)
    lines = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert status == 0 and [str(name) in line for name, line in zip(names, lines, strict=True)] == [True, True]
