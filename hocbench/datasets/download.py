"""Files from the addresses that a user was given: resumed, retried, checked, and moved into place when whole."""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ResponseError, TimeoutError
from urllib3.response import BaseHTTPResponse

from hocbench.datasets.extract import is_archive, unpack
from hocbench.errors import FetchError
from hocbench.files.checksums import file_hash
from hocbench.files.write import replaced, write_text
from hocbench.terminal import transfer

FETCHED_MARKER = "FETCHED.json"  # written last: everything is there
USER, PASSWORD, TOKEN = "HOCBENCH_FETCH_USER", "HOCBENCH_FETCH_PASSWORD", "HOCBENCH_FETCH_TOKEN"
BLOCK_BYTES = 2**16
SILENCE_S = 60  # without any byte from the server
AGAIN = (408, 425, 429, 500, 502, 503, 504)
DIGEST = re.compile(r"[0-9a-fA-F]{64}")
LOCAL = ("localhost", "127.0.0.1", "::1")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """A file to fetch: its address, ``http(s)://`` or ``file://``, and its checksum, 64 hexadecimal digits."""

    url: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Name of the file on disk."""
        return Path(unquote(urlsplit(self.url).path)).name


class Patience(Retry):
    """How often a server is asked again, and after how long; says so in the log, without the query of an address."""

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        """Wait before the next request."""
        last = self.history[-1]
        reason = _reason(last.error) if last.error else f"the server answers {last.status}"
        log.info("%s: %s; again in %g s", Item(last.url or "").name, reason, self.get_backoff_time())
        super().sleep(response)


# The second request follows at once, the others after 10 and 20 s.
PATIENCE = Patience(
    total=3, backoff_factor=5, status_forcelist=AGAIN, raise_on_status=False, respect_retry_after_header=False
)


def fetch(root: Path, items: Sequence[Item], patience: Patience = PATIENCE) -> None:
    """Download files into a dataset's folder and unpack the archives among them.

    What is whole is not fetched again, and what is not goes on where it stopped. Archives are kept in
    ``.downloads`` until all is unpacked. User and password, or a token, come from the environment only.

    Raises
    ------
    FetchError
        If an address, an answer, a checksum or an archive is wrong. What was fetched before stays.
    """
    _check(root, items)
    downloads = root / ".downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    fetched = []
    paths = [_retrieve(item, downloads, patience) for item in items]
    # From here on files of the copy are replaced.
    (root / FETCHED_MARKER).unlink(missing_ok=True)
    written: dict[str, Path] = {}
    for item, path in zip(items, paths, strict=True):
        fetched.append({"name": item.name, "sha256": file_hash(path), "bytes": path.stat().st_size})
        _place(item, path, root, written)
    write_text(json.dumps({"files": fetched}, indent=1) + "\n", root / FETCHED_MARKER)
    shutil.rmtree(downloads)


def _place(item: Item, path: Path, root: Path, written: dict[str, Path]) -> None:
    """Unpack an archive into the folder, or put another file there."""
    try:
        if is_archive(path):
            log.info("%s: %d files", item.name, unpack(path, root, written=written))
            return
        with replaced(root / item.name) as temporary:
            shutil.copyfile(path, temporary)
    except FetchError:
        # Without a checksum nobody knows that it is what was asked for: perhaps a page that says to log in.
        if item.sha256 is None:
            path.unlink()
        raise
    except OSError as error:
        raise FetchError(f"{root / item.name} cannot be written ({error.strerror}); is the disk full?") from None


def _check(root: Path, items: Sequence[Item]) -> None:
    if not items:
        raise FetchError("nothing to fetch; give at least one address")
    if root.exists() and not root.is_dir():
        raise FetchError(f"{root} is a file; give a folder")
    names: set[str] = set()
    for item in items:
        try:
            parts = urlsplit(item.url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise FetchError(f"an address cannot be read ({error}); give it as your source did") from None
        if item.sha256 is not None and not DIGEST.fullmatch(item.sha256):
            raise FetchError(f"the checksum {item.sha256!r} of {item.name} is not 64 hexadecimal digits; correct it")
        if parts.username or parts.password:
            raise FetchError(
                f"the address of {item.name} holds a user or password, which would end up in logs; "
                f"put them into the environment as {USER} and {PASSWORD}"
            )
        if parts.scheme not in ("http", "https", "file") or (parts.scheme != "file" and host is None):
            raise FetchError(f"{item.url} is no http, https or file address; give one of these")
        if not item.name or item.name.startswith("."):
            raise FetchError(f"{item.url} names no file; give the address of a file")
        if item.name in names:
            raise FetchError(f"{item.name} is the name of two of the files; fetch them into two folders")
        names.add(item.name)
        if _credentials() and parts.scheme == "http" and host not in LOCAL:
            raise FetchError(f"{_shown(item.url)} would send your password unencrypted; use https")


def _credentials() -> dict[str, Any]:
    """Return the arguments of requests that prove who the user is."""
    if token := os.environ.get(TOKEN):
        return {"headers": {"Authorization": f"Bearer {token}"}}
    if user := os.environ.get(USER):
        return {"auth": (user, os.environ.get(PASSWORD, ""))}
    return {}


def _shown(url: str) -> str:
    """Leave out the query of an address: signed ones hold a secret there."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _retrieve(item: Item, downloads: Path, patience: Patience) -> Path:
    """Fetch one file and check it, unless it is here."""
    # It would print whole addresses.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    # A file of the same name from elsewhere is another file.
    folder = downloads / hashlib.sha256(item.url.encode()).hexdigest()[:16]
    file, part, wanted = folder / item.name, folder / f"{item.name}.part", (item.sha256 or "").lower()
    try:
        folder.mkdir(exist_ok=True)
        if file.is_file() and (not wanted or file_hash(file) == wanted):
            return file
        _download(item.url, part, patience)
        if wanted and file_hash(part) != wanted:
            part.unlink()
            raise FetchError(
                f"{_shown(item.url)} is not the file that was expected: its sha256 is not {item.sha256}; nothing of it "
                "was kept. Compare the checksum with the one of your source, then fetch again"
            )
        return part.replace(file)
    except requests.RequestException as error:
        raise FetchError(f"{_shown(item.url)} cannot be fetched ({type(error).__name__}); check the address") from None
    except OSError as error:
        raise FetchError(f"{file} cannot be written ({error.strerror}); is the disk full?") from None


def _download(url: str, part: Path, patience: Patience) -> None:
    """Fetch into a partial file: the session asks again for an answer, and this loop for the rest of one."""
    if url.startswith("file:"):
        _copy(url, part)
        return
    try:
        while (left := _fetch_rest(url, part, patience)) is not None:
            patience = left
            patience.sleep()
    except (requests.ConnectionError, requests.Timeout, MaxRetryError) as error:
        times = len(patience.history) + int(patience.total or 0) + 1
        raise FetchError(
            f"{_shown(url)}: {_reason(error)}, {times} times; what came so far is kept, so the same command goes on "
            "from there"
        ) from None


def _reason(error: object) -> str:
    """Return why an answer did not come, or not to its end."""
    while isinstance(error, MaxRetryError | requests.RequestException):
        error = error.reason if isinstance(error, MaxRetryError) else next(iter(error.args), None)
    if isinstance(error, ResponseError):
        return str(error)
    if isinstance(error, TimeoutError) and not isinstance(error, NewConnectionError):
        return "no answer in time"
    return "the connection ended early" if isinstance(error, ProtocolError) else "no connection"


def _fetch_rest(url: str, part: Path, patience: Patience) -> Patience | None:
    """Ask for what is missing and append it; returns the patience that is left if more has to be asked for."""
    version_file = part.with_name(f"{part.name}.json")
    have = part.stat().st_size if part.is_file() and version_file.is_file() else 0
    credentials = _credentials()
    headers = {"Accept-Encoding": "identity"} | credentials.pop("headers", {})
    if have:
        # If-Range: the rest of the same file, or else all of a newer one.
        headers |= {"Range": f"bytes={have}-", "If-Range": json.loads(version_file.read_text())["version"]}
    options = {"headers": headers, "stream": True, "timeout": SILENCE_S} | credentials
    with _session(patience) as session, session.get(url, **options) as answer:
        left, status = cast(Patience, answer.raw.retries), answer.status_code
        if status in (416, *AGAIN):
            if status == 416:
                # There is no such rest: what is here is of another file.
                part.unlink(missing_ok=True)
            return left.increment("GET", url, error=ResponseError(f"the server answers {status}"))
        if status not in (200, 206):
            raise _refused(url, status)
        if status != 206:
            have = 0
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if version and not version.startswith("W/"):
            write_text(json.dumps({"version": version}), version_file)
        else:
            version_file.unlink(missing_ok=True)
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with transfer(part.stem, total) as advance, part.open("ab" if have else "wb") as file:
            advance(have)
            try:
                for block in answer.iter_content(BLOCK_BYTES):
                    file.write(block)
                    advance(len(block))
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                return left.increment("GET", url, error=error)
    version_file.unlink(missing_ok=True)
    return None


def _session(patience: Patience) -> requests.Session:
    """Open a session that takes proxies and certificates from the environment, but no password from a file."""
    session = requests.Session()
    session.trust_env = False
    session.proxies.update(getproxies())
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=patience))
    return session


def _refused(url: str, status: int) -> FetchError:
    if status in (401, 403):
        advice = f", you are not admitted; set {USER} and {PASSWORD}, or {TOKEN}, in the environment"
    elif status in (404, 410):
        advice = ", there is no such file; ask for the new address"
    else:
        advice = "; ask those who gave you the address"
    return FetchError(f"{_shown(url)}: the server answers {status}{advice}")


def _copy(url: str, part: Path) -> None:
    source = Path(unquote(urlsplit(url).path))
    try:
        with transfer(source.name, source.stat().st_size), source.open("rb") as file, part.open("wb") as target:
            shutil.copyfileobj(file, target, BLOCK_BYTES)
    except OSError as error:
        raise FetchError(f"{source} cannot be copied ({error.strerror}); check the address") from None
