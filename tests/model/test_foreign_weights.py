"""Weights that other programs saved: wrapped names, whole checkpoints, options beside them, code that must not run."""

from __future__ import annotations

import argparse
import pathlib
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torchvision.models import detection

from mrcnn_edu.model import MaskRCNN, load_weights, preset, save_weights
from mrcnn_edu.model.tensor_names import WRAPPERS, own_names
from tests.model.scenes import small_config


@pytest.fixture(scope="module")
def resnet():
    """torchvision's own model, on its smallest body, so that it is quick to save."""
    backbone = detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, trainable_layers=5, norm_layer=nn.BatchNorm2d
    )
    return detection.MaskRCNN(backbone, num_classes=3)


@pytest.fixture(scope="module")
def state(resnet):
    return resnet.state_dict()


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def holds(model, state) -> bool:
    own = model.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[name], value) for name, value in state.items())


PREFIXES = [
    "module.", "model.", "_orig_mod.", "module._orig_mod.", "model.module.", "module.module.",
    "model._orig_mod.module.", "net.", "detector.mask_rcnn.",
]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_of_wrappers_are_taken_off(state, tmp_path, prefix):
    path = saved(tmp_path / "wrapped.pth", {prefix + name: value for name, value in state.items()})
    assert holds(load_weights(path), state)


def test_prefixes_in_safetensors_are_taken_off_too(state, tmp_path):
    save_file({f"module.{name}": value.clone() for name, value in state.items()}, tmp_path / "w.safetensors")
    assert holds(load_weights(tmp_path / "w.safetensors"), state)


@given(st.lists(st.sampled_from(WRAPPERS), max_size=3), st.integers(0, 3))
def test_wrappers_may_stand_anywhere_in_a_name(wrappers, place):
    name = "backbone.body.layer1.0.conv1.weight".split(".")
    wrapped = ".".join(name[:place] + wrappers + name[place:])
    assert own_names({wrapped: 1}) == {".".join(name): 1}


def test_a_model_that_torch_wrapped_loads_strictly():
    model = MaskRCNN(small_config())
    average = torch.optim.swa_utils.AveragedModel(nn.DataParallel(model)).state_dict()
    compiled = MaskRCNN(small_config())
    compiled.backbone = torch.compile(compiled.backbone)
    for given_names in (average, {f"_orig_mod.{n}": v for n, v in model.state_dict().items()}, compiled.state_dict()):
        other = MaskRCNN(small_config())
        other.load_state_dict(given_names, strict=True)
        assert all(any(torch.equal(v, w) for w in given_names.values()) for v in other.state_dict().values())


def test_weights_load_into_wrapped_parts_and_are_saved_from_them(tmp_path):
    plain, model = MaskRCNN(small_config()), MaskRCNN(small_config())
    model.backbone = torch.compile(model.backbone)
    model.load_state_dict(plain.state_dict(), strict=True)
    for number, wrapped in enumerate((model, nn.DataParallel(model), torch.compile(model))):
        save_weights(wrapped, tmp_path / f"{number}.safetensors")
        assert holds(load_weights(tmp_path / f"{number}.safetensors"), plain.state_dict())


def test_names_that_are_only_like_prefixes_stay():
    names = {"backbone.body.conv1.weight": 1, "rpn.head.cls_logits.bias": 2, "extra.weight": 3}
    assert own_names(names) == names


def test_two_models_in_one_state_dict_are_refused(state, tmp_path):
    both = {f"{who}.{name}": value for who in ("student", "teacher") for name, value in state.items()}
    with pytest.raises(ValueError, match=r"both.pth: names .*'student\.' and 'teacher\.'.*more than one model"):
        load_weights(saved(tmp_path / "both.pth", both))
    with pytest.raises(ValueError, match="stands here twice"):
        own_names({"rpn.head.x": 1, "rpn.module.head.x": 2})


CONTAINERS = {
    "reference script": lambda s: {"model": s, "optimizer": {"state": {}}, "lr_scheduler": {}, "epoch": 25},
    "Lightning": lambda s: {"state_dict": {f"model.{n}": v for n, v in s.items()}, "pytorch-lightning_version": "2.0"},
    "tutorial": lambda s: {"epoch": 3, "model_state_dict": s, "loss": 0.5},
    "average alone": lambda s: {"model_ema": s, "epoch": 1},
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_the_state_dict_is_found_in_a_checkpoint(state, tmp_path, make):
    model = load_weights(saved(tmp_path / "checkpoint.pth", make(state)))
    assert holds(model, state) and "was taken" in str(model.load_report)


def test_beside_the_weights_their_average_is_named(state, tmp_path):
    other = {name: value * 2 for name, value in state.items()}
    with pytest.warns(UserWarning, match="c.pth: the entry 'model' was taken; its running average"):
        model = load_weights(saved(tmp_path / "c.pth", {"model": state, "model_ema": other}))
    assert holds(model, state) and "'model_ema' was not" in str(model.load_report)


def test_several_models_in_one_file_are_refused(state, tmp_path):
    path = saved(tmp_path / "c.pth", {"model": state, "state_dict": state})
    with pytest.raises(ValueError, match=r"c.pth holds the weights of several models, model and state_dict"):
        load_weights(path)


OPTIONS = argparse.Namespace(
    data_path="/data/coco", lr=0.02, device=torch.device("cpu"), output_dir=pathlib.PurePosixPath("."),
    lr_steps=[16, 22], aspect=np.float64(1.5), kind=np.dtype("float32"), names={"a", "b"}, dtype=torch.float32,
)  # fmt: skip


@pytest.mark.parametrize("in_zip", [True, False], ids=["zip", "before zip"])
def test_the_options_of_a_training_script_are_left_unread(state, tmp_path, in_zip):
    content = {"model": state, "optimizer": {"state": {}}, "args": OPTIONS, "epoch": 25}
    path = saved(tmp_path / "model_25.pth", content, _use_new_zipfile_serialization=in_zip)
    model = load_weights(path)
    assert holds(model, state)
    assert "left unread" in str(model.load_report) and "argparse.Namespace" in str(model.load_report)


class Runs:
    """Unpickling this calls a function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


class SetsState:
    """Unpickling this sets the attributes of a class that torch knows."""

    def __reduce__(self):
        return getattr, (torch.nn.Parameter, "__init__"), {"__doc__": "changed"}


def dangers(made: pathlib.Path) -> dict:
    import os

    return {
        "open": Runs(open, str(made), "w"),
        "touch": Runs(pathlib.Path.touch, made),
        "eval": Runs(eval, f"open({str(made)!r}, 'w')"),
        "system": Runs(os.system, f"touch '{made}'"),
        "chain": Runs(getattr, Runs(__import__, "builtins"), "open"),
        "state": SetsState(),
        "torch": Runs(torch.save, {}, str(made)),
        "hub": Runs(torch.hub.load, str(made), "x"),
    }


@pytest.mark.parametrize("name", sorted(dangers(pathlib.Path("x"))))
@pytest.mark.parametrize("in_zip", [True, False], ids=["zip", "before zip"])
@pytest.mark.parametrize("beside", [True, False], ids=["beside the weights", "instead of them"])
def test_code_in_a_file_never_runs(state, tmp_path, name, in_zip, beside):
    made, danger = tmp_path / "made.txt", dangers(tmp_path / "made.txt")[name]
    content = {"model": state, "args": danger} if beside else {"model": danger}
    path = saved(tmp_path / "bad.pth", content, _use_new_zipfile_serialization=in_zip)
    try:
        model = load_weights(path)
        assert beside and holds(model, state) and "left unread" in str(model.load_report)
    except ValueError as error:
        assert str(path) in str(error) and "nothing in it was run" in str(error)
    assert not made.exists() and torch.nn.Parameter.__init__.__doc__ != "changed"


def test_the_dangers_are_real(tmp_path):
    made = tmp_path / "made.txt"
    for name in ("open", "touch", "eval", "system"):
        pickle.loads(pickle.dumps(dangers(made)[name]))
        assert made.exists()
        made.unlink()


def test_a_whole_model_that_was_pickled_is_refused_by_name(tmp_path):
    path = saved(tmp_path / "model.pth", MaskRCNN(small_config()))
    with pytest.raises(ValueError, match=r"model.pth holds more than tensors.*nothing in it was run.*state dict"):
        load_weights(path)


def test_reading_leaves_torchs_own_list_as_it_was(state, tmp_path):
    before = set(torch.serialization.get_safe_globals())
    load_weights(saved(tmp_path / "c.pth", {"model": state, "args": OPTIONS}))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet101", "resnext50_32x4d", "wide_resnet50_2"])
def test_the_body_is_told_by_its_sizes(tmp_path, name):
    state = MaskRCNN(preset("resnet50_fpn", num_classes=2, backbone=name)).state_dict()
    model = load_weights(saved(tmp_path / f"{name}.pth", state))
    assert model.config.backbone == name and holds(model, state)


def test_half_precision_weights_load(state, tmp_path):
    half = {n: v.half() if v.is_floating_point() else v for n, v in state.items()}
    model = load_weights(saved(tmp_path / "half.pth", half))
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_category_ids_are_kept_with_the_weights(tmp_path):
    config = small_config()
    ids = (0, *range(90, 90 - 7 * (config.num_classes - 1), -7))
    model = MaskRCNN(config, category_ids=ids)
    save_weights(model, tmp_path / "w.safetensors")
    assert load_weights(tmp_path / "w.safetensors").category_ids == ids
    content = {"model": model.state_dict(), "config": config.to_dict(), "category_ids": list(ids)}
    assert load_weights(saved(tmp_path / "c.pt", content)).category_ids == ids
    names = ("background", *map(str, ids[1:]))
    assert load_weights(tmp_path / "w.safetensors", class_names=names).category_ids is None
    with pytest.warns(UserWarning, match="start anew"):
        other = load_weights(tmp_path / "w.safetensors", num_classes=2, category_ids=(0, 5))
    assert other.category_ids == (0, 5)
    with pytest.raises(ValueError, match=r"category ids for \d classes"):
        MaskRCNN(config, category_ids=(0, 1))
