"""The workflow run once, left alone, with fewer runs than the tiny profile has."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import copy_sources
from tests.system.pipeline_kill import start, write_overlay


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """The sources as they are now, whoever edits them meanwhile."""
    folder = copy_sources(tmp_path_factory.mktemp("sources"))
    write_overlay(folder)
    return folder


@pytest.fixture
def tree(sources, tmp_path):
    """A copy in which nothing has run."""
    return Path(shutil.copytree(sources, tmp_path / "tree"))


@pytest.fixture(scope="session")
def quiet(sources, tmp_path_factory):
    """A copy in which the workflow ran and was left alone."""
    folder = Path(shutil.copytree(sources, tmp_path_factory.mktemp("quiet") / "tree"))
    assert start(folder).wait() == 0, (folder / "snakemake.txt").read_text()[-5000:]
    return folder
