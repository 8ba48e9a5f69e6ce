"""The tensors of a factorized kernel, as the parameters of a module."""

import copy
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from keyword import iskeyword
from typing import Any, Self

import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.factorizations import Cost, Rank, find_factorization
from hocbench.nn.geometry import DIMENSIONS, Geometry
from hocbench.nn.plain import check_state

_TAKEN = ("output", "input", "weights", "core")


class FactorizedKernel(nn.Module):
    """A kernel ``(out, in, *kernel_size)`` that is made of smaller tensors, and where it is applied.

    Parameters
    ----------
    in_channels, out_channels, geometry, factorization, rank, dimensions
        See `hocbench.nn.FactorizedConv`; the geometry is kernel size, stride, padding and dilation.

    Attributes
    ----------
    factors : ParameterDict
        ``output``, ``input`` and one per dimension; CP: (size, R), Tucker: (size, rank of the mode),
        tensor-train: (bond before, size, bond after).
    weights : Parameter, shape (R,)
        λ, CP only.
    core : Parameter
        Tucker only, one rank per mode.
    """

    weights: nn.Parameter
    core: nn.Parameter

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        geometry: Geometry,
        factorization: str,
        rank: Rank,
        dimensions: tuple[str, ...] | None,
    ) -> None:
        super().__init__()
        if in_channels < 1 or out_channels < 1:
            raise NetworkError(f"a convolution from {in_channels} to {out_channels} channels: give at least 1 of each")
        self.geometry = geometry
        self.dimensions = dimensions or DIMENSIONS[-self.order :]
        names = set(self.dimensions)
        if len(self.dimensions) != self.order or len(names) != self.order or not all(map(_is_free, names)):
            raise NetworkError(
                f"dimensions {dimensions} of a convolution of order {self.order}: give each a different Python "
                f"name, no keyword, no method of a dictionary and none of {', '.join(_TAKEN)}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.factorization, self.scheme = factorization, find_factorization(factorization)
        self._adopt(self.scheme.initial(self.scheme.resolve_rank(rank, self.sizes), self.sizes))

    def _adopt(self, tensors: Mapping[str, Tensor]) -> None:
        """Make tensors the parameters."""
        core = self.scheme.core_name
        if core is not None:
            self.register_parameter(core, nn.Parameter(tensors[core]))
        self.factors = nn.ParameterDict({name: nn.Parameter(tensors[name]) for name in self.factor_names})
        self.factors.train(self.training)

    def with_tensors(
        self, tensors: Mapping[str, Tensor], geometry: Geometry | None = None, dimensions: tuple[str, ...] | None = None
    ) -> Self:
        """Return a copy made of copies of other tensors, named as those of `tensors`, for other ranks or another order.

        Geometry and dimensions are given where they change with the tensors.
        """
        result = copy.deepcopy(self)
        trained = {name: tensor.requires_grad for name, tensor in self.tensors.items()}
        result.geometry = geometry or self.geometry
        result.dimensions = dimensions or self.dimensions
        contiguous = torch.contiguous_format
        result._adopt({name: tensor.detach().clone(memory_format=contiguous) for name, tensor in tensors.items()})
        for name, tensor in result.tensors.items():
            tensor.requires_grad_(trained.get(name, True))
        return result

    def hold(self, parameters: Mapping[str, Any]) -> None:
        """Use these parameters as the tensors, by their names as of `tensors`; other layers may use them too."""
        for name, parameter in parameters.items():
            if name == self.scheme.core_name:
                setattr(self, name, parameter)
            else:
                self.factors[name] = parameter

    @property
    def order(self) -> int:
        """Number of dimensions convolved."""
        return self.geometry.order

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """Kernel positions per dimension."""
        return self.geometry.kernel_size

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Names of the modes of the kernel: output and input channels, then the dimensions."""
        return ("output", "input", *self.dimensions)

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of the modes of the kernel by name."""
        sizes = (self.out_channels, self.in_channels, *self.kernel_size)
        return dict(zip(self.factor_names, sizes, strict=True))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that the kernel is made of: weights or core, then the factors as named."""
        core = self.scheme.core_name
        first = {} if core is None else {core: getattr(self, core)}
        return first | {name: self.factors[name] for name in self.factor_names}

    @property
    def rank(self) -> Any:
        """CP: number of components R; Tucker: one rank per mode; tensor-train: the bonds."""
        return self.scheme.rank_of(self.tensors)

    def dense_kernel(self) -> Tensor:
        """Rebuild the kernel, shape ``(out, in, *kernel_size)``."""
        tensors = self.tensors
        device = tensors["output"].device.type
        # Half precision would lose digits of the kernel that the convolution can still use.
        with torch.autocast(device, enabled=False) if device != "meta" else nullcontext():
            return self.scheme.kernel(tensors, self.sizes)

    def cost(self, shape: Sequence[int]) -> Cost:
        """Count the multiply-adds of each way to convolve an input of a shape ``(N, C, ...)``."""
        before, sizes = tuple(shape[2:]), self.sizes
        after = self.geometry.output_size(before)
        chain, rebuild = self.scheme.multiply_adds(self.rank, sizes, before, after)
        effort = self.scheme.effort(self.rank, sizes, before, after)
        batch, dense = shape[0], math.prod(after) * math.prod([*sizes.values()])
        return Cost(batch * chain, batch * effort, batch * dense, rebuild)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load all or nothing; see `hocbench.nn.plain.check_state`."""
        check_state(self, state_dict, strict)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def extra_repr(self) -> str:
        """Describe the layer for ``print(network)``."""
        text = f"{self.in_channels}, {self.out_channels}, {self.kernel_size}, {self.factorization}, rank={self.rank}"
        return f"{text}, stride={self.geometry.stride}"


def _is_free(name: object) -> bool:
    """Return whether a factor can have a name: exporters write it into Python code, torch makes it an attribute."""
    usable = isinstance(name, str) and name.isidentifier() and not iskeyword(name) and name not in _TAKEN
    return usable and not hasattr(nn.ParameterDict(), str(name))
