"""The MLflow store: its address, how it is opened, and the parent run of a reproduction in it."""

import json
import logging
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from hocbench.errors import TrackingError
from hocbench.files.write import write_text
from hocbench.tracking.local import FOLDER, NAME, address, advice, forget_the_folder
from hocbench.tracking.secrets import plain, without_secrets

EXPERIMENT = "hocbench"
KEY = "hocbench.key"
# Seconds to wait for a server, and for a file, which no one else keeps busy.
PATIENCE_S, FILE_PATIENCE_S = 10.0, 60.0
# The user's own settings win over these.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "60",
    # It would print the server's address with user and password, and spoil what our commands print.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True)
class Place:
    """Where a store is, as the process saw it when it began.

    Attributes
    ----------
    folder : Path
        Absolute path of hocbench's files about MLflow.
    uri, local : str, bool
        Address of the store, which may hold a password, and whether it is the file in the folder.
    """

    folder: Path
    uri: str
    local: bool

    @property
    def patience_s(self) -> float:
        """Seconds to wait for the store at the end of a run."""
        return FILE_PATIENCE_S if self.uri.startswith("sqlite:") else PATIENCE_S


@dataclass(frozen=True)
class Store:
    """A store that has answered: client of MLflow, id of the experiment, and where."""

    client: Any
    experiment: str
    place: Place


def tracking_uri() -> str:
    """Return the store: ``MLFLOW_TRACKING_URI``, or a local sqlite file."""
    return os.environ.get("MLFLOW_TRACKING_URI") or address()


def here() -> Place:
    """Return the place that folder and environment name now, and set MLflow, not yet imported, to be brief."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    return Place(FOLDER.resolve(), tracking_uri(), not os.environ.get("MLFLOW_TRACKING_URI"))


def open_store(place: Place) -> Store:
    """Connect to a store; database and experiment are made if need be, under a lock, since two makers break a database.

    Raises
    ------
    Exception
        Of many kinds, if the store cannot be reached.
    """
    from mlflow import MlflowClient

    # Their warnings repeat, with addresses, what one message of ours says.
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    place.folder.mkdir(exist_ok=True)
    with FileLock(place.folder / "lock", timeout=60):
        client = MlflowClient(place.uri)
        experiment = _experiment(client)
        if place.local:
            forget_the_folder(EXPERIMENT)
        return Store(client, experiment, place)


def _experiment(client: Any) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        try:
            return str(client.create_experiment(EXPERIMENT))
        except MlflowException:
            # Another machine may have made it in between; the lock holds on one only.
            experiment = client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                raise
    number = str(experiment.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"experiment {EXPERIMENT} was deleted in MLflow; restore it with `mlflow experiments restore "
            f"--experiment-id {number}`, MLFLOW_TRACKING_URI set to the store, and `hocbench mlflow sync` delivers"
        )
    return number


def find_runs(store: Store, key: str) -> list[Any]:
    """Return the runs that carry a key; the first one is the one to write to."""
    runs = store.client.search_runs([store.experiment], f"tags.`{KEY}` = '{key}'")
    return sorted(runs, key=lambda run: (-len(run.data.metrics), run.info.run_id))


def one_run(store: Store, key: str, tags: dict[str, str], start_ms: int) -> Any:
    """Return the run that carries a key, made if there is none."""
    runs = find_runs(store, key)
    if not runs:
        store.client.create_run(store.experiment, tags=tags | {KEY: key}, start_time=start_ms)
        runs = find_runs(store, key)
    remove_doubles(store, runs)
    return runs[0]


def remove_doubles(store: Store, runs: list[Any]) -> None:
    """Delete all runs but the first: a request that was answered too late is sent again, and done twice."""
    for double in runs[1:]:
        store.client.delete_run(double.info.run_id)


def parent_run(store: Store, profile: str) -> str:
    """Return the parent run of a profile in this folder, made if it is not in the store."""
    with FileLock(store.place.folder / "lock", timeout=60):
        key = _parent_key(store.place.folder / f"parent-{profile}.json")
        tags = {"mlflow.runName": f"reproduction {profile}", "hocbench.profile": profile}
        run = one_run(store, key, tags, int(time.time() * 1000)).info
        if run.status == "RUNNING":
            # It only groups others: were it left open, a reproduction that was cut off would run for ever.
            store.client.set_terminated(run.run_id)
        return str(run.run_id)


def _parent_key(remembered: Path) -> str:
    """Return the key of a profile's parent, the same in every store, made and remembered if there is none."""
    try:
        return str(json.loads(remembered.read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        key = uuid.uuid4().hex
        # First the key, then the run: an answer that is lost on the way makes no second parent.
        write_text(json.dumps({"key": key}), remembered)
        return key


def experiment_page() -> str:
    """Return the path of the page that lists all runs; a TrackingError if the store cannot be reached."""
    return f"/#/experiments/{reach(here()).experiment}/runs"


def reach(place: Place) -> Store:
    """Open a store for a command that needs it; a TrackingError if it cannot be reached."""
    try:
        return open_store(place)
    except Exception as error:  # MLflow raises many kinds
        raise unreachable(place, error) from None


def unreachable(place: Place, error: Exception) -> TrackingError:
    """Return the error that a store cannot be reached, with what to do."""
    if isinstance(error, TrackingError):
        return error
    reason = plain(error)
    if place.local:
        return TrackingError(f"the MLflow store {FOLDER / NAME} cannot be opened ({reason}); {advice(str(error))}")
    return TrackingError(
        f"the MLflow store {without_secrets(place.uri)} cannot be reached ({reason}); "
        "start its server, or correct or unset MLFLOW_TRACKING_URI, and `hocbench mlflow sync` delivers"
    )
