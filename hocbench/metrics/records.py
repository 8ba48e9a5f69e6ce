"""All metrics by kind of task, in the order of tables; a new metric is one more record here."""

from hocbench.metrics import affect, classification
from hocbench.metrics.record import Metric

METRICS: dict[str, tuple[Metric, ...]] = {"affect": affect.METRICS, "classification": classification.METRICS}
# The one that is shown where there is room for one, that claims about differences are judged by, and that training
# chooses epochs by.
PRIMARY = {"affect": "ccc", "classification": "auc"}


def primary(kind: str) -> Metric:
    """Return the primary metric of a kind of task."""
    return next(metric for metric in METRICS[kind] if metric.id == PRIMARY[kind])


def known_metrics() -> dict[str, Metric]:
    """Return the metrics of all kinds by id."""
    return {metric.id: metric for metrics in METRICS.values() for metric in metrics}
