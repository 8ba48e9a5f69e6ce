"""Options of commands that are given as JSON, checked as the sections of ``params.yaml`` are."""

import json
from typing import Any

from hocbench.config.base import check_values
from hocbench.errors import ParameterError

PRINTED = "give what the workflow prints with `snakemake -n -p`"


def read_json(text: str, option: str, kind: Any, hint: str = PRINTED) -> Any:
    """Read the JSON of an option, a value of a kind of `hocbench.config.base.check_values`.

    ``hint`` says where the user finds what to give.

    Raises
    ------
    ParameterError
        If it is not JSON, or not of that kind.
    """
    try:
        values = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ParameterError(f"{option} is not JSON ({error}); {hint}") from None
    return check_values(kind, values, option)
