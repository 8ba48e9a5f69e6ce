"""The factorized convolution (section 3 of the paper)."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from hocbench.errors import NetworkError
from hocbench.nn.contraction import Planes, channels_last, convolve_dense, from_planes, to_planes
from hocbench.nn.decomposition import Fit, decompose, relative_error
from hocbench.nn.factorizations import Rank, find_factorization
from hocbench.nn.geometry import Geometry, geometry_of, make_geometry
from hocbench.nn.implementation import (
    LARGE,
    check_implementation,
    choose_by_rule,
    computes_eagerly,
    is_transformed,
    measure,
    situation,
)
from hocbench.nn.kernel import FactorizedKernel
from hocbench.nn.plain import ITSELF, obstacle
from hocbench.nn.recompute import recomputed
from hocbench.nn.tltorch_exchange import build_tltorch, read_tltorch


class FactorizedConv(FactorizedKernel):
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
    implementation : {"rule", "measured", "factorized", "reconstructed", "recompute"}
        How it is computed: by `choose_by_rule`; as was fastest when a situation was first met; or as named.
        "recompute" keeps the input alone for the backward pass and computes the rest again, sample by sample.
    dimensions : tuple of str, optional
        Names of the dimensions, by default the last of time, height, width; valid Python names.

    Attributes
    ----------
    factors, weights, core
        The parameters; see `hocbench.nn.kernel.FactorizedKernel`.
    choices : dict of str to str
        Measured implementations by situation.

    Notes
    -----
    Entries of the initial kernel have the variance 2 / (C·ΠK) of a He-initialised dense convolution.
    """

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
        implementation: str = "rule",
        dimensions: tuple[str, ...] | None = None,
    ) -> None:
        geometry = make_geometry(kernel_size, stride, padding, dilation, padding_mode)
        super().__init__(in_channels, out_channels, geometry, factorization, rank, dimensions)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        # Of every scheme, the last size of this factor is the number of channels after the first projection.
        self.inner_norm = nn.BatchNorm2d(self.factors["input"].shape[-1]) if inner_activation else None
        self.choices: dict[str, str] = {}
        self.implementation = implementation

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], factorization: str, geometry: Geometry, bias: Tensor | None = None
    ) -> Self:
        """Build a layer of tensors as of `tensors`, which are copied; nothing is drawn from the global generator."""
        with torch.device("meta"):
            layer = cls(
                # A matrix (size, rank), or (bond before, size, bond after).
                tensors["input"].shape[-2],
                tensors["output"].shape[-2],
                geometry.kernel_size,
                factorization=factorization,
                rank=find_factorization(factorization).rank_of(tensors),
                stride=geometry.stride,
                padding=geometry.padding,
                dilation=geometry.dilation,
                padding_mode=geometry.padding_mode,
            )
        layer = layer.with_tensors(tensors)
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach().clone())
        return layer

    @classmethod
    def from_dense(
        cls,
        conv: nn.Module,
        rank: Rank,
        *,
        factorization: str = "cp",
        seed: int = 0,
        iterations: int = 100,
        name: str = ITSELF,
    ) -> tuple[Self, Fit]:
        """Decompose a trained dense convolution with tensorly.

        Parameters
        ----------
        conv : Conv1d, Conv2d or Conv3d
            With one group; it stays untouched.
        rank, factorization
            As of the layer.
        seed, iterations : int
            Start of the alternating least squares of CP, and most sweeps; tensor-train needs neither.
        name : str
            What errors call the layer.

        Returns
        -------
        FactorizedConv, Fit
            The layer and its relative error, ``‖W - Ŵ‖ / ‖W‖``.

        Raises
        ------
        NetworkError
            For groups, another module, NaN, or more memory than the machine has free.
        """
        source: Any = conv
        if (reason := obstacle(source)) is not None:
            raise NetworkError(f"layer {name!r} {reason}")
        kernel = source.weight.detach()
        tensors = decompose(kernel, rank, factorization, seed, iterations, name)
        layer = cls.from_tensors(tensors, factorization, geometry_of(source), source.bias)
        layer.requires_grad_(source.weight.requires_grad)
        if layer.bias is not None:
            layer.bias.requires_grad_(source.bias.requires_grad)
        return layer.train(source.training), Fit(relative_error(kernel, layer.dense_kernel()), layer.rank)

    @classmethod
    def from_tltorch(cls, conv: Any) -> Self:
        """Copy the weights of tensorly-torch's convolution: one CP, Tucker or tensor-train layer; refuse any other."""
        return cls.from_tensors(*read_tltorch(conv))

    def to_tltorch(self, implementation: str = "factorized") -> Any:
        """Build tensorly-torch's convolution with the same weights, copied.

        An inner activation or replicate padding raises a NetworkError: tensorly-torch has neither.
        """
        if self.inner_norm is not None or "replicate" in self.geometry.padding_mode:
            raise NetworkError("to_tltorch: tensorly-torch has neither an inner activation nor replicate padding")
        return build_tltorch(self.tensors, self.factorization, self.geometry, self.bias, implementation)

    def with_tensors(
        self, tensors: Mapping[str, Tensor], geometry: Geometry | None = None, dimensions: tuple[str, ...] | None = None
    ) -> Self:
        """Return a copy made of other tensors, for which nothing is measured yet; see `FactorizedKernel`."""
        layer = super().with_tensors(tensors, geometry, dimensions)
        layer.choices = {}
        return layer

    @property
    def implementation(self) -> str:
        """How the layer is computed."""
        return self._implementation

    @implementation.setter
    def implementation(self, name: str) -> None:
        check_implementation(name)
        if name == "reconstructed" and self.inner_norm is not None:
            raise NetworkError(
                "implementation 'reconstructed': a layer with an inner activation has no dense kernel; use 'rule'"
            )
        self._implementation = name

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """All names that parameters of such a layer may have."""
        factors = [f"factors.{name}" for name in self.factor_names]
        return (*factors, "weights", "core", "bias", "inner_norm.weight", "inner_norm.bias")

    def dense_kernel(self) -> Tensor:
        """Rebuild the kernel, shape ``(out, in, *kernel_size)``.

        A layer with an inner activation raises a NetworkError: no kernel does the same.
        """
        if self.inner_norm is not None:
            raise NetworkError("a layer with an inner activation has no dense kernel: it is no dense convolution")
        return super().dense_kernel()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, C, ...)`` with one, two or three dimensions after the channels.

        Under torch.vmap a sample may come alone, ``(C, ...)``. An input of another order or number of channels, or
        smaller than the kernel, raises a NetworkError.
        """
        batch = x.unsqueeze(0) if x.ndim == self.order + 1 and is_transformed() else x
        if batch.ndim != self.order + 2 or batch.shape[1] != self.in_channels:
            wanted = ", ".join(["N", str(self.in_channels), *(_LETTERS.get(d, d) for d in self.dimensions)])
            raise NetworkError(f"factorized convolution of order {self.order} wants ({wanted}), got {tuple(x.shape)}")
        self.geometry.output_size(tuple(batch.shape[2:]))
        y = self._compute(batch, self.chosen_implementation(batch))
        return y if batch is x else y.squeeze(0)

    def _compute(self, x: Tensor, implementation: str) -> Tensor:
        if implementation == "reconstructed":
            y = convolve_dense(x, self.dense_kernel(), self.geometry, self.bias)
            # torch forgets channels-last memory in 3-D convolutions of float64.
            return channels_last(y) if self.order == 3 and _is_last(x) else y
        if implementation == "recompute" and torch.is_grad_enabled() and x.shape[0]:
            return recomputed(self._chain, x, self.inner_norm)
        return self._chain(x)

    def chosen_implementation(self, x: Tensor) -> str:
        """Return how a batch will be computed; the first time in a situation, "measured" tries both candidates.

        Where nothing can be timed (see `computes_eagerly`), "measured" is the rule. A program of torch.export has one
        implementation for inputs of all sizes: the rule's for large ones, where rebuilding the kernel does not count.
        """
        if self.implementation not in ("rule", "measured"):
            return self.implementation
        if self.inner_norm is not None:
            return "factorized"
        trained = {name for name, tensor in self.tensors.items() if tensor.requires_grad and torch.is_grad_enabled()}
        if self.implementation == "rule" or x.is_meta or not computes_eagerly():
            large = (1, self.in_channels, *(LARGE * size for size in self.geometry.span))
            return choose_by_rule(self.cost(large if torch.compiler.is_exporting() else x.shape), trained == {"time"})
        key = situation(x, bool(trained))
        if key not in self.choices:
            # Of a parametrized layer these are the originals.
            originals = [parameter for parameter in self.parameters() if parameter.requires_grad]
            self.choices[key] = measure(self._compute, x, originals if torch.is_grad_enabled() else [])
        return self.choices[key]

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


_LETTERS = {"time": "T", "height": "H", "width": "W"}


def _is_last(x: Tensor) -> bool:
    return x.movedim(1, -1).is_contiguous() and not x.is_contiguous()
