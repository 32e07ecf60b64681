"""Matching: what each anchor is told."""
