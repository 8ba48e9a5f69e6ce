"""Sums of affect over clusters, for tests of the statistics."""

import numpy as np

from hocbench.evaluation.statistics import Pooled, cluster_sums, columns_of
from hocbench.metrics.records import METRICS

AFFECT = METRICS["affect"]
STATISTIC = Pooled(AFFECT, tuple(columns_of(AFFECT, np.empty(0), np.empty(0))))


def affect_sums(truth, prediction, cluster, clusters, centre):
    return cluster_sums(columns_of(AFFECT, truth, prediction, centre), cluster, clusters)
