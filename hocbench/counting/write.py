"""The pages of all counts."""

from pathlib import Path
from typing import Any

from hocbench.counting.conventions import convention_page, convention_table, dense_table
from hocbench.counting.parameters import parameter_page, parameter_table
from hocbench.counting.special_cases import special_case_page, special_case_table
from hocbench.evaluation import read_table
from hocbench.reporting.markdown import write_page

# Of random inputs, which have nothing to do with the seeds of a profile.
SPECIAL_CASE_SEED = 0


def write_counts(evaluation: Path, out: Path, setting: dict[str, Any]) -> None:
    """Write the tables of parameters, of ways to count, and of special cases.

    Parameters
    ----------
    evaluation : Path
        Folder written by `hocbench.evaluation.evaluate`.
    out : Path
        Receives ``<name>.md``, ``.html`` and ``.csv``.
    setting : dict
        profile and width, for the captions.
    """
    parameters = parameter_table(read_table(evaluation / "sparsity.csv"))
    out.mkdir(parents=True, exist_ok=True)
    write_page(out / "parameters", parameter_page(parameters, setting), parameters)
    conventions = convention_table()
    write_page(out / "conventions", convention_page(conventions, dense_table()), conventions)
    special_cases = special_case_table(SPECIAL_CASE_SEED)
    write_page(out / "special_cases", special_case_page(special_cases), special_cases)
