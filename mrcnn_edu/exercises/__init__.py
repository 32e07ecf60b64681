"""Exercises, predictions and equation cards: everything in a lesson that asks the reader or answers them."""

from mrcnn_edu.exercises.base import ExerciseError, exercise, hint, progress, solution
from mrcnn_edu.exercises.card import Row, card
from mrcnn_edu.exercises.lessons import import_all
from mrcnn_edu.exercises.predict import predict_first
from mrcnn_edu.mistakes import break_it

__all__ = ["ExerciseError", "Row", "break_it", "card", "exercise", "hint", "predict_first", "progress", "solution"]

import_all(__name__, __path__, "lesson_")
