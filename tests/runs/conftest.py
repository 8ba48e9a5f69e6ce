"""Runs as they are trained, and small ones written by code."""

from tests.evaluation.conftest import write_run  # noqa: F401 - fixture
from tests.training.conftest import copied_run, laboratory, restored_globals  # noqa: F401 - fixtures
