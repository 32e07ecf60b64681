"""predict: many pictures at once, some of them broken; folders; names of results; what ends it half way."""

import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from mrcnn_edu.training.commands import predict as predict_command
from mrcnn_edu.training.commands.predict_files import OutputNames, is_result
from tests.test_cli import call, refused
from tests.training.tiny import tiny_model, tiny_shapes


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights of a tiny model that was trained on nothing but knows its classes."""
    from mrcnn_edu.model import save_weights

    model = tiny_model(box_score_thresh=0.0)
    model.class_names = tiny_shapes().class_names
    return save_weights(model, tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def picture(path, scene=1):
    """Put a scene into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (tiny_shapes()[scene][0] * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path)
    return path


def run(weights, out, *names):
    return call("predict", *names, "--weights", weights, "--score", 0.1, "--out", out, "--device", "cpu")


def results(out):
    return json.loads((out / "predictions.json").read_text(encoding="utf-8"))


def missing(path):
    return path


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("this is text")


def cut(path):
    picture(path)
    path.write_bytes(path.read_bytes()[:300])


def unknown_range(path):
    Image.fromarray(np.full((40, 40), -1.0, np.float32)).save(path, format="TIFF")


def pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize("broken", [missing, empty, text, cut, unknown_range, pipe])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_broken_picture_costs_only_itself(weights, tmp_path, broken, position):
    names = ["a.png", "c.png"]
    for name in names:
        picture(tmp_path / name)
    broken(tmp_path / "b.png")
    names.insert(position, "b.png")
    status, out, err = run(weights, tmp_path / "out", *(tmp_path / name for name in names))
    assert status == 1
    errors = [line for line in err.splitlines() if line.startswith("predict: error: ")]
    assert len(errors) == 1 and str(tmp_path / "b.png") in errors[0] and "1 of 3 failed" in err
    assert sorted(os.listdir(tmp_path / "out")) == ["a_predicted.png", "c_predicted.png", "predictions.json"]
    numbers = {result["file_name"]: result["image_id"] for result in results(tmp_path / "out")}
    assert numbers == {str(tmp_path / name): names.index(name) + 1 for name in ("a.png", "c.png")}
    assert out.count(" objects, ") == 2


def test_nothing_usable_writes_nothing(weights, tmp_path):
    text(tmp_path / "a.png")
    empty(tmp_path / "b.png")
    status, out, err = run(weights, tmp_path / "out", tmp_path / "a.png", tmp_path / "b.png", tmp_path / "none.png")
    assert status == 2 and out == "" and err.count("predict: error: ") == err.count("\n") == 3
    assert not (tmp_path / "out").exists()
    status, out, err = call("predict", tmp_path / "none.png", tmp_path / "gone.png", "--out", tmp_path / "out")
    assert status == 2 and "none.png" in err and "gone.png" in err and not (tmp_path / "out").exists()


def test_nothing_usable_leaves_the_results_of_an_earlier_call(weights, tmp_path):
    run(weights, tmp_path / "out", picture(tmp_path / "a.png"))
    before = (tmp_path / "out" / "predictions.json").read_bytes()
    text(tmp_path / "b.png")
    assert run(weights, tmp_path / "out", tmp_path / "b.png")[0] == 2
    assert (tmp_path / "out" / "predictions.json").read_bytes() == before


def test_a_picture_that_the_model_fails_on_is_named(weights, tmp_path, monkeypatch):
    from mrcnn_edu.model import MaskRCNN

    real, calls = MaskRCNN.predict, iter(range(10))

    def predict(self, *arguments, **more):
        if next(calls) == 1:
            raise RuntimeError("not enough memory")
        return real(self, *arguments, **more)

    monkeypatch.setattr(MaskRCNN, "predict", predict)
    status, _, err = run(weights, tmp_path / "out", *(picture(tmp_path / f"{name}.png") for name in "abc"))
    assert status == 1 and f"{tmp_path / 'b.png'}: not enough memory" in err
    assert "a_predicted.png" in os.listdir(tmp_path / "out") and "c_predicted.png" in os.listdir(tmp_path / "out")


@pytest.mark.parametrize("ending", [KeyboardInterrupt, BrokenPipeError])
def test_what_ends_it_half_way_leaves_what_is_done(weights, tmp_path, monkeypatch, ending):
    real, calls = predict_command._found, iter(range(10))

    def found(*arguments):
        if next(calls) == 2:
            if ending is KeyboardInterrupt:
                os.kill(os.getpid(), signal.SIGINT)
            raise ending
        return real(*arguments)

    monkeypatch.setattr(predict_command, "_found", found)
    status, out, err = run(weights, tmp_path / "out", *(picture(tmp_path / f"{name}.png") for name in "abc"))
    assert status == (130 if ending is KeyboardInterrupt else 2) and "Traceback" not in err
    assert {result["image_id"] for result in results(tmp_path / "out")} == {1, 2}
    assert sorted(os.listdir(tmp_path / "out")) == ["a_predicted.png", "b_predicted.png", "predictions.json"]


def test_an_interrupt_at_the_first_picture_leaves_the_results_of_an_earlier_call(weights, tmp_path, monkeypatch):
    run(weights, tmp_path / "out", picture(tmp_path / "a.png"))
    before = (tmp_path / "out" / "predictions.json").read_bytes()

    def found(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(predict_command, "_found", found)
    assert run(weights, tmp_path / "out", tmp_path / "a.png")[0] == 130
    assert (tmp_path / "out" / "predictions.json").read_bytes() == before


def test_a_folder_is_the_pictures_in_it(weights, tmp_path):
    for name in ("b.png", "a.JPG", "c.jpeg"):
        picture(tmp_path / "shots" / name)
    picture(tmp_path / "shots" / "inner" / "d.png")
    picture(tmp_path / "shots" / ".hidden.png")
    (tmp_path / "shots" / "notes.txt").write_text("notes")
    status, out, err = run(weights, tmp_path / "out", tmp_path / "shots", picture(tmp_path / "last.png"))
    assert status == 0
    lines = [line.partition(": ")[0] for line in out.splitlines()[:4]]
    assert lines == [str(tmp_path / name) for name in ("shots/a.JPG", "shots/b.png", "shots/c.jpeg", "last.png")]
    note = next(line for line in err.splitlines() if "left out" in line)
    assert all(name in note for name in ("notes.txt", "inner", ".hidden.png", str(tmp_path / "shots")))


def test_a_folder_without_pictures_is_named(weights, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty: no picture in this folder" in refused("predict", tmp_path / "empty", "--weights", weights)
    picture(tmp_path / "outer" / "inner" / "a.png")
    message = refused("predict", tmp_path / "outer", "--weights", weights, "--out", tmp_path / "out")
    assert "no picture in this folder (inner folders: inner)" in message
    status, _, err = run(weights, tmp_path / "out", tmp_path / "outer", tmp_path / "outer" / "inner" / "a.png")
    assert status == 1 and "outer: no picture in this folder" in err and "1 of 2 failed" in err
    assert (tmp_path / "out" / "a_predicted.png").exists()


def test_a_folder_that_holds_its_own_results_gives_the_same_again(weights, tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    first = run(weights, tmp_path, tmp_path)
    listed, before = sorted(os.listdir(tmp_path)), (tmp_path / "a_predicted.png").read_bytes()
    second = run(weights, tmp_path, tmp_path)
    assert first[0] == second[0] == 0 and first[1] == second[1]
    assert sorted(os.listdir(tmp_path)) == listed and (tmp_path / "a_predicted.png").read_bytes() == before
    assert "results of an earlier call: a_predicted.png, b_predicted.png" in second[2]


def test_no_result_takes_the_place_of_a_picture_given(weights, tmp_path):
    for name in ("x.png", "x_predicted.png", "x_predicted_2.png"):
        picture(tmp_path / name, scene=2)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    status, out, err = run(weights, tmp_path, *(tmp_path / name for name in before))
    assert status == 0 and all((tmp_path / name).read_bytes() == content for name, content in before.items())
    made = set(os.listdir(tmp_path)) - set(before)
    assert len(made) == 4 and all(is_result(tmp_path / name) for name in made - {"predictions.json"})


def test_a_photograph_in_the_folder_of_results_is_not_replaced(weights, tmp_path):
    photo = picture(tmp_path / "out" / "x_predicted.png")
    before = photo.read_bytes()
    status, out, _ = run(weights, tmp_path / "out", picture(tmp_path / "x.png"))
    assert status == 0 and photo.read_bytes() == before and "x_predicted_2.png" in out
    again = run(weights, tmp_path / "out", tmp_path / "x.png")
    assert again[1] == out and len(os.listdir(tmp_path / "out")) == 3


def test_a_link_in_the_folder_of_results_is_not_followed(weights, tmp_path):
    photo = picture(tmp_path / "x.png")
    before = photo.read_bytes()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x_predicted.png").symlink_to(photo)
    os.link(photo, tmp_path / "out" / "predictions.json")
    status, _, _ = run(weights, tmp_path / "out", photo)
    assert status == 0 and photo.read_bytes() == before


def test_a_picture_called_like_the_results_keeps_its_name(weights, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "predictions.json", format="PNG")
    before = (tmp_path / "predictions.json").read_bytes()
    status, out, _ = run(weights, tmp_path, tmp_path / "predictions.json")
    assert status == 0 and (tmp_path / "predictions.json").read_bytes() == before
    assert json.loads((tmp_path / "predictions_2.json").read_text()) is not None and "predictions_2.json" in out


def test_names_that_some_disks_hold_for_one(tmp_path):
    names = OutputNames(tmp_path, [tmp_path / "B_Predicted.PNG"])
    given = ["a", "A", "b", "é", "e\u0301"]
    made = [names.free(f"{stem}_predicted", ".png").name for stem in given]
    assert made == ["a_predicted.png", "A_predicted_2.png", "b_predicted_2.png", "é_predicted.png",
                    "e\u0301_predicted_2.png"]  # fmt: skip


def test_a_name_that_leaves_no_room_for_more(weights, tmp_path):
    long = picture(tmp_path / ("n" * 250 + ".png"))
    other = picture(tmp_path / "b.png")
    status, out, err = run(weights, tmp_path / "out", long, other)
    assert status == 0, err
    assert len(os.listdir(tmp_path / "out")) == 3 and all(len(name) <= 255 for name in os.listdir(tmp_path / "out"))


def test_a_folder_where_a_result_should_be(weights, tmp_path):
    for name in ("predictions.json", "a_predicted.png"):
        (tmp_path / "out" / name).mkdir(parents=True)
    status, out, err = run(weights, tmp_path / "out", picture(tmp_path / "a.png"))
    assert status == 0 and "a_predicted_2.png" in out and "predictions_2.json" in out, err


def test_a_place_for_results_that_is_none_is_refused_before_any_work(weights, tmp_path, monkeypatch):
    photo = picture(tmp_path / "a.png")
    for out in (photo, photo / "inner"):
        message = refused("predict", photo, "--weights", "missing.safetensors", "--out", out)
        assert "is a file; name a folder" in message and str(photo) in message
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "nothing may be written" in refused("predict", photo, "--weights", weights, "--out", tmp_path / "out")


def test_a_picture_with_an_exif_turn_is_found_in_as_people_see_it(weights, tmp_path):
    pixels = (tiny_shapes()[1][0][:, :40] * 255).byte().permute(1, 2, 0).numpy()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(pixels, 1)).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    status, _, err = run(weights, tmp_path / "out", tmp_path / "turned.png", tmp_path / "plain.png")
    assert status == 0, err
    found = results(tmp_path / "out")
    turned, plain = ([{**one, "image_id": 0, "file_name": ""} for one in found if one["image_id"] == n] for n in (1, 2))
    assert plain and turned == plain and plain[0]["segmentation"]["size"] == [40, 48]
    assert Image.open(tmp_path / "out" / "turned_predicted.png").size == (48, 40)
