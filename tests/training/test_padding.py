"""The rule of padding, and pictures that come without masks or smaller than they are annotated."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from mrcnn_edu.datasets import Transformed, boxes_from_masks, coco_from_samples, make_target
from mrcnn_edu.training import evaluate, read_table
from mrcnn_edu.training.evaluation import detections, gives_pictures, padded_size, passes, picture_of

from .annotated import Scene, annotation, found
from .tiny import Noisy, Oracle, run, tiny_config, tiny_model, tiny_shapes

SIZES = ((96, 96), (48, 96), (96, 64), (33, 90), (40, 41), (96, 96))


class Mixed(Dataset):
    """Bright boxes on noise, in pictures of different shapes: padded together, each would get another frame."""

    class_names, category_ids, name = ("background", "box"), (0, 5), "mixed"

    def __len__(self):
        return len(SIZES)

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, *SIZES[index], generator=generator) * 0.3
        masks = np.zeros((2, *SIZES[index]), np.uint8)
        masks[0, 2:20, 3:19] = masks[1, 15 + index : 30, 22:39] = 1
        image[:, torch.from_numpy(masks).any(dim=0)] += 0.6
        return image, make_target(boxes_from_masks(masks), np.ones(2, np.int64), masks, index + 1)

    def coco(self):
        return coco_from_samples(self)


def rows(model, dataset, batch):
    return [row for found, _ in detections(model, dataset, dataset.coco(), batch) for row in found]


def test_detections_are_the_same_bit_for_bit_whatever_the_batch():
    model, dataset = tiny_model(box_score_thresh=0.0, num_classes=2).eval(), Mixed()
    alone = rows(model, dataset, 1)
    assert len(alone) > 20
    assert rows(model, dataset, 3) == alone == rows(model, dataset, 6)
    together = model.predict([dataset[index][0] for index in range(6)], masks="rle")
    scores = [score for image in together for score in image["scores"].tolist()]
    assert scores != [row["score"] for row in alone], "these pictures do not show what padding does"


def test_the_figure_of_training_is_the_figure_of_evaluate_bit_for_bit(tmp_path):
    val = Mixed()
    model, _ = run(tiny_model(num_classes=2), val, tmp_path, val=val, batch=3, steps=60, warmup=5, lr=0.02)
    (written,) = read_table(tmp_path / "metrics.csv")
    assert 0.05 < written["bbox_AP"] < 1
    for other in (1, 2, 6):
        scores = evaluate(model, val, batch=other)
        for name, value in written.items():
            if name not in ("step", "seconds"):
                assert scores[name[:4]][name[5:]] == value


def test_neighbours_of_one_padded_size_share_a_pass_and_no_others():
    class Picture:
        def __init__(self, *size):
            self.image = torch.zeros(3, *size)

    config = tiny_config(size_divisible=16, min_size=(48,), max_size=64)
    # Padded to 48 × 48 (the second is reduced to that), twice to 48 × 64, to 64 × 48, and to 48 × 48 again.
    pictures = [Picture(*size) for size in ((48, 48), (96, 96), (48, 52), (48, 64), (64, 48), (48, 48))]
    groups = list(passes(pictures, config, 8))
    assert [len(group) for group in groups] == [2, 2, 1, 1] and sum(groups, []) == pictures
    assert [len(group) for group in passes(pictures, config, 1)] == [1] * 6
    assert [len(group) for group in passes(pictures[:2] * 3, config, 4)] == [4, 2]
    assert [len(group) for group in passes(pictures, None, 8)] == [1, 1, 1, 1, 1, 1]


def test_the_padded_size_is_that_of_the_batch():
    from mrcnn_edu.model.images import make_batch

    config = tiny_config(min_size=(40, 72), max_size=150)
    for size in ((48, 48), (17, 90), (200, 31), (96, 65)):
        image = torch.zeros(3, *size)
        assert padded_size(image, config) == make_batch([image], config, [72]).tensors.shape[-2:]


class Seeing(Oracle):
    """Remembers what it was given; on a device that is no CPU it may be given several pictures at once."""

    def __init__(self, answers, device="cpu"):
        super().__init__(answers)
        self.weight = nn.Parameter(torch.zeros(1, device=device))
        self.passes, self.sizes = [], []

    def predict(self, images, masks="soft", sizes=None):
        self.passes.append([tuple(image.shape[1:]) for image in images])
        self.sizes.append(sizes)
        return super().predict(images, masks)


def test_only_a_gpu_gets_several_pictures_at_once():
    scene = Scene([annotation(1, BOX), annotation(2, BOX, image=102)], images=3)
    for device, groups in (("cpu", [1, 1, 1]), ("meta", [2, 1])):
        seeing = Seeing([found(BOX)] * 3, device)
        evaluate(seeing, scene, batch=2)
        assert [len(group) for group in seeing.passes] == groups and seeing.sizes == [None] * len(groups)


BOX = (2, 2, 12, 12)


class Pictures(Scene):
    """A set whose pictures come without masks, read at half their size where `read_for` is set."""

    def __init__(self, *arguments, read_for=None):
        super().__init__(*arguments)
        self.read_for = read_for

    def __getitem__(self, index):
        raise AssertionError("evaluation needs no masks of the ground truth")

    def picture(self, index):
        height, width = self.size if self.read_for is None else (self.size[0] // 2, self.size[1] // 2)
        return torch.zeros(3, height, width), index + 100


def test_no_mask_of_the_ground_truth_is_read_where_pictures_come_alone():
    seeing = Seeing([found(BOX)])
    assert evaluate(seeing, Pictures([annotation(1, BOX)]))["segm"]["AP"] == 1.0
    assert seeing.sizes == [None]


def test_pictures_that_were_read_smaller_are_answered_in_the_size_of_the_file():
    seeing = Seeing([found(BOX)])
    assert evaluate(seeing, Pictures([annotation(1, BOX)], read_for=(10, 15)))["segm"]["AP"] == 1.0
    assert seeing.passes == [[(10, 15)]] and seeing.sizes == [[(20, 30)]]


def test_what_changes_the_samples_is_not_passed_by():
    class Brighter(Pictures):
        def __getitem__(self, index):
            return torch.ones(3, *self.size), {"image_id": index + 100}

    inner = Brighter([annotation(1, BOX)], read_for=(10, 15))
    wrapped = Transformed(inner, lambda image, target: (image * 0.5, target))
    assert gives_pictures(Pictures) and not gives_pictures(Brighter) and not gives_pictures(Transformed)
    assert picture_of(inner, 0)[0].min() == 1 and picture_of(wrapped, 0)[0].min() == 0.5
    halved = Transformed(inner, lambda image, target: (image[:, ::2, ::2], target))
    with pytest.raises(ValueError, match="is 10 x 15 pixels .* says 20 x 30: evaluate without transforms"):
        evaluate(Oracle([found(BOX)]), halved)


def test_a_picture_larger_than_its_annotations_is_refused_where_sets_read_smaller_too():
    scene = Pictures([annotation(1, BOX)], read_for=(10, 15))
    truth = scene.coco()
    scene.size = (20, 90)
    with pytest.raises(ValueError, match="is 10 x 45 pixels"):
        evaluate(Oracle([found(BOX)]), scene, truth=truth)


def test_real_sets_are_evaluated_alike_with_and_without_pictures():
    dataset = tiny_shapes(length=4)
    model = tiny_model(box_score_thresh=0.0).eval()

    class Alone(Noisy):
        def __getitem__(self, index):
            raise AssertionError("not asked for")

        def picture(self, index):
            image, target = self.dataset[index]
            return image, target["image_id"]

    assert rows(model, Alone(dataset), 1) == rows(model, dataset, 1)
