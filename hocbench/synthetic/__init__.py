"""SYNTHETIC look-alikes of the three datasets, written in their layouts on disk."""

from hocbench.synthetic.writers import synthesize

__all__ = ["synthesize"]
