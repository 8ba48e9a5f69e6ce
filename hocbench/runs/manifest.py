"""The manifest of a run, which is there if the run is finished: read in one place and refused in one wording."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hocbench.errors import RunError
from hocbench.experiment.spec import RunSpec
from hocbench.files.checksums import read_sealed

MANIFEST = "manifest.json"
SOME_KEYS = {"run", "spec", "files"}  # by one of these a manifest of any version is known


def manifest_path(run: Path) -> Path:
    """Return where the manifest of a run lies, given the run's directory or the manifest itself."""
    return run / MANIFEST if run.is_dir() else run


def is_finished(run: Path) -> bool:
    """Whether a run directory has a manifest, which is written last."""
    return (run / MANIFEST).is_file()


def read_manifest(run: Path) -> dict[str, Any]:
    """Read the manifest of a finished run, by its path or its run directory, without its seal.

    Raises
    ------
    RunError
        If there is none, or it is a file of something else.
    DamageError
        If it is not as it was written.
    """
    path = manifest_path(run)
    if not path.is_file():
        raise RunError(
            f"{run} is not a finished run (no {MANIFEST}); start the workflow again, or give the directory of a "
            "finished run"
        )
    values = read_sealed(path)
    if not values.keys() & SOME_KEYS:
        raise RunError(f"{path} is not the manifest of a run; give the directory of a finished run")
    return values


@contextmanager
def manifest_values(run: Path) -> Iterator[dict[str, Any]]:
    """Yield the manifest of a run to a block that picks values from it, and refuse one that lacks them.

    Raises
    ------
    RunError
        If there is no manifest, or the block finds a key absent or a value of the wrong kind.
    DamageError
        If it is not as it was written.
    """
    values = read_manifest(run)
    try:
        yield values
    except KeyError as error:
        raise RunError(f"{manifest_path(run)} lacks {error}; {_again(run)}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{manifest_path(run)} has a value of the wrong kind ({error}); {_again(run)}") from None


def spec_of(manifest: Mapping[str, Any]) -> RunSpec:
    """Read what a run was told out of its manifest, in a block of `manifest_values`.

    Raises
    ------
    ValueError
        Naming the first key that is absent or not valid.
    """
    try:
        return RunSpec.model_validate(manifest["spec"])
    except ValidationError as error:
        fault = error.errors()[0]
        given = "" if fault["type"] == "missing" else f", not {fault['input']!r}"
        raise ValueError(f"{'.'.join(map(str, ('spec', *fault['loc'])))}: {fault['msg'].lower()}{given}") from None


def _again(run: Path) -> str:
    return f"delete {run} and start the workflow again"
