"""Tidy tables of scores, intervals and paired differences, from run directories alone (no torch)."""

from hocbench.evaluation.files import read_table
from hocbench.evaluation.scores import evaluate
from hocbench.evaluation.statistics import METRICS
from hocbench.runs.finished import TARGETS, Axes, Run, read_runs

__all__ = ["METRICS", "TARGETS", "Axes", "Run", "evaluate", "read_runs", "read_table"]
