"""Where an image stands on the card: geometry, and the image as it is drawn from; nothing is drawn here."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from mrcnn_edu.figures import as_array

FRAME = (16, 84, 524, 456)  # of the picture: x, y, width, height on the card


@dataclass(frozen=True)
class Window:
    """A piece of an image shown in a frame of the card.

    frame    (x, y, width, height) on the card, CSS pixels
    piece    (x1, y1, x2, y2) of the image, pixels
    """

    frame: tuple[float, float, float, float]
    piece: tuple[float, float, float, float]

    @property
    def zoom(self) -> float:
        """CSS pixels per image pixel."""
        return self.frame[2] / (self.piece[2] - self.piece[0])

    def place(self, box) -> tuple[float, float, float, float]:
        """A box of the image → on the card."""
        x, y, _, _ = self.frame
        left, top, _, _ = self.piece
        x1, y1, x2, y2 = (float(v) for v in box)
        zoom = self.zoom
        return x + (x1 - left) * zoom, y + (y1 - top) * zoom, x + (x2 - left) * zoom, y + (y2 - top) * zoom

    def unplace(self, x: float, y: float) -> tuple[float, float] | None:
        """A point of the card → of the image, or None outside the frame."""
        fx, fy, width, height = self.frame
        if not (fx <= x < fx + width and fy <= y < fy + height):
            return None
        return self.unplace_any(x, y)

    def unplace_any(self, x: float, y: float) -> tuple[float, float]:
        """A point of the card, in the frame or not → of the image."""
        return self.piece[0] + (x - self.frame[0]) / self.zoom, self.piece[1] + (y - self.frame[1]) / self.zoom

    @classmethod
    def fit(cls, frame, piece, top: bool = False) -> "Window":
        """The largest window of `piece`'s shape in the middle of `frame`, or at its upper edge."""
        x, y, width, height = frame
        w, h = piece[2] - piece[0], piece[3] - piece[1]
        zoom = min(width / w, height / h)
        down = 0 if top else (height - h * zoom) / 2
        return cls((x + (width - w * zoom) / 2, y + down, w * zoom, h * zoom), tuple(piece))


def cut_to(frame, box) -> tuple[float, float, float, float]:
    """The part of a box (x1, y1, x2, y2) that lies in a frame (x, y, width, height)."""
    left, top, right, bottom = frame_box(frame)
    x1, y1, x2, y2 = box
    return max(x1, left), max(y1, top), min(x2, right), min(y2, bottom)


def frame_box(frame) -> tuple[float, float, float, float]:
    """(x, y, width, height) → (x1, y1, x2, y2)."""
    x, y, width, height = frame
    return x, y, x + width, y + height


def photograph(image) -> Image.Image:
    """(3, H, W) in [0, 1] → for drawing."""
    return Image.fromarray((as_array(image) * 255).round().astype(np.uint8))


def wide_window(frame, size, margin: float) -> Window:
    """A picture of `size` (height, width) in the middle of `frame`, with room of `margin` CSS pixels around it; the
    window's piece is all that the frame shows, so that what lies outside the picture is shown there."""
    x, y, width, height = frame
    zoom = min((width - 2 * margin) / size[1], (height - 2 * margin) / size[0])
    left, top = (size[1] - width / zoom) / 2, (size[0] - height / zoom) / 2
    return Window(tuple(frame), (left, top, left + width / zoom, top + height / zoom))
