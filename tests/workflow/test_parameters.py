"""A key of the parameters is seen by DVC and Snakemake alike, and means the same however it is given."""

import json
import shutil

import pytest
import yaml
from dvc.repo import Repo
from snakemake.cli import parse_config
from snakemake.common import dict_to_key_value_args

from hocbench.config.load import merge_files, parse_params
from hocbench.errors import ParameterError
from hocbench.experiment.plan import make_plan
from tests.conftest import ROOT, run_snakemake
from tests.workflow.leaves import BASE, NOT_READ, WITHOUT_EFFECT, asked_for, merged, overlays

OVERLAYS = overlays()
FILES = [ROOT / "params.yaml"]


@pytest.fixture
def parameters_of_the_stage(tmp_path):
    """What DVC tracks of the parameters, in a folder of its own, all of it as it was when it was committed."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages["stages"]}), encoding="utf-8")
    stage = Repo.init(str(tmp_path), no_scm=True).stage.load_one(str(tmp_path / "dvc.yaml"), "benchmark")
    (tracked,) = [each for each in stage.deps if each.fs_path.endswith("params.yaml")]
    tracked.hash_info = tracked.get_hash()
    return tracked


def test_dvc_and_snakemake_see_every_key(parameters_of_the_stage, tmp_path):
    tracked, before = parameters_of_the_stage, asked_for(BASE)
    assert not tracked.workspace_status()
    for key, overlay in OVERLAYS.items():
        values = merged(overlay)
        without_effect = key.startswith(WITHOUT_EFFECT) or key.endswith(NOT_READ)
        assert (asked_for(values) == before) == without_effect, key
        # One section alone: DVC's YAML is slow. It compares section by section.
        (section,) = overlay
        (tmp_path / "params.yaml").write_text(json.dumps({section: values[section]}), encoding="utf-8")
        assert tracked.workspace_status()["params.yaml"][section] in ("modified", "new"), key


def test_dvc_sees_an_ablation_more_and_a_section_less(parameters_of_the_stage, tmp_path):
    longer = merged({"ablations": [*BASE["ablations"], {"methods": ["joint"], "epochs_factor": 2}]})
    shorter = {key: value for key, value in BASE.items() if key != "speed"}
    for values in (longer, shorter):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        assert parameters_of_the_stage.workspace_status()


def as_given(overlay):
    """Spell an overlay as words of ``--config``, one per top-level key."""
    flow = {key: yaml.safe_dump(value, default_flow_style=True, width=10**6) for key, value in overlay.items()}
    return [f"{key}={text.splitlines()[0]}" for key, text in flow.items()]


WHOLE = [{key: value} for key, value in BASE.items()]


@pytest.mark.parametrize("overlays", [OVERLAYS.values(), WHOLE], ids=["one key", "whole sections"])
def test_every_key_means_the_same_in_a_file_and_on_the_command_line(tmp_path, overlays):
    path = tmp_path / "overlay.yaml"
    for overlay in overlays:
        path.write_text(yaml.safe_dump(overlay), encoding="utf-8")
        words = parse_config(as_given(overlay))
        # A job of a cluster is a Snakemake that the first one starts, with what it was given itself.
        handed_on = parse_config(dict_to_key_value_args(words, quote_str=False, repr_obj=True))
        read = merge_files([path])
        assert repr(merge_files([], words)) == repr(merge_files([], handed_on)) == repr(read), overlay
        parse_params(merged(read))


@pytest.mark.parametrize(
    ("text", "rank", "slug"),
    [
        ("16", 16, "rank16"),
        ("'16'", 16, "rank16"),
        ("16.0", 16.0, "rank16x"),
        ('"16.0"', 16.0, "rank16x"),
        ("2e-1", 0.2, "rank0.2x"),
        ("same", "same", None),
        ("'same'", "same", None),
    ],
)
def test_a_rank_is_a_count_or_a_multiple_by_its_spelling(tmp_path, text, rank, slug):
    path = tmp_path / "overlay.yaml"
    path.write_text(f"sweep: {{rank: [{text}]}}\n", encoding="utf-8")
    for values in (merge_files([*FILES, path]), merge_files(FILES, parse_config([f"sweep={{rank: [{text}]}}"]))):
        params = parse_params(values)
        (found,) = params.sweep.rank
        assert (found, type(found)) == (rank, type(rank))
        slugs = {run.id.split("-")[1] for run in make_plan(params) if run.key.method == "static"}
        assert {each for each in slugs if each.startswith("rank")} == ({slug} if slug else set())


def test_a_text_that_looks_like_a_number_is_never_taken_for_another_one(tmp_path):
    path = tmp_path / "overlay.yaml"
    path.write_text("cluster: {account: '0123'}\n", encoding="utf-8")
    assert parse_params(merge_files([*FILES, path])).cluster.account == "0123"
    # Snakemake loses the quotes.
    with pytest.raises(ParameterError, match=r"cluster\.account: 123 is not valid.*; write it in quotes, in a file"):
        parse_params(merge_files(FILES, parse_config(["cluster={account: '0123'}"])))


@pytest.mark.parametrize("text", ["0", "-1", "0.0", "1.5.0", "all", "true", "null", "[1]", ".inf", "''"])
def test_what_is_no_rank_is_refused_both_ways(tmp_path, text):
    path = tmp_path / "overlay.yaml"
    path.write_text(f"sweep: {{rank: [{text}]}}\n", encoding="utf-8")
    for values in (merge_files([*FILES, path]), merge_files(FILES, parse_config([f"sweep={{rank: [{text}]}}"]))):
        with pytest.raises(ParameterError, match=r"sweep\.rank\.0"):
            parse_params(values)


def test_the_workflow_plans_components_from_the_command_line(copied_tree):
    done = run_snakemake(copied_tree, "-n", "--config", "sweep={rank: [16]}", "network={width: 4}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "static-rank16-" in done.stdout + done.stderr
    assert "rank16x" not in done.stdout + done.stderr


def test_the_workflow_refuses_a_key_that_stands_twice(copied_tree, tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("sweep:\n  lasso: [0]\n  lasso: [0, 0.02]\n", encoding="utf-8")
    done = run_snakemake(copied_tree, "-n", configfile=str(path))
    assert done.returncode != 0
    assert f"{path}, line 3, column 3: the key 'lasso' stands here and in line 2" in done.stdout + done.stderr
