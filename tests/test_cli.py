import contextlib
import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from mrcnn_edu.__main__ import EXAMPLES, MISTAKES, build_parser, main
from tests.training.tiny import as_detection, tiny_model, tiny_shapes

COMMANDS = ("train", "evaluate", "predict", "check-data")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Generated scenes as a COCO file with images: what a user's own data looks like."""
    from mrcnn_edu.datasets import export_coco

    folder = tmp_path_factory.mktemp("scenes")
    export_coco(tiny_shapes(length=5), folder)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights of a tiny model that was trained on nothing but knows its classes."""
    from mrcnn_edu.model import save_weights

    model = tiny_model(box_score_thresh=0.0)
    model.class_names = tiny_shapes().class_names
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(model, path)
    return path


def own_data(scenes):
    return ["--annotations", str(scenes / "annotations.json"), "--images", str(scenes / "images")]


def call(*arguments):
    """Status, standard output and standard error of one command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = ended.code
    return status, out.getvalue(), err.getvalue()


def refused(*arguments):
    """The one line with which a command refuses bad input."""
    status, out, err = call(*arguments)
    assert status == 2 and out == "" and err.count("\n") == 1 and err.endswith("\n"), (status, out, err)
    assert err.startswith(f"{arguments[0]}: error: ") and "Traceback" not in err
    return err


def test_help_is_there_with_an_example():
    status, out, _ = call("--help")
    assert status == 0 and all(name in out for name in COMMANDS)
    for name in COMMANDS:
        status, out, _ = call(name, "--help")
        assert status == 0 and f"example: {EXAMPLES[name]}" in " ".join(out.split())


def test_examples_parse():
    for name, example in EXAMPLES.items():
        assert build_parser().parse_args(example.split()[3:]).command == name


def test_help_needs_no_torch(root):
    code = (
        "import sys, mrcnn_edu.__main__ as m; m.build_parser(); print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--data", "apples"], "invalid choice: 'apples'"),
        (["evaluate", "--data", "shapes", "--mistake", "none"], "invalid choice: 'none' (choose from "),
        (["train", "--batch", "0"], "argument --batch: 0 is below 1"),
        (["train", "--steps", "many"], "'many' is not a whole number"),
        (["predict", "x.png", "--score", "2"], "2 does not lie between 0 and 1"),
        (["predict", "x.png", "--score", "half"], "'half' is not a number"),
        (["predict"], "required: IMAGE"),
        (["train"], "no data: give --data NAME, or --annotations FILE and --images DIR"),
        (["check-data", "--annotations", "a.json"], "belong together: give both"),
        (["evaluate", "--data", "shapes", "--images", "x"], "exclude each other"),
        (["check-data", "--annotations", "missing.json", "--images", "."], "missing.json"),
        (["predict", "missing.png"], "missing.png: no such image file"),
        (["evaluate", "--data", "shapes", "--weights", "missing.pth"], "missing.pth"),
        (["evaluate", "--data", "shapes", "--device", "tpu9"], "'tpu9' is no device"),
        (["train", "--data", "shapes", "--preset", "resnet9"], "resnet9"),
        (["train", "--data", "shapes", "--preset", "lesson", "--weights", "coco"], "exclude each other"),
        (["train", "--data", "shapes", "--lr", "nan"], "--lr must be a finite number"),
        (["train", "--data", "shapes", "--val-images", "x"], "--val-images needs --val-annotations"),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_line_and_status_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(*arguments)
    assert os.listdir(tmp_path) == []


def test_no_command_and_an_unknown_one():
    for arguments in ([], ["fly"]):
        status, out, err = call(*arguments)
        assert status == 2 and out == "" and err.count("\n") == 1 and "error: " in err


def test_files_that_are_broken_are_named(tmp_path, weights):
    picture = tmp_path / "picture.jpg"
    picture.write_text("this is text")
    assert "picture.jpg" in refused("predict", picture, "--weights", weights, "--out", tmp_path / "out")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:5000])
    assert "cut.safetensors" in refused("predict", picture, "--weights", cut)
    torch.save({"model": torch.nn.Linear(1, 1)}, tmp_path / "code.pth")
    assert "code.pth" in refused("evaluate", "--data", "shapes", "--weights", tmp_path / "code.pth")
    (tmp_path / "bad.json").write_text("{")
    assert "bad.json" in refused("check-data", "--annotations", tmp_path / "bad.json", "--images", tmp_path)


def test_check_data_says_what_is_wrong(scenes, tmp_path):
    status, out, err = call("check-data", *own_data(scenes))
    assert status == 0 and "5 images" in out and "no faults" in out and err == ""
    content = json.loads((scenes / "annotations.json").read_text())
    content["annotations"][0]["category_id"] = 77
    (tmp_path / "bad.json").write_text(json.dumps(content))
    status, out, _ = call("check-data", "--annotations", tmp_path / "bad.json", "--images", scenes / "images")
    assert status == 1 and "77" in out
    (scenes / "images" / "extra.png").write_bytes(b"")
    content["annotations"][0]["category_id"] = 1
    content["images"][0]["file_name"] = "extra.png"
    (tmp_path / "bad.json").write_text(json.dumps(content))
    status, out, _ = call("check-data", "--annotations", tmp_path / "bad.json", "--images", scenes / "images")
    assert status == 1 and "extra.png" in out and "1 fault" in out


def test_evaluate_prints_one_json_object(scenes, weights):
    status, out, _ = call("evaluate", *own_data(scenes), "--weights", weights, "--json", "--device", "cpu")
    scores = json.loads(out)
    assert status == 0 and out.count("\n") == 1
    assert set(scores) == {"bbox", "segm", "notes"} and all(type(note) is str for note in scores["notes"])
    names = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    for kind in ("bbox", "segm"):
        assert list(scores[kind]) == names
        assert all(0 <= value <= 1 for name, value in scores[kind].items() if name[-1] not in "ml")


def test_a_mistake_is_switched_on_for_one_evaluation(scenes, weights, tmp_path):
    from mrcnn_edu.mistakes import switched_on

    written = {}
    for name, more in (("sound", []), ("broken", ["--mistake", "half_pixel"]), ("again", [])):
        status, out, err = call("evaluate", *own_data(scenes), "--weights", weights, "--out", tmp_path / name, *more)
        assert status == 0 and switched_on() == [], err
        assert ("with the mistake half_pixel" in out) == bool(more)
        written[name] = (tmp_path / name / "detections.json").read_text()
    assert written["sound"] == written["again"] != written["broken"]
    status, out, err = call("evaluate", *own_data(scenes), "--weights", weights, "--mistake", "ignored_are_negative")
    assert status == 0 and "matters only while training" in err


def test_the_help_names_the_mistakes():
    for command in ("train", "evaluate"):
        _, out, _ = call(command, "--help")
        assert all(name in out for name in MISTAKES)


def test_train_records_its_mistake_and_refuses_to_go_on_with_another(scenes, tmp_path):
    train = ["train", *own_data(scenes), *SMALL, "--steps", 1, "--out", tmp_path]
    status, out, err = call(*train, "--mistake", "ignored_are_negative")
    assert status == 0 and "mistake switched on for the whole run: ignored_are_negative" in out, err
    assert "setting mistake 'ignored_are_negative', this run has None" in refused(*train, "--resume")


def test_evaluate_writes_detections_that_score_the_same(scenes, weights, tmp_path, monkeypatch):
    from mrcnn_edu.datasets import CocoDataset
    from mrcnn_edu.model import MaskRCNN
    from mrcnn_edu.training.evaluation import average_precision

    dataset = CocoDataset(scenes / "annotations.json", scenes / "images")
    answers = iter([as_detection(dataset[index][1]) for index in range(len(dataset))])
    monkeypatch.setattr(MaskRCNN, "predict", lambda self, images, masks: [next(answers) for _ in images])
    status, out, _ = call("evaluate", *own_data(scenes), "--weights", weights, "--out", tmp_path, "--batch", 2)
    assert status == 0 and "segm  AP 1.000" in out and "5 images" in out
    results = json.loads((tmp_path / "detections.json").read_text())
    ids = [image["id"] for image in dataset.coco()["images"]]
    assert average_precision(dataset.coco(), results, ids)["segm"]["AP"] == 1.0


def test_evaluate_on_coins_counts_every_class_as_one(weights):
    status, out, err = call("evaluate", "--data", "coins", "--weights", weights, "--json", "--min-size", 48,
                            "--max-size", 64)  # fmt: skip
    assert status == 0 and "knows no 'coin': each of its classes counts as one" in err
    assert 0 <= json.loads(out)["bbox"]["AP"] <= 1


def test_predict_writes_a_picture_and_coco_results(weights, tmp_path):
    from pycocotools import mask as mask_codec

    names = []
    for folder in ("a", "b"):
        path = tmp_path / folder / "photo.png"
        path.parent.mkdir()
        pixels = (tiny_shapes()[1][0] * 255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(path)
        names.append(str(path))
    status, out, _ = call("predict", *names, "--weights", weights, "--score", 0.1, "--out", tmp_path / "out")
    assert status == 0
    results = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert sorted(os.listdir(tmp_path / "out")) == ["photo_predicted.png", "photo_predicted_2.png", "predictions.json"]
    assert results and {result["file_name"] for result in results} == set(names)
    for result in results:
        assert result["score"] >= 0.1 and result["category_name"] in tiny_shapes().class_names[1:]
        assert tiny_shapes().class_names[result["category_id"]] == result["category_name"]
        assert mask_codec.decode(result["segmentation"]).shape == (48, 48) and len(result["bbox"]) == 4
    assert [result["image_id"] for result in results] == sorted(result["image_id"] for result in results)
    drawn = np.asarray(Image.open(tmp_path / "out" / "photo_predicted.png"))
    assert drawn.shape == (48, 48, 3) and (drawn != pixels).any()
    assert "predictions.json" in out
    status, _, _ = call("predict", names[0], "--weights", weights, "--score", 1, "--out", tmp_path / "none")
    assert status == 0 and json.loads((tmp_path / "none" / "predictions.json").read_text()) == []
    assert (np.asarray(Image.open(tmp_path / "none" / "photo_predicted.png")) == pixels).all()


SMALL = ["--min-size", 48, "--max-size", 64, "--batch", 2, "--device", "cpu", "--checkpoint-every", 2]


def test_train_resume_and_use(scenes, tmp_path):
    from mrcnn_edu.training import load_checkpoint, read_table
    from tests.training.tiny import same_tensors

    train = ["train", *own_data(scenes), *SMALL, "--val-annotations", scenes / "annotations.json", "--limit", 2]
    status, out, err = call(*train, "--steps", 4, "--out", tmp_path / "run")
    assert status == 0, err
    assert "weights of step 4: " in out and "segm_AP " in out
    assert sorted(os.listdir(tmp_path / "run")) == ["checkpoint.pt", "losses.csv", "metrics.csv", "model.safetensors"]
    assert "already holds a run" in refused(*train, "--steps", 4, "--out", tmp_path / "run")
    again = call(*train, "--steps", 4, "--out", tmp_path / "again", "--resume")
    assert again[0] == 0 and "no checkpoint in" in again[2] and "starting at step 0" in again[2]
    a, b = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("run", "again"))
    assert same_tensors(a, b) and a["class_names"] == list(tiny_shapes().class_names)
    status, out, err = call(*train, "--steps", 4, "--out", tmp_path / "run", "--resume")
    assert status == 0 and len(read_table(tmp_path / "run" / "losses.csv")) == 4
    status, out, err = call(*train, "--steps", 4, "--out", tmp_path / "run", "--resume", "--lr", 0.5)
    assert status == 2 and out == "" and "setting lr" in err.splitlines()[-1]
    for weights in ("model.safetensors", "checkpoint.pt"):
        status, out, err = call("evaluate", *own_data(scenes), "--weights", tmp_path / "run" / weights, "--json")
        assert status == 0 and set(json.loads(out)) == {"bbox", "segm", "notes"}, err
    tune = ["--weights", tmp_path / "run" / "model.safetensors", "--out", tmp_path / "tuned", "--ema", 0]
    status, out, err = call("train", *own_data(scenes), *SMALL, "--steps", 1, *tune)
    assert status == 0, err
    assert load_checkpoint(tmp_path / "tuned" / "checkpoint.pt")["training_model"] is None


def test_a_failed_run_ends_in_one_line_and_status_1(scenes, tmp_path, monkeypatch):
    from mrcnn_edu.model import MaskRCNN

    real = MaskRCNN.loss
    monkeypatch.setattr(MaskRCNN, "loss", lambda self, *a: {k: v * float("nan") for k, v in real(self, *a).items()})
    status, _, err = call("train", *own_data(scenes), *SMALL, "--steps", 2, "--out", tmp_path / "run")
    line = err.splitlines()[-1]
    assert status == 1 and line.startswith("train: error: step 1: loss") and "Traceback" not in err


def test_ctrl_c_saves_and_says_how_to_go_on(scenes, tmp_path, monkeypatch):
    from mrcnn_edu.model import MaskRCNN

    real, calls = MaskRCNN.loss, iter(range(100))

    def loss(self, *arguments):
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, *arguments)

    monkeypatch.setattr(MaskRCNN, "loss", loss)
    status, out, _ = call("train", *own_data(scenes), *SMALL, "--steps", 9, "--out", tmp_path)
    assert status == 0 and "stopped after step 2 of 9: the same command with --resume goes on" in out
    assert (tmp_path / "checkpoint.pt").exists() and (tmp_path / "model.safetensors").exists()


def test_the_program_itself(root, tmp_path, weights):
    """Once as a user starts it: progress goes to standard error, the object alone to standard output."""
    command = [sys.executable, "-m", "mrcnn_edu", "evaluate", "--data", "shapes", "--weights", str(weights), "--limit",
               "2", "--json", "--min-size", "48"]  # fmt: skip
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"bbox", "segm", "notes"} and "Traceback" not in done.stderr
