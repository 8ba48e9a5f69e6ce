"""Export of trained networks: compacted, folded, as ``torch.export`` program and as ONNX, checked before it is kept."""

from hocbench.export.run import Options, export_run, read_implementations

__all__ = ["Options", "export_run", "read_implementations"]
