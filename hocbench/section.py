"""What all sections of ``params.yaml`` are made of."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("a window has a middle frame, give an odd number")
    return value


Odd = Annotated[int, Field(ge=1), AfterValidator(_odd)]
Rank = Literal["same"] | Annotated[int, Field(ge=1, strict=True)] | Positive


class Section(BaseModel):
    """Unknown keys and infinite numbers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
