"""What all sections of ``params.yaml`` are made of, and how their faults are put into words."""

import difflib
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hocbench.config.yaml_text import typed
from hocbench.errors import ParameterError

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
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

# What keys of earlier parameters are called now: results and overlays of theirs are still around.
_CHANGE = "write it as a change by its dotted name, such as change: {{{}: ...}}"
RENAMED = {
    "rivals": "it is called baselines now",
    "experiments": "it is called ablations now, with a change by dotted keys: {change: {temporal.init: average}, "
    "methods: [untrained]}",
    "runs": "it is called methods now",
    **{
        key.rpartition(".")[2]: _CHANGE.format(key)
        for key in ("temporal.init", "temporal.kernel_size", "network.inner_activation", "training.clips")
    },
}


class Section(BaseModel):
    """Unknown keys and infinite numbers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Checked = TypeVar("Checked")


def check_values(kind: type[Checked] | Any, values: Any, what: str) -> Checked:
    """Check values that are given by themselves, as those of ``params.yaml`` are.

    Parameters
    ----------
    kind : type
        A section, a union of sections that ``kind`` tells apart, or any other type with limits.
    values : object
        What was given.
    what : str
        What they are, for the message: "the options of a crop".

    Raises
    ------
    ParameterError
        For every wrong type, value out of range or unknown key: the key, the value and the nearest valid key.
    """
    try:
        checked: Checked = TypeAdapter(kind).validate_python(values)
        return checked
    except ValidationError as error:
        raise ParameterError(f"{what}: not valid\n" + "\n".join(describe_faults(error, kind))) from None


def describe_faults(error: ValidationError, kind: Any) -> list[str]:
    """Describe the faults of values, a line each: the key, the value, and what it should be."""
    return [_describe(detail, kind) for detail in error.errors()]


def _describe(detail: ErrorDetails, kind: Any) -> str:
    keys, valid = _keys(detail["loc"], kind)
    key = ".".join(keys)
    start = f"  {key}: " if key else "  "
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(detail["loc"][-1]), valid, n=1, cutoff=0.0)
        hint = f"did you mean {'.'.join([*keys[:-1], near[0]])}?" if near else "remove it"
        hint = RENAMED.get(str(detail["loc"][-1]), hint)
        return f"{start}unknown key (value {detail['input']!r}); {hint}"
    if detail["type"] == "missing":
        return f"{start}missing; add it"
    kind_key = f"{key}.kind" if key else "kind"
    if detail["type"] == "union_tag_not_found":
        return f"  {kind_key}: missing; add it"
    if detail["type"] == "union_tag_invalid":
        context = detail["ctx"]
        return f"  {kind_key}: {context['tag']!r} is not valid; input should be {context['expected_tags']}"
    hint = "; write it in quotes, in a file: --config loses them" if detail["type"] == "string_type" else ""
    return f"{start}{detail['input']!r} is not valid; {detail['msg'][0].lower()}{detail['msg'][1:]}{hint}"


def _keys(location: tuple[int | str, ...], kind: Any) -> tuple[list[str], list[str]]:
    """Return the keys of a place as the user wrote them, and those that are valid where the last one stands.

    pydantic puts the names of union members into the location; keys of the file are kept, these are not.
    """
    keys: list[str] = []
    valid: list[str] = []
    annotation: Any = kind
    for part in location:
        if get_origin(annotation) is dict:
            keys.append(str(part))
            annotation, valid = get_args(annotation)[1], []
            continue
        models = nested_models(annotation)
        named = [model for model in models if part in _tags(model)]
        if isinstance(part, str) and len(models) > 1 and named:
            annotation = named[0]
        elif not str(part).startswith(("constrained-", "literal[")):
            keys.append(str(part))
            if isinstance(part, str):
                valid = list(models[0].model_fields) if models else []
                field = models[0].model_fields.get(part) if models else None
                annotation = field.annotation if field else None
    return keys, valid


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    kinds = get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
    return (*kinds, *filter(None, [getattr(model, "TAG", None)]))


def nested_models(annotation: Any) -> list[type[BaseModel]]:
    """List the models that a type is made of: itself, members of a union, items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for item in get_args(annotation) for model in nested_models(item)]
