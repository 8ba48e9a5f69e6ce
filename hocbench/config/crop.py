"""The section of ``params.yaml`` about crops; a module of its own, so that no other key makes a store be cut again."""

from typing import Annotated, Literal

from pydantic import Field

from hocbench.config.base import Positive, Section


class CropOptions(Section):
    """How faces are cut out."""

    size: Annotated[int, Field(ge=16)] = Field(description="pixels per side of a crop")
    margin: Positive = Field(default=1.25, description="side of the crop in face sizes")
    method: Literal["auto", "landmarks", "box", "detector"] = Field(
        default="auto", description="where the face is taken from"
    )
    detector: Literal["haar", "lbp"] = Field(default="haar", description="looks where there is no landmark and no box")
    store: Literal["raw", "jpeg"] = Field(default="raw", description="pixels, or a tenth of the disk with some loss")
