"""The plan is complete, stable and shares what can be shared."""

import pytest

from hocbench.config.load import parse_params
from hocbench.errors import ParameterError
from hocbench.experiment.description import RowKey, parse_description
from hocbench.experiment.plan import describe, make_plan
from tests.workflow.leaves import BASE, merged

SEWA = BASE["datasets"]["sewa"]


def plan(change=None):
    return make_plan(parse_params(merged(change or {})))


def alone(*names, **change):
    """Plan for these datasets alone, without ablations."""
    absent = {name: None for name in BASE["datasets"] if name not in names}
    return plan({"datasets": absent | change.pop("datasets", {}), "ablations": []} | change)


def ids(runs):
    return {run.id for run in runs}


def test_parents_come_first_and_ids_are_unique():
    seen = set()
    for run in plan():
        assert run.parent is None or run.parent.id in seen
        assert run.id not in seen
        seen.add(run.id)


def test_a_2d_network_is_shared_by_all_that_starts_from_it():
    runs = plan()
    static = [run for run in runs if (run.key.dataset, run.spec.stage) == ("affectnet", "static")]
    assert len(static) == 2 * len(BASE["datasets"]["affectnet"]["seeds"])
    children = [run for run in runs if run.parent is static[1]]
    assert {run.key.dataset for run in children} == {"affectnet", "sewa", "afew_va", "sewa_control"}


def test_one_more_lasso_value_adds_only_its_runs():
    before, after = plan(), plan({"sweep": {"lasso": [0, 0.02, 0.05, 0.1]}})
    assert ids(before) < ids(after)
    assert {run.key.lasso for run in after if run.id not in ids(before)} == {0.1}


def test_order_of_a_sweep_does_not_change_ids():
    assert ids(plan()) == ids(plan({"sweep": {"lasso": [0.05, 0, 0.02]}}))


def test_a_warm_start_goes_along_the_sweep_from_the_next_smaller_weight():
    stages = {"training": {"stages": {"lasso": {"warm_start": True}}}}
    cold, warm = plan({"sweep": {"lasso": [0.05, 0, 0.02]}}), plan({"sweep": {"lasso": [0.05, 0, 0.02]}} | stages)
    penalised = [run for run in warm if run.key.method == "lasso"]
    assert {(run.key.lasso, run.parent.key.method, run.parent.key.lasso) for run in penalised} == {
        (0.02, "static", 0.0),
        (0.05, "lasso", 0.02),
    }
    assert all(run.parent.key.seed == run.key.seed for run in penalised)
    # The path begins with the same step, and nothing without a penalty is touched.
    assert {run.id for run in cold if run.key.lasso < 0.05} == {run.id for run in warm if run.key.lasso < 0.05}
    assert len(warm) == len(cold)


@pytest.mark.parametrize("lasso", [[0.02, 0.05], [0.05]])
def test_a_warm_path_begins_at_the_plain_network_though_it_is_not_in_the_sweep(lasso):
    runs = plan({"sweep": {"lasso": lasso}, "training": {"stages": {"lasso": {"warm_start": True}}}})
    assert {run.parent.key.lasso for run in runs if run.key.method == "lasso"} == {0.0, *lasso[:-1]}


def test_the_first_networks_say_what_they_are_built_of_and_the_others_what_they_start_from():
    runs = plan({"network": {"inner_activation": True}})
    networks = {
        (run.key.method, run.spec.network.kind, run.spec.network.inner_activation) for run in runs if not run.parent
    }
    assert networks == {
        ("static", "cp", True),
        ("static_dense", "dense", False),
        ("scratch", "cp", True),
        ("scratch_dense", "dense", False),
        ("scratch_2plus1d", "2plus1d", False),
    }
    assert all((run.spec.network is None, run.spec.parent) == (True, run.parent.id) for run in runs if run.parent)


def test_a_sweep_over_factorizations_penalises_components_of_cp_alone():
    runs = alone("affectnet", "sewa", sweep={"factorization": ["cp", "tucker", "tt"]})
    joint = {(run.key.factorization, run.key.lasso) for run in runs if run.key.method == "joint"}
    assert joint == {("cp", 0.0), ("cp", 0.02), ("cp", 0.05), ("tucker", 0.0), ("tt", 0.0)}
    assert {run.key.factorization for run in runs if run.key.method == "lasso"} == {"cp"}
    for run in runs:
        assert run.parent is None or not run.key.factorization or run.parent.key.factorization == run.key.factorization
        assert run.spec.network is None or run.spec.network.kind == (run.key.factorization or run.method.network)
    assert {run.id.split("-")[1] for run in runs if run.key.method == "frames"} == {"rank0.22x", "tucker", "tt"}
    assert {run.title for run in runs if run.key.method == "joint"} == {
        "CP 3-D, temporal then joint",
        "Tucker 3-D, temporal then joint",
        "tensor-train 3-D, temporal then joint",
    }
    # The dense networks are the same ones, and so are those of CP.
    assert ids(alone("affectnet", "sewa")) < ids(runs)


def test_without_images_there_are_networks_from_scratch_alone():
    runs = alone("sewa", "afew_va")
    assert {(run.key.dataset, run.key.method) for run in runs} == {
        ("sewa", "scratch"),
        ("sewa", "scratch_dense"),
        ("sewa", "scratch_2plus1d"),
    }
    assert all(run.parent is None for run in runs)


@pytest.mark.parametrize("method", ["untrained", "joint", "frames", "static"])
def test_an_ablation_of_what_starts_from_images_is_refused_without_images(method):
    ablations = [{"change": {"network.width": 8}, "methods": [method]}]
    with pytest.raises(ParameterError) as error:
        alone("sewa", ablations=ablations)
    started = "temporal" if method == "joint" else method
    assert str(error.value) == (
        f"datasets.sewa: {started} starts from a network of images, and there is no dataset of images; add one, set "
        "start: sewa to train it on frames, or name methods from scratch only"
    )


def test_of_images_alone_there_are_2d_networks():
    assert {run.key.method for run in alone("affectnet")} == {"static", "static_dense", "lasso"}


def test_without_sewa_the_other_dataset_of_clips_has_its_runs_and_the_ablations():
    change = {"datasets": {"sewa": None, "sewa_control": None}}
    runs = plan(change)
    assert {run.key.dataset for run in runs} == {"affectnet", "afew_va"}
    assert {run.key.dataset for run in runs if run.key.ablation and run.spec.order == 3} == {"afew_va"}
    plain = {run.id for run in plan() if run.key.dataset == "afew_va"}
    assert plain <= ids(runs)


def test_a_control_needs_its_dataset():
    with pytest.raises(ParameterError, match=r"datasets\.sewa_control\.control_of: 'sewa' is no dataset of clips of"):
        plan({"datasets": {"sewa": None}})


def two_of_images(start):
    faces = BASE["datasets"]["affectnet"] | {"adapter": "affectnet", "title": "Faces"}
    clips = {"sewa": SEWA | ({"start": start} if start else {})}
    return alone("affectnet", "sewa", datasets={"faces": faces} | clips)


def test_of_two_datasets_of_images_one_is_named_to_start_from():
    runs = two_of_images("faces")
    assert {run.parent.key.dataset for run in runs if run.key.dataset == "sewa" and run.key.method == "temporal"} == {
        "faces"
    }
    assert ids(run for run in runs if run.key.dataset == "affectnet") < ids(alone("affectnet", "sewa"))
    with pytest.raises(ParameterError) as error:
        two_of_images(None)
    assert str(error.value) == (
        "datasets.sewa.start: missing, and there are several datasets of images; name one of affectnet, faces"
    )
    with pytest.raises(
        ParameterError, match=r"datasets\.sewa\.start: there is no datasets\.afew_va of images; add it or"
    ):
        two_of_images("afew_va")


def clips_alone(**change):
    """Plan for one dataset of clips that starts from itself, in two folds."""
    baselines = ["static_dense", "frames", "untrained", "inflated"]
    entry = {"start": "afew_va", "folds": [0, 1], "lasso": True, "baselines": baselines}
    return alone("afew_va", datasets={"afew_va": BASE["datasets"]["afew_va"] | entry}, **change)


def test_clips_that_start_from_themselves_have_2d_networks_trained_on_their_own_frames():
    runs = clips_alone()
    flat = [run for run in runs if run.key.method in ("static", "static_dense", "lasso")]
    weights = [weight for weight in BASE["sweep"]["lasso"] if weight]
    for fold in (0, 1):
        names = [(run.key.method, run.key.lasso) for run in flat if run.key.fold == fold]
        assert sorted(names) == sorted([("static", 0), ("static_dense", 0), *(("lasso", weight) for weight in weights)])
    for run in flat:
        assert (run.spec.order, run.key.dataset, run.spec.training.clip_length) == (2, "afew_va", None)
        assert run.spec.training.epochs > 0
        assert run.spec.stage == ("lasso" if run.key.method == "lasso" else "static")
        assert (run.spec.network is None) == (run.key.method == "lasso")
    later = [run for run in runs if run.parent]
    starts = {run.key.method: (run.parent.key.method, run.parent.key.lasso) for run in later if not run.key.lasso}
    assert starts == {
        **dict.fromkeys(("frames", "untrained", "temporal"), ("static", 0)),
        "joint": ("temporal", 0),
        "inflated": ("static_dense", 0),
    }
    assert {run.parent.key.method for run in runs if run.key.lasso and run.key.method == "temporal"} == {"lasso"}
    for run in later:
        assert all(getattr(run.parent.key, name) == getattr(run.key, name) for name in ("dataset", "fold", "seed"))


def test_a_2d_network_of_few_clips_learns_from_their_frames_alone():
    runs = clips_alone(training={"clips": 2})
    assert {run.spec.training.steps.clips for run in runs if run.spec.training.steps} == {2}
    assert {run.spec.training.steps.clips for run in alone("affectnet", training={"clips": 2})} == {None}


OWN_CLIPS = """
from hocbench.experiment.tasks import classification

class Moods:
    name, layout, role = "moods", "anything", "clips"
    task = classification("calm", "excited")
"""


def of_moods(tmp_path, change=None, **entry):
    (tmp_path / "moods.py").write_text(OWN_CLIPS)
    common = {name: SEWA[name] for name in ("crop", "split", "seeds")}
    values = common | {"adapter": f"{tmp_path}/moods.py:Moods", "root": "moods"} | entry
    return alone("affectnet", "moods", datasets={"moods": values}, **(change or {}))


def test_a_network_starts_from_one_of_the_same_task(tmp_path):
    for entry in ({}, {"start": "affectnet"}):
        with pytest.raises(ParameterError) as error:
            of_moods(tmp_path, **entry)
        assert str(error.value) == (
            "datasets.moods.start: affectnet predicts valence in [-1, 1] and arousal in [-1, 1], moods predicts calm "
            "or excited; name a dataset of the same task, or moods itself"
        )
    runs = [run for run in of_moods(tmp_path, start="moods") if run.key.dataset == "moods"]
    assert {run.key.method for run in runs} == {"static", "temporal", "joint"}
    assert {run.spec.task.classes for run in runs} == {("calm", "excited")}
    assert {run.spec.training.loss_weights for run in runs} == {None}
    weighted = of_moods(tmp_path, {"training": {"loss_weights": {"ccc": 2.0}}}, start="moods")
    assert ids(runs) == ids(run for run in weighted if run.key.dataset == "moods")


@pytest.mark.parametrize(
    ("name", "near"),
    [("scratch_cp", "scratch"), ("scratch_danse", "scratch_dense"), ("static_smoothed", "static_dense")],
)
def test_a_method_that_does_not_exist_is_named_with_the_one_that_is_near(name, near):
    with pytest.raises(ParameterError) as error:
        plan({"datasets": {"sewa": {"baselines": ["frames", name]}}})
    assert str(error.value) == (
        f"datasets.sewa.baselines: there is no method {name!r}; did you mean {near}? All of them: static, "
        "static_dense, frames, untrained, temporal, joint, scratch, inflated, scratch_dense, scratch_2plus1d. "
        "A network of your own has to be an entry of networks"
    )


def test_an_adapter_that_does_not_exist_is_named_with_the_one_that_is_near():
    entry = {"adapter": "swea", "root": "own", "synthetic": None}
    with pytest.raises(
        ParameterError, match=r"datasets\.sewa\.adapter: there is no 'swea'; did you mean sewa\? Your own"
    ):
        plan({"datasets": {"sewa": entry}})


def test_seeds_of_clips_are_among_those_of_the_images_that_they_start_from():
    with pytest.raises(ParameterError, match=r"datasets\.sewa\.seeds: \[7\] are not among datasets\.affectnet\.seeds"):
        plan({"datasets": {"sewa": {"seeds": [7]}}})


def test_the_folder_of_real_data_and_how_they_would_be_drawn_change_no_run():
    def of(root, images):
        runs = plan({"datasets": {"affectnet": {"root": root, "synthetic": {"images": images}}}})
        return ids(run for run in runs if run.key.dataset == "affectnet")

    assert of("data/real/affectnet", 100) == of("/elsewhere/affectnet/", 200)
    assert not of("data/real/affectnet", 100) & of("data/synthetic/embedded/affectnet", 100)


def test_another_list_under_the_same_name_is_another_run(tmp_path):
    path = tmp_path / "mine.csv"
    change = {"datasets": {"sewa": {"split": {"kind": "file", "path": str(path)}}}}
    found = []
    for text in ("one", "two", "one"):
        path.write_text(text)
        found.append(ids(run for run in plan(change) if run.key.dataset == "sewa"))
    assert found[0] == found[2]
    assert not found[0] & found[1]
    path.unlink()
    with pytest.raises(ParameterError, match=rf"split list {path} cannot be read \(No such file or directory\)"):
        plan(change)


def test_a_network_of_ones_own_is_trained_from_scratch_and_renamed_by_its_source(tmp_path):
    path = tmp_path / "mine.py"
    found = []
    for text in (
        "class Mine:\n    size = 1\n",
        "class Mine:\n    '''Of size one.'''\n    size = 1\n",
        "class Mine:\n    size = 2\n",
    ):
        path.write_text(text)
        runs = plan({"networks": {"mine": f"{path}:Mine"}, "datasets": {"sewa": {"baselines": ["mine"]}}})
        found.append([run for run in runs if run.key.method == "mine"])
    assert {(run.key.dataset, run.spec.stage, run.title) for run in found[0]} == {
        ("sewa", "scratch", "Mine from scratch")
    }
    # A docstring changes nothing.
    assert ids(found[0]) == ids(found[1])
    assert not ids(found[0]) & ids(found[2])


def test_tables_must_show_controls():
    params = parse_params(merged({}))
    rows = [row for row in describe(params, make_plan(params)).rows if row.dataset == "sewa" and not row.ablation]
    methods = [row.method for row in rows if not row.lasso]
    for method in ("static_smoothed", "frames_smoothed", "untrained", "frames", "inflated"):
        assert methods.count(method) == 1
    assert not {"static_smoothed", "frames_smoothed"} & {row.method for row in rows if row.lasso}


def test_a_description_comes_back_from_its_text():
    params = parse_params(merged({"sweep": {"rank": ["same", 0.22], "factorization": ["tt", "cp"]}}))
    description = describe(params, make_plan(params))
    assert parse_description(description.text(), "here") == description
    assert (description.rank, description.factorization, description.ranks) == ("same", "tt", ("same", "0.22"))
    main = RowKey("sewa", "joint", "tt", "same")
    assert main in description.rows and description.is_main(main)
    assert description.title(main) == "tensor-train 3-D, temporal then joint"
    assert not description.is_main(RowKey("sewa", "joint", "tt", "0.22"))
