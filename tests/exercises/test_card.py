"""The equation card: it shows what the code does, and fails where the two disagree."""

import pytest
import torch

from mrcnn_edu.exercises import Row, card
from mrcnn_edu.exercises.card import CardError, span
from mrcnn_edu.model import MaskRCNN

CODE = "features = self.backbone(batch.tensors)"


def test_shapes_letters_and_the_line_are_shown():
    rows = Row("F", "maps", torch.zeros(2, 8, 3), "B, 4K, 3", CODE), Row("p", "class", torch.zeros(2), "K", CODE)
    shown = card(MaskRCNN.stages, *rows)._repr_markdown_()
    assert "2\u00a0×\u00a08\u00a0×\u00a03" in shown and "K = 2" in shown
    line = int(shown.split("mask_rcnn.py#L")[1].split(")")[0])
    source = __import__("inspect").getsource(__import__("inspect").getmodule(MaskRCNN)).splitlines()
    assert source[line - 1].strip().startswith(CODE)


@pytest.mark.parametrize(
    "shape, value",
    [("B, K", torch.zeros(3)), ("4", torch.zeros(5)), ("N, N", torch.zeros(2, 3)), ("4K", torch.zeros(6))],
)
def test_a_shape_that_disagrees_fails(shape, value):
    with pytest.raises(CardError, match="F"):
        card(MaskRCNN.stages, Row("F", "maps", value, shape, CODE))


def test_a_letter_means_one_number_on_the_whole_card():
    with pytest.raises(CardError, match="K = 3"):
        card(
            MaskRCNN.stages,
            Row("F", "maps", torch.zeros(3), "K", CODE),
            Row("G", "maps", torch.zeros(4), "K", CODE),
        )


def test_a_line_that_is_not_in_the_code_fails():
    with pytest.raises(CardError, match="no line"):
        card(MaskRCNN.stages, Row("F", "maps", torch.zeros(3), "K", "features = nothing()"))


def test_a_dimension_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="no dimension"):
        card(MaskRCNN.stages, Row("F", "maps", torch.zeros(3), "K+1", CODE))


def test_values_in_words():
    assert span(torch.zeros(0)) == "none"
    assert span(torch.tensor([1.0, 2.5])) == "1, 2.5"
    assert span(torch.arange(10.0)) == "0 to 9"
    assert span(torch.linspace(1e-6, 1, 9)) == "almost 0 to 1"
