"""What all sections of ``params.yaml`` are made of."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hocbench.yaml_text import typed

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("a window has a middle frame, give an odd number")
    return value


Odd = Annotated[int, Field(ge=1), AfterValidator(_odd)]
# A whole number counts components and a decimal one multiplies, so 16 and 16.0 are different ranks. In quotes they mean
# the same as without, for --config of Snakemake loses quotes.
Rank = Annotated[
    Literal["same"] | Annotated[int, Field(ge=1, strict=True)] | Annotated[float, Field(gt=0, strict=True)],
    BeforeValidator(typed),
]


class Section(BaseModel):
    """Unknown keys and infinite numbers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
