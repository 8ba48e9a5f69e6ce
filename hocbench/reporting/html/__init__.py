"""The report: one HTML file that holds everything there is to read about a profile, and needs nothing else."""

from hocbench.reporting.html.material import Sources
from hocbench.reporting.html.write import write_report

__all__ = ["Sources", "write_report"]
