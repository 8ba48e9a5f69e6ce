"""Training: one stage is one run directory."""

from hocbench.training.saving import Saving
from hocbench.training.stages import fit

__all__ = ["Saving", "fit"]
