"""Options of commands that are given as JSON, checked as the sections of ``params.yaml`` are."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hocbench.config.base import Count, Rank, Section, Seed, check_values
from hocbench.errors import ParameterError

PRINTED = "give what the workflow prints with `snakemake -n -p`"


class Row(Section):
    """A row that a table must show."""

    dataset: str
    method: str
    rank: Rank | None
    lasso: Annotated[float, Field(ge=0)]
    variant: str = ""


class Setting(Section):
    """What the captions of tables say of a profile."""

    profile: str
    width: Count
    rank: Annotated[list[Rank], Field(min_length=1)]
    crop_size: dict[str, Count] = Field(default={})


class TableSetting(Setting):
    """Those of scores name the size of the crops too."""

    crop_size: dict[str, Count]


class RunSpec(BaseModel):
    """What every run is given; `hocbench.experiment.plan` says the rest."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    run: str
    profile: str
    root_seed: Seed
    axes: dict[str, Any]
    split: dict[str, Any]
    training: dict[str, Any]


def read_json(text: str, option: str, kind: Any, hint: str = PRINTED) -> Any:
    """Read the value of an option.

    Parameters
    ----------
    text : str
        As given.
    option : str
        Its name, for messages.
    kind : type
        See `hocbench.config.base.check_values`.
    hint : str
        Where the user finds what to give.

    Returns
    -------
    object
        As it was given.

    Raises
    ------
    ParameterError
        If it is not JSON, or not of that kind.
    """
    try:
        values = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ParameterError(f"{option} is not JSON ({error}); {hint}") from None
    check_values(kind, values, option)
    return values
