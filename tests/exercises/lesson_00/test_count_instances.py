"""Counting agrees with a generated scene."""

import torch

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.exercises.lesson_00.class_map import class_map
from mrcnn_edu.exercises.lesson_00.count_instances import count_instances


def test_counting_agrees_with_a_generated_scene():
    scenes = load_dataset("shapes", split="val")
    for index in range(5):
        _, target = scenes[index]
        labels, masks = target["labels"], torch.as_tensor(target["masks"]).bool()
        semantic = class_map(labels, masks)
        assert semantic.shape == masks.shape[1:]
        for wanted in range(1, 5):
            assert count_instances(semantic, labels, masks, wanted) == int((labels == wanted).sum())
