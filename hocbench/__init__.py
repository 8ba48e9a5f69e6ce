"""Reproducibility benchmark suite for *Factorized Higher-Order CNNs* (CVPR 2020, arXiv 1906.06196)."""

__version__ = "0.1.0"
