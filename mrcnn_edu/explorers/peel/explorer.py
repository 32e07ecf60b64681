"""Peel: one picture, taken apart by the model stage by stage, and one instance followed from its anchor to its mask."""

import torch

from mrcnn_edu.explorers.peel import views
from mrcnn_edu.explorers.peel.reading import Scene
from mrcnn_edu.explorers.peel.views import STAGES
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.explorers.toolkit.controls import Choice, Number
from mrcnn_edu.explorers.toolkit.levels import level_name
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.paint import Sheet
from mrcnn_edu.explorers.toolkit.window import frame_box

OWN_LEVEL = "its own level"


class Peel(Explorer):
    """From pixels to masks with one slider; a click on an object shows what led to it.

    model   a MaskRCNN with class names
    images  {name: (3, H, W) float image in [0, 1]}; more can come later through `add`
    score   detections below this score are not shown, until the slider says otherwise
    """

    name = "Peel"
    margin = "1px 18px 1px 2px"
    width, height = 920, 600
    caption = (
        "Move the stage slider, or press play, to peel the model; click an object, or move the instance slider, to "
        "follow that object. At Features a click on a small map shows that level. "
        "The list on the right is read upwards: mask, box, RoI features, proposal, anchor, cell. "
        "With the picture in focus, the left and right arrow keys change the object, up and down the stage."
    )

    def __init__(self, model, images: dict, stage: str = "Masks", score: float = 0.5):
        if not images:
            raise ValueError('Peel needs at least one picture: Peel(model, {"my photo": image})')
        self.model, self.images = model, dict(images)
        self._scenes = Memory()
        self.picture = Choice("picture", "Picture", self.images, width="190px")
        self.stage = Choice("stage", "Stage", STAGES, stage, ordered=True, width="280px", play=1500)
        self.score = Number("score", "Score ≥", 0.0, 1.0, 0.01, score, width="150px")
        self.instance = Number("instance", "Instance", 1, max(len(self.scene.walks), 1), width="170px")
        levels = [level_name((stride, stride)) for stride in model.config.strides]
        self.level = Choice("level", "Features of", [OWN_LEVEL, *levels], width="200px")
        self.changed("picture", self.picture.value)
        self.changed("stage", stage)
        self.start(self.picture, self.stage, self.instance, self.score, self.level)

    @property
    def scene(self) -> Scene:
        """The model's run on the chosen picture, made once, with the detections that score high enough."""
        name = self.picture.value
        return self._scenes.get(name, lambda: Scene.run(self.model, self.images[name])).above(self.score.value)

    @property
    def walk(self):
        """The walk of the chosen instance, or None where nothing was found."""
        return self.scene.walks[self.instance.value - 1] if self.scene.walks else None

    def store(self, name: str, image: torch.Tensor) -> None:
        """Keep one more picture."""
        self.images[name] = image
        self._scenes.forget(lambda key: key == name)

    def lines(self):
        return (self.picture, self.stage, self.level), (self.instance, self.score)

    @property
    def chosen_level(self) -> int | None:
        """The level whose features are shown, index into the levels; None for that of the instance's anchor."""
        return None if self.level.value == OWN_LEVEL else self.level.options.index(self.level.value) - 1

    def changed(self, name: str, value) -> None:
        if name == "stage":
            self.level.enable(value == "Features")
        if name == "picture":
            self.score.enable(self.scene.best > 0)
        if name in ("picture", "score"):
            self.instance.limit(1, max(len(self.scene.walks), 1))

    def draw(self) -> Sheet:
        sheet = Sheet(self.width, self.height)
        views.draw(sheet, self.scene, STAGES.index(self.stage.value), self.instance.value - 1, self.chosen_level)
        return sheet

    def describe(self) -> str:
        stage = STAGES.index(self.stage.value)
        return views.describe(self.scene, stage, self.instance.value - 1, self.chosen_level)

    def areas(self) -> list:
        stage = STAGES.index(self.stage.value)
        window = views.window_of(self.scene, stage)
        found = [window.place(place) for place in self.scene.places()]
        levels = views.thumbs(self.scene) if stage == views.FEATURES else []
        return [*views.stage_areas(), *found, *(frame_box(thumb.frame) for thumb in levels)]

    def clicked(self, x: float, y: float) -> None:
        stage = views.stage_at(x, y)
        if stage is not None:
            self.stage.set(STAGES[stage])
            return
        shown = STAGES.index(self.stage.value)
        if shown == views.FEATURES:
            for number, thumb in enumerate(views.thumbs(self.scene)):
                if thumb.unplace(x, y) is not None:
                    self.level.set(self.level.options[number + 1])
                    return
        point = views.window_of(self.scene, shown).unplace(x, y)
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
