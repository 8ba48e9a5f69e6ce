"""Every key of the parameters with another valid value, as an overlay."""

import copy
from typing import Any

import yaml

from hocbench.config.describe import describe_params
from hocbench.config.load import _merge, parse_params
from hocbench.config.params import Params
from hocbench.experiment.plan import describe, make_plan
from hocbench.experiment.run_spec import split_protocol
from tests.conftest import ROOT

BASE: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
# No result depends on these, so nothing is run again.
WITHOUT_EFFECT = ("workers", "checkpoint_minutes", "tracking.", "cluster.", "speed.")
# Nor on these as the other keys are: there is one dataset of images to start from, and the penalty has no threshold.
NOT_READ = (".start", "lasso.threshold")
# Of clips alone; and the dataset of images has one fold.
OF_CLIPS = ("start", "lasso", "baselines", "control_of", "folds")
# By the end of the key: where the type alone does not say what is valid, or which value is another one.
VALUES: dict[str, Any] = {
    "profile": "other",
    "processes": 2,
    "training.accumulation": 2,
    ".title": "Other",
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
    "afew_va.folds": [1],
    "sewa.folds": [1],
    "sewa_control.folds": [1],
    "split.folds": 3,
    ".start": "affectnet",
    "sewa.control_of": "afew_va",
    "afew_va.control_of": "sewa",
    "sewa_control.control_of": "afew_va",
    ".baselines": ["untrained", "frames", "scratch"],
    "sweep.rank": [16],
    "sweep.lasso": [0, 0.02],
    "sweep.factorization": ["tucker"],
    "networks": {"mine": "hocbench/nn/resnet.py:ResNet"},
    "ablations[].change": {"temporal.padding": "replicate"},
    "ablations[].dataset": "afew_va",
    "ablations[].seeds": [0, 1],
    "ablations[].name": "other",
    ".methods": ["joint"],
    ".smoothing_windows": [1, 3],
    "speed.threads": [1],
    ".partition": "gpu",
    "cluster.account": "faces",
    "cluster.gpu_model": "a100",
}


class Images:
    """An adapter of one's own, as far as a plan looks at it."""

    role = "images"


class Clips(Images):
    """Of clips."""

    role = "clips"


def overlays() -> dict[str, dict[str, Any]]:
    """Return an overlay for every key that `hocbench params` describes, by the key."""
    known: dict[str, Any] = parse_params(BASE).model_dump(mode="json")
    pairs = {}
    for described, kind, _, _ in describe_params():
        for key in _spelled(described, known):
            pairs[key] = _overlay(key, kind, known)
    return pairs


def _spelled(key: str, known: dict[str, Any]) -> list[str]:
    """Put the names of datasets into a key, of those that have it."""
    keys = []
    for name, entry in known["datasets"].items() if ".NAME." in key else [("", {})]:
        *sections, last = key.removeprefix("datasets.NAME.").split(".")
        below: Any = entry
        for section in sections:
            below = below.get(section) if isinstance(below, dict) else None
        absent = sections[:1] in (["split"], ["synthetic"]) and last != "path" and last not in (below or {})
        if not (absent or (name == "affectnet" and last in OF_CLIPS)):
            keys.append(key.replace("NAME", name))
    return keys


def _overlay(key: str, kind: str, known: dict[str, Any]) -> dict[str, Any]:
    section, _, name = key.rpartition(".")
    if section == "ablations[]":
        first, *others = copy.deepcopy(BASE["ablations"])
        return {"ablations": [first | {name: _other(key, kind, first.get(name))}, *others]}
    if ".fetch[]" in key:
        item = {"url": VALUES[".url"]} | {name: _other(key, kind, None)}
        return nested(section.removesuffix(".fetch[]"), {"root": "own", "fetch": [item]})
    if name == "adapter":
        # What an adapter of one's own reads is not rendered.
        own = "Images" if "affectnet" in section else "Clips"
        return nested(section, {"adapter": f"{__name__}:{own}", "root": "own", "synthetic": None})
    if name == "path" or key.endswith("split.kind"):
        return nested(section, {"kind": "file", "path": VALUES[".path"]})
    if key.endswith(("sewa.folds", "sewa_control.folds")):
        # The protocol of sessions has one fold.
        return nested(section, {"folds": [1], "split": {"kind": "file", "path": VALUES[".path"]}})
    value: Any = known
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
        (name, each.adapter, each.root, each.exclude, each.crop, each.synthetic, each.fetch, split_protocol(each))
        for name, each in params.datasets.items()
    ]
    runs = make_plan(params)
    specs = [run.spec for run in runs]
    return datasets, specs, describe(params, runs), params.seed, params.evaluation


def merged(overlay: dict[str, Any]) -> dict[str, Any]:
    """Put an overlay on top of ``params.yaml``."""
    return _merge(BASE, overlay)
