"""Aligned face crops in one memory-mapped store per dataset."""
