"""What is delivered after the runs: outboxes that were left, and the results of a whole reproduction."""

import hashlib
import json
import logging
from collections.abc import Iterator

import yaml

from hocbench import paths
from hocbench.errors import TrackingError
from hocbench.tracking.mlflow_writer import LATER, Delivery, file_to_send, text_to_send
from hocbench.tracking.outbox import DAMAGED, FOLDER, Event, Outbox, is_ended, now_ms, status, to_send
from hocbench.tracking.secrets import plain, without_secrets
from hocbench.tracking.sender import Courier
from hocbench.tracking.store import Place, here, reach, unreachable
from hocbench.tracking.switch import is_off

LOGGER = logging.getLogger(__name__)
# What MLflow says of a request that it did not get an answer to; every other error is about the request.
UNANSWERED = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
RESULTS = (("tables", "*.md"), ("tables", "*.csv"), ("figures", "*.png"), ("", "report.html"))


def sync() -> Iterator[str]:
    """Deliver all outboxes.

    Yields
    ------
    str
        A line about each outbox, and a summary.

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
        outbox = Outbox.free(path)
        if outbox is None:
            counts["in use"] += 1
            yield f"{path.stem}: being written right now, left for later"
            continue
        with outbox:
            outcome, lines = _deliver(outbox, place)
        counts[outcome] += 1
        yield from lines
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    yield told or "nothing to deliver"
    if counts["refused"]:
        raise TrackingError(f"{counts['refused']} of {len(files)} could not be delivered, see above; they are kept")


def _deliver(outbox: Outbox, place: Place) -> tuple[str, list[str]]:
    """Deliver one outbox; return what came of it and what to say."""
    name, events = outbox.path.stem, outbox.events
    if events and events[-1]["event"] == "delivered":
        return "waiting", [f"{name}: delivered before, waits for its next try"]
    if not events or events[0]["event"] != "run":
        outbox.set_aside(DAMAGED)
        return "refused", [f"{name}: its first line is damaged; renamed to {name}.{DAMAGED}"]
    delivery = Delivery(place)
    sent = to_send(events)
    if not is_ended(events):
        # Nobody has the file, so the process that wrote it is gone.
        sent.append({"event": "end", "time": events[-1]["time"], "status": "KILLED", "values": {}, "files": []})
    try:
        delivery.send(sent)
    except Exception as error:  # MLflow raises many kinds
        if getattr(error, "error_code", "") in UNANSWERED:
            raise unreachable(place, error) from None
        return "refused", [f"{name}: not delivered: {plain(error)}", *outbox.problems]
    problems = [f"{name}: {problem}" for problem in (*outbox.problems, *delivery.problems)]
    close_delivered(outbox)
    rows = sum(event["event"] == "epoch" for event in sent)
    return "delivered", [*problems, f"{name}: {rows} epochs delivered, {sent[-1]['status']}"]


def close_delivered(outbox: Outbox) -> None:
    """Remove a delivered outbox, or mark it if a later try of its run may go on with it."""
    if status(outbox.events) == "FINISHED":
        outbox.remove()
    else:
        outbox.append({"event": "delivered", "time": now_ms()})


def finish_reproduction(profile: str, parameters: str) -> None:
    """Send tables, figures, report and parameters of a finished reproduction to its parent run.

    A store that does not answer in time costs a warning; nothing is sent if nothing has changed since the last time.

    Parameters
    ----------
    profile : str
        Its results are read in the working folder.
    parameters : str
        All parameters as used, JSON.
    """
    if is_off():
        return
    place = here()
    try:
        _finish(place, profile, json.loads(parameters))
    except Exception as error:  # a reproduction does not fail because of who watches
        LOGGER.warning("MLflow: the results of this reproduction are not noted (%s)", plain(error))


def _finish(place: Place, profile: str, parameters: dict[str, object]) -> None:
    root = paths.results(profile)
    found = [(path, folder) for folder, pattern in RESULTS for path in sorted((root / folder).glob(pattern))]
    files = [file_to_send(path, folder) for path, folder in found]
    used = without_secrets(yaml.safe_dump(parameters, sort_keys=False, allow_unicode=True))
    files.append(text_to_send("params.yaml", used))
    stamp = place.folder / f"finished-{profile}.sha256"
    if stamp.is_file() and stamp.read_text() == _digest(place, files):
        return
    with Outbox(place.folder / FOLDER / f"reproduction.{profile}.jsonl") as outbox:
        # What an earlier reproduction could not deliver is overtaken by this one.
        outbox.remove()
        outbox.events.clear()
        time = now_ms()
        header: Event = {"key": "", "name": f"reproduction {profile}", "profile": profile, "parent": LATER}
        outbox.append({"event": "run", "time": time} | header | {"tags": {}, "params": {}, "recovered": False})
        outbox.append({"event": "end", "time": time, "status": "FINISHED", "values": {}, "files": files})
        courier = Courier(place, outbox.events)
        if courier.close(place.patience_s):
            close_delivered(outbox)
        else:
            LOGGER.warning(
                "MLflow: the results of this reproduction are kept (%s); deliver them with `hocbench mlflow sync`",
                courier.problem,
            )
    stamp.write_text(_digest(place, files))


def _digest(place: Place, files: list[dict[str, str]]) -> str:
    """Hash what is sent and where."""
    return hashlib.sha256(json.dumps([files, without_secrets(place.uri)]).encode()).hexdigest()
