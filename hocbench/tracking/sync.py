"""What is delivered before and after the runs: their parent, outboxes that were left, results of a reproduction."""

import hashlib
import json
import logging
from collections.abc import Iterator

import yaml
from filelock import Timeout

from hocbench import paths
from hocbench.errors import TrackingError
from hocbench.files.write import write_text
from hocbench.tracking.mlflow_writer import LATER, MlflowWriter, file_to_send
from hocbench.tracking.outbox import DAMAGED, FOLDER, Event, Outbox, now_ms, status, to_send
from hocbench.tracking.secrets import plain, without_secrets
from hocbench.tracking.sender import Sender
from hocbench.tracking.store import Place, here, reach, unreachable
from hocbench.tracking.switch import is_off

LOGGER = logging.getLogger(__name__)
# What MLflow says of a request that it did not get an answer to; every other error is about the request.
UNANSWERED = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
RESULTS = (("tables", "*.md"), ("tables", "*.csv"), ("figures", "*.png"), ("", "report.html"))


def sync() -> Iterator[str]:
    """Deliver all outboxes; yields a line about each, and a summary.

    Raises
    ------
    TrackingError
        If the store cannot be reached, or something could not be delivered.
    """
    if is_off():
        raise TrackingError("tracking is switched off; unset HOCBENCH_TRACKING to deliver what is kept")
    place = here()
    files = sorted((place.folder / FOLDER).glob("*.jsonl"))
    if files:
        reach(place)
    counts = {"delivered": 0, "waiting": 0, "in use": 0, "refused": 0}
    for path in files:
        try:
            with Outbox(path) as outbox:
                outcome, lines = _deliver(outbox, place)
        except Timeout:
            outcome, lines = "in use", [f"{path.stem}: being written right now, left for later"]
        counts[outcome] += 1
        yield from lines
    yield ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "nothing to deliver"
    if counts["refused"]:
        raise TrackingError(f"{counts['refused']} of {len(files)} could not be delivered, see above; they are kept")


def _deliver(outbox: Outbox, place: Place) -> tuple[str, list[str]]:
    """Deliver one outbox; return what came of it and what to print."""
    name, events = outbox.path.stem, outbox.events
    if events and events[-1]["event"] == "delivered":
        return "waiting", [f"{name}: delivered before, waits for its next attempt"]
    if not events or events[0]["event"] != "run":
        outbox.set_aside(DAMAGED)
        return "refused", [f"{name}: its first line is damaged; renamed to {name}.{DAMAGED}"]
    writer = MlflowWriter(place)
    sent = to_send(events)
    if not status(events):
        # The file is free, so the process that wrote it is gone.
        sent.append({"event": "end", "time": events[-1]["time"], "status": "KILLED", "values": {}, "files": []})
    try:
        writer.send(sent)
    except Exception as error:  # MLflow raises many kinds
        if getattr(error, "error_code", "") in UNANSWERED:
            raise unreachable(place, error) from None
        return "refused", [f"{name}: not delivered: {plain(error)}", *outbox.problems]
    problems = [f"{name}: {problem}" for problem in (*outbox.problems, *writer.problems)]
    outbox.close_delivered()
    rows = sum(event["event"] == "epoch" for event in sent)
    return "delivered", [*problems, f"{name}: {rows} epochs delivered, {sent[-1]['status']}"]


def start_reproduction(profile: str) -> str | None:
    """Make the store, the experiment and the parent run of a profile, once, and return the id of that run.

    None, after a warning, where the store does not answer in time.
    """
    if is_off():
        return None
    place = here()
    sender = Sender(place, [_parent_event(profile)])
    if sender.close(place.patience_s):
        return sender.run
    reason = unreachable(place, sender.error or TimeoutError())
    LOGGER.warning("%s. Meanwhile runs keep their events", reason)
    return None


def _parent_event(profile: str) -> Event:
    header = {"name": f"reproduction {profile}", "profile": profile, "parent": LATER, "tags": {}, "params": {}}
    return {"event": "run", "time": now_ms(), "key": "", "recovered": False} | header


def finish_reproduction(profile: str, parameters: str) -> None:
    """Send tables, figures, report and parameters (JSON) of a finished reproduction to its parent run.

    A store that does not answer in time costs a warning; nothing is sent if nothing has changed since the last time.
    """
    if is_off():
        return
    try:
        _finish(here(), profile, json.loads(parameters))
    except Exception as error:  # a reproduction does not fail because of who watches
        LOGGER.warning("MLflow: the results of this reproduction are not noted (%s)", plain(error))


def _finish(place: Place, profile: str, parameters: dict[str, object]) -> None:
    root = paths.results(profile)
    results = [(path, folder) for folder, pattern in RESULTS for path in sorted((root / folder).glob(pattern))]
    files = [file_to_send(path, folder) for path, folder in results]
    used = without_secrets(yaml.safe_dump(parameters, sort_keys=False, allow_unicode=True))
    files.append({"name": "params.yaml", "text": used, "folder": ""})
    # What was sent, and where.
    digest = hashlib.sha256(json.dumps([files, without_secrets(place.uri)]).encode()).hexdigest()
    stamp = place.folder / f"finished-{profile}.sha256"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    with Outbox(place.folder / FOLDER / f"reproduction.{profile}.jsonl") as outbox:
        # This reproduction replaces an earlier one whose results could not be delivered.
        outbox.clear()
        outbox.append(_parent_event(profile))
        outbox.append({"event": "end", "time": now_ms(), "status": "FINISHED", "values": {}, "files": files})
        sender = Sender(place, outbox.events)
        if sender.close(place.patience_s):
            outbox.close_delivered()
        else:
            LOGGER.warning(
                "MLflow: the results of this reproduction are kept (%s); deliver them with `hocbench mlflow sync`",
                sender.problem,
            )
    write_text(digest, stamp)
