"""Mistakes on a switch, and functions swapped into the model: on inside the block, gone after it."""

import pytest
import torch

from mrcnn_edu.mistakes import MISTAKES, PARTS, break_it, swapped, switched_on
from mrcnn_edu.model import anchors
from tests.mistakes.own import OWN

AT_PREDICTION = [name for name, mistake in MISTAKES.items() if not mistake.only_training]


def predict(model, scenes):
    return model.predict([image for image, _ in scenes], masks="bool")


def five_losses(model, scenes):
    images, targets = zip(*scenes, strict=True)
    torch.manual_seed(0)
    with torch.no_grad():
        return model.loss(list(images), list(targets))


def equal(one, other):
    return all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", AT_PREDICTION)
def test_a_mistake_changes_predictions_inside_the_block_only(name, model, scenes):
    before = predict(model, scenes)
    with break_it(name) as mistake:
        assert mistake.is_on and switched_on() == [mistake]
        broken = predict(model, scenes)
    assert not mistake.is_on
    assert not equal(before, broken)
    assert equal(before, predict(model, scenes))


@pytest.mark.parametrize("name", sorted(set(MISTAKES) - set(AT_PREDICTION)))
def test_a_mistake_of_training_changes_losses_and_no_prediction(name, model, scenes):
    before, sound = predict(model, scenes), five_losses(model, scenes)
    with break_it(name):
        assert equal(before, predict(model, scenes))
        assert not equal([sound], [five_losses(model, scenes)])
    assert equal([sound], [five_losses(model, scenes)])


def test_the_switch(model, scenes):
    before = predict(model, scenes)
    mistake = break_it("round_roi").on()
    assert mistake.is_on and not equal(before, predict(model, scenes))
    break_it("round_roi").off()
    assert not mistake.is_on and equal(before, predict(model, scenes))
    mistake.off()


def test_twice_or_two_on_one_part_is_refused(model, scenes):
    before = predict(model, scenes)
    with break_it("round_roi") as mistake:
        with pytest.raises(RuntimeError, match="is on already"):
            mistake.on()
        with pytest.raises(RuntimeError, match=r"roi_pool.*round_roi.*roi_align"):
            break_it("roi_pool").on()
        assert not break_it("roi_pool").is_on
        with break_it("ratio_on_one_side"):
            assert len(switched_on()) == 2
        assert mistake.is_on
    assert equal(before, predict(model, scenes))


def test_an_exception_switches_it_off():
    with pytest.raises(ZeroDivisionError), break_it("round_roi"):
        raise ZeroDivisionError
    assert switched_on() == []


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="round_roi"):
        break_it("no such")
    with pytest.raises(ValueError, match="roi_align"):
        swapped("bilinear", None)


@pytest.mark.parametrize("part", PARTS)
def test_the_packages_own_function_changes_nothing(part, model, scenes):
    before, sound = predict(model, scenes), five_losses(model, scenes)
    called = []

    def counted(*arguments):
        called.append(arguments)
        return OWN[part](*arguments)

    with swapped(part, counted):
        after, losses_after = predict(model, scenes), five_losses(model, scenes)
    assert called
    for a, b in zip(before, after, strict=True):
        assert torch.equal(a["labels"], b["labels"])
        for name in ("boxes", "scores"):
            torch.testing.assert_close(a[name], b[name], atol=1e-3, rtol=1e-5)
    for name, value in sound.items():
        torch.testing.assert_close(value, losses_after[name], atol=1e-5, rtol=1e-4)
    assert equal(before, predict(model, scenes))


def test_swapped_anchors_need_no_new_model_and_spoil_no_new_one(model, scenes):
    from mrcnn_edu.model import MaskRCNN

    sound = model.stages([scenes[0][0]]).anchors
    with swapped("cell_anchors", lambda sizes, ratios: anchors.cell_anchors(sizes, ratios) + 1):
        assert torch.equal(model.stages([scenes[0][0]]).anchors, sound + 1)
        fresh = MaskRCNN(model.config)
    assert torch.equal(model.stages([scenes[0][0]]).anchors, sound)
    assert torch.equal(fresh.stages([scenes[0][0]]).anchors, sound)
    with swapped("grid_anchors", lambda *given: anchors.grid_anchors(*given) - 2):
        assert torch.equal(model.stages([scenes[0][0]]).anchors, sound - 2)
        with pytest.raises(RuntimeError, match=r"ratio_on_one_side.*grid_anchors"):
            break_it("ratio_on_one_side").on()
    assert torch.equal(model.stages([scenes[0][0]]).anchors, sound)
