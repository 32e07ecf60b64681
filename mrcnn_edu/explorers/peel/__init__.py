"""Peel: one picture taken apart by the model, stage by stage."""
