"""Every key of ``params.yaml`` in words, for ``hocbench params``."""

from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hocbench.config.base import nested_models
from hocbench.config.params import Params

LIMITS: dict[type, str] = {
    Ge: "≥ {0.ge}",
    Gt: "> {0.gt}",
    Le: "≤ {0.le}",
    Lt: "< {0.lt}",
    MultipleOf: "a multiple of {0.multiple_of}",
}


def describe_params() -> list[tuple[str, str, str, str]]:
    """List every key with its type and range, default and description."""
    rows: dict[str, tuple[str, str, str, str]] = {}

    def walk(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            if field.annotation is NoneType:
                continue  # of another member of a union, and here never given
            nested = nested_models(field.annotation)
            if nested:
                # A union has the keys of all its members, and an item of a list those of its model.
                origin = get_origin(field.annotation)
                items = "[]." if origin is list else ".NAME." if origin is dict else "."
                for member in nested:
                    walk(member, f"{prefix}{name}{items}")
                continue
            key, kind = prefix + name, _kind(field.annotation, field.metadata)
            if key in rows and kind != rows[key][1]:
                kind = f"{rows[key][1]} | {kind}"
            default = "required" if field.is_required() else str(field.default)
            rows[key] = (key, kind, default, field.description or "")

    walk(Params, "")
    return list(rows.values())


def _kind(annotation: Any, constraints: Iterable[Any] = ()) -> str:
    """Name a type as a user would: "int ≥ 0", "list of float > 0", "zeros | replicate"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], arguments[1:])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " | ".join(_kind(argument) for argument in arguments if argument is not NoneType)
    if origin is list:
        return f"list of {_kind(arguments[0])}"
    if origin is tuple:
        return f"{len(arguments)} × {_kind(arguments[0])}"
    return " ".join([annotation.__name__, *_limits(constraints)])


def _limits(constraints: Iterable[Any]) -> Iterator[str]:
    for constraint in constraints:
        if isinstance(constraint, FieldInfo):
            yield from _limits(constraint.metadata)
        elif type(constraint) in LIMITS:
            yield LIMITS[type(constraint)].format(constraint)
