"""Every key of the parameters with another valid value, as an overlay."""

import copy
from typing import Any

import yaml

from hocbench.config.describe import describe_params
from hocbench.config.load import _merge, parse_params
from hocbench.config.params import Params
from hocbench.experiment.plan import make_plan, split_protocol
from tests.conftest import ROOT

BASE: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
# No result depends on these, so nothing is run again.
WITHOUT_EFFECT = ("workers", "checkpoint_minutes", "tracking.", "cluster.", "speed.")
# By the end of the key: where the type alone does not say what is valid, or which value is another one.
VALUES: dict[str, Any] = {
    "profile": "other",
    "processes": 2,
    "training.accumulation": 2,
    ".root": "data/synthetic/other",
    ".path": "params.yaml",
    ".url": "file:///own/pictures.zip",
    ".sha256": "0a" * 32,
    ".exclude": ["a clip"],
    ".ratio": [5, 2, 3],
    "affectnet.seeds": [0, 1, 2],
    "datasets.afew_va.seeds": [0, 1],
    "sewa.seeds": [0],
    "sewa_control.seeds": [1],
    "experiments[].seeds": [0, 1],
    "afew_va.folds": [1],
    "sewa.folds": [1],
    "sewa_control.folds": [1],
    "split.folds": 3,
    ".rivals": ["untrained", "frames", "scratch_cp"],
    "sweep.rank": [16],
    "sweep.lasso": [0, 0.02],
    ".runs": ["joint"],
    ".smoothing_windows": [1, 3],
    "speed.threads": [1],
    ".partition": "gpu",
    "cluster.account": "faces",
    "cluster.gpu_model": "a100",
}


def overlays() -> dict[str, dict[str, Any]]:
    """Return an overlay for every key that `hocbench params` describes, by the key."""
    return {key: _overlay(key, kind) for key, kind, _, _ in describe_params()}


def _overlay(key: str, kind: str) -> dict[str, Any]:
    if key.startswith("experiments[]"):
        name = key.rpartition(".")[2]
        first, *others = copy.deepcopy(BASE["experiments"])
        return {"experiments": [first | {name: _other(key, kind, first.get(name))}, *others]}
    section, _, name = key.rpartition(".")
    if ".fetch[]" in key:
        item = {"url": VALUES[".url"]} | {name: _other(key, kind, None)}
        return nested(section.removesuffix(".fetch[]"), {"root": "own", "fetch": [item]})
    if name == "path" or key.endswith("split.kind"):
        return nested(section, {"kind": "file", "path": VALUES[".path"]})
    if key.endswith(("sewa.folds", "sewa_control.folds")):
        # The protocol of sessions has one fold.
        return nested(section, {"folds": [1], "split": {"kind": "file", "path": VALUES[".path"]}})
    value: Any = parse_params(BASE).model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return nested(section, {name: _other(key, kind, value)})


def nested(section: str, values: Any) -> dict[str, Any]:
    """Put values below a section, ``a.b``."""
    for part in reversed(section.split(".") if section else []):
        values = {part: values}
    return dict(values)


def _other(key: str, kind: str, value: Any) -> Any:
    for end, other in VALUES.items():
        if key.endswith(end):
            return other
    if kind == "bool":
        return not value
    if " | " in kind:
        choices = [yaml.safe_load(each) for each in kind.split(" | ")]
        return next(each for each in reversed(choices) if each != value)
    if kind.startswith("int"):
        return (value or 100) + 2
    return value / 2 if value else 0.25


def asked_for(values: dict[str, Any]) -> tuple[Any, ...]:
    """Return all that the jobs of the target `all` are told about the parameters."""
    params: Params = parse_params(values)
    datasets = [
        (name, each.root, each.exclude, each.crop, each.synthetic, each.fetch, split_protocol(each))
        for name, each in params.datasets.present().items()
    ]
    runs = [(run.axes.dataset, run.id, run.spec) for run in make_plan(params)]
    return datasets, runs, params.seed, params.evaluation, params.network.width, params.sweep.rank


def merged(overlay: dict[str, Any]) -> dict[str, Any]:
    """Put an overlay on top of ``params.yaml``."""
    return _merge(BASE, overlay)
