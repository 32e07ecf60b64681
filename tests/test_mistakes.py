"""Mistakes on a switch, and functions swapped into the model: on inside the block, gone after it."""

import datetime
import json

import pytest
import torch
import torchvision

from mrcnn_edu.__main__ import MISTAKES as NAMED_ON_THE_COMMAND_LINE
from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.mistakes import KINDS, MISTAKES, PARTS, break_it, read_prices, swapped, switched_on
from mrcnn_edu.model import anchors, boxes, load_weights, losses, matching, roi_align
from mrcnn_edu.training import prices

AT_PREDICTION = [name for name, mistake in MISTAKES.items() if not mistake.only_training]
# The package's own readable forms, or what it uses itself.
OWN = {
    "roi_align": roi_align.roi_align,
    "decode": boxes.decode,
    "encode": boxes.encode,
    "nms": boxes.nms,
    "grouped_nms": boxes.grouped_nms,
    "to_rois": roi_align.to_rois,
    "cell_anchors": anchors.cell_anchors,
    "grid_anchors": anchors.grid_anchors,
    "match": matching.match,
    "anchor_labels": losses.anchor_labels,
    "sample": matching.sample,
}


@pytest.fixture(scope="module")
def model():
    return load_weights("lesson")


@pytest.fixture(scope="module")
def scenes():
    dataset = load_dataset("shapes", split="val", length=2)
    return [dataset[index] for index in range(2)]


@pytest.fixture(autouse=True)
def nothing_stays_on():
    yield
    left = switched_on()
    for swap in left:
        swap.off()
    assert left == []


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


ROI = torch.tensor([[0, 5.0, 9, 30, 41]])  # at stride 4: 1.25, 2.25, 7.5, 10.25 cells


def pooled(name, scale=0.25, bins=3):
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)  # the value of each cell is its column
    return MISTAKES[name].function(ramp, ROI, bins, scale, 2, False)


def test_rounded_corners_by_hand():
    """From 1.25 … 7.5 to 1 … 8: bins of 7/3 cells, read at their middle on average."""
    assert torch.allclose(pooled("round_roi")[0, 0, 0], torch.tensor([1 + 7 / 6, 4.5, 8 - 7 / 6]))
    whole = torch.tensor([[0, 4.0, 8, 32, 40]])  # the same region, its corners on whole cells
    features = torch.rand(1, 2, 16, 16)
    for samples in (0, 1, 2):
        wanted = torchvision.ops.roi_align(features, whole, 3, 0.25, samples)
        got = MISTAKES["round_roi"].function(features, ROI, 3, 0.25, samples, False)
        torch.testing.assert_close(got, wanted)


def test_roi_pool_takes_the_largest_value_of_whole_cells():
    """Cells 1 to 8, eight of them, in bins of 8/3 that are widened to whole cells: they end before 4, 7 and 9."""
    assert pooled("roi_pool")[0, 0, 0].tolist() == [3, 6, 8]


def test_half_a_pixel_reads_half_a_cell_further_left():
    sound = torchvision.ops.roi_align(torch.arange(16.0).expand(1, 1, 16, 16).contiguous(), ROI, 3, 0.25, 2)
    assert torch.allclose(pooled("half_pixel"), sound - 0.5)


def test_a_ratio_on_one_side_makes_squares():
    base = MISTAKES["ratio_on_one_side"].function((32,), (0.5, 1.0, 2.0))
    assert base.tolist() == [[-11, -11, 11, 11], [-16, -16, 16, 16], [-23, -23, 23, 23]]
    assert torch.equal(base[1], anchors.cell_anchors((32,), (1.0,))[0])


def test_ignored_anchors_become_negative():
    matched_idxs = torch.tensor([2, matching.BELOW_LOW, matching.BETWEEN, 0])
    assert losses.anchor_labels(matched_idxs).tolist() == [1, 0, -1, 1]
    assert MISTAKES["ignored_are_negative"].function(matched_idxs).tolist() == [1, 0, 0, 1]


def test_the_command_line_names_every_mistake():
    assert sorted(NAMED_ON_THE_COMMAND_LINE) == sorted(MISTAKES)


# Prices


SCORES = {"bbox": {"AP": 0.85, "AP75": 0.96}, "segm": {"AP": 0.8, "AP75": 0.95}}
WORSE = {"bbox": {"AP": 0.7, "AP75": 0.8}, "segm": {"AP": 0.123, "AP75": 0.3}}


def test_a_mistake_shows_its_price(monkeypatch):
    price = {"sound": SCORES, "broken": WORSE, "scenes": 37, "commands": ["make <it>"], "date": "2020-01-02"}
    monkeypatch.setattr("mrcnn_edu.mistakes.read_prices", lambda: {"round_roi": {"switched_on": price}})
    for text in (str(break_it("round_roi")), break_it("round_roi")._repr_html_()):
        for part in (
            "whole cells",
            "lesson 06",
            "off",
            "0.800",
            "0.123",
            "0.850",
            "37 validation scenes",
            "2020-01-02",
        ):
            assert part in text
    assert "make &lt;it&gt;" in break_it("round_roi")._repr_html_() and "make <it>" in str(break_it("round_roi"))
    with break_it("round_roi") as mistake:
        assert "(lesson 06, on)" in str(mistake)


def test_a_mistake_without_a_price_says_so(monkeypatch):
    monkeypatch.setattr("mrcnn_edu.mistakes.read_prices", dict)
    for mistake in MISTAKES.values():
        assert "not been measured" in str(mistake) and "not been measured" in mistake._repr_html_()
    assert "changes no prediction" in str(break_it("ignored_are_negative"))
    assert "changes no prediction" not in str(break_it("round_roi"))


def test_both_ways_of_making_a_mistake_stand_in_one_table(monkeypatch):
    price = {"sound": SCORES, "broken": WORSE, "scenes": 5, "commands": ["train it", "try it"], "date": "2020-01-02"}
    monkeypatch.setattr("mrcnn_edu.mistakes.read_prices", lambda: {"round_roi": dict.fromkeys(KINDS, price)})
    text = str(break_it("round_roi"))
    assert text.count("\nsound model ") == 1 and text.count("0.950") == 1 and text.count("0.123") == 2
    assert "Trained with it from the start (one run): 5 validation scenes, 2020-01-02, train it, then try it" in text


def test_prices_that_ship_are_complete():
    shipped = read_prices()
    assert set(shipped) == set(MISTAKES) and all(shipped.values())
    for name, kinds in shipped.items():
        assert ("switched_on" in kinds) != MISTAKES[name].only_training
        for price in kinds.values():
            assert price["scenes"] == 500 and f"--mistake {name}" in price["commands"][-1]
            assert datetime.date.fromisoformat(price["date"]) >= datetime.date(2026, 1, 1)
            assert all(0 < price[which][kind][metric] < 1 for which in ("sound", "broken")
                       for kind in ("bbox", "segm") for metric in ("AP", "AP75"))  # fmt: skip


@pytest.mark.slow
def test_a_price_that_ships_comes_out_again():
    price = read_prices()["round_roi"]["switched_on"]
    again = prices.scores(prices.evaluation(price["scenes"], "round_roi"))
    assert price["commands"] == [f"python -m mrcnn_edu {' '.join(prices.evaluation(price['scenes'], 'round_roi'))}"]
    for kind in ("bbox", "segm"):
        assert again[kind] == pytest.approx(price["broken"][kind], abs=0.003)


def test_prices_are_written_one_by_one(tmp_path, monkeypatch, capsys):
    asked = []

    def scores(command):
        asked.append(" ".join(command))
        return WORSE if "--mistake" in command else SCORES

    monkeypatch.setattr(prices, "scores", scores)
    path = tmp_path / "prices.json"
    prices.main(["roi_pool", "--scenes", "20", "--out", str(path)])
    prices.main(["--trained", "ignored_are_negative=runs/x/model.safetensors", "--out", str(path)])
    found = json.loads(path.read_text())
    assert list(found) == ["roi_pool", "ignored_are_negative"]
    assert found["roi_pool"]["switched_on"]["broken"] == WORSE and found["roi_pool"]["switched_on"]["sound"] == SCORES
    assert found["ignored_are_negative"]["trained"]["commands"] == [
        "python -m mrcnn_edu train --data shapes --seed 0 --mistake ignored_are_negative --out runs/x",
        "python -m mrcnn_edu evaluate --data shapes --weights runs/x/model.safetensors --mistake ignored_are_negative "
        "--json",
    ]
    assert asked[:2] == [
        "evaluate --data shapes --limit 20 --json",
        "evaluate --data shapes --mistake roi_pool --limit 20 --json",
    ]
    assert "mask AP 0.8 → 0.123" in capsys.readouterr().out


def test_the_command_measures_what_it_says(model):
    """Two scenes, as a program of its own, against the same in this process."""
    from mrcnn_edu.training import evaluate

    dataset = load_dataset("shapes", "val", length=2)
    sound = evaluate(model, dataset)
    with break_it("roi_pool"):
        here = evaluate(model, dataset)
    there = prices.scores(prices.evaluation(2, "roi_pool"))
    assert there["segm"]["AP"] == pytest.approx(here["segm"]["AP"], abs=1e-3)
    assert there["segm"]["AP"] < sound["segm"]["AP"] - 0.02


def test_a_command_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no_such_file"):
        prices.scores(["evaluate", "--data", "shapes", "--weights", "no_such_file.pth"])


def test_unknown_mistakes_are_refused(capsys):
    for arguments in (["no_such"], ["--trained", "no_such=x"], ["--trained", "round_roi"]):
        with pytest.raises(SystemExit):
            prices.main(arguments)
    assert "round_roi" in capsys.readouterr().err
