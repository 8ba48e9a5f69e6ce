"""Events of an outbox become runs, parameters, metrics, tags and artefacts of MLflow; twice delivered is once there."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hocbench.files.checksums import file_hash
from hocbench.tracking.links import Link, write_link
from hocbench.tracking.outbox import Event
from hocbench.tracking.secrets import without_secrets
from hocbench.tracking.store import Place, Store, find_runs, one_run, open_store, parent_run, remove_doubles

LATER = "later"
# Limits of one request.
METRICS, PARAMS = 1000, 100


class MlflowWriter:
    """Sends the events of one run, the event ``run`` first.

    MLflow keeps one of several metrics that are alike in name, value, step and time, so that rows may be sent again.

    Attributes
    ----------
    run, problems : str, list of str
        Id of the run in MLflow, when something was sent; what cannot be delivered any more, such as a lost file.
    """

    def __init__(self, place: Place) -> None:
        self.run = ""
        self.problems: list[str] = []
        self._place = place
        self._store: Store | None = None
        self._key = ""
        self._attempts: list[str] = []
        self._status = ""
        self._recovered = False
        self._histories: dict[str, set[tuple[int, float]]] = {}

    def send(self, events: list[Event]) -> None:
        """Send events in order, rows of neighbouring epochs in one request.

        Raises
        ------
        Exception
            Of many kinds, if the store cannot be reached or refuses.
        """
        metrics: list[Any] = []
        for event in events:
            if event["event"] == "epoch":
                metrics += self._metrics(event["values"], event["time"], event["step"])
                continue
            self._log(metrics)
            metrics = []
            {"run": self._begin, "attempt": self._count, "end": self._end}[event["event"]](event)
        self._log(metrics)

    def _begin(self, event: Event) -> None:
        from mlflow.entities import Param

        self._store = store = open_store(self._place)
        self._key, self._recovered = event["key"], event["recovered"]
        if not self._key:
            self.run = parent_run(store, event["profile"])
            return
        tags = event["tags"] | {"mlflow.runName": event["name"], "mlflow.parentRunId": _parent(store, event)}
        run = one_run(store, self._key, tags, event["time"])
        self.run, self._status = run.info.run_id, run.info.status
        self._attempts = [value for name, value in run.data.tags.items() if name.startswith("attempt.")]
        address = without_secrets(self._place.uri).rstrip("/") if self._place.uri.startswith("http") else ""
        write_link(self._place.folder, event["name"], Link(store.experiment, self.run, address))
        # A parameter that is there cannot be changed, and is not sent again.
        params = [Param(name, value) for name, value in event["params"].items() if name not in run.data.params]
        for start in range(0, len(params), PARAMS):
            self._client.log_batch(self.run, params=params[start : start + PARAMS])

    def _count(self, event: Event) -> None:
        """Add the tag of an attempt, which is known by its time."""
        time = datetime.fromtimestamp(event["time"] / 1000, UTC).isoformat(timespec="milliseconds")
        if time not in self._attempts:
            self._attempts.append(time)
            self._client.set_tag(self.run, f"attempt.{len(self._attempts)}", time)
        if self._status != "RUNNING":
            self._client.update_run(self.run, "RUNNING")
            self._status = "RUNNING"

    def _metrics(self, values: dict[str, float], time: int, step: int) -> list[Any]:
        from mlflow.entities import Metric

        metrics = [Metric(name, value, time, step) for name, value in values.items()]
        if not self._recovered:
            return metrics
        # The times of earlier rows are lost with their outbox.
        return [metric for metric in metrics if (metric.step, metric.value) not in self._history(metric.key)]

    def _history(self, name: str) -> set[tuple[int, float]]:
        if name not in self._histories:
            history = self._client.get_metric_history(self.run, name)
            self._histories[name] = {(metric.step, metric.value) for metric in history}
        return self._histories[name]

    def _log(self, metrics: list[Any]) -> None:
        for start in range(0, len(metrics), METRICS):
            self._client.log_batch(self.run, metrics=metrics[start : start + METRICS])

    def _end(self, event: Event) -> None:
        self._log(self._metrics(event["values"], event["time"], 0))
        for file in event["files"]:
            self._upload(file)
        if event["status"] != "RUNNING":
            self._client.set_terminated(self.run, event["status"], event["time"])
        if self._key and self._store:
            remove_doubles(self._store, find_runs(self._store, self._key))

    def _upload(self, file: dict[str, str]) -> None:
        with TemporaryDirectory() as temporary:
            if "text" in file:
                path = Path(temporary, file["name"])
                path.write_text(file["text"], encoding="utf-8")
            else:
                path = Path(file["path"])
                if not path.is_file() or file_hash(path) != file["sha256"]:
                    self.problems.append(f"{path} is not what it was when the run ended, and is left out")
                    return
            self._client.log_artifact(self.run, str(path), file["folder"] or None)

    @property
    def _client(self) -> Any:
        if self._store is None:
            raise ValueError("the first event must be that of the run")
        return self._store.client


def _parent(store: Store, event: Event) -> str:
    """Return the parent that the workflow named, or the one of the profile if the store does not know it."""
    from mlflow.exceptions import MlflowException

    if event["parent"] != LATER:
        try:
            parent = store.client.get_run(event["parent"]).info
            if parent.lifecycle_stage == "active":
                return str(parent.run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    return parent_run(store, event["profile"])


def file_to_send(path: Path, folder: str = "") -> dict[str, str]:
    """Describe a file for the event ``end``: its hash, and its path, from the present folder if it lies in it."""
    absolute, here = path.absolute(), Path.cwd()
    # The outbox may be delivered after the project was moved.
    name = absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
    return {"path": str(name), "sha256": file_hash(path), "folder": folder}
