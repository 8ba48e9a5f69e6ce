"""The evaluations that the tests of the report write."""

from tests.reporting.conftest import evaluation, real, scanty, write_evaluation

__all__ = ["evaluation", "real", "scanty", "write_evaluation"]
