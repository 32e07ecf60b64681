"""Peel: one picture, taken apart by the model stage by stage, and one instance followed from its anchor to its mask."""

import ipywidgets as widgets
import torch

from mrcnn_edu.explorers.peel import views
from mrcnn_edu.explorers.peel.reading import Scene
from mrcnn_edu.explorers.peel.views import STAGES
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.explorers.toolkit.controls import Choice, Number
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.paint import Sheet


class Peel(Explorer):
    """From pixels to masks with one slider; a click on an object shows what led to it.

    model   a MaskRCNN with class names
    images  {name: (3, H, W) float image in [0, 1]}; more can come later through `add`
    score   detections below this score are not shown
    """

    name = "Peel"
    width, height = 920, 600
    caption = (
        "Move the stage slider to peel the model; click an object, or move the instance slider, to follow that object. "
        "The list on the right is read upwards: mask, box, RoI features, proposal, anchor, cell. "
        "With the picture in focus, the left and right arrow keys change the object, up and down the stage."
    )

    def __init__(self, model, images: dict, stage: str = "Masks", score: float = 0.5):
        if not images:
            raise ValueError('Peel needs at least one picture: Peel(model, {"my photo": image})')
        self.model, self.images, self.score = model, dict(images), score
        self._scenes = Memory()
        self.picture = Choice("picture", "Picture", self.images, width="200px")
        self.stage = Choice("stage", "Stage", STAGES, stage, ordered=True, width="370px")
        self.instance = Number("instance", "Instance", 1, max(len(self.scene.walks), 1), width="200px")
        self.changed("picture", self.picture.value)
        self.start(self.picture, self.stage, self.instance)

    @property
    def scene(self) -> Scene:
        """The model's run on the chosen picture; made once."""
        name = self.picture.value
        return self._scenes.get(name, lambda: Scene.run(self.model, self.images[name], self.score))

    @property
    def walk(self):
        """The walk of the chosen instance, or None where nothing was found."""
        return self.scene.walks[self.instance.value - 1] if self.scene.walks else None

    def add(self, name: str, image: torch.Tensor) -> None:
        """Add a picture to the list and show it."""
        self.images[name] = image
        self._scenes.forget(lambda key: key == name)
        self.offer("picture", name)

    def rows(self) -> list:
        for control in (self.picture, self.stage):
            control.widget.layout.margin = "2px 24px 2px 2px"
        return [widgets.HBox([self.picture.widget, self.stage.widget, self.instance.widget])]

    def changed(self, name: str, value) -> None:
        if name == "picture":
            self.instance.limit(1, max(len(self.scene.walks), 1))

    def draw(self) -> Sheet:
        sheet = Sheet(self.width, self.height)
        views.draw(sheet, self.scene, STAGES.index(self.stage.value), self.instance.value - 1)
        return sheet

    def describe(self) -> str:
        return views.describe(self.scene, STAGES.index(self.stage.value), self.instance.value - 1)

    def clicked(self, x: float, y: float) -> None:
        stage = views.stage_at(x, y)
        if stage is not None:
            self.stage.set(STAGES[stage])
            return
        point = self.scene.window.unplace(x, y)
        found = None if point is None else self.scene.instance_at(*point)
        if found is not None:
            self.instance.set(found + 1)

    def pressed(self, key: str, shift: bool) -> None:
        step = -1 if key in ("ArrowLeft", "ArrowUp") else 1
        if key in ("ArrowLeft", "ArrowRight") and self.scene.walks:
            self.instance.set((self.instance.value - 1 + step) % len(self.scene.walks) + 1)
        elif key in ("ArrowUp", "ArrowDown"):
            stage = STAGES.index(self.stage.value) + step
            self.stage.set(STAGES[min(max(stage, 0), len(STAGES) - 1)])
