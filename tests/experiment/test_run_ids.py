"""What renames a run: every key of the parameters against every method of a small plan."""

from collections.abc import Callable

import pytest

from hocbench.config.base import check_values
from hocbench.config.load import _merge, parse_params
from hocbench.errors import ParameterError
from hocbench.experiment.plan import Run, make_plan
from hocbench.experiment.spec import RunSpec, TrainingSpec
from tests.workflow.leaves import merged, nested, overlays

SMALL = {"datasets": {"afew_va": {"folds": [0], "baselines": []}, "sewa_control": None}, "ablations": []}
Reads = Callable[[Run], bool]


def of_method(*methods: str) -> Reads:
    return lambda run: run.key.method in methods


def trained(run: Run) -> bool:
    return run.spec.training.epochs > 0


def trained_by(*methods: str) -> Reads:
    return lambda run: trained(run) and run.key.method in methods


def never(run: Run) -> bool:
    return False


def always(run: Run) -> bool:
    return True


def on_clips(run: Run) -> bool:
    return run.spec.order == 3


CHANGED_SCALE = of_method("lasso", "untrained", "temporal", "inflated")
SCRATCH = ("scratch", "scratch_dense", "scratch_2plus1d")
# Which runs read a key, apart from those that start from one that does; the longest beginning of a key counts. A key of
# a dataset is read on that dataset.
READS: dict[str, Reads] = {
    **dict.fromkeys(("profile", "workers", "checkpoint_minutes", "tracking", "evaluation", "speed", "cluster"), never),
    **dict.fromkeys(("seed", "threads", "processes", "determinism"), always),
    # Where data lie and how they get there; what is shown; and what is planned, and not what it is.
    **dict.fromkeys(("datasets.root", "datasets.fetch", "datasets.adapter", "datasets.title"), never),
    **dict.fromkeys(("datasets.folds", "datasets.seeds", "datasets.lasso", "datasets.baselines"), never),
    **dict.fromkeys(("datasets.start", "datasets.control_of", "sweep", "networks", "ablations"), never),
    **dict.fromkeys(("datasets.exclude", "datasets.crop", "datasets.split", "datasets.synthetic"), always),
    "network": of_method("static", "static_dense", *SCRATCH),
    "network.inner_activation": of_method("static", "scratch"),
    "temporal.kernel_size": of_method("untrained", "temporal", "inflated", *SCRATCH),
    "temporal.init": of_method("untrained", "temporal"),
    "temporal.padding": of_method("untrained", "temporal", "scratch"),
    "training": trained,
    "training.loss_weights": always,
    "training.clip_length": on_clips,
    "training.frame_step": on_clips,
    "training.clips": trained_by("frames", "temporal", "joint", "inflated", *SCRATCH),
    "training.reestimation_batches": CHANGED_SCALE,
    "training.stages.static": trained_by("static", "static_dense"),
    "training.stages.lasso": trained_by("lasso"),
    "training.stages.lasso.threshold": never,  # the proximal step has none
    "training.stages.lasso.warm_start": lambda run: run.key.method == "lasso" and run.key.lasso == 0.05,
    "training.stages.frames": of_method("frames"),
    "training.stages.temporal": of_method("temporal"),
    "training.stages.temporal.batch_size": of_method("temporal", "untrained"),  # of the statistics of BatchNorm too
    "training.stages.joint": of_method("joint"),
    "training.stages.inflated": of_method("inflated"),
    "training.stages.scratch": of_method(*SCRATCH),
}
OVERLAYS = {key: overlay for key, overlay in overlays().items() if not key.startswith("datasets.sewa_control")}
# Data of a copy of one's own are not drawn, and a list is another protocol: so is the plan that these keys change.
AGAINST = {
    "fetch": {"root": "own"},
    "adapter": {"root": "own"},
    "folds": {"split": {"kind": "file", "path": "params.yaml"}},
}


def plan(*overlays):
    values = merged(SMALL)
    for overlay in overlays:
        values = _merge(values, overlay)
    return make_plan(parse_params(values))


def read(key):
    """Return the dataset that a key is of, and the rule of who reads it."""
    section, _, rest = key.partition(".")
    dataset = ""
    if section == "datasets":
        dataset, _, rest = rest.partition(".")
    name = f"{section}.{rest}".rstrip(".").replace("[]", "")
    known = max((each for each in READS if f"{name}.".startswith(f"{each}.")), key=len, default=None)
    assert known is not None, f"{key} is new: add to READS which runs read it"
    return dataset, READS[known]


def before_of(key):
    """Plan what a key is compared with."""
    if key.startswith("datasets."):
        _, name, last = key.replace("[]", "").split(".")[:3]
        if (name, last) != ("afew_va", "folds"):
            return plan(nested(f"datasets.{name}", AGAINST.get(last, {})))
    return plan()


@pytest.fixture(scope="module")
def plain():
    return plan()


def test_the_small_plan_has_every_method_of_a_network(plain):
    methods = {run.key.method for run in plain}
    assert {"static", "static_dense", "lasso", "frames", "untrained", "temporal", "joint", "inflated"} < methods
    assert {*SCRATCH} < methods
    assert not {run.key.dataset for run in plain} ^ {"affectnet", "sewa", "afew_va"}


@pytest.mark.parametrize("key", OVERLAYS)
def test_a_key_renames_exactly_the_runs_that_read_it_and_those_that_start_from_them(key):
    dataset, reads = read(key)
    before, after = before_of(key), {run.key: run.id for run in plan(OVERLAYS[key])}
    renamed: set[str] = set()
    for run in before:
        asked = reads(run) and dataset in ("", run.key.dataset)
        if asked or (run.parent and run.parent.id in renamed):
            renamed.add(run.id)
        if run.key in after:
            assert (after[run.key] != run.id) == (run.id in renamed), (key, run.id)
    # A plan of other runs says nothing of those that are gone.
    assert {run.key for run in before} & {*after}


def test_clips_may_get_longer_and_no_run_on_images_is_another(plain):
    longer = {run.key: run.id for run in plan({"training": {"clip_length": 32}})}
    same = {run.key.method for run in plain if longer[run.key] == run.id}
    assert same == {"static", "static_dense", "lasso", "frames"}


class LaterSpec(RunSpec):
    """What a run is told by a later version."""

    later: str = "as before"


def test_a_key_that_is_added_with_a_neutral_default_renames_no_run(plain):
    for run in plain:
        values = run.spec.model_dump()
        assert LaterSpec(**values).digest == run.spec.digest
        assert LaterSpec(**values, later="otherwise").digest != run.spec.digest


def test_what_a_run_is_told_comes_back_from_its_text_with_the_same_id(plain):
    for run in plain:
        told = RunSpec.model_validate_json(run.spec.text())
        assert told == run.spec
        assert run.id.endswith(f"-{told.digest}")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"epochs": 0, "reestimation_batches": 2}, "batches are drawn, so batch_size is needed"),
        (
            {"epochs": 0, "lasso": {"weight": 1, "method": "proximal", "rate_factor": 2}},
            "proximal needs gradient_limit",
        ),
        ({"epochs": 0, "lasso": {"weight": 1, "method": "subgradient"}}, "subgradient needs threshold"),
    ],
)
def test_a_spec_that_lacks_what_its_stage_reads_is_refused(values, text):
    with pytest.raises(ParameterError, match=text):
        check_values(TrainingSpec, {"loss_weights": {}} | values, "--spec")
