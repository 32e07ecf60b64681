"""Large pictures on the command line: reduced while they are read, with detections in their own pixels."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mrcnn_edu.__main__ import main
from mrcnn_edu.datasets import CocoDataset, files
from mrcnn_edu.datasets.coco_parse import encode_mask
from mrcnn_edu.model import MaskRCNN, preset, save_weights
from mrcnn_edu.training.evaluation import detections, evaluate

WIDTH, HEIGHT = 960, 640
MODEL = ["--min-size", "64", "--max-size", "96"]


@pytest.fixture
def data(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg")
    outline = [[100, 100, 700, 100, 700, 500, 100, 500]]
    content = {
        "images": [{"id": 3, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [{"id": 1, "image_id": 3, "category_id": 4, "segmentation": outline, "iscrowd": 0}],
        "categories": [{"id": 4, "name": "thing"}],
    }
    (tmp_path / "set.json").write_text(json.dumps(content), encoding="utf-8")
    torch.manual_seed(0)
    model = MaskRCNN(preset("lesson", num_classes=2, box_score_thresh=0.0), ("background", "thing"))
    save_weights(model, tmp_path / "w.safetensors")
    return tmp_path


def own(data):
    return ["--annotations", str(data / "set.json"), "--images", str(data)]


@pytest.fixture
def read(monkeypatch):
    """The (height, width) of every picture that is made of a file's pixels."""
    seen, pixels = [], files.pixel_values

    def values(image, *more):
        seen.append(image.size[::-1])
        return pixels(image, *more)

    monkeypatch.setattr(files, "pixel_values", values)
    return seen


@pytest.mark.parametrize(("more", "size"), [([], (96, 144)), (["--full-size"], (HEIGHT, WIDTH))])
def test_train_reads_what_the_model_needs(data, read, more, size):
    options = ["--steps", "1", "--batch", "1", "--out", str(data / "run"), "--device", "cpu"]
    assert main(["train", *own(data), *MODEL, *options, *more, "--val-annotations", str(data / "set.json")]) == 0
    assert set(read) == {size}


@pytest.mark.parametrize(("more", "size"), [([], (96, 144)), (["--full-size"], (HEIGHT, WIDTH))])
def test_evaluate_reads_what_the_model_needs_and_answers_in_the_files_pixels(data, read, more, size, capsys):
    options = ["--weights", str(data / "w.safetensors"), "--out", str(data / "out"), "--device", "cpu"]
    assert main(["evaluate", *own(data), *MODEL, *options, *more]) == 0
    assert set(read) == {size}
    found = json.loads((data / "out" / "detections.json").read_text())
    assert found and all(result["segmentation"]["size"] == [HEIGHT, WIDTH] for result in found)
    assert max(result["bbox"][0] + result["bbox"][2] for result in found) > 144


@pytest.mark.parametrize(("more", "size"), [([], (96, 144)), (["--full-size"], (HEIGHT, WIDTH))])
def test_predict_reads_what_the_model_needs_and_answers_in_the_files_pixels(data, read, more, size):
    options = ["--weights", str(data / "w.safetensors"), "--score", "0", "--out", str(data / "out"), "--device", "cpu"]
    assert main(["predict", str(data / "a.jpg"), *MODEL, *options, *more]) == 0
    assert read[0] == size
    found = json.loads((data / "out" / "predictions.json").read_text())
    assert found and all(result["segmentation"]["size"] == [HEIGHT, WIDTH] for result in found)
    assert Image.open(data / "out" / "a_predicted.png").size == (WIDTH, HEIGHT)


def test_a_picture_larger_than_screens_is_drawn_on_reduced(data, monkeypatch):
    monkeypatch.setattr("mrcnn_edu.training.commands.predict.DRAWN", ((200,), 200))
    options = ["--weights", str(data / "w.safetensors"), "--score", "0", "--out", str(data / "out"), "--device", "cpu"]
    assert main(["predict", str(data / "a.jpg"), *MODEL, *options]) == 0
    assert Image.open(data / "out" / "a_predicted.png").size == (300, 200)


def test_evaluate_and_predict_find_the_same(data):
    options = [*MODEL, "--weights", str(data / "w.safetensors"), "--out", str(data / "out"), "--device", "cpu"]
    main(["evaluate", *own(data), *options])
    main(["predict", str(data / "a.jpg"), "--score", "0", *options])
    ours, theirs = (json.loads((data / "out" / f"{name}.json").read_text()) for name in ("detections", "predictions"))
    assert len(ours) == len(theirs) > 0
    assert [(one["bbox"], one["score"], one["segmentation"]) for one in ours] == [
        (one["bbox"], one["score"], one["segmentation"]) for one in theirs
    ]


class Perfect(torch.nn.Module):
    """Answers with the truth, in the sizes asked for."""

    config = None
    class_names = ("background", "thing")

    def __init__(self, truth):
        super().__init__()
        self.truth = truth

    def predict(self, images, masks="soft", sizes=None):
        found = []
        for image, size in zip(images, sizes or [image.shape[-2:] for image in images], strict=True):
            assert tuple(image.shape[-2:]) != tuple(size)
            found.append(self.truth)
        return found


def test_the_truth_scores_one_against_itself_at_the_files_size(data):
    dataset = CocoDataset(data / "set.json", data, read_for=((64,), 96))
    whole = CocoDataset(data / "set.json", data)
    target = whole[0][1]
    answer = {"boxes": torch.as_tensor(target["boxes"]), "labels": target["labels"], "scores": torch.ones(1),
              "masks": [encode_mask(target["masks"][0].numpy())]}  # fmt: skip
    with pytest.warns(UserWarning, match="figures are -1"):
        scores = evaluate(Perfect(answer), dataset)
    assert scores["bbox"]["AP"] == scores["segm"]["AP"] == 1
    assert len(list(detections(Perfect(answer), dataset, dataset.coco()))) == 1
