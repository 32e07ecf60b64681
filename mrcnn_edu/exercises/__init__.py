"""Exercises, predictions and equation cards: everything in a lesson that asks the reader or answers them."""

from mrcnn_edu.exercises import lesson_00, lesson_04, lesson_04_counts  # noqa: F401  (puts its exercises on the shelf)
from mrcnn_edu.exercises.base import ExerciseError, exercise, hint, progress, solution
from mrcnn_edu.exercises.card import Row, card
from mrcnn_edu.exercises.predict import predict_first
from mrcnn_edu.mistakes import break_it

__all__ = ["ExerciseError", "Row", "break_it", "card", "exercise", "hint", "predict_first", "progress", "solution"]
