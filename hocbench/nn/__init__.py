"""Factorized convolutions, ResNet-18, transduction, LASSO on λ, compaction and cost."""

from hocbench.nn.compaction import compact
from hocbench.nn.cost import multiply_adds, parameter_count
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.resnet import NetworkConfig, ResNet, convolutions, resnet18
from hocbench.nn.transduction import reestimate_batchnorm, transduct

__all__ = [
    "FactorizedConv",
    "NetworkConfig",
    "ResNet",
    "compact",
    "convolutions",
    "multiply_adds",
    "parameter_count",
    "reestimate_batchnorm",
    "resnet18",
    "transduct",
]
