"""Training: one stage is one run directory."""

from hocbench.training.stages import fit

__all__ = ["fit"]
