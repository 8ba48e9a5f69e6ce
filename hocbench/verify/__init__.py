"""A finished reproduction compared with a recorded one, cell by cell (no torch)."""

from hocbench.verify.record import record
from hocbench.verify.run import Verification, verify

__all__ = ["Verification", "record", "verify"]
