"""Every mistake in the parameters is named before anything runs."""

import copy
from pathlib import Path

import pytest
import yaml

from hocbench.config.describe import describe_params
from hocbench.config.load import _merge, load_params, parse_params
from hocbench.errors import ParameterError

ROOT = Path(__file__).parents[2]
BASE = yaml.safe_load((ROOT / "params.yaml").read_text())


def changed(change):
    return _merge(copy.deepcopy(BASE), change)


@pytest.mark.parametrize("overlay", [None, "tiny", "paper"])
def test_shipped_profiles_are_valid(overlay):
    paths = [ROOT / "params.yaml"] + ([ROOT / "params" / f"{overlay}.yaml"] if overlay else [])
    assert load_params(paths).profile == (overlay or "embedded")


def test_the_published_penalty_takes_weights_above_the_limit_of_the_other_one():
    lasso = {"method": "subgradient", "gradient_limit": 0.01}
    parsed = parse_params(changed({"sweep": {"lasso": [0, 3]}, "training": {"stages": {"lasso": lasso}}}))
    assert parsed.sweep.lasso == [0, 3]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"sweep": {"lasso": [0, 0.1, 0.2, 3]}},
            "sweep.lasso: 0.2, 3 is above training.stages.lasso.gradient_limit: 0.1, so that each step shrinks every λ "
            "by more than any gradient can move it and components vanish whatever the loss says; give weights of at "
            "most 0.1, or raise the limit",
        ),
        (
            {"training": {"stages": {"lasso": {"gradient_limit": 0.03}}}},
            "sweep.lasso: 0.05 is above training.stages.lasso.gradient_limit: 0.03, so that",
        ),
        (
            {"training": {"stages": {"lasso": {"threshold": 1}}}},
            "training.stages.lasso.threshold: 1 is not valid; input should be less than 1",
        ),
        ({"sweep": {"lasso": [-1]}}, "sweep.lasso.0: -1 is not valid; input should be greater than or equal to 0"),
        ({"sweep": {"rnak": [1]}}, "sweep.rnak: unknown key (value [1]); did you mean sweep.rank?"),
        ({"sweep": {"rank": ["x"]}}, "sweep.rank.0: 'x' is not valid; input should be 'same'"),
        ({"sweep": {"rank": [float("inf")]}}, "sweep.rank.0: inf is not valid; input should be"),
        ({"network": {"width": "wide"}}, "network.width: 'wide' is not valid; input should be a valid integer"),
        ({"datasets": {"sewa": {"synthetic": {"fpss": 3}}}}, "did you mean datasets.sewa.synthetic.fps?"),
        ({"training": {"stages": {"static": {"epoch": 3}}}}, "did you mean training.stages.static.epochs?"),
        ({"evaluation": {"smoothing_windows": [2]}}, "give an odd number"),
        (
            {"datasets": {"sewa": {"rivals": ["frames"]}}},
            "datasets.sewa.rivals: unknown key (value ['frames']); it is called baselines now",
        ),
        (
            {"experiments": []},
            "experiments: unknown key (value []); it is called ablations now, with a change by dotted keys",
        ),
        ({"datasets": {"Faces": {"root": "x"}}}, "datasets.Faces"),
        ({"datasets": {"faces": {"root": "x", "seeds": [0]}}}, "datasets.faces.crop: missing; add it"),
        ({"datasets": dict.fromkeys(BASE["datasets"])}, "is not valid; value should have at least 1 item"),
        (
            {"ablations": [{"methods": ["joint"]}]},
            "changes nothing; give change, such as {temporal.kernel_size: 5}, or",
        ),
        (
            {"sweep": {"factorization": ["svd"]}},
            "sweep.factorization.0: 'svd' is not valid; input should be 'cp', 'tucker'",
        ),
        ({"datasets": {"afew_va": {"folds": [2]}}}, "datasets.afew_va.folds: 2 is too high, folds are 0 to 1"),
        ({"datasets": {"sewa": {"synthetic": None}}}, "datasets.sewa.synthetic must give its size"),
        ({"datasets": {"sewa": {"split": {"ratoi": [1]}}}}, "did you mean datasets.sewa.split.ratio?"),
        ({"datasets": {"sewa": {"split": {"ratio": [1, 1]}}}}, "datasets.sewa.split.ratio.2: missing; add it"),
        ({"datasets": {"sewa": {"split": {"kind": "random"}}}}, "datasets.sewa.split.kind: 'random' is not valid"),
        ({"datasets": {"sewa": {"split": {"kind": "file"}}}}, "datasets.sewa.split.path: missing; add it"),
        ({"datasets": {"sewa": {"fetch": [{"ulr": "x"}]}}}, "did you mean datasets.sewa.fetch.0.url?"),
        (
            {"datasets": {"sewa": {"fetch": [{"url": "x", "sha256": "12"}]}}},
            "datasets.sewa.fetch.0.sha256: '12' is not",
        ),
        (
            {"datasets": {"sewa": {"fetch": [{"url": "file:///x.zip"}]}}},
            "datasets.sewa.root: 'data/synthetic/embedded/sewa' is rendered, so nothing is fetched into it",
        ),
        ({"datasets": {"sewa": {"crop": {"detector": "yolo"}}}}, "datasets.sewa.crop.detector: 'yolo' is not valid"),
        ({"training": {"augmentation": {"scale": 1}}}, "training.augmentation.scale: 1 is not valid"),
        ({"training": {"frame_step": 0}}, "training.frame_step: 0 is not valid"),
        ({"lerning": 1}, "lerning: unknown key (value 1); did you mean"),
    ],
)
def test_mistakes_are_named(change, text):
    with pytest.raises(ParameterError) as error:
        parse_params(changed(change))
    assert text in str(error.value)


@pytest.mark.parametrize("name", ["affectnet", "sewa", "afew_va"])
def test_an_overlay_can_put_a_list_in_the_place_of_any_protocol(name):
    split = {"kind": "file", "path": "mine.csv"}
    params = parse_params(changed({"datasets": {name: {"split": split}}}))
    assert params.datasets[name].split.model_dump() == split


def test_datasets_have_any_names_and_are_read_by_the_adapter_of_theirs_or_by_a_named_one():
    entries = {"faces": BASE["datasets"]["affectnet"] | {"adapter": "affectnet"}, "afew_va": None}
    params = parse_params(changed({"datasets": entries}))
    assert {name: entry.adapter for name, entry in params.datasets.items()} == {
        "affectnet": "affectnet",
        "sewa": "sewa",
        "sewa_control": "sewa",
        "faces": "affectnet",
    }
    assert params.datasets["faces"].synthetic.images == BASE["datasets"]["affectnet"]["synthetic"]["images"]


def test_folds_of_a_list_are_not_known_before_it_is_read():
    change = {"split": {"kind": "file", "path": "mine.csv"}, "folds": [0, 9]}
    assert parse_params(changed({"datasets": {"afew_va": change}})).datasets["afew_va"].folds == [0, 9]


def test_missing_key_is_named():
    values = copy.deepcopy(BASE)
    del values["network"]["width"]
    with pytest.raises(ParameterError, match=r"network\.width: missing; add it"):
        parse_params(values)


def test_every_key_of_the_shipped_file_is_described():
    described = {key for key, *_ in describe_params()}

    def leaves(values, prefix=""):
        for key, value in values.items():
            if isinstance(value, dict) and key != "change":
                yield from leaves(value, f"{prefix}{key}.")
            elif isinstance(value, list) and isinstance(value[0], dict):
                yield from (leaf for item in value for leaf in leaves(item, f"{prefix}{key}[]."))
            else:
                yield prefix + key

    def spelled(key):
        section, _, rest = key.partition(".")
        return f"datasets.NAME.{rest.partition('.')[2]}" if section == "datasets" else key

    assert {spelled(key) for key in leaves(BASE)} <= described


def test_every_key_has_a_readable_type_and_a_description():
    rows = {key: (kind, description) for key, kind, _, description in describe_params()}
    assert rows["sweep.lasso"][0] == "list of float ≥ 0"
    assert rows["sweep.rank"][0] == "list of same | int ≥ 1 | float > 0"
    assert rows["datasets.NAME.split.ratio"][0] == "3 × float > 0"
    assert rows["datasets.NAME.synthetic.subjects"][0] == "int ≥ 4 a multiple of 2"
    for key, (kind, description) in rows.items():
        assert description, key
        assert "<" not in kind.replace("< 1", ""), key
        assert "None" not in kind, key
