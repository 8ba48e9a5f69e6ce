"""Factorized convolutions, ResNet-18, transduction, LASSO on λ, compaction, decomposition and cost."""

from hocbench.nn.compaction import compact
from hocbench.nn.cost import multiply_adds, parameter_count
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.layers import convolutions, load_choices, save_choices, set_implementation
from hocbench.nn.network_factorization import factorize
from hocbench.nn.resnet import NetworkConfig, ResNet, resnet18
from hocbench.nn.transduction import reestimate_batchnorm, transduct

__all__ = [
    "FactorizedConv",
    "NetworkConfig",
    "ResNet",
    "compact",
    "convolutions",
    "factorize",
    "load_choices",
    "multiply_adds",
    "parameter_count",
    "reestimate_batchnorm",
    "resnet18",
    "save_choices",
    "set_implementation",
    "transduct",
]
