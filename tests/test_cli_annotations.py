"""What check-data calls a fault, training and evaluation refuse in the same words, in options of the command line."""

import json
import re

import pytest
from PIL import Image

from tests import test_cli
from tests.coco_files import annotation, content, picture, rectangle, write
from tests.training.tiny import tiny_model

PYTHON = re.compile(r"(?<![\w/-])[a-z_]+=|[a-z]_[a-z_]*\(|`|check_dataset|class_agnostic")
SMALL = ["--min-size", "48", "--max-size", "64", "--batch", "1", "--device", "cpu", "--steps", "1"]


def call(*arguments):
    """Status, standard output and standard error of one command; neither may name an argument of Python."""
    status, out, err = test_cli.call(*arguments)
    assert not PYTHON.search(out) and not PYTHON.search(err), out + err
    return status, out, err


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a tiny model that knows one of the two classes of the tests' files."""
    from mrcnn_edu.model import save_weights

    model = tiny_model(num_classes=2, box_score_thresh=0.0)
    model.class_names = ("background", "apple")
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(model, path)
    return path


FAULTS = {
    "corner box": {"bbox": [100, 80, 180, 200]},
    "wrong box": {"bbox": [300, 10, 50, 50]},
    "area of null": {"area": None},
    "area of another object": {"area": 7},
    "no outline": {"segmentation": []},
    "outline outside": {"segmentation": [[500, 80, 580, 80, 580, 200]]},
    "outline of nothing": {"segmentation": [[10, 10, 20, 10, 30, 10]]},
    "unknown category": {"category_id": 6},
    "unknown image": {"image_id": 7},
    "crowd flag": {"iscrowd": "1"},
    "id twice": {"id": 1},
}


@pytest.mark.parametrize("changes", FAULTS.values(), ids=FAULTS.keys())
def test_all_commands_share_one_reading(tmp_path, weights, changes):
    data = write(tmp_path, annotation(1, **rectangle(9, 9, 60, 60)), annotation(**{"number": 7, **changes}))
    status, out, err = call("check-data", *data)
    faults = [line.removeprefix("  fault: ") for line in out.splitlines() if line.startswith("  fault: ")]
    assert status == 1 and err == "" and len(faults) == 1 and ", 1 fault\n" in out
    run = tmp_path / "run"
    for command in (["train", *SMALL, "--out", run], ["evaluate", "--weights", weights]):
        status, out, err = call(*command, *data)
        assert status == 2 and out == "" and err.count("\n") == 1
        assert f"set.json: {faults[0]}" in err and "--leave-out-faulty" in err
    status, out, err = call("train", *SMALL, "--out", run, *data[:2], *data[2:], "--leave-out-faulty")
    assert status == 0 and "1 faulty annotations are left out" in err and faults[0] in err
    assert (run / "model.safetensors").exists()


def test_the_validation_file_is_read_as_strictly(tmp_path):
    (tmp_path / "val").mkdir()
    data, val = write(tmp_path, annotation()), write(tmp_path / "val", annotation(bbox=[100, 80, 180, 200]))
    train = ["train", *SMALL, *data, "--val-annotations", val[1], "--val-images", val[3], "--out", tmp_path / "run"]
    status, out, err = call(*train)
    assert status == 2 and "gives the corners x1, y1, x2, y2" in err and not (tmp_path / "run").exists()


def test_faults_of_the_whole_file_cannot_be_left_out(tmp_path):
    same = [{"id": 5, "name": "apple"}, {"id": 90, "name": "apple"}]
    second = annotation(2, **rectangle(9, 9, 60, 60), category_id=90)
    data = write(tmp_path, annotation(), second, categories=same)
    status, out, err = call("check-data", *data)
    assert status == 1 and "two categories with one name" in out
    status, out, err = call("train", *SMALL, *data, "--leave-out-faulty", "--out", tmp_path / "run")
    assert status == 2 and "two categories with one name" in err and "--leave-out-faulty" not in err


@pytest.mark.parametrize("way", ["climbing", "absolute"])
def test_pictures_outside_of_the_folder(tmp_path, weights, way):
    write(tmp_path)
    inner = tmp_path / "images"
    inner.mkdir()
    name = "../a.png" if way == "climbing" else str(tmp_path / "a.png")
    (tmp_path / "out.json").write_text(json.dumps(content(annotation(), images=[picture(1, name)])))
    data = ["--annotations", tmp_path / "out.json", "--images", inner]
    commands = {
        "check-data": [],
        "train": [*SMALL, "--out", tmp_path / "run", "--val-annotations", tmp_path / "out.json"],
        "evaluate": ["--weights", weights, "--json"],
    }
    for command, more in commands.items():
        status, out, err = call(command, *data, *more)
        assert status in (1, 2) and "leads out of the folder of the pictures" in out + err
        assert "--allow-outside" in out + err
        status, out, err = call(command, *data, *more, "--allow-outside")
        assert status == 0, err


def test_annotations_that_are_all_crowds(tmp_path, weights):
    data = write(tmp_path, *(annotation(k, iscrowd=1, **rectangle(9, 9, 40 + k, 60)) for k in range(1, 30)))
    status, out, _ = call("check-data", *data)
    assert status == 1 and "all 29 annotations are crowd regions" in out and "--crowds-are-objects" in out
    status, _, err = call("train", *SMALL, *data, "--out", tmp_path / "run")
    assert status == 2 and "all 29 annotations are crowd regions" in err and "--crowds-are-objects" in err
    status, out, err = call("train", *SMALL, *data, "--out", tmp_path / "run", "--crowds-are-objects")
    assert status == 0, err
    status, out, _ = call("check-data", *data, "--crowds-are-objects")
    assert status == 0 and "29 objects, no faults" in out


def test_ten_thousand_faults_are_read_in_a_glance(tmp_path):
    data = write(tmp_path, *(annotation(k, area=-k) for k in range(1, 10001)))
    status, out, _ = call("check-data", *data)
    assert status == 1 and "10000 faults" in out and len(out.splitlines()) == 2 and len(out) < 1000
    status, _, err = call("train", *SMALL, *data, "--out", tmp_path / "run")
    assert status == 2 and "area, 10000 times" in err and "and 9997 more" in err and len(err) < 1000


def test_limits_are_those_of_the_model_that_would_be_trained(tmp_path):
    objects = [annotation(k + 1, **rectangle(2 * k, 9, 2 * k + 2, 13)) for k in range(150)]
    data = write(tmp_path, *objects)
    status, out, _ = call("check-data", *data)
    assert status == 0 and "1 of 2 pictures hold more than 100 objects (up to 150)" in out
    assert "66.7% of them can be found at most" in out and "150 of 150 objects are too small for every anchor" in out
    _, large, _ = call("check-data", *data, "--preset", "resnet50_fpn", "--min-size", 64)
    assert "sides of 32, 64, 128, 256, 512" in large and "a larger --min-size than 64" in large
    assert "--detections 150 lifts it" in out and "--proposals-kept" not in out
    _, changed, _ = call("check-data", *data, "--detections", 150, "--proposals-kept", 120, "--anchors", 2, 8, 32, 64)
    assert "hold more than 120 objects" in changed and "anchor" not in changed
    assert "--detections" not in changed
    status, _, err = call("check-data", *data, "--anchors", 16)
    assert status == 2 and "--anchors 16 does not fit the model: give 4 sizes" in err
    status, _, err = call("check-data", *data, "--preset", "resnet9")
    assert status == 2 and "resnet9" in err


def test_boxes_of_a_real_export_without_outlines(photos):
    folder = photos.parent / "labels" / "roboflow_boxes" / "test"
    if not (folder / "_annotations.coco.json").is_file():
        pytest.skip(f"no real exports of labelling tools: {folder} is missing")
    status, out, _ = call("check-data", "--annotations", folder / "_annotations.coco.json", "--images", folder)
    assert status == 1 and "221 faults" in out and "segmentation, 221 times" in out and len(out.splitlines()) == 2


def test_fruit_photographs_have_no_faults(photos):
    status, out, err = call("check-data", "--annotations", photos / "trainval.json", "--images", photos / "images")
    assert status == 0 and "trainval: 18 images, 165 objects, no faults" in out and err == ""


BROKEN = {
    "train, lr": ["train", "--data", "shapes", "--lr", "nan"],
    "train, two data sets": ["train", "--data", "shapes", "--images", "x"],
    "train, preset": ["train", "--data", "shapes", "--preset", "none"],
    "train, sizes": ["train", "--data", "shapes", "--min-size", "9", "--max-size", "9", "--preset", "none"],
    "evaluate, no class in common": ["evaluate", "--data", "fruits_nuts", "--limit", "1"],
    "evaluate, device": ["evaluate", "--data", "shapes", "--device", "tpu"],
    "predict, missing": ["predict", "missing.png"],
    "predict, no picture": ["predict", "text.png"],
    "check-data, missing": ["check-data", "--annotations", "missing.json", "--images", "."],
    "check-data, no JSON": ["check-data", "--annotations", "text.png", "--images", "."],
    "check-data, results": ["check-data", "--annotations", "results.json", "--images", "."],
}


@pytest.mark.parametrize("arguments", BROKEN.values(), ids=BROKEN.keys())
def test_errors_speak_of_options(tmp_path, monkeypatch, weights, photos, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "results.json").write_text("[]")
    more = ["--weights", weights] if "in common" in str(arguments) or arguments[:3] == BROKEN[
        "evaluate, no class in common"][:3] else []  # fmt: skip
    status, _, err = call(*arguments, *more)
    assert status == 2 and f"{arguments[0]}: error: " in err


def test_a_run_that_is_there_is_named_with_its_options(tmp_path):
    data = write(tmp_path, annotation())
    train = ["train", *SMALL, *data, "--out", tmp_path / "run"]
    assert call(*train)[0] == 0
    assert call(*train)[0] == 2
    status, _, err = call(*train, "--resume", "--lr", 0.5)
    assert status == 2 and "lr" in err
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    status, _, err = call(*train[:-1], tmp_path / "other")
    assert status == 2 and "a.png" in err
