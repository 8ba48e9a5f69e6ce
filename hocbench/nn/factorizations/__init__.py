"""CP, Tucker and tensor-train kernels: one class each, found by name."""

from hocbench.errors import NetworkError
from hocbench.nn.factorizations.contract import Cost, Factorization, Rank, Sizes
from hocbench.nn.factorizations.cp import CP
from hocbench.nn.factorizations.tensor_train import TensorTrain
from hocbench.nn.factorizations.tucker import Tucker

FACTORIZATIONS: dict[str, Factorization] = {scheme.name: scheme for scheme in (CP(), Tucker(), TensorTrain())}


def find_factorization(name: str) -> Factorization:
    """Return the factorization of a name.

    Raises
    ------
    NetworkError
        If there is none.
    """
    if name not in FACTORIZATIONS:
        raise NetworkError(f"factorization {name!r} of a convolution: choose from {', '.join(FACTORIZATIONS)}")
    return FACTORIZATIONS[name]


__all__ = ["FACTORIZATIONS", "Cost", "Factorization", "Rank", "Sizes", "find_factorization"]
