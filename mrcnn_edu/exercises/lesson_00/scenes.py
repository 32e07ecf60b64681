"""Lesson 00: objects that touch and that overlap, as labels and masks."""

import torch


def picture(*rows):
    """Rows of digits → a bool mask for each digit from 1 up."""
    numbers = torch.tensor([[int(c) for c in row] for row in rows])
    return torch.stack([numbers == n for n in range(1, int(numbers.max()) + 1)])


# Two objects of class 1 that touch, and one of class 3.
TOUCHING = picture("1122000", "1122033", "0000033")
TOUCHING_LABELS = torch.tensor([1, 1, 3])
OVERLAP = torch.tensor([[[1, 1, 1, 0, 0]], [[0, 0, 1, 1, 0]]], dtype=torch.bool)


def random_scene(generator):
    """Labels and separate masks of 1 to 6 rectangles."""
    count = int(generator.integers(1, 7))
    masks = torch.zeros(count, 12, 24, dtype=torch.bool)
    for number in range(count):
        height, width = generator.integers(1, 12), generator.integers(1, 5)
        masks[number, :height, number * 4 : number * 4 + width] = True
    return torch.from_numpy(generator.integers(1, 5, count)), masks
