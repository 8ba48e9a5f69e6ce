"""The speed benchmark: layers, networks, stages and memory against their rivals, and the bars they have to clear."""

from hocbench.bench.run import Options, run_benchmark

__all__ = ["Options", "run_benchmark"]
