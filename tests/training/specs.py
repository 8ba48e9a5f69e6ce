"""What runs are told, made for a test without a plan, and copies with other values."""

from hocbench.config.crop import CropOptions
from hocbench.config.datasets import OfficialSplit
from hocbench.config.training import LossWeights
from hocbench.experiment.spec import DataSpec, LassoSpec, RunKey, RunSpec, StepSpec, TrainingSpec

STEPS = StepSpec(learning_rate=0.015, weight_decay=0.01, gradient_clip=1.0, warmup_share=0.25, mirror=True)
KEY = RunKey(dataset="sewa", method="joint")


def make_spec(order=2, **changes):
    """Make what a run on images or on clips of four frames is told; `told` says what may be changed."""
    windows = {"clip_length": 4, "frame_step": 1} if order == 3 else {}
    spec = RunSpec(
        run="static-1234",
        profile="tests",
        key=KEY,
        stage="joint",
        order=order,
        root_seed=7,
        threads=1,
        processes=1,
        determinism="portable",
        split=OfficialSplit(kind="official", validation_share=0.1),
        data=DataSpec(crop=CropOptions(size=16)),
        training=TrainingSpec(
            epochs=5, loss_weights=LossWeights(), batch_size=16, reestimation_batches=2, steps=STEPS, **windows
        ),
    )
    return told(spec, **changes)


def told(spec, **changes):
    """Copy what a run is told, with other values of its training, its steps or its penalty, each under its name."""
    training = spec.training
    for kind, name in ((StepSpec, "steps"), (LassoSpec, "lasso")):
        below = {key: changes.pop(key) for key in kind.model_fields if key in changes}
        if below:
            changes[name] = getattr(training, name).model_copy(update=below)
    return spec.model_copy(update={"training": training.model_copy(update=changes)})


def penalty(weight, method="proximal", **options):
    """Describe a penalty of λ."""
    usual = {"threshold": 0.05} if method == "subgradient" else {"rate_factor": 250.0, "gradient_limit": 1.0}
    return LassoSpec(weight=weight, method=method, **(usual | options))
