"""Parameters with what an ablation changes."""

from typing import Any

from hocbench.config.load import parse_params
from hocbench.config.params import Params
from hocbench.errors import ParameterError


def changed(params: Params, place: int) -> Params:
    """Return the parameters with the changes of one ablation.

    Parameters
    ----------
    params : Params
        Checked parameters.
    place : int
        Of the ablation in their list.

    Raises
    ------
    ParameterError
        If a changed key does not exist, or its value is not valid: the key, the value and the nearest key.
    """
    ablation = params.ablations[place]
    values: dict[str, Any] = params.model_dump(mode="json", exclude={"ablations"})
    for key, value in ablation.change.items():
        _set(values, key, value)
    if ablation.epochs_factor:
        for stage in ("frames", "temporal", "joint", "inflated", "scratch"):
            values["training"]["stages"][stage]["epochs"] *= ablation.epochs_factor
    try:
        return parse_params(values)
    except ParameterError as error:
        raise ParameterError(f"ablations.{place} ({ablation.title}): {error}") from None


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        # A section that does not exist is refused by its name, as one of a file is.
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ParameterError(f"{key}: {section} is a value and has no keys")
    values[name] = value
