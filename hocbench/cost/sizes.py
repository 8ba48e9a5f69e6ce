"""How many images and windows the parts of a dataset hold, before or after it is there (no torch)."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench import paths
from hocbench.config.datasets import OfficialSplit, SessionSplit, SubjectSplit
from hocbench.datasets.splits import PARTS, make_splits
from hocbench.errors import ParameterError
from hocbench.experiment.spec import RunSpec
from hocbench.paths import PAPER_DATASETS
from hocbench.windows import Clips, Stretches, stretches

# The frames of SEWA's 538 clips are not published; this is the length of the clip that docs/real-data.md and the README
# name as an example of the layout, frames 742 to 1590.
SEWA_CLIP_FRAMES = 849


@dataclass(frozen=True)
class Sizes:
    """Clips of the parts of one fold.

    Attributes
    ----------
    parts : mapping of str to Clips
        Of "train", "validation" and "test": number of clips by their frames; a still image is a clip of one.
    source : str
        Where the numbers are from, for people.
    """

    parts: Mapping[str, Clips]
    source: str


def part_sizes(spec: RunSpec) -> Sizes:
    """Count the clips of a run's parts: in its prepared data if they are there, else by what is known of the dataset.

    Raises
    ------
    ParameterError
        If the data are not prepared and the number of clips, or of those on each side of a split list, is unknown.
    """
    dataset = spec.key.dataset
    folder = paths.prepared(spec.profile, dataset)
    if (folder / "crops.json").is_file():
        return _prepared(spec, folder)
    if spec.split.kind == "file":
        raise ParameterError(
            f"datasets.{dataset}.split is a list and {folder} is not there to count its clips; "
            "run `snakemake --cores all data` first"
        )
    if spec.data.synthetic is not None:
        sizes = _synthetic(spec.data.synthetic)
        return Sizes(_divided(spec, *sizes), "SYNTHETIC sizes of the parameters")
    if dataset not in PAPER_DATASETS:
        raise ParameterError(
            f"nobody knows how many clips datasets.{dataset} has before {folder} is there; run "
            "`snakemake --cores all data` first"
        )
    frames, clips, official, note = _published(dataset)
    return Sizes(_divided(spec, frames, clips, official), f"published counts{note}")


def _prepared(spec: RunSpec, folder: Path) -> Sizes:
    """Count usable frames, as training does."""
    frames = pd.read_parquet(folder / "frames.parquet")
    label = json.loads((folder / "crops.json").read_text(encoding="utf-8"))["label"]
    splits = make_splits(frames, spec.split.model_dump(mode="json"), spec.root_seed)
    part_of = splits[splits["fold"] == spec.key.fold].set_index("clip")["part"]
    usable = frames[frames["usable"]]
    parts: dict[str, dict[Stretches, float]] = {part: defaultdict(float) for part in PARTS}
    for clip, numbers in usable.groupby("clip")["frame"]:
        if part_of.get(clip) in parts:
            parts[part_of[clip]][stretches(numbers.to_numpy())] += 1
    return Sizes(parts, f"{folder} ({label})")


def whole(frames: int) -> Stretches:
    """Describe a clip without gaps."""
    return ((0, frames),)


def _synthetic(sizes: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return frames of a clip, clips, and clips of an official validation list."""
    if "images" in sizes:
        return 1, sizes["images"], sizes["validation_images"]
    if "subjects" in sizes:
        return sizes["frames"], sizes["subjects"], 0
    return (sizes["frames_min"] + sizes["frames_max"]) / 2, sizes["clips"], 0


def _published(dataset: str) -> tuple[float, float, float, str]:
    """Return the same, and what is assumed."""
    with (files("hocbench.published") / "datasets.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    known = table[table["dataset"] == dataset].drop_duplicates("what").set_index("what")["count"].to_dict()
    if "clips" not in known:
        training, validation = (f"{part} rows with valence and arousal" for part in ("training", "validation"))
        return 1, known[training], known[validation], ""
    if "frames" in known:
        return known["frames"] / known["clips"], known["clips"], 0, ""
    return SEWA_CLIP_FRAMES, known["clips"], 0, f" of clips, {SEWA_CLIP_FRAMES} frames each assumed"


def _divided(spec: RunSpec, frames: float, clips: float, official: float) -> dict[str, Clips]:
    """Share clips among the parts as the split does on average."""
    split = spec.split
    if isinstance(split, OfficialSplit):
        validation = split.validation_share * clips
        shares = {"train": clips - validation, "validation": validation, "test": official}
    elif isinstance(split, SessionSplit):
        shares = dict(zip(PARTS, clips * np.asarray(split.ratio) / sum(split.ratio), strict=True))
    elif isinstance(split, SubjectSplit):
        test = clips / split.folds
        validation = split.validation_share * (clips - test)
        shares = {"train": clips - test - validation, "validation": validation, "test": test}
    return {part: {whole(max(1, round(frames))): float(count)} for part, count in shares.items()}
