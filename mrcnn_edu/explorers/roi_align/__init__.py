"""RoI Align: one region on the feature grid, read both ways."""
