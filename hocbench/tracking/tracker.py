"""What a run tells MLflow: each try, each epoch, its end; see `hocbench.tracking` for how it gets there."""

import json
import logging
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pandas as pd

from hocbench.errors import StoppedEarly
from hocbench.experiment.spec import RunSpec
from hocbench.metrics import ccc, pcc, rmse, sagr
from hocbench.runs.record import flat
from hocbench.tracking.mlflow_writer import file_to_send
from hocbench.tracking.outbox import DAMAGED, FOLDER, Event, Outbox, now_ms, status, to_send
from hocbench.tracking.secrets import plain, without_secrets
from hocbench.tracking.sender import Courier
from hocbench.tracking.store import experiment_page, here, start_reproduction, tracking_uri
from hocbench.tracking.switch import is_off
from hocbench.tracking.sync import close_delivered

__all__ = ["Tracker", "experiment_page", "start_reproduction", "tracking_uri"]

LOGGER = logging.getLogger(__name__)
SCORES: dict[str, Callable[..., float]] = {"rmse": rmse, "sagr": sagr, "pcc": pcc, "ccc": ccc}
FILES = ("manifest.json", "history.csv", "cost.json")
WEIGHTS = "weights.safetensors"
# Who stops a run, a person or a cluster, does not want to wait.
IMPATIENCE_S = 3.0
IMPORT_S = 60.0  # on a machine that does much else; a few seconds usually


class Tracker:
    """Keeps what a run has to tell in its outbox and has it delivered to MLflow beside the training.

    As a context manager it marks a run that an exception ends: as failed, as killed if the user stopped it, or as
    still running if it was asked to stop and will go on. Nothing here ever fails or waits more than seconds: what
    cannot be delivered costs one warning and stays in the outbox for ``hocbench mlflow sync``.

    Parameters
    ----------
    spec : RunSpec
        What the run is told.
    label : str
        "synthetic" or "real".
    key : str
        Key of the MLflow run to go on with, as an earlier try had it; the outbox's own wins.

    Attributes
    ----------
    key : str
        Identifies the MLflow run, whatever store it is in; known in the block, empty if nothing is tracked.
    """

    def __init__(self, spec: RunSpec, label: str, key: str = "") -> None:
        self.key = ""
        self._spec, self._label, self._wanted = spec, label, key
        self._outbox: Outbox | None = None
        self._courier: Courier | None = None
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
        self._courier = Courier(place, to_send(outbox.events))

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
        if self._courier is not None:
            self._courier.settle(IMPORT_S)

    def log_epoch(self, row: dict[str, Any]) -> None:
        """Keep one row of the history and have it delivered."""
        if self._outbox is not None:
            self._attempt(lambda: self._note(row))

    def _note(self, row: dict[str, Any]) -> None:
        skipped = ("epoch", "kept")
        values = {k: float(v) for k, v in row.items() if k not in skipped and v is not None and v == v}
        event = {"event": "epoch", "time": now_ms(), "step": int(row["epoch"]), "values": values}
        # An epoch that is done again after a stop is the same row of the same time: the store keeps one.
        earlier = [e for e in self._events() if e["event"] == "epoch" and e["step"] == event["step"]]
        if not earlier or earlier[-1]["values"] != json.loads(json.dumps(values)):
            self._tell(event)

    def finish(self, out: Path, predictions: pd.DataFrame) -> None:
        """Send final test scores and the small files of a finished run directory.

        Parameters
        ----------
        out : Path
            Run directory; ``HOCBENCH_MLFLOW_WEIGHTS=1`` sends its weights as well.
        predictions : pandas.DataFrame
            Columns part, truth_valence, truth_arousal, valence and arousal; a row per frame.
        """
        if self._outbox is not None:
            self._attempt(lambda: self._finish(out, predictions))

    def _finish(self, out: Path, predictions: pd.DataFrame) -> None:
        test = predictions[predictions["part"] == "test"]
        values = {
            f"test_{name}_{target}": float(function(test[f"truth_{target}"].to_numpy(), test[target].to_numpy()))
            for target in ("valence", "arousal")
            for name, function in SCORES.items()
        }
        wanted = (*FILES, WEIGHTS) if os.environ.get("HOCBENCH_MLFLOW_WEIGHTS") == "1" else FILES
        files = [file_to_send(out / name) for name in wanted if (out / name).is_file()]
        self._end("FINISHED", self._patience_s, {k: v for k, v in values.items() if v == v}, files)

    def _end(
        self,
        status: str,
        patience_s: float,
        values: dict[str, float] | None = None,
        files: list[dict[str, str]] | None = None,
    ) -> None:
        if self._outbox is None or self._courier is None:
            return
        self._tell({"event": "end", "time": now_ms(), "status": status, "values": values or {}, "files": files or []})
        courier, self._courier = self._courier, None
        if courier.close(patience_s):
            close_delivered(self._outbox)
        else:
            LOGGER.warning(
                "MLflow store cannot be reached, what this run has to tell is kept (%s); "
                "deliver it with `hocbench mlflow sync`",
                courier.problem,
            )

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if self._outbox is not None and kind is not None:
            self._attempt(lambda: self._end(*self._ending(kind)))
        if self._outbox is not None:
            self._outbox.release()

    def _tell(self, event: Event) -> None:
        if self._outbox is not None and self._courier is not None:
            self._outbox.append(event)
            self._courier.put(event)

    def _events(self) -> list[Event]:
        return self._outbox.events if self._outbox is not None else []

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something about the outbox; what fails here, such as a full disk, costs one warning and the tracking."""
        try:
            action()
        except Exception as error:  # none may stop a run
            outbox, self._outbox = self._outbox, None
            if outbox is not None:
                outbox.release()
            LOGGER.warning("MLflow is told no more about this run: %s", plain(error))

    def _ending(self, kind: type[BaseException]) -> tuple[str, float]:
        if issubclass(kind, StoppedEarly):
            return "RUNNING", IMPATIENCE_S
        return ("FAILED", self._patience_s) if issubclass(kind, Exception) else ("KILLED", IMPATIENCE_S)
