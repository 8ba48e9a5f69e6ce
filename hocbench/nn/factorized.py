"""The factorized convolution (section 3 of the paper)."""

import copy
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hocbench.errors import NetworkError
from hocbench.nn.contraction import Planes, channels_last, convolve_dense, from_planes, to_planes
from hocbench.nn.factorizations import Cost, Rank, find_factorization
from hocbench.nn.geometry import DIMENSIONS, Geometry, make_geometry
from hocbench.nn.paths import (
    LARGE,
    MEASURED,
    check_path,
    computes_eagerly,
    fastest,
    is_transformed,
    rule_path,
    situation,
)
from hocbench.nn.recompute import recomputed
from hocbench.nn.weights import check_state

if TYPE_CHECKING:
    from hocbench.nn.decomposition import Fit


class FactorizedConv(nn.Module):
    """A convolution of order 1, 2 or 3 whose kernel is a CP, Tucker or tensor-train tensor.

    Parameters
    ----------
    in_channels, out_channels : int
        C and T.
    kernel_size : tuple of int
        One number per dimension, ``(time,) (height,) width``.
    factorization : {"cp", "tucker", "tt"}
        How the kernel is written.
    rank : "same", int, float or tuple of int
        "same" matches the parameters of the dense kernel, for CP R = round(C·T·ΠK / (C + T + ΣK)); a float is a
        multiple of that; an int is taken as it is; a tuple gives Tucker and tensor-train ranks one by one. At order 3
        "same" does not count time, so that a network has the ranks of the 2-D one that it can be transducted from.
    stride, dilation : int or tuple of int
        As in torch.
    padding : "same", int or tuple of int
        "same" is dilation·(kernel - 1)/2 on each side.
    padding_mode : {"zeros", "replicate"} or tuple of them
        What stands beyond the ends, for all dimensions or each.
    bias : bool
        Whether a bias, at first zero, is added.
    inner_activation : bool
        BatchNorm and ReLU after the first projection, the published Ψ. With it the layer is no dense convolution.
    path : {"rule", "measured", "factorized", "reconstructed", "recompute"}
        How it is computed: by `rule_path`; by the path that is fastest in each situation when first met; or as named.
        "recompute" keeps the input alone for the backward pass and computes the rest again, sample by sample.
    dimensions : tuple of str, optional
        Names of the dimensions, by default the last of time, height, width; valid Python names.

    Attributes
    ----------
    factors : ParameterDict
        ``output``, ``input`` and one per dimension; CP: (size, R), Tucker: (size, rank of the mode),
        tensor-train: (bond before, size, bond after).
    weights : Parameter, shape (R,)
        λ, CP only.
    core : Parameter
        Tucker only, one rank per mode.
    choices : dict of str to str
        Measured paths by situation.

    Notes
    -----
    Entries of the initial kernel have the variance 2 / (C·ΠK) of a He-initialised dense convolution.
    """

    weights: nn.Parameter
    core: nn.Parameter

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        *,
        factorization: str = "cp",
        rank: Rank = "same",
        stride: int | tuple[int, ...] = 1,
        padding: Any = "same",
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str | tuple[str, ...] = "zeros",
        bias: bool = False,
        inner_activation: bool = False,
        path: str = "rule",
        dimensions: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        if in_channels < 1 or out_channels < 1:
            raise NetworkError(f"a convolution from {in_channels} to {out_channels} channels: give at least 1 of each")
        self.geometry = make_geometry(kernel_size, stride, padding, dilation, padding_mode)
        self.dimensions = dimensions or DIMENSIONS[-self.order :]
        names = set(self.dimensions)
        if len(self.dimensions) != self.order or len(names) != self.order or not all(map(_is_free, names)):
            raise NetworkError(
                f"dimensions {dimensions} of a convolution of order {self.order}: give each a different Python "
                f"name, no keyword, no method of a dictionary and none of {', '.join(_TAKEN)}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.factorization, self.scheme = factorization, find_factorization(factorization)
        rank = self.scheme.resolve_rank(rank, self.sizes)
        self._adopt(self.scheme.initial(rank, self.sizes))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        first = self.scheme.first_rank(rank)
        self.inner_norm = nn.BatchNorm2d(first) if inner_activation else None
        self.choices: dict[str, str] = {}
        self.path = path

    def _adopt(self, tensors: Mapping[str, Tensor]) -> None:
        """Take tensors over as parameters."""
        own = self.scheme.core_name
        if own is not None:
            self.register_parameter(own, nn.Parameter(tensors[own]))
        self.factors = nn.ParameterDict({name: nn.Parameter(tensors[name]) for name in self.factor_names})
        self.factors.train(self.training)

    def with_tensors(
        self, tensors: Mapping[str, Tensor], geometry: Geometry | None = None, dimensions: tuple[str, ...] | None = None
    ) -> "FactorizedConv":
        """Return a copy made of other tensors, for other ranks or another order.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            As of `tensors`; copied.
        geometry, dimensions : optional
            Where they change with the tensors.
        """
        layer = copy.deepcopy(self)
        trained = {name: tensor.requires_grad for name, tensor in self.tensors.items()}
        layer.geometry = geometry or self.geometry
        layer.dimensions = dimensions or self.dimensions
        contiguous = torch.contiguous_format
        layer._adopt({name: tensor.detach().clone(memory_format=contiguous) for name, tensor in tensors.items()})
        for name, tensor in layer.tensors.items():
            tensor.requires_grad_(trained.get(name, True))
        layer.choices = {}
        return layer

    def hold(self, parameters: Mapping[str, Any]) -> None:
        """Use these parameters as the tensors, by their names as of `tensors`; other layers may use them too."""
        for name, parameter in parameters.items():
            if name == self.scheme.core_name:
                setattr(self, name, parameter)
            else:
                self.factors[name] = parameter

    @property
    def path(self) -> str:
        """How the layer is computed."""
        return self._path

    @path.setter
    def path(self, path: str) -> None:
        self.check_path(path)
        self._path = path

    def check_path(self, path: str) -> None:
        """Refuse a path that does not exist or that the layer cannot take."""
        check_path(path)
        if path == "reconstructed" and self.inner_norm is not None:
            raise NetworkError("path 'reconstructed': a layer with an inner activation has no dense kernel; use 'rule'")

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
        own = self.scheme.core_name
        first = {} if own is None else {own: getattr(self, own)}
        return first | {name: self.factors[name] for name in self.factor_names}

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """All names that parameters of such a layer may have."""
        factors = [f"factors.{name}" for name in self.factor_names]
        return (*factors, "weights", "core", "bias", "inner_norm.weight", "inner_norm.bias")

    @property
    def rank(self) -> Any:
        """CP: number of components R; Tucker: one rank per mode; tensor-train: the bonds."""
        return self.scheme.rank_of(self.tensors)

    def dense_kernel(self) -> Tensor:
        """Rebuild the kernel, shape ``(out, in, *kernel_size)``.

        Raises
        ------
        NetworkError
            If the layer has an inner activation: no kernel does the same.
        """
        if self.inner_norm is not None:
            raise NetworkError("a layer with an inner activation has no dense kernel: it is no dense convolution")
        tensors = self.tensors
        device = tensors["output"].device.type
        # Half precision would lose digits of the kernel that the convolution can still use.
        with torch.autocast(device, enabled=False) if device != "meta" else nullcontext():
            return self.scheme.kernel(tensors, self.sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, C, ...)`` with one, two or three dimensions behind the channels.

        Under torch.vmap a sample may come alone, ``(C, ...)``.

        Raises
        ------
        NetworkError
            If the input has another order or number of channels, or is smaller than the kernel.
        """
        batch = x.unsqueeze(0) if x.ndim == self.order + 1 and is_transformed() else x
        if batch.ndim != self.order + 2 or batch.shape[1] != self.in_channels:
            wanted = ", ".join(["N", str(self.in_channels), *(_LETTERS.get(d, d) for d in self.dimensions)])
            raise NetworkError(f"factorized convolution of order {self.order} wants ({wanted}), got {tuple(x.shape)}")
        self.geometry.output_size(tuple(batch.shape[2:]))
        y = self._compute(batch, self.chosen_path(batch))
        return y if batch is x else y.squeeze(0)

    def _compute(self, x: Tensor, path: str) -> Tensor:
        if path == "reconstructed":
            y = convolve_dense(x, self.dense_kernel(), self.geometry, self.bias)
            # torch forgets channels-last memory in 3-D convolutions of float64.
            return channels_last(y) if self.order == 3 and _is_last(x) else y
        if path == "recompute" and torch.is_grad_enabled() and x.shape[0]:
            return recomputed(self._chain, x, self.inner_norm)
        return self._chain(x)

    def cost(self, shape: Sequence[int]) -> Cost:
        """Count the multiply-adds of each way to convolve an input of a shape ``(N, C, ...)``."""
        before, sizes = tuple(shape[2:]), self.sizes
        after = self.geometry.output_size(before)
        chain, rebuild = self.scheme.multiply_adds(self.rank, sizes, before, after)
        effort = self.scheme.effort(self.rank, sizes, before, after)
        batch, dense = shape[0], math.prod(after) * math.prod([*sizes.values()])
        return Cost(batch * chain, batch * effort, batch * dense, rebuild)

    def chosen_path(self, x: Tensor) -> str:
        """Return the path that a batch will take; the first time in a situation, "measured" tries them out.

        Where nothing can be timed (see `computes_eagerly`), "measured" is the rule. A program of torch.export takes one
        path for inputs of all sizes: the rule's for large ones, where rebuilding the kernel does not count.
        """
        if self.path not in ("rule", "measured"):
            return self.path
        if self.inner_norm is not None:
            return "factorized"
        trained = {name for name, tensor in self.tensors.items() if tensor.requires_grad and torch.is_grad_enabled()}
        if self.path == "rule" or x.is_meta or not computes_eagerly():
            large = (1, self.in_channels, *(LARGE * size for size in self.geometry.span))
            return rule_path(self.cost(large if torch.compiler.is_exporting() else x.shape), trained == {"time"})
        key = situation(x, bool(trained))
        if key not in self.choices:
            self.choices[key] = self._measure(x)
        return self.choices[key]

    def _measure(self, x: Tensor) -> str:
        """Time each path on this input, with the backward pass where one would follow."""
        # Of a parametrized layer these are the originals.
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad and torch.is_grad_enabled()]

        def run(path: str) -> None:
            inputs = x.detach().requires_grad_(x.requires_grad)
            y = self._compute(inputs, path)
            wanted = trained + [inputs] * x.requires_grad
            if y.requires_grad:
                # What makes the tensors before the layer is called, pruning say, is passed more than once.
                torch.autograd.grad(y, wanted, torch.ones_like(y), retain_graph=True)

        return fastest({path: partial(run, path) for path in MEASURED}, x.device)

    def _chain(self, x: Tensor) -> Tensor:
        planes = self.scheme.convolve(to_planes(x), self.tensors, self.geometry, self._activate, self.bias)
        return from_planes(planes, self.order)

    def _activate(self, planes: Planes) -> Planes:
        if self.inner_norm is None:
            return planes
        if planes.values.numel() == 0:
            # torch refuses statistics over nothing.
            return planes.with_values(functional.relu(planes.values))
        return planes.with_values(functional.relu(self.inner_norm(planes.values)))

    @classmethod
    def from_dense(
        cls, conv: nn.Module, rank: Rank, *, factorization: str = "cp", seed: int = 0, iterations: int = 100
    ) -> tuple["FactorizedConv", "Fit"]:
        """Decompose a trained dense convolution with tensorly.

        Parameters
        ----------
        conv : Conv1d, Conv2d or Conv3d
            With one group; it stays untouched.
        rank, factorization
            As of the layer.
        seed : int
            Start of the alternating least squares of CP.
        iterations : int
            At most so many sweeps; tensor-train needs none.

        Returns
        -------
        FactorizedConv, Fit
            The layer and its relative error, ``‖W - Ŵ‖ / ‖W‖``.

        Raises
        ------
        NetworkError
            For groups, another module, NaN, or more memory than the machine has free.
        """
        from hocbench.nn.decomposition import decompose_convolution

        return decompose_convolution(conv, rank, factorization=factorization, seed=seed, iterations=iterations)

    def to_tltorch(self, implementation: str = "factorized") -> Any:
        """Build tensorly-torch's convolution with the same weights, copied.

        Raises
        ------
        NetworkError
            If the layer has an inner activation or replicate padding: tensorly-torch has neither.
        """
        from hocbench.nn.tltorch_exchange import to_tltorch

        return to_tltorch(self, implementation)

    @classmethod
    def from_tltorch(cls, conv: Any) -> "FactorizedConv":
        """Take over the weights of tensorly-torch's convolution, copied.

        Raises
        ------
        NetworkError
            If it is not a single CP, Tucker or tensor-train convolution.
        """
        from hocbench.nn.tltorch_exchange import from_tltorch

        return from_tltorch(conv)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load all or nothing; see `hocbench.nn.weights.check_state`."""
        check_state(self, state_dict, strict)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def extra_repr(self) -> str:
        """Describe the layer for ``print(network)``."""
        text = f"{self.in_channels}, {self.out_channels}, {self.kernel_size}, {self.factorization}, rank={self.rank}"
        return f"{text}, stride={self.geometry.stride}"


_LETTERS = {"time": "T", "height": "H", "width": "W"}
_TAKEN = ("output", "input", "weights", "core")


def _is_free(name: object) -> bool:
    """Tell whether a factor can have a name: exporters write it into Python code, and torch makes it an attribute."""
    usable = isinstance(name, str) and name.isidentifier() and not iskeyword(name) and name not in _TAKEN
    return usable and not hasattr(nn.ParameterDict(), str(name))


def _is_last(x: Tensor) -> bool:
    return x.movedim(1, -1).is_contiguous() and not x.is_contiguous()
