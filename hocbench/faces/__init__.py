"""Aligned face crops in one memory-mapped store per dataset."""

from hocbench.faces.store import CropStore, make_crops

__all__ = ["CropStore", "make_crops"]
