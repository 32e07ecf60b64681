"""A mistake shows its price, and the prices that ship are complete."""

import datetime

from mrcnn_edu.mistakes import KINDS, MISTAKES, break_it, read_prices
from tests.mistakes.scores import SCORES, WORSE


def test_a_mistake_shows_its_price(monkeypatch):
    price = {"sound": SCORES, "broken": WORSE, "scenes": 37, "commands": ["make <it>"], "date": "2020-01-02"}
    monkeypatch.setattr("mrcnn_edu.mistakes.base.read_prices", lambda: {"round_roi": {"switched_on": price}})
    for text in (str(break_it("round_roi")), break_it("round_roi")._repr_html_()):
        for part in (
            "whole cells",
            "lesson 07",
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
        assert "(lesson 07, on)" in str(mistake)


def test_a_mistake_without_a_price_says_so(monkeypatch):
    monkeypatch.setattr("mrcnn_edu.mistakes.base.read_prices", dict)
    for mistake in MISTAKES.values():
        assert "not been measured" in str(mistake) and "not been measured" in mistake._repr_html_()
    assert "changes no prediction" in str(break_it("ignored_are_negative"))
    assert "changes no prediction" not in str(break_it("round_roi"))


def test_both_ways_of_making_a_mistake_stand_in_one_table(monkeypatch):
    price = {"sound": SCORES, "broken": WORSE, "scenes": 5, "commands": ["train it", "try it"], "date": "2020-01-02"}
    monkeypatch.setattr("mrcnn_edu.mistakes.base.read_prices", lambda: {"round_roi": dict.fromkeys(KINDS, price)})
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
