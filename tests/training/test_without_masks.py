"""A detector without masks goes the whole way: training, checkpoint, evaluation, prediction."""

import json

import pytest
import torch

from mrcnn_edu.__main__ import main
from mrcnn_edu.model import load_weights
from mrcnn_edu.training import read_table, train

from .tiny import tiny_model, tiny_settings, tiny_shapes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("boxes")
    model = tiny_model(masks=False, box_score_thresh=0.0)
    return train(model, tiny_shapes(), tiny_settings(steps=2), tiny_shapes(2, seed=9), folder, progress=False), folder


def test_it_trains_with_four_losses(run):
    result, folder = run
    rows = read_table(folder / "losses.csv")
    assert len(rows) == 2 and "loss_mask" not in rows[0]
    assert rows[0]["loss"] == pytest.approx(sum(value for name, value in rows[0].items() if name.startswith("loss_")))
    assert result.metrics[-1]["segm_AP"] == -1 and result.metrics[-1]["bbox_AP"] >= 0


def test_its_weights_find_boxes_alone(run):
    for path in (run[0].weights, run[0].checkpoint):
        found = load_weights(path).predict([torch.rand(3, 40, 40)])[0]
        assert set(found) == {"boxes", "labels", "scores"} and len(found["boxes"])


def test_predict_writes_boxes_alone(run, tmp_path):
    from PIL import Image

    Image.new("RGB", (50, 40), (90, 20, 30)).save(tmp_path / "a.png")
    out = tmp_path / "out"
    options = ["--weights", str(run[0].weights), "--score", "0", "--out", str(out)]
    assert main(["predict", str(tmp_path / "a.png"), *options]) == 0
    results = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    assert results and all("bbox" in row and "segmentation" not in row for row in results)
    assert (out / "a_predicted.png").is_file()
