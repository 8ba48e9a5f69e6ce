"""One root seed; every generator is derived from it by named axes."""

import hashlib
import json

import numpy as np


def derive_seed(root: int, **axes: str | int | float) -> int:
    """Hash a root seed and named axes, such as ``use="batches", epoch=3``, into a seed.

    It is between 0 and 2**63 - 1, and the same for the same root and axes, whatever their order.
    """
    text = json.dumps([root, sorted(axes.items())])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(root: int, **axes: str | int | float) -> np.random.Generator:
    """Make the NumPy generator of a root seed and named axes (see `derive_seed`)."""
    return np.random.default_rng(derive_seed(root, **axes))
