"""Small run directories, as the tests of the evaluation have them."""

from tests.evaluation.conftest import experiment, ranked, write_run  # noqa: F401 - fixtures
