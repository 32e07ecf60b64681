"""The sample that ships is what the generator makes."""

import torch

from mrcnn_edu.datasets import check_dataset, sample
from mrcnn_edu.datasets.files import data_folder


def test_sample_equals_the_generator():
    shipped, drawn = sample.load(), sample.generate()
    assert shipped.coco() == drawn.coco()
    assert len(shipped) == len(drawn) == 8
    for (image, target), (image_2, target_2) in zip(shipped, drawn, strict=True):
        assert (image - image_2).abs().max() <= 1 / 255 + 1e-6
        assert torch.equal(target["masks"], target_2["masks"])


def test_sample_is_small_and_sound():
    files = [path for path in (data_folder() / "shapes").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 400_000
    report = check_dataset(sample.load())
    assert report.ok, str(report)
    assert any("hold no object" in note for note in report.notes)


def test_read_me_names_the_seed():
    text = (data_folder() / "README.md").read_text(encoding="utf-8")
    assert "python -m mrcnn_edu.datasets.sample" in text and f"seed {sample.SEED}" in text
