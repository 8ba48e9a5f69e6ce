"""MLflow watches runs: it is never the only place of a number, and a store that cannot be reached costs one warning."""

import json
import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pandas as pd
from filelock import FileLock

from hocbench.errors import TrackingError
from hocbench.metrics import ccc, pcc, rmse, sagr

LOGGER = logging.getLogger(__name__)
EXPERIMENT = "hocbench"
FOLDER = Path(".mlflow")
SCORES: dict[str, Callable[..., float]] = {"rmse": rmse, "sagr": sagr, "pcc": pcc, "ccc": ccc}


def tracking_uri() -> str:
    """Return the store: ``MLFLOW_TRACKING_URI``, or a local sqlite file."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{FOLDER.resolve()}/mlflow.db"


def _client() -> Any:
    # A server that is down must not hold a run for minutes; set before the import, which reads them.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    FOLDER.mkdir(exist_ok=True)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri())


def _experiment(client: Any) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    local = not os.environ.get("MLFLOW_TRACKING_URI")
    location = (FOLDER / "artifacts").resolve().as_uri() if local else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def _exists(client: Any, run: str) -> bool:
    """Tell whether a remembered run is still in a store that answers; the user may have deleted the store."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run).info.lifecycle_stage == "active")
    except MlflowException:
        return False


def start_reproduction(profile: str) -> str | None:
    """Make the store, the experiment and the parent run of a profile, once.

    Processes that create a database at the same time would break it, hence the lock.

    Returns
    -------
    str or None
        Id of the parent run; None, with a warning, if the store cannot be reached.
    """
    if os.environ.get("HOCBENCH_TRACKING") == "off":
        return None
    remembered = FOLDER / f"parent-{profile}.json"
    try:
        FOLDER.mkdir(exist_ok=True)
        with FileLock(FOLDER / "lock", timeout=60):
            client = _client()
            experiment = _experiment(client)
            known = json.loads(remembered.read_text()) if remembered.is_file() else {}
            if known.get("store") == tracking_uri() and _exists(client, known["run"]):
                return str(known["run"])
            tags = {"mlflow.runName": f"reproduction {profile}", "hocbench.profile": profile}
            run = client.create_run(experiment, tags=tags)
            client.set_terminated(run.info.run_id)
            remembered.write_text(json.dumps({"store": tracking_uri(), "run": run.info.run_id}))
            return str(run.info.run_id)
    except Exception as error:  # MLflow raises many kinds, and none may stop a run
        LOGGER.warning("MLflow store cannot be reached, runs go on without it: %s", _first_line(error))
        return None


def experiment_page() -> str:
    """Return the path of the page that lists all runs.

    Raises
    ------
    TrackingError
        If the store cannot be reached.
    """
    try:
        return f"/#/experiments/{_experiment(_client())}/runs"
    except Exception as error:  # MLflow raises many kinds
        raise TrackingError(
            f"the MLflow store {_without_password(tracking_uri())} cannot be reached ({_first_line(error)}); "
            "start its server or unset MLFLOW_TRACKING_URI"
        ) from None


class Tracker:
    """Sends one run to MLflow until the first failure, then stays silent.

    As a context manager it marks a run that an exception ends as failed, or as killed if the user stopped it.

    Parameters
    ----------
    spec : dict
        Resolved slice of the run.
    label : str
        "synthetic" or "real".
    """

    def __init__(self, spec: dict[str, Any], label: str) -> None:
        self._client: Any = None
        self._run = ""
        parent = os.environ.get("HOCBENCH_MLFLOW_PARENT", "")
        # Without a parent the store was unreachable when the workflow began, or the step was called by hand.
        if parent and os.environ.get("HOCBENCH_TRACKING") != "off":
            self._attempt(lambda: self._begin(spec, label, parent))

    def _begin(self, spec: dict[str, Any], label: str, parent: str) -> None:
        from mlflow.entities import Param

        client = _client()
        axes = spec["axes"]
        tags = {"mlflow.runName": f"{axes['dataset']}/{spec['run']}", "mlflow.parentRunId": parent, "data": label}
        self._run = client.create_run(_experiment(client), tags=tags).info.run_id
        client.log_batch(self._run, params=[Param(key, str(value)) for key, value in _flat(spec)])
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is not None and self._client is not None:
            status = "FAILED" if issubclass(kind, Exception) else "KILLED"
            self._attempt(lambda: self._client.set_terminated(self._run, status))

    def log_epoch(self, row: dict[str, Any]) -> None:
        """Send one row of the history."""
        if self._client is not None:
            values = {k: v for k, v in row.items() if k not in ("epoch", "kept") and v is not None and v == v}
            self._attempt(lambda: self._log(values, row["epoch"]))

    def _log(self, values: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._run, metrics=[Metric(key, float(v), now, step) for key, v in values.items()])

    def finish(self, out: Path, predictions: pd.DataFrame) -> None:
        """Send final test scores and the manifest of a finished run directory."""
        if self._client is None:
            return
        test = predictions[predictions["part"] == "test"]
        values = {
            f"test_{name}_{target}": function(test[f"truth_{target}"].to_numpy(), test[target].to_numpy())
            for target in ("valence", "arousal")
            for name, function in SCORES.items()
        }

        def send() -> None:
            self._log(values, 0)
            self._client.log_artifact(self._run, str(out / "manifest.json"))
            self._client.set_terminated(self._run)

        self._attempt(send)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # MLflow raises many kinds, and none may stop a run
            self._client = None
            LOGGER.warning("MLflow store cannot be reached, this run goes on without it: %s", _first_line(error))


def _first_line(error: Exception) -> str:
    return _without_password(str(error).splitlines()[0] if str(error) else type(error).__name__)


def _without_password(text: str) -> str:
    """Cut out user and password, which the address of a server may carry."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, item in value.items():
        pairs += _flat(item, f"{prefix}{key}.") if isinstance(item, dict) else [(prefix + key, item)]
    return pairs
