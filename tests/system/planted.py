"""A whole small reproduction in one process, with a defect planted into it; run as a program.

    python -m tests.system.planted FOLDER [--defect NAME] [--threads N] OVERLAY...

It writes FOLDER/results/PROFILE, as the workflow does but without figures and report. Which instructions the libraries
use is said by the environment, so that one machine can be several laboratories.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from hocbench.arithmetic import make_portable

if __name__ == "__main__":
    make_portable()  # as the command line does, before it imports anything else

from hocbench import paths
from hocbench.cli.main import app
from hocbench.config.load import Params, merge_files, parse_params
from hocbench.experiment.plan import Run, describe, make_plan
from hocbench.experiment.run_spec import split_protocol
from hocbench.experiment.spec import canonical_json

ROOT = Path(__file__).parents[2]


def shift_labels() -> None:
    """Read each label from the frame before."""
    import hocbench.datasets.index as index_of

    read = index_of.read_index

    def shifted(*arguments: Any) -> Any:
        index = read(*arguments)
        for target in ("valence", "arousal"):
            index.frames[target] = index.frames.groupby("clip")[target].shift(1).fillna(index.frames[target])
        return index

    _replace("hocbench.datasets.index.read_index", shifted)


def crop_tightly() -> None:
    """Cut faces without a margin."""
    import hocbench.faces.crops as crops

    crop = crops.make_crops
    _replace("hocbench.faces.crops.make_crops", lambda *a, margin, **options: crop(*a, margin=1.0, **options))


def forget_ccc() -> None:
    """Leave the CCC out of the loss."""
    import hocbench.training.losses as losses

    loss, none = losses.affect_loss, {"ccc": 0.0}
    _replace("hocbench.training.losses.affect_loss", lambda p, y, weights: loss(p, y, weights.model_copy(update=none)))


def never_shrink() -> None:
    """Take LASSO's step without shrinking λ."""
    _replace("hocbench.nn.lasso.functional.softshrink", lambda weights, amount: weights)


def never_mirror() -> None:
    """Show the network no mirrored picture."""
    import hocbench.training.augment as augment

    draw, never = augment.draw, {"mirror": False}
    _replace("hocbench.training.data.draw", lambda count, steps, rng: draw(count, steps.model_copy(update=never), rng))


def keep_statistics() -> None:
    """Leave BatchNorm the statistics of the network before."""
    _replace("hocbench.training.loop.Training.reestimate", lambda self: None)


def start_centred() -> None:
    """Give new temporal factors one tap instead of ones."""
    import hocbench.training.starting_network as beginning

    transduct = beginning.transduct
    _replace("hocbench.training.starting_network.transduct", lambda *a, **o: transduct(*a, **(o | {"init": "centre"})))


def keep_the_rate() -> None:
    """Train without the cycle of the learning rate."""
    _replace(
        "torch.optim.lr_scheduler.OneCycleLR.get_lr", lambda self: [g["max_lr"] for g in self.optimizer.param_groups]
    )


def train_everything() -> None:
    """Move all weights in the stage of the temporal factors."""
    import hocbench.training.stages as stages

    begin = stages.begin

    def free(*arguments: Any) -> Any:
        network, level, layers = begin(*arguments)
        for parameter in network.parameters():
            parameter.requires_grad = True
        return network, level, layers

    _replace("hocbench.training.stages.begin", free)


def forget_the_mean() -> None:
    """Score the CCC without the distance of the means, which makes it larger."""
    import hocbench.metrics.affect as affect

    moments = affect._moments

    def without(means: Any) -> Any:
        found = moments(means)
        object.__setattr__(found, "spread", found.spread - (found.p - found.y) ** 2)
        return found

    _replace("hocbench.metrics.affect._moments", without)


def smooth_most() -> None:
    """Take the longest moving average, whatever validation says."""
    _replace("hocbench.evaluation.accumulate.best_window", lambda scores: max(score.window for score in scores))


# Where a defect has to be seen first.
DEFECTS: dict[str, tuple[Callable[[], None], str]] = {
    "labels of the frame before": (shift_labels, "data"),
    "crops without a margin": (crop_tightly, "data"),
    "loss without CCC": (forget_ccc, "scores"),
    "LASSO that does not shrink": (never_shrink, "conclusions"),
    "no mirrored pictures": (never_mirror, "scores"),
    "BatchNorm statistics not estimated anew": (keep_statistics, "scores"),
    "temporal factors that start with one tap": (start_centred, "factors"),
    "constant learning rate": (keep_the_rate, "scores"),
    "all weights trained as temporal factors": (train_everything, "intervals"),
    "CCC without the distance of the means": (forget_the_mean, "intervals"),
    "the longest moving average": (smooth_most, "windows"),
}


def _replace(name: str, new: Any) -> None:
    mock.patch(name, new).start()  # until the process ends


def reproduce(folder: Path, overlays: list[Path], changes: dict[str, Any]) -> None:
    """Run all commands that the workflow runs for a profile, but for figures and report, below a folder."""
    params = parse_params(merge_files([ROOT / "params.yaml", *overlays], changes))
    folder.mkdir(parents=True)
    os.chdir(folder)
    for name in params.datasets:
        prepare(params, name)
    profile = params.profile
    folders = [paths.prepared(profile, name) for name in params.datasets]
    roots = {name: entry.root for name, entry in params.datasets.items()}
    run_command("data", "hashes", paths.data_hashes(profile), *folders, "--rendered", canonical_json(roots))
    runs = make_plan(params)
    where = {run.id: paths.run(profile, run.key.dataset, run.id) for run in runs}
    for run in sorted(runs, key=generation):
        parent = ("--parent", where[run.parent.id]) if run.parent else ()
        crops = paths.prepared(profile, run.key.dataset)
        run_command("fit", where[run.id], "--spec", run.spec.text(), "--crops", crops, *parent)
    results, options = paths.results(profile), params.evaluation
    evaluation, windows = results / "evaluation", canonical_json(options.smoothing_windows)
    how = ("--replicates", options.replicates, "--seed", params.seed, "--windows", windows)
    how += ("--experiment", describe(params, runs).text())
    run_command("evaluate", evaluation, *where.values(), *how)
    run_command("counts", evaluation, results / "tables")
    run_command("claims", evaluation, results / "tables", results / "claims")


def prepare(params: Params, name: str) -> None:
    """Render, check, index, crop and split one data set."""
    entry, out = params.datasets[name], paths.prepared(params.profile, name)
    root, crop, adapter = Path(entry.root), entry.crop, entry.adapter
    assert entry.synthetic is not None
    run_command("synthesize", adapter, root, "--parameters", canonical_json(entry.synthetic.model_dump()))
    run_command("data", "check", adapter, root, "--out", out)
    run_command("index", adapter, root, out)
    how = ("--method", crop.method, "--detector", crop.detector, "--store", crop.store)
    run_command("crop", out, root, "--size", crop.size, "--margin", crop.margin, *how)
    run_command("data", "splits", out, "--split", canonical_json(split_protocol(entry)), "--seed", params.seed)


def generation(run: Run) -> int:
    """Count the runs that a run comes after."""
    return 0 if run.parent is None else 1 + generation(run.parent)


def run_command(*words: Any) -> None:
    """Run a command of hocbench in this process, where the defect is."""
    app([str(word) for word in words], standalone_mode=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("overlays", type=Path, nargs="*")
    parser.add_argument("--defect", choices=DEFECTS)
    parser.add_argument("--threads", type=int, default=1)
    known = parser.parse_args()
    if known.defect:
        DEFECTS[known.defect][0]()
    reproduce(known.folder.resolve(), [path.resolve() for path in known.overlays], {"threads": known.threads})
