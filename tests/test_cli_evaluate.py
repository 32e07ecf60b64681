"""The command line's options of anchors, proposals and detections, and what `evaluate` and `predict` say and write."""

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mrcnn_edu.datasets import Shapes
from tests.test_cli import call, own_data, refused
from tests.training.tiny import as_detection, tiny_model, tiny_shapes

IDS = (0, 3, 7, 90, 500)
SMALL = ["--min-size", 48, "--max-size", 64, "--batch", 2, "--device", "cpu"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Generated scenes as a COCO file with category ids that are no labels, and image ids from 1."""
    from mrcnn_edu.datasets import export_coco

    folder = tmp_path_factory.mktemp("scenes")
    path = export_coco(tiny_shapes(length=5), folder)
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["id"] += 1
    for annotation in content["annotations"]:
        annotation["image_id"] += 1
        annotation["category_id"] = IDS[annotation["category_id"]]
    for category in content["categories"]:
        category["id"] = IDS[category["id"]]
    path.write_text(json.dumps(content))
    return folder


def saved(folder, names=Shapes.class_names, **changes):
    from mrcnn_edu.model import save_weights

    model = tiny_model(box_score_thresh=0.0, num_classes=len(names or range(5)), **changes)
    model.class_names = names
    return save_weights(model, folder / "tiny.safetensors")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights of a tiny model that was trained on nothing but knows its classes."""
    return saved(tmp_path_factory.mktemp("weights"))


def changed(scenes, folder, change):
    """The scenes' annotation file after `change(content)`, as arguments."""
    content = json.loads((scenes / "annotations.json").read_text())
    change(content)
    path = folder / "changed.json"
    path.write_text(json.dumps(content))
    return ["--annotations", str(path), "--images", str(scenes / "images")]


def printed_by_pycocotools(annotations, results):
    figures = {}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        for kind, leave_out in (("bbox", "segmentation"), ("segm", "bbox")):
            rows = [{name: value for name, value in row.items() if name != leave_out} for row in results]
            theirs = COCOeval(truth, truth.loadRes(rows), kind)
            theirs.evaluate(), theirs.accumulate(), theirs.summarize()
            figures[kind] = theirs.stats.tolist()
    return figures


# Figures


def test_detections_json_and_figures_are_those_of_pycocotools_on_that_very_file(scenes, weights, tmp_path):
    status, out, err = call("evaluate", *own_data(scenes), "--weights", weights, "--json", "--out", tmp_path)
    assert status == 0, err
    scores, results = json.loads(out), json.loads((tmp_path / "detections.json").read_text())
    assert results and {row["category_id"] for row in results} <= set(IDS[1:])
    theirs = printed_by_pycocotools(scenes / "annotations.json", results)
    for kind in ("bbox", "segm"):
        assert list(scores[kind].values()) == pytest.approx(theirs[kind], abs=1e-12)


def test_the_table_has_two_lines_a_kind_and_says_why_a_figure_is_missing(scenes, weights):
    status, out, _ = call("evaluate", *own_data(scenes), "--weights", weights)
    lines = out.splitlines()
    assert status == 0 and [line.split()[0] for line in lines[1:5]] == ["bbox", "AR1", "segm", "AR1"]
    assert all(name in lines[1] for name in ("AP ", "AP50 ", "AP75 ", "APs ", "APm ", "APl -1"))
    assert all(name in lines[2] for name in ("AR1 ", "AR10 ", "AR100 ", "ARs ", "ARm ", "ARl -1"))
    assert lines[5].startswith("note: no object in the 5 pictures") and "(APl, ARl)" in lines[5]


@pytest.mark.parametrize("form", ["table", "json"])
def test_it_is_said_why_nothing_could_be_scored(scenes, weights, tmp_path, form):
    def crowds(content):
        for row in content["annotations"]:
            row["iscrowd"] = 1

    data = changed(scenes, tmp_path, crowds)
    status, out, err = call("evaluate", *data, "--weights", weights, *(["--json"] if form == "json" else []))
    assert status == 0 and "are crowds (iscrowd 1), which are not scored" in out, err
    if form == "json":
        assert json.loads(out)["bbox"]["AP"] == -1


def test_classes_without_a_partner_are_said_before_evaluating(scenes, tmp_path):
    few = saved(tmp_path, ("background", "disc", "nut"))
    status, out, err = call("evaluate", *own_data(scenes), "--weights", few, "--json")
    notes = json.loads(out)["notes"]
    assert status == 0 and "note: the model does not know box (" in err and "or --class-agnostic to count" in err
    assert "the data set has no nut" in err and all(f"note: {note}" in err or "-1" in note for note in notes)
    assert "no class in common" in refused(
        "evaluate", *own_data(scenes), "--weights", saved(tmp_path, ("background", "nut", "date"))
    )


def test_weights_without_names_are_told_which_ids_are_meant(scenes, tmp_path):
    status, _, err = call("evaluate", *own_data(scenes), "--weights", saved(tmp_path, None))
    assert status == 0 and "does not name its classes" in err and "disc (3), box (7), triangle (90), star (500)" in err


# Limits


def perfect(monkeypatch, scenes):
    from mrcnn_edu.datasets import CocoDataset
    from mrcnn_edu.model import MaskRCNN

    dataset = CocoDataset(scenes / "annotations.json", scenes / "images")
    answers = iter([as_detection(dataset[index][1]) for index in range(len(dataset))])
    monkeypatch.setattr(MaskRCNN, "predict", lambda self, images, masks: [next(answers) for _ in images])


def test_limits_are_said_with_the_options_that_lift_them(scenes, weights, monkeypatch):
    cut = ["evaluate", *own_data(scenes), "--weights", weights, "--class-agnostic", "--max-detections", 3]
    perfect(monkeypatch, scenes)
    status, out, err = call(*cut, "--detections", 4, "--proposals-kept", 5)
    assert status == 0 and "AR3 " in out and "AR10" not in out
    for option, limit in (("--detections", 4), ("--proposals-kept", 5), ("--max-detections", 3)):
        (line,) = (line for line in err.splitlines() if f"and {option} {limit} limits" in line)
        most = line.partition("(up to ")[2].partition(")")[0]
        assert line.startswith("note: ") and f"{option} {most} lifts it" in line
    perfect(monkeypatch, scenes)
    status, out, err = call(*cut[:-2], "--max-detections", 400, "--detections", 400, "--proposals-kept", 400)
    assert status == 0 and "limits" not in err and "AR400 1.000" in out and "segm  AP 1.000" in out


def test_the_limit_of_the_model_is_that_of_the_evaluation_where_it_is_higher(scenes, weights):
    common = ["evaluate", *own_data(scenes), "--weights", weights, "--json"]
    assert "AR250" in json.loads(call(*common, "--detections", 250)[1])["segm"]
    assert "AR100" in json.loads(call(*common, "--detections", 50)[1])["segm"]
    assert "AR100" in json.loads(call(*common, "--detections", 250, "--max-detections", 100)[1])["segm"]


def test_detections_and_proposals_change_what_the_model_finds(scenes, weights, tmp_path):
    found = {}
    for name, more in (("plain", []), ("one", ["--detections", 1]), ("two", ["--proposals-kept", 2])):
        status, _, err = call("evaluate", *own_data(scenes), "--weights", weights, "--out", tmp_path / name, *more)
        assert status == 0, err
        found[name] = len(json.loads((tmp_path / name / "detections.json").read_text()))
    assert found["one"] == 5 < found["plain"] and found["two"] <= 2 * 4 * 5
    status, out, err = call("evaluate", *own_data(scenes), "--weights", weights, "--proposals", "--proposals-kept", 7)
    assert status == 0 and "; 7.0 proposals an image" in out
    assert "note: " in err and "--proposals-kept 7 limits the regions" in err


def test_more_proposals_ask_for_more_anchors_before_nms(weights):
    from mrcnn_edu.__main__ import build_parser
    from mrcnn_edu.training.commands.shared import load_model

    for kept, before in ((20, 40), (40, 40), (90, 90)):
        options = build_parser().parse_args(["predict", "x.png", "--proposals-kept", str(kept), "--device", "cpu"])
        config = load_model(options, str(weights)).config
        assert (config.rpn_post_nms_top_n_test, config.rpn_pre_nms_top_n_test) == (kept, before)


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
@pytest.mark.parametrize("option", ["--detections", "--proposals-kept"])
def test_limits_that_are_none_are_refused(command, option):
    given = ["x.png"] if command == "predict" else ["--data", "shapes"]
    assert f"argument {option}: 0 is below 1" in refused(command, *given, option, 0)
    assert f"argument {option}: 'many' is not a whole number" in refused(command, *given, option, "many")


def test_proposals_and_the_limit_of_detections_exclude_each_other(weights):
    line = refused("evaluate", "--data", "shapes", "--weights", weights, "--proposals", "--max-detections", 5)
    assert "--max-detections counts detections, and --proposals looks at none" in line
    assert "argument --max-detections: 0 is below 1" in refused("evaluate", "--data", "shapes", "--max-detections", 0)


# Training


def test_training_keeps_the_options_with_the_weights_and_its_figure_is_that_of_evaluate(scenes, tmp_path):
    from mrcnn_edu.model import load_weights
    from mrcnn_edu.training import read_table

    own = own_data(scenes)
    options = ["--detections", 150, "--proposals-kept", 350, "--anchors", 6, 12, 20, 40]
    train = ["train", *own, *SMALL, "--val-annotations", scenes / "annotations.json", "--steps", 4, *options]
    status, _, err = call(*train, "--out", tmp_path)
    assert status == 0, err
    config = load_weights(tmp_path / "model.safetensors").config
    assert config.anchor_sizes == ((6,), (12,), (20,), (40,)) and config.box_detections_per_img == 150
    assert (config.rpn_post_nms_top_n_test, config.rpn_pre_nms_top_n_test) == (350, 350)
    status, out, err = call("evaluate", *own, "--weights", tmp_path / "model.safetensors", "--json", "--device", "cpu")
    scores = json.loads(out)
    assert status == 0 and "AR150" in scores["bbox"], err
    (row,) = read_table(tmp_path / "metrics.csv")
    for name in ("bbox_AP", "bbox_AP50", "bbox_AP75", "segm_AP", "segm_AP50", "segm_AP75"):
        assert row[name] == scores[name[:4]][name[5:]]


@pytest.mark.parametrize("sizes", [[8, 16], [8, 16, 32, 64, 128], [64, 32, 16, 8]])
@pytest.mark.parametrize("start", ["preset", "weights"])
def test_anchors_that_do_not_fit_the_model_are_refused(scenes, weights, tmp_path, sizes, start):
    more = ["--weights", weights] if start == "weights" else []
    status, out, err = call("train", *own_data(scenes), *SMALL, *more, "--out", tmp_path / "run", "--anchors", *sizes)
    now = "8 16 24 48" if start == "weights" else "16 32 64 128"
    line = err.splitlines()[-1]
    assert status == 2 and out == "" and line.startswith(f"train: error: --anchors {' '.join(map(str, sizes))} ")
    assert "give 4 sizes, one a level, from small to large" in line and line.endswith(now)
    assert not (tmp_path / "run").exists()


def test_other_anchors_for_trained_weights_are_taken_with_a_word(scenes, weights, tmp_path):
    from mrcnn_edu.model import load_weights

    more = ["--weights", weights, "--anchors", 4, 8, 16, 32, "--steps", 0, "--out", tmp_path]
    status, _, err = call("train", *own_data(scenes), *SMALL, *more)
    assert status == 0 and "the RPN has to learn those of --anchors anew" in err
    assert load_weights(tmp_path / "model.safetensors").config.anchor_sizes == ((4,), (8,), (16,), (32,))


def test_a_resumed_run_does_not_take_other_limits(scenes, tmp_path):
    train = ["train", *own_data(scenes), *SMALL, "--steps", 1, "--out", tmp_path]
    assert call(*train, "--detections", 150)[0] == 0
    status, out, err = call(*train, "--resume", "--detections", 160)
    line = err.splitlines()[-1]
    assert status == 2 and out == "" and "checkpoint.pt was made with" in line
    assert "150, this run has 160" in line


# Category ids of predictions


def predicted(scenes, weights, folder, monkeypatch=None, ids=None):
    from mrcnn_edu.training.commands import predict

    if monkeypatch is not None:
        load = predict.load_model

        def with_ids(*arguments):
            model = load(*arguments)
            model.category_ids = ids
            return model

        monkeypatch.setattr(predict, "load_model", with_ids)
    pictures = sorted((scenes / "images").iterdir())
    status, _, err = call("predict", *pictures, "--weights", weights, "--score", 0, "--out", folder)
    assert status == 0, err
    return json.loads((folder / "predictions.json").read_text()), err


def test_predictions_have_the_ids_that_the_weights_bring(scenes, weights, tmp_path, monkeypatch):
    results, err = predicted(scenes, weights, tmp_path, monkeypatch, IDS)
    names = dict(zip(IDS, tiny_shapes().class_names, strict=True))
    assert results and {row["category_id"] for row in results} <= set(IDS[1:])
    assert all(row["category_name"] == names[row["category_id"]] for row in results)
    assert "category ids" not in err
    theirs = printed_by_pycocotools(scenes / "annotations.json", results)
    status, out, _ = call("evaluate", *own_data(scenes), "--weights", weights, "--json")
    assert status == 0 and list(json.loads(out)["segm"].values()) == pytest.approx(theirs["segm"], abs=1e-12)


def test_without_ids_of_the_weights_it_is_said_which_are_meant(scenes, weights, tmp_path):
    results, err = predicted(scenes, weights, tmp_path)
    assert {row["category_id"] for row in results} <= {1, 2, 3, 4}
    assert "bring no category ids" in err and "labels, 1 disc, 2 box, 3 triangle, 4 star" in err
    Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(tmp_path / "dark.png")
    nameless = saved(tmp_path, None)
    status, _, err = call("predict", tmp_path / "dark.png", "--weights", nameless, "--out", tmp_path)
    assert status == 0 and "labels, 1, 2, 3, 4" in err


def test_one_unknown_class_is_counted_as_one_and_detections_json_says_so(scenes, weights, tmp_path):
    def one_class(content):
        content["categories"] = [{"id": 11, "name": "blob"}]
        for row in content["annotations"]:
            row["category_id"] = 11

    data = changed(scenes, tmp_path, one_class)
    status, out, err = call("evaluate", *data, "--weights", weights, "--out", tmp_path, "--json")
    assert status == 0 and "all of detections.json has the category id 11 (blob)" in err
    assert {row["category_id"] for row in json.loads((tmp_path / "detections.json").read_text())} == {11}
    assert json.loads(out)["notes"][0].startswith("the model knows no 'blob'")
