"""The claims of the paper as typed data, and the evidence rows that they ask for."""

from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from hocbench.config.base import Section
from hocbench.errors import EvaluationError
from hocbench.metrics.records import PRIMARY, known_metrics

STATUSES = ("P", "S", "U")
# The only ones that a verdict may rest on.
VERIFIED = ("P", "S")


class Test(Section):
    """A quantity, and the range that its whole interval must lie in."""

    statistic: Literal[
        "difference", "score", "parameters", "parameter_ratio", "removed_share", "sparsity_step", "special_case",
        "time_ratio", "memory_ratio",
    ]  # fmt: skip
    datasets: tuple[str, ...] = ("",)
    method: str = ""
    reference: str = ""
    metric: str = PRIMARY["affect"]
    targets: tuple[str, ...] = Field(default=(), description="by default all of the dataset's task")
    each_lasso: bool = False
    at_least: float | None = None
    at_most: float | None = None
    published: str = ""
    margin: Annotated[float, Field(gt=0)] | None = None
    shown: str = Field(default="", description="why a row stands there that is not judged")

    @model_validator(mode="after")
    def _judged_one_way(self) -> "Test":
        ways = [self.at_least is not None or self.at_most is not None, bool(self.published), bool(self.shown)]
        if sum(ways) != 1 or bool(self.published) != (self.margin is not None):
            raise ValueError("give either at_least and at_most, or published and margin, or shown")
        if self.metric not in known_metrics():
            raise ValueError(f"no metric {self.metric!r}; choose from {', '.join(known_metrics())}")
        if self.statistic == "difference" and self.metric not in PRIMARY.values():
            names = " or ".join(PRIMARY.values())
            raise ValueError(f"differences are judged by {names}, the only metric that they are measured in by seed")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("nothing lies in this range; at_least has to be at most at_most")
        return self


class Claim(Section):
    """A claim of the authors."""

    id: Annotated[str, Field(pattern=r"^[CN]\d+$")]
    title: str
    statement: str
    source: str
    status: Literal["P", "S", "U"]
    since: date = Field(description="the day on which its ranges were last changed")
    combine: Literal["all", "any"] = Field(default="all", description="any: it is enough at one LASSO weight")
    would_change: str
    protocol: str
    tests: tuple[Test, ...] = Field(min_length=1)


class Claims(Section):
    """All claims, and how many seeds a verdict on real data needs."""

    seeds_needed: Annotated[int, Field(ge=2)]
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> "Claims":
        names = [claim.id for claim in self.claims]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is there twice")
        return self


def load_claims(path: Path | None = None) -> Claims:
    """Read and check the claims of a YAML file, by default the one that comes with the package.

    Raises
    ------
    EvaluationError
        Naming the claim, the key and the value that are wrong.
    """
    source = path or Path(str(files("hocbench.published") / "claims.yaml"))
    try:
        values = yaml.safe_load(source.read_text(encoding="utf-8"))
        return Claims.model_validate(values)
    except (OSError, yaml.YAMLError) as error:
        raise EvaluationError(f"{source} cannot be read as claims ({error}); give a YAML file") from None
    except ValidationError as error:
        lines = [f"  {_place(values, detail['loc'])}: {detail['msg']}" for detail in error.errors()]
        raise EvaluationError(f"{source} is not valid; correct these keys:\n" + "\n".join(lines)) from None


def _place(values: object, location: tuple[int | str, ...]) -> str:
    """Spell out where in the file, with the id of the claim instead of its number."""
    words = [str(part) for part in location]
    if len(location) > 1 and location[0] == "claims" and isinstance(values, dict):
        claim = values["claims"][location[1]]
        if isinstance(claim, dict) and "id" in claim:
            words[:2] = [str(claim["id"])]
    return ".".join(words) or "the file"
