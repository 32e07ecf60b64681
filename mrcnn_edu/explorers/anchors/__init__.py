"""Anchors: choose scales, ratios and strides, and see which objects they reach."""
