"""The section ``datasets`` of ``params.yaml``: any number of named entries."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from hocbench.config.base import Count, Positive, Section, Seed, Share
from hocbench.config.crop import CropOptions


class Rendering(Section):
    """Parameters of rendered data."""

    seed: Seed = Field(description="data seed")

    @property
    def fault(self) -> str:
        """Why nothing can be rendered, from the key on; empty if it can."""
        return ""


class AffectNetSynthetic(Rendering):
    """Size of the AffectNet-like still images."""

    images: Count = Field(description="training rows")
    validation_images: Count = Field(description="rows of the official validation list")
    size: Annotated[int, Field(ge=48)] = Field(description="pixels per side")


class SewaSynthetic(Rendering):
    """Size of the SEWA-like video chats."""

    subjects: Annotated[int, Field(ge=4, multiple_of=2)] = Field(description="persons, two per session")
    frames: Annotated[int, Field(ge=4)] = Field(description="frames per clip")
    height: Annotated[int, Field(ge=48, multiple_of=2)] = Field(description="pixels")
    width: Annotated[int, Field(ge=48, multiple_of=2)] = Field(description="pixels")
    fps: Count = Field(description="frames and labels per second")
    motion_cues: bool = Field(default=True, description="False makes the negative control without temporal information")


class AfewVaSynthetic(Rendering):
    """Size of the AFEW-VA-like film clips."""

    clips: Count = Field(description="clips in all")
    actors: Count = Field(description="persons in all")
    frames_min: Annotated[int, Field(ge=4)] = Field(description="frames of the shortest clip")
    frames_max: Annotated[int, Field(ge=4)] = Field(description="frames of the longest clip")
    size: Annotated[int, Field(ge=48)] = Field(description="pixels per side")

    @property
    def fault(self) -> str:
        """Why nothing can be rendered, from the key on; empty if it can."""
        if self.clips < 2:
            return f"clips: {self.clips} is too few, two clips are damaged on purpose; give at least 2"
        if self.frames_min > self.frames_max:
            return f"frames_min: {self.frames_min} is more than frames_max, {self.frames_max}; swap them"
        return ""


class Download(Section):
    """A file to fetch into the dataset's folder; archives are unpacked there."""

    url: str = Field(description="http, https or file address; credentials come from the environment")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = Field(
        default=None, description="checksum that the file must have"
    )


class _Split(Section):
    """A protocol; keys of the other protocols are passed over, since an overlay cannot take them out."""

    @model_validator(mode="before")
    @classmethod
    def _drop_other_keys(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {key: value for key, value in values.items() if key in cls.model_fields or key not in SPLIT_KEYS}


class FileSplit(_Split):
    """A list of the user's own; one that puts a person on two sides is refused."""

    kind: Literal["file"] = Field(description="protocol")
    path: str = Field(description="CSV with the columns part and clip, subject or session; fold is optional")


class OfficialSplit(_Split):
    """The dataset's own lists; part of its training list is kept for choices."""

    kind: Literal["official"] = Field(description="protocol")
    validation_share: Share = Field(description="share of the training list that choices are made on")
    seed: Seed = Field(default=0, description="split seed")


class SessionSplit(_Split):
    """Subject-independent parts with both partners of a session on one side."""

    kind: Literal["sessions"] = Field(description="protocol")
    ratio: tuple[Positive, Positive, Positive] = Field(description="training : validation : test")
    seed: Seed = Field(default=0, description="split seed")


class SubjectSplit(_Split):
    """Cross-validation folds by subject."""

    kind: Literal["subjects"] = Field(description="protocol")
    folds: Annotated[int, Field(ge=2)] = Field(description="number of folds")
    validation_share: Share = Field(description="share of the other folds' subjects that choices are made on")
    seed: Seed = Field(default=0, description="split seed")


class GivenList(FileSplit):
    """A list as the workflow hands it on, with the hash that it had."""

    sha256: str | None = Field(default=None, description="of the list")


AnySplit = Annotated[OfficialSplit | SessionSplit | SubjectSplit | GivenList, Field(discriminator="kind")]
SPLIT_KEYS = {key for model in (FileSplit, OfficialSplit, SessionSplit, SubjectSplit) for key in model.model_fields}


class DatasetEntry(Section):
    """One dataset. Images train the 2-D networks that the networks of clips start from."""

    adapter: str = Field(
        description="affectnet, sewa, afew_va, or your own as FILE.py:CLASS or MODULE:CLASS; by default the name"
    )
    title: str | None = Field(default=None, description="what people read; None: the title of the adapter")
    root: str = Field(description="dataset folder; below data/synthetic/ it is rendered, elsewhere it must exist")
    fetch: list[Download] = Field(default=[], description="files to download into the root first")
    exclude: list[str] = Field(
        default=[], description="clips to leave out, by name or by their folder or archive below the root"
    )
    crop: CropOptions
    split: Annotated[OfficialSplit | SessionSplit | SubjectSplit | FileSplit, Field(discriminator="kind")]
    folds: list[Annotated[int, Field(ge=0)]] = Field(default=[0], min_length=1, description="folds to run")
    seeds: list[Seed] = Field(min_length=1, description="training seeds; of clips, each among those of its images")
    start: str | None = Field(
        default=None,
        description="of clips: the dataset of images whose networks are transducted, or its own name, to train them on "
        "its own frames; None: the only dataset of images",
    )
    lasso: bool = Field(default=False, description="of clips: whether the LASSO sweep goes on to this dataset")
    baselines: list[str] = Field(default=[], description="methods beside static, temporal and joint")
    control_of: str | None = Field(
        default=None, description="the dataset whose negative control this is: labels leave no trace in motion"
    )


class AffectNetEntry(DatasetEntry):
    """In the layout of AffectNet."""

    TAG: ClassVar = "affectnet"
    synthetic: AffectNetSynthetic | None = Field(
        default=None, description="used when the root lies below data/synthetic/"
    )


class SewaEntry(DatasetEntry):
    """In the layout of SEWA."""

    TAG: ClassVar = "sewa"
    synthetic: SewaSynthetic | None = Field(default=None, description="used when the root lies below data/synthetic/")


class AfewVaEntry(DatasetEntry):
    """In the layout of AFEW-VA."""

    TAG: ClassVar = "afew_va"
    synthetic: AfewVaSynthetic | None = Field(default=None, description="used when the root lies below data/synthetic/")


class OwnEntry(DatasetEntry):
    """In a layout of the user's own, which nothing renders."""

    TAG: ClassVar = "own adapter"
    synthetic: None = Field(default=None, description="none: what an adapter of your own reads cannot be rendered")

    @field_validator("synthetic", mode="before")
    @classmethod
    def _cannot_be_rendered(cls, value: Any, info: ValidationInfo) -> None:
        if value is not None:
            adapter = str(info.data.get("adapter", ""))
            near = difflib.get_close_matches(adapter, [entry.TAG for entry in RENDERED], n=1)
            hint = f"did you mean adapter: {near[0]}?" if near else "leave it out"
            raise ValueError(f"nothing renders data for the adapter {adapter!r}; {hint}")


RENDERED = (AffectNetEntry, SewaEntry, AfewVaEntry)


def _tag_of(entry: Any) -> str:
    adapter = entry.get("adapter") if isinstance(entry, Mapping) else getattr(entry, "adapter", None)
    return str(adapter) if adapter in {rendered.TAG for rendered in RENDERED} else OwnEntry.TAG


AnyEntry = Annotated[
    Annotated[AffectNetEntry, Tag(AffectNetEntry.TAG)]
    | Annotated[SewaEntry, Tag(SewaEntry.TAG)]
    | Annotated[AfewVaEntry, Tag(AfewVaEntry.TAG)]
    | Annotated[OwnEntry, Tag(OwnEntry.TAG)],
    Discriminator(_tag_of),
]


def complete_entries(values: Any) -> Any:
    """Leave out what an overlay has set to null, and read an entry without an adapter by the one of its name."""
    if not isinstance(values, Mapping):
        return values
    entries = {name: entry for name, entry in values.items() if entry is not None}
    return {
        name: {"adapter": name} | dict(entry) if isinstance(entry, Mapping) else entry
        for name, entry in entries.items()
    }


Datasets = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], AnyEntry],
    BeforeValidator(complete_entries),
    Field(min_length=1, description="any number of entries by name"),
]
