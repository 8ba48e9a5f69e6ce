"""Datasets as distributed, read into one frame index, and their splits."""
