"""Deltas: the four numbers between an anchor and a box."""
