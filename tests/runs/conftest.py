"""Trained runs, as the tests of training have them."""

from tests.training.conftest import copied_run, laboratory, restored_globals  # noqa: F401 - fixtures
