"""The pages of all counts."""

from pathlib import Path

from hocbench.evaluation.files import read_table
from hocbench.experiment.description import read_description
from hocbench.files.staging import staged
from hocbench.network_tables.conventions import convention_page, convention_table, dense_table
from hocbench.network_tables.parameters import parameter_latex, parameter_page, parameter_table
from hocbench.network_tables.special_cases import special_case_page, special_case_table
from hocbench.reporting.pages import write_page

# Of random inputs, which have nothing to do with the seeds of a profile.
SPECIAL_CASE_SEED = 0


def write_counts(evaluation: Path, out: Path) -> None:
    """Write the tables of parameters, of ways to count, and of special cases, given the folder of an evaluation."""
    description = read_description(evaluation)
    sparsity = read_table(evaluation / "sparsity.csv")
    parameters = parameter_table(sparsity[sparsity["rank"] == description.rank])
    latex = parameter_latex(parameters, description)
    conventions = convention_table()
    special_cases = special_case_table(SPECIAL_CASE_SEED)
    with staged(out, "counts") as folder:
        write_page(folder / "parameters", parameter_page(parameters, description), parameters, latex)
        write_page(folder / "conventions", convention_page(conventions, dense_table()), conventions)
        write_page(folder / "special_cases", special_case_page(special_cases), special_cases)
