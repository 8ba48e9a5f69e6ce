"""Reading and checking ``params.yaml`` and its overlays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hocbench.config.base import describe_faults
from hocbench.config.datasets import AnyEntry, FileSplit, SubjectSplit
from hocbench.config.params import Params
from hocbench.config.yaml_text import read_yaml, typed
from hocbench.errors import ParameterError


def load_params(paths: Sequence[Path]) -> Params:
    """Read ``params.yaml`` and overlays, the later ones on top, and check them (see `parse_params`)."""
    return parse_params(merge_files(paths))


def merge_files(paths: Sequence[Path], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Merge ``params.yaml``, overlays, the later ones on top, and what Snakemake has made of its ``--config``.

    Raises
    ------
    ParameterError
        If a file cannot be read (see `hocbench.config.yaml_text.read_yaml`).
    """
    merged: dict[str, Any] = {}
    for values in (*map(read_yaml, paths), typed(dict(given or {}))):
        merged = _merge(merged, values)
    return merged


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def parse_params(values: Mapping[str, Any]) -> Params:
    """Check the content of ``params.yaml``, overlays merged in.

    Raises
    ------
    ParameterError
        For every wrong type, value out of range or unknown key: the key, the value and the nearest valid key.
    """
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        lines = describe_faults(error, Params)
        raise ParameterError("params.yaml (or an overlay) is not valid:\n" + "\n".join(lines)) from None
    _check_relations(params)
    _check_lasso(params)
    return params


def _check_relations(params: Params) -> None:
    shares = params.processes * params.training.accumulation
    for name, stage in params.training.stages:
        if stage.batch_size % shares:
            raise ParameterError(
                f"training.stages.{name}.batch_size: {stage.batch_size} cannot be shared by {params.processes} "
                f"processes (processes) and {params.training.accumulation} parts (training.accumulation); give a "
                f"multiple of {shares}"
            )
    for name, entry in params.datasets.items():
        _check_folds(name, entry)
        if is_rendered(entry.root) and entry.fetch:
            raise ParameterError(
                f"datasets.{name}.root: {entry.root!r} is rendered, so nothing is fetched into it; set the root to "
                f"another folder or leave out datasets.{name}.fetch"
            )
        if is_rendered(entry.root) and entry.synthetic is None:
            raise ParameterError(
                f"datasets.{name}.root: {entry.root!r} is rendered, so datasets.{name}.synthetic must give its size; "
                "or set the root to the folder of a real copy"
            )


def _check_folds(name: str, entry: AnyEntry) -> None:
    """Refuse folds that the split does not have; of a list, they are known when it is read."""
    if isinstance(entry.split, FileSplit):
        return
    count = entry.split.folds if isinstance(entry.split, SubjectSplit) else 1
    if max(entry.folds) >= count:
        raise ParameterError(f"datasets.{name}.folds: {max(entry.folds)} is too high, folds are 0 to {count - 1}")


def _check_lasso(params: Params) -> None:
    """Refuse weights that no gradient can resist; see `hocbench.nn.lasso.ProximalStep`."""
    stage = params.training.stages.lasso
    limit = stage.gradient_limit
    above = [weight for weight in params.sweep.lasso if weight > limit]
    if stage.method == "proximal" and above:
        raise ParameterError(
            f"sweep.lasso: {', '.join(f'{weight:g}' for weight in above)} is above "
            f"training.stages.lasso.gradient_limit: {limit:g}, so that each step shrinks every λ by more than any "
            f"gradient can move it and components vanish whatever the loss says; give weights of at most {limit:g}, or "
            "raise the limit"
        )


def is_rendered(root: str) -> bool:
    """Whether the suite itself renders the data of a folder."""
    return root.startswith("data/synthetic/")
