"""The events of a run that MLflow is sent: each attempt, each epoch, its end; see `hocbench.tracking` for the way."""

import json
import logging
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pandas as pd

from hocbench.datasets.columns import NO_CROP
from hocbench.errors import StoppedEarly
from hocbench.experiment.spec import RunSpec
from hocbench.experiment.tasks import Task
from hocbench.metrics.classification import probabilities
from hocbench.metrics.records import METRICS
from hocbench.runs.record import flat
from hocbench.tracking.mlflow_writer import file_to_send
from hocbench.tracking.outbox import DAMAGED, FOLDER, Event, Outbox, now_ms, status, to_send
from hocbench.tracking.secrets import plain, without_secrets
from hocbench.tracking.sender import Sender
from hocbench.tracking.store import here
from hocbench.tracking.switch import is_off

LOGGER = logging.getLogger(__name__)
FILES = ("manifest.json", "history.csv", "cost.json")
WEIGHTS = "weights.safetensors"
# Who stops a run, a person or a cluster, does not want to wait.
IMPATIENCE_S = 3.0
IMPORT_S = 60.0  # on a machine that does much else; a few seconds usually


def _scores(frames: pd.DataFrame, task: Task) -> dict[str, float]:
    """Score predictions of affect, frame by frame."""
    return {
        f"test_{metric.id}_{target}": metric.function(frames[f"truth_{target}"].to_numpy(), frames[target].to_numpy())
        for target in task.targets
        for metric in METRICS[task.kind]
    }


def _class_scores(frames: pd.DataFrame, task: Task) -> dict[str, float]:
    """Score predictions of classes, clip by clip: the mean logits of frames with a crop, if a clip has any."""
    seen = frames["status"] != NO_CROP
    clips = frames[seen | ~frames["clip"].isin(frames.loc[seen, "clip"])].groupby("clip")
    truth, chances = clips["truth_class"].first(), probabilities(clips[list(task.output_columns)].mean())
    # The AUC of a single class is not defined.
    return {
        f"test_{metric.id}": metric.function(truth, chances)
        for metric in METRICS[task.kind]
        if metric.id != "auc" or truth.nunique() > 1
    }


class Tracker:
    """Keeps the events of a run in its outbox and has them delivered to MLflow beside the training.

    As a context manager it marks a run that an exception ends: as failed, as killed if the user stopped it, or as
    still running if it was asked to stop and will go on. Nothing here ever fails or waits more than seconds: what
    cannot be delivered costs one warning and stays in the outbox for ``hocbench mlflow sync``.

    Parameters
    ----------
    spec, label : RunSpec, str
        Of the run, whose data are "synthetic" or "real".
    key : str
        Key of the MLflow run to go on with, as an earlier attempt had it; that in the outbox wins.

    Attributes
    ----------
    key : str
        Identifies the MLflow run, whatever store it is in; known in the block, empty if nothing is tracked.
    """

    def __init__(self, spec: RunSpec, label: str, key: str = "") -> None:
        self.key = ""
        self._spec, self._label, self._wanted = spec, label, key
        self._outbox: Outbox | None = None
        self._sender: Sender | None = None
        self._patience_s = IMPATIENCE_S

    def __enter__(self) -> Self:
        parent = os.environ.get("HOCBENCH_MLFLOW_PARENT", "")
        # Without a parent the step was called by hand. Of several processes of one run the first one speaks.
        if parent and not is_off() and os.environ.get("RANK", "0") == "0":
            self._attempt(lambda: self._begin(parent))
        return self

    def _begin(self, parent: str) -> None:
        place = here()
        name = self._spec.name.replace("/", ".")
        self._outbox = outbox = Outbox(place.folder / FOLDER / f"{name}.jsonl")
        header = outbox.events[0] if outbox.events and outbox.events[0]["event"] == "run" else None
        if header is None or status(outbox.events) == "FINISHED":
            if header is not None:
                outbox.set_aside(f"{header['key'][:8]}.jsonl")
            elif outbox.path.exists():
                outbox.set_aside(DAMAGED)
            header = self._header(parent)
            outbox.append(header)
        outbox.append({"event": "attempt", "time": now_ms()})
        self.key, self._patience_s = header["key"], place.patience_s
        self._sender = Sender(place, to_send(outbox.events))

    def _header(self, parent: str) -> Event:
        spec = self._spec
        return {
            "event": "run",
            "time": now_ms(),
            "key": self._wanted or uuid.uuid4().hex,
            "recovered": bool(self._wanted),
            "name": spec.name,
            "profile": spec.profile,
            "parent": parent,
            "tags": {"data": self._label},
            "params": {name: without_secrets(str(value)) for name, value in flat(spec.model_dump(mode="json")).items()},
        }

    def settle(self) -> None:
        """Wait until this process may fork; MLflow is imported beside the training."""
        if self._sender is not None:
            self._sender.settle(IMPORT_S)

    def log_epoch(self, row: dict[str, Any]) -> None:
        """Keep one row of the history and have it delivered."""
        self._attempt(lambda: self._note(row))

    def _note(self, row: dict[str, Any]) -> None:
        if self._outbox is None:
            return
        skipped = ("epoch", "kept")
        values = {k: float(v) for k, v in row.items() if k not in skipped and v is not None and v == v}
        event = {"event": "epoch", "time": now_ms(), "step": int(row["epoch"]), "values": values}
        # An epoch that is done again after a stop is the same row of the same time: the store keeps one.
        earlier = [e for e in self._outbox.events if e["event"] == "epoch" and e["step"] == event["step"]]
        if not earlier or earlier[-1]["values"] != json.loads(json.dumps(values)):
            self._put(event)

    def _put(self, event: Event) -> None:
        if self._outbox is not None and self._sender is not None:
            self._outbox.append(event)
            self._sender.put(event)

    def finish(self, out: Path, predictions: pd.DataFrame) -> None:
        """Send final test scores and the small files of a run directory; weights if HOCBENCH_MLFLOW_WEIGHTS is 1."""
        if self._outbox is not None:
            self._attempt(lambda: self._finish(out, predictions))

    def _finish(self, out: Path, predictions: pd.DataFrame) -> None:
        test = predictions[predictions["part"] == "test"]
        values = _class_scores(test, self._spec.task) if self._spec.task.classes else _scores(test, self._spec.task)
        wanted = (*FILES, WEIGHTS) if os.environ.get("HOCBENCH_MLFLOW_WEIGHTS") == "1" else FILES
        files = [file_to_send(out / name) for name in wanted if (out / name).is_file()]
        self._end("FINISHED", self._patience_s, {k: v for k, v in values.items() if v == v}, files)

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is not None:
            self._attempt(lambda: self._end(*self._ending(kind)))
        if self._outbox is not None:
            self._outbox.release()

    def _ending(self, kind: type[BaseException]) -> tuple[str, float]:
        """Return the status of a run that an exception ends, and how long to wait for the store."""
        if issubclass(kind, StoppedEarly):
            return "RUNNING", IMPATIENCE_S
        return ("FAILED", self._patience_s) if issubclass(kind, Exception) else ("KILLED", IMPATIENCE_S)

    def _end(
        self, status: str, patience_s: float, values: dict[str, float] | None = None, files: list[Any] | None = None
    ) -> None:
        self._put({"event": "end", "time": now_ms(), "status": status, "values": values or {}, "files": files or []})
        sender, self._sender = self._sender, None
        if self._outbox is None or sender is None:
            return
        if sender.close(patience_s):
            self._outbox.close_delivered()
        else:
            LOGGER.warning(
                "MLflow store cannot be reached, the events of this run are kept (%s); "
                "deliver them with `hocbench mlflow sync`",
                sender.problem,
            )

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something about the outbox; a failure, such as a full disk, costs one warning and the tracking."""
        try:
            action()
        except Exception as error:  # none may stop a run
            outbox, self._outbox = self._outbox, None
            if outbox is not None:
                outbox.release()
            LOGGER.warning("MLflow is sent no more about this run: %s", plain(error))
