"""Aligned face crops in one memory-mapped store per dataset."""

from hocbench.faces.crops import make_crops
from hocbench.faces.store import CropStore

__all__ = ["CropStore", "make_crops"]
