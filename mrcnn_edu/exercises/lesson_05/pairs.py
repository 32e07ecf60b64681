"""Lesson 05: anchors and their boxes, by hand and at random."""

import torch


def parts(boxes):
    """Top left corners, centres and sides of boxes, (N, 2) each."""
    return boxes[:, :2], (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]


# The anchor is 32 wide and 64 high, centred on (32, 48); the box 64 wide and 16 high, centred on (64, 16).
ANCHOR, BOX = torch.tensor([[16.0, 16, 48, 80]]), torch.tensor([[32.0, 8, 96, 24]])
TWO_PAIRS = (torch.tensor([[0.0, 0, 20, 10], [30, 30, 40, 70]]), torch.tensor([[0.0, 0, 16, 16], [20, 40, 52, 56]]))


def random_boxes(generator, count):
    """Boxes (count, 4) with sides of 4 to 80 pixels."""
    corner = torch.from_numpy(generator.uniform(0, 100, (count, 2))).float()
    return torch.cat([corner, corner + torch.from_numpy(generator.uniform(4, 80, (count, 2))).float()], dim=1)
