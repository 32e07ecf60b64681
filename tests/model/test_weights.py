"""Weights in and out: what loads, what is refused, and what survives."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from safetensors.torch import load_file, save_file

from mrcnn_edu.model import MaskRCNN, load_weights, preset, save_weights, weights
from mrcnn_edu.model.weights import COCO_V1_FILE
from tests.model.scenes import small_config, small_model, small_scenes

NAMES = ("background", "disc", "box", "star")


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    trained = small_model()
    trained.class_names = NAMES
    return trained


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    return save_weights(model, tmp_path_factory.mktemp("weights") / "model.safetensors")


@pytest.fixture(scope="module")
def resnet():
    """A state dict of the torchvision architecture with few numbers: the heads' names are what counts."""
    return MaskRCNN(preset("resnet50_fpn", num_classes=3, box_fcs=(1024, 1024)))


def equal(a: MaskRCNN, b: MaskRCNN) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_a_saved_model_comes_back_whole(model, saved):
    back = load_weights(saved)
    assert equal(back, model) and back.config == model.config and back.class_names == NAMES
    assert not back.training and back.load_report.reset == ()
    images, _ = small_scenes()
    for a, b in zip(back.predict(images), model.predict(images), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_file_is_plain_safetensors(model, saved):
    tensors = load_file(saved)
    assert tensors.keys() == model.state_dict().keys()
    assert all(torch.equal(tensors[name], value) for name, value in model.state_dict().items())


def test_a_model_without_class_names_stays_without(tmp_path):
    assert load_weights(save_weights(MaskRCNN(small_config()), tmp_path / "a.safetensors")).class_names is None


def test_settings_can_be_changed_while_loading(saved):
    changed = load_weights(saved, min_size=96, box_score_thresh=0.3)
    assert changed.config.min_size == (96,) and changed.config.box_score_thresh == 0.3
    assert changed.class_names == NAMES


def test_class_names_alone_give_the_class_count(saved):
    with pytest.warns(UserWarning, match="start anew"):
        new = load_weights(saved, class_names=("background", "coin"))
    assert new.config.num_classes == 2 and new.class_names == ("background", "coin")


def test_another_class_count_keeps_all_but_the_class_layers(model, saved):
    with pytest.warns(UserWarning, match=r"6 start anew, for another number of classes: .*cls_score.weight"):
        new = load_weights(saved, num_classes=2)
    assert len(new.load_report.reset) == 6 and new.class_names is None
    own = new.state_dict()
    assert all(torch.equal(own[name], model.state_dict()[name]) for name in new.load_report.kept)
    assert set(new.load_report.kept) | set(new.load_report.reset) == set(own)
    assert len(new.predict(small_scenes()[0])) == 2


def test_the_same_class_count_resets_nothing_and_does_not_warn(saved, recwarn):
    assert load_weights(saved, num_classes=4).load_report.reset == ()
    assert not [w for w in recwarn if "anew" in str(w.message)]


def test_new_names_for_the_same_classes(saved):
    names = ("background", "a", "b", "c")
    assert load_weights(saved, class_names=names).class_names == names


def test_a_training_checkpoint_loads(model, tmp_path):
    path = tmp_path / "checkpoint.pt"
    content = {
        "model": model.state_dict(), "config": model.config.to_dict(), "class_names": list(NAMES), "step": 7,
        "optimizer": {"state": {}, "param_groups": []},
    }  # fmt: skip
    torch.save(content, path)
    back = load_weights(path)
    assert equal(back, model) and back.config == model.config and back.class_names == NAMES


def test_averaged_weights_of_a_checkpoint_come_first(model, tmp_path):
    path = tmp_path / "checkpoint.pt"
    average = {name: value * 0.5 for name, value in model.state_dict().items()}
    torch.save({"model": model.state_dict(), "ema": average, "config": model.config.to_dict()}, path)
    assert torch.equal(load_weights(path).rpn.head.cls_logits.weight, model.rpn.head.cls_logits.weight * 0.5)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_a_state_dict_of_torchvision_loads(resnet, tmp_path, frozen, nested):
    state = resnet.state_dict()
    if frozen:
        state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    path = tmp_path / "maskrcnn.pth"
    torch.save({"model": state, "epoch": 3} if nested else state, path)
    back = load_weights(path)
    assert back.config.norm == ("frozen" if frozen else "batch") and back.config.norm_eps == 1e-5
    assert back.config.num_classes == 3
    assert all(torch.equal(back.state_dict()[name], value) for name, value in state.items())


def test_the_published_file_has_no_epsilon(resnet, tmp_path):
    """It was trained so; torchvision sets it after loading."""
    state = {n: v for n, v in resnet.state_dict().items() if not n.endswith("num_batches_tracked")}
    path = tmp_path / f"{COCO_V1_FILE}.pth"
    torch.save(state, path)
    back = load_weights(path)
    norms = [m for m in back.modules() if type(m).__name__ == "FrozenBatchNorm2d"]
    assert norms and all(norm.eps == 0.0 for norm in norms)
    assert not any(p.requires_grad for n, p in back.named_parameters() if "body.conv1" in n or "body.layer1" in n)


def test_published_weights_are_read_as_torchvision_reads_them(monkeypatch, resnet):
    """The download itself is torchvision's; here it is replaced by a state dict with 91 classes."""
    from torchvision.models import detection

    state = MaskRCNN(preset("resnet50_fpn", norm="frozen")).state_dict()
    enum = detection.MaskRCNN_ResNet50_FPN_Weights
    asked = {}

    def download(self, **options):
        asked.update(options)
        return state

    monkeypatch.setattr(enum, "get_state_dict", download)
    model = load_weights("coco")
    assert asked == {"progress": True, "check_hash": True, "weights_only": True}
    assert model.class_names[0] == "background" and model.class_names[1] == "person"
    assert len(model.class_names) == model.config.num_classes == 91
    assert model.config.norm_eps == 0.0 and model.config.trainable_layers == 3

    for error in (OSError("no route to host"), RuntimeError("invalid hash value"), HTTPException("cut short")):

        def fail(self, error=error, **options):
            raise error

        monkeypatch.setattr(enum, "get_state_dict", fail)
        with pytest.raises(OSError, match=f"could not be downloaded from https://.*{error}.*fetch the file by hand"):
            load_weights("coco")


def truncated(source, target):
    content = source.read_bytes()
    target.write_bytes(content[: len(content) // 2])
    return target


def write_pth(path, content):
    torch.save(content, path)
    return path


def in_safetensors(path, tensors, metadata=None):
    save_file(tensors, path, metadata=metadata)
    return path


class Opens:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def with_code(saved, tmp):
    return write_pth(tmp / "code.pth", {"model": Opens(tmp / "made.txt")})


def raw_pickle(saved, tmp):
    (tmp / "raw.pth").write_bytes(pickle.dumps(Opens(tmp / "made.txt")))
    return tmp / "raw.pth"


def other_architecture(saved, tmp):
    return write_pth(tmp / "other.pth", {"fc.weight": torch.zeros(3, 3), "fc.bias": torch.zeros(3)})


def missing_tensor(saved, tmp):
    tensors = load_file(saved)
    del tensors["rpn.head.cls_logits.weight"]
    config = json.dumps(small_config().to_dict())
    return in_safetensors(tmp / "missing.safetensors", tensors, {"config": config, "class_names": "null"})


def unknown_tensor(saved, tmp):
    tensors = {**load_file(saved), "extra.weight": torch.zeros(2)}
    return in_safetensors(tmp / "more.safetensors", tensors, {"config": json.dumps(small_config().to_dict())})


def other_widths(saved, tmp):
    config = replace(small_config(), fpn_channels=32)
    return in_safetensors(tmp / "wide.safetensors", load_file(saved), {"config": json.dumps(config.to_dict())})


def unknown_setting(saved, tmp):
    config = {**small_config().to_dict(), "num_heads": 8}
    return in_safetensors(tmp / "newer.safetensors", load_file(saved), {"config": json.dumps(config)})


def broken_metadata(saved, tmp):
    return in_safetensors(tmp / "broken.safetensors", load_file(saved), {"config": "{num_classes: 4"})


def checkpoint_with_a_wrong_setting(saved, tmp):
    config = {**small_config().to_dict(), "num_classes": 1}
    return write_pth(tmp / "c.pt", {"model": load_file(saved), "config": config})


def empty_file(saved, tmp):
    (tmp / "empty.pth").touch()
    return tmp / "empty.pth"


def text_file(saved, tmp):
    (tmp / "page.safetensors").write_text("<html>404 not found</html>")
    return tmp / "page.safetensors"


def cut_pth(saved, tmp):
    return truncated(write_pth(tmp / "whole.pth", load_file(saved)), tmp / "half.pth")


REFUSED = {
    "truncated safetensors": (
        lambda saved, tmp: truncated(saved, tmp / "half.safetensors"), r"half.safetensors is truncated.*fetch or make",
    ),
    "truncated pth": (cut_pth, r"half.pth is truncated or no weights file.*fetch or make it again"),
    "empty file": (empty_file, r"empty.pth is truncated or no weights file"),
    "a web page": (text_file, r"page.safetensors is truncated or no safetensors file"),
    "code inside": (with_code, r"code.pth holds more than tensors.*refused: nothing in it was run.*save_weights"),
    "code in a bare pickle": (raw_pickle, r"raw.pth holds more than tensors.*nothing in it was run"),
    "no state dict, a list": (lambda s, tmp: write_pth(tmp / "l.pth", [1, 2]), r"l.pth holds no state dict"),
    "no state dict, a tensor": (lambda s, tmp: write_pth(tmp / "t.pth", torch.ones(3)), r"t.pth holds no state dict"),
    "no state dict, numbers": (lambda s, tmp: write_pth(tmp / "n.pth", {"a": 1}), r"n.pth holds no state dict"),
    "another architecture": (other_architecture, r"other.pth .*another architecture: it has no Mask R-CNN heads"),
    "a tensor missing": (missing_tensor, r"missing.safetensors belongs to another.*missing: 1 \(rpn.head.cls_logits"),
    "a tensor too many": (unknown_tensor, r"more.safetensors belongs to another.*unknown: 1 \(extra.weight"),
    "other widths": (other_widths, r"wide.safetensors belongs to another architecture.*other size: \d+ \(.*, …\)"),
    "a newer configuration": (unknown_setting, r"newer.safetensors.*unknown fields \['num_heads'\]"),
    "a checkpoint with a wrong setting": (
        checkpoint_with_a_wrong_setting, r"c.pt: the configuration.*num_classes is 1: give at least 2",
    ),
    "broken configuration": (broken_metadata, r"broken.safetensors.*configuration"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_a_bad_file_is_refused_by_name(saved, tmp_path, make, message):
    with pytest.raises(ValueError, match=message):
        load_weights(make(saved, tmp_path))
    assert not (tmp_path / "made.txt").exists(), "nothing in the file was run"


def without_a_storage(saved, tmp):
    """A zip that is whole, but lacks the numbers of a tensor: no code is in it, so it is not said to hold any."""
    write_pth(tmp / "whole.pth", load_file(saved))
    with zipfile.ZipFile(tmp / "whole.pth") as whole, zipfile.ZipFile(tmp / "gaps.pth", "w") as gaps:
        for name in whole.namelist():
            if not name.endswith("data/0"):
                gaps.writestr(name, whole.read(name))
    return tmp / "gaps.pth"


def with_a_byte_changed(saved, tmp):
    content = bytearray(write_pth(tmp / "whole.pth", load_file(saved)).read_bytes())
    content[content.index(b"data.pkl") + 100] ^= 0xFF
    (tmp / "changed.pth").write_bytes(content)
    return tmp / "changed.pth"


def cut_old_form(saved, tmp):
    torch.save(load_file(saved), tmp / "old.pth", _use_new_zipfile_serialization=False)
    return truncated(tmp / "old.pth", tmp / "half_old.pth")


DAMAGED = (
    without_a_storage,
    with_a_byte_changed,
    cut_old_form,
    lambda saved, tmp: write_bytes(tmp / "text.pth", b"not weights at all"),
    lambda saved, tmp: write_bytes(tmp / "picture.pth", b"\x89PNG\r\n\x1a\n" + bytes(100)),
    lambda saved, tmp: write_bytes(tmp / "noise.pth", bytes(range(256)) * 9),
)


def write_bytes(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("make", DAMAGED)
def test_a_damaged_file_is_not_said_to_hold_code(saved, tmp_path, make):
    with pytest.raises(ValueError, match=r"\.pth is truncated or no weights file"):
        load_weights(make(saved, tmp_path))


@pytest.mark.parametrize("value", [torch.nn.Linear(2, 2), Path("here"), Opens("made.txt"), {1: print}])
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}])
def test_what_is_more_than_tensors_is_said_to_be(tmp_path, value, options):
    torch.save({"model": value}, tmp_path / "more.pth", **options)
    with pytest.raises(ValueError, match="more.pth holds more than tensors and plain values"):
        load_weights(tmp_path / "more.pth")


def test_whatever_a_library_raises_is_told_with_the_files_name(saved, tmp_path, monkeypatch):
    class Unheard(Exception):
        pass

    def fail(*given, **named):
        raise Unheard

    write_pth(tmp_path / "good.pth", load_file(saved))
    monkeypatch.setattr(torch, "load", fail)
    monkeypatch.setattr("safetensors.safe_open", fail)
    for name in ("good.pth", saved.name):
        with pytest.raises(ValueError, match=f"{name} is truncated or no"):
            load_weights(tmp_path / name if name == "good.pth" else saved)


def test_the_code_would_have_run_elsewhere(tmp_path):
    """The file of the test above is a real danger: plain unpickling creates the file."""
    pickle.loads(pickle.dumps(Opens(tmp_path / "made.txt"))).close()
    assert (tmp_path / "made.txt").exists()


def test_a_state_dict_of_another_width_is_refused(resnet, tmp_path):
    state = resnet.state_dict()
    state["roi_heads.box_head.fc6.weight"] = state["roi_heads.box_head.fc6.weight"][:, :100].clone()
    torch.save(state, tmp_path / "narrow.pth")
    with pytest.raises(
        ValueError, match=r"narrow.pth belongs to another architecture.*\(roi_heads.box_head.fc6.weight"
    ):
        load_weights(tmp_path / "narrow.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights '.*absent.safetensors'.*lesson, fruits, coco, coco_v2"):
        load_weights(tmp_path / "absent.safetensors")


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(FileNotFoundError, match="no weights 'imagenet': give a file that exists, or one of lesson"):
        load_weights("imagenet")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights"):
        load_weights(tmp_path)


def test_shipped_weights_that_are_not_there_are_explained(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "WEIGHTS_FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match="'lesson' ship with the repository as data/weights/.*clone the whole"):
        load_weights("lesson")


@pytest.mark.parametrize("name", ["model.pth", "model", "model.safetensors.bak"])
def test_another_ending_is_refused_on_saving(model, tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: weights are saved as .safetensors"):
        save_weights(model, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_saving_replaces_the_old_file_and_leaves_nothing_beside_it(model, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("old")
    assert save_weights(model, path) == path
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"] and equal(load_weights(path), model)


def test_saving_into_a_folder_that_is_not_there(model, tmp_path):
    with pytest.raises(OSError, match="absent"):
        save_weights(model, tmp_path / "absent" / "model.safetensors")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(model, tmp_path, monkeypatch, call):
    path = save_weights(model, tmp_path / "model.safetensors")
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(MaskRCNN(small_config()), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_write_that_the_system_cuts_short_leaves_the_old_file(model, tmp_path):
    """A real limit of the operating system, in a process of its own."""
    pytest.importorskip("resource")
    path = save_weights(model, tmp_path / "model.safetensors")
    before = path.read_bytes()
    program = f"""
        import resource, signal
        from mrcnn_edu.model import load_weights, save_weights
        model = load_weights({str(path)!r})
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        try:
            save_weights(model, {str(path)!r})
        except OSError as error:
            print("refused:", error.strerror)
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused:")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
