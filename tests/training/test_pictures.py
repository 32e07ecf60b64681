import numpy as np
import pytest
import torch

from mrcnn_edu.training.pictures import OKABE_ITO, draw_detections

from .tiny import as_detection


def detection(*boxes, size=(60, 80)):
    masks = torch.zeros((len(boxes), *size), dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    target = {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), "masks": masks}
    return as_detection({**target, "labels": torch.ones(len(boxes), dtype=torch.int64)})


def pixels(picture):
    return torch.from_numpy(np.array(picture))


def test_a_mask_is_tinted_and_outlined_and_the_rest_stays():
    image = torch.full((3, 60, 80), 0.5)
    drawn = pixels(draw_detections(image, detection((10, 30, 40, 50)), ["background", "thing"]))
    colour = torch.tensor(OKABE_ITO[0])
    assert (drawn[30, 10:40] == colour).all()
    assert drawn[40, 25].tolist() == (0.55 * 128 + 0.45 * colour).round().int().tolist()
    assert (drawn[:, :9] == 128).all() and (drawn[53:] == 128).all()


def test_touching_objects_have_different_colours():
    drawn = pixels(draw_detections(torch.zeros(3, 60, 80), detection((10, 30, 30, 50), (30, 30, 50, 50))))
    assert drawn[40, 20].tolist() != drawn[40, 40].tolist()


def test_no_detection_leaves_the_image_as_it_is():
    image = torch.rand(3, 60, 80)
    expected = (image * 255).round().byte().permute(1, 2, 0)
    assert (pixels(draw_detections(image, detection())) == expected).all()


@pytest.mark.parametrize("size", [(1, 1), (20, 133), (133, 20)])
def test_pictures_of_any_shape_and_objects_on_the_border(size):
    height, width = size
    found = detection((0, 0, width, height), (0, 0, 1, 1), size=size)
    assert draw_detections(torch.rand(3, *size), found, None).size == (width, height)


def test_a_detection_of_a_larger_picture_is_drawn_on_the_smaller_one():
    small = pixels(draw_detections(torch.zeros(3, 30, 40), detection((10, 30, 40, 50)), None, size=(60, 80)))
    assert (small[24, 5:20] != 0).any()
    assert not small[27:].any()


def test_a_detection_without_masks_is_drawn_by_its_boxes():
    found = {name: value for name, value in detection((10, 30, 40, 50)).items() if name != "masks"}
    drawn = pixels(draw_detections(torch.zeros(3, 60, 80), found))
    assert (drawn != 0).any() and not (drawn[45:49, 20:30] != 0).any()
