"""Lesson 04, Anchors: its exercises, one file each, and its questions."""

from mrcnn_edu.exercises.lessons import import_all

import_all(__name__, __path__)
