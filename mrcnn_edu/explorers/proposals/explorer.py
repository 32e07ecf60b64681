"""Proposals: the RPN's boxes of one picture, thinned out step by step by non-maximum suppression."""

import torch
from PIL import Image

from mrcnn_edu.explorers.proposals import panel, views
from mrcnn_edu.explorers.proposals.reading import SHOW, View, finding, title
from mrcnn_edu.explorers.proposals.record import Run
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.explorers.toolkit.controls import Choice, Number
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.paint import Sheet
from mrcnn_edu.explorers.toolkit.window import cut_to, frame_box, photograph
from mrcnn_edu.figures import PALETTE

MOST = 500  # of the top-n sliders, unless the model itself takes more


class Proposals(Explorer):
    """From anchors to proposals, with a slider through the steps of NMS.

    At the model's own settings, where it opens, the boxes kept at the last step are the model's own.

    model   a MaskRCNN
    images  {name: (3, H, W) float image in [0, 1]}; more can come later through `add`
    truths  {name: (G, 4) true boxes, xyxy, pixels of the image, or None}
    raises  ValueError if there is no picture
    """

    name = "Proposals"
    margin = "2px 6px 2px 2px"
    own = ("selected", "_aim", "_at_end")
    photo_row = 0
    width, height = 920, 620
    caption = (
        "Move the NMS step, or press play: each step keeps the best box left and suppresses what overlaps it too much "
        "on its own level. With the picture in focus, the left and right arrow keys move by one step, up and down by "
        "ten. Click a box to see which step decides about it. Recall is the share of true objects that some kept box "
        "covers."
    )

    def __init__(self, model, images: dict, truths: dict | None = None):
        if not images:
            raise ValueError('Proposals needs at least one picture: Proposals(model, {"my photo": image})')
        self.model, self.images, self.truths = model, dict(images), dict(truths or {})
        self._runs, self._caches, self._views, self.selected = Memory(), Memory(), Memory(1), None
        config = model.config
        before, after = config.rpn_pre_nms_top_n_test, config.rpn_post_nms_top_n_test
        self.picture = Choice("picture", "Picture", self.images, width="190px")
        self.show = Choice("show", "Show", SHOW, width="170px")
        self.step = Number("step", "NMS step", 0, 1, width="300px", play=700)
        score, iou = config.rpn_score_thresh, config.rpn_nms_thresh
        self.score = Number("score", "Objectness ≥", 0.0, 1.0, 0.01, score, width="150px")
        self.top_before = Number("top_before", "Top-n before", 1, max(MOST, before), 1, before, width="150px")
        self.iou = Number("iou", "NMS IoU", 0.1, 1.0, 0.01, iou, width="130px")
        self.top_after = Number("top_after", "Top-n after", 1, max(MOST, after), 1, after, width="146px")
        self.changed("picture", self.picture.value)
        self.start(self.picture, self.show, self.score, self.top_before, self.iou, self.top_after, self.step)

    @property
    def run(self) -> Run:
        """The model's run on the chosen picture, brought in line with the settings."""
        name = self.picture.value
        run = self._runs.get(name, lambda: Run(self.model, self.images[name], self.truths.get(name)))
        return run.update(self.score.value, self.top_before.value, self.top_after.value, self.iou.value)

    @property
    def view_now(self) -> View:
        """The present state, ready to draw."""
        run = self.run
        key = self.picture.value, run.settings, self.step.value, self.show.value, self.selected
        return self._views.get(key, lambda: View(run, self._photo(key[0]), *key[2:]))

    def _photo(self, name: str) -> Image.Image:
        return self._cache(name).get("image", lambda: photograph(self.images[name]))

    def _cache(self, name: str) -> Memory:
        """What was made for one picture and does not change with the step."""
        return self._caches.get(name, Memory)

    def store(self, name: str, image: torch.Tensor, boxes: torch.Tensor | None = None) -> None:
        """Keep one more picture.

        image  (3, H, W) in [0, 1]
        boxes  (G, 4) true boxes in its pixels, if they are known
        """
        self.images[name], self.truths[name] = image, boxes
        for memory in (self._runs, self._caches):
            memory.forget(lambda key: key == name)
        self._views.forget(lambda key: True)

    def lines(self):
        return (self.picture, self.show, self.step), (self.score, self.top_before, self.iou, self.top_after)

    def changed(self, name: str, value) -> None:
        if name == "step":
            self._aim, self._at_end = value, value == self.step.high
        if name in ("show", "step"):
            return
        self.selected = None
        run = self.run
        if name == "picture":
            self._aim, self._at_end = run.telling_step(), False
        self.step.limit(0, len(run.kept))
        self.step.hush(len(run.kept) if self._at_end else min(self._aim, len(run.kept)))

    def draw(self) -> Sheet:
        sheet, view = Sheet(self.width, self.height), self.view_now
        sheet.text(16, 12, title(view), 16, "bold")
        sheet.paragraph(16, 36, 520, finding(view), 12, fill=PALETTE["faint"])
        cache = self._cache(self.picture.value)
        views.draw(sheet, view, cache)
        panel.draw(sheet, view, cache)
        return sheet

    def describe(self) -> str:
        view = self.view_now
        words = [f"{title(view)}.", finding(view)]
        if view.chosen is not None:
            rows = "; ".join(line for _, line in panel.reason_rows(view))
            words.append(f"IoU with the chosen box: {rows or 'no other box overlaps'}.")
        stages = ", ".join(f"{name}: {sum(counts):,}" for name, counts in view.run.funnel())
        words.append(f"From anchors to proposals: {stages}.")
        words.append(f"Recall of the first {view.step:,}: {'; '.join(panel.recall_words(view))}.")
        return " ".join(words)

    def clicked(self, x: float, y: float) -> None:
        self.selected = self.view_now.box_at(x, y)
        step = None if self.selected is None else self.run.step_of(self.selected)
        if step is not None:
            self.set(step=step)
        self.redraw()

    def areas(self) -> list:
        view, reach = self.view_now, (-6, -6, 6, 6)
        boxes = [view.window.place(view.run.boxes[box]) for box in view.visible()]
        boxes = [cut_to(view.window.frame, [v + d for v, d in zip(box, reach, strict=True)]) for box in boxes]
        return boxes if view.chosen is None else [*boxes, frame_box(view.magnified().frame)]

    def pressed(self, key: str, shift: bool) -> None:
        by = {"ArrowLeft": -1, "ArrowRight": 1, "ArrowUp": 10, "ArrowDown": -10}[key]
        self.hold(step=self.step.value + by)
