"""Exercises, predictions and equation cards: everything in a lesson that asks the reader or answers them."""

from importlib import import_module
from pkgutil import iter_modules

from mrcnn_edu.exercises.base import ExerciseError, exercise, hint, progress, solution
from mrcnn_edu.exercises.card import Row, card
from mrcnn_edu.exercises.predict import predict_first
from mrcnn_edu.mistakes import break_it

__all__ = ["ExerciseError", "Row", "break_it", "card", "exercise", "hint", "predict_first", "progress", "solution"]

# Importing a lesson's folder puts its exercises and questions on the shelf.
for _module in iter_modules(__path__):
    if _module.name.startswith("lesson_"):
        import_module(f"{__name__}.{_module.name}")
