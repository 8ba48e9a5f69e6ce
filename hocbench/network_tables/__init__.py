"""Tables about networks alone: parameter counts and blocks as special cases. They build the networks, so need torch."""

from hocbench.network_tables.write import write_counts

__all__ = ["write_counts"]
