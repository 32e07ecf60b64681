"""Prices of mistakes: measured by the commands that they name, written one by one."""

import json

import pytest

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.mistakes import break_it, read_prices
from mrcnn_edu.model import load_weights
from mrcnn_edu.training import prices
from tests.mistakes.scores import SCORES, WORSE


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


def test_the_command_measures_what_it_says():
    """Two scenes, as a program of its own, against the same in this process."""
    from mrcnn_edu.training import evaluate

    dataset = load_dataset("shapes", "val", length=2)
    model = load_weights("lesson")
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
