"""Files from the addresses that a user was given: resumed, retried, checked, and moved into place when whole."""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import pooch
import requests

from hocbench.datasets.extract import is_archive, unpack
from hocbench.errors import FetchError
from hocbench.files.write import replaced, write_text
from hocbench.terminal import transfer

FETCHED_MARKER = "FETCHED.json"  # written last: everything is there
USER, PASSWORD, TOKEN = "HOCBENCH_FETCH_USER", "HOCBENCH_FETCH_PASSWORD", "HOCBENCH_FETCH_TOKEN"
BLOCK_BYTES = 2**16
AGAIN = (408, 425, 429, 500, 502, 503, 504)
DIGEST = re.compile(r"[0-9a-fA-F]{64}")
LOCAL = ("localhost", "127.0.0.1", "::1")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """A file to fetch.

    Attributes
    ----------
    url : str
        ``http(s)://`` or ``file://``.
    sha256 : str or None
        Its checksum, 64 hexadecimal digits.
    """

    url: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Name of the file on disk."""
        return Path(unquote(urlsplit(self.url).path)).name


@dataclass(frozen=True)
class Patience:
    """How long to try: seconds before each new attempt, and without any byte from the server."""

    waits_s: tuple[float, ...] = (1, 5, 20)
    silence_s: float = 60
    sleep: Any = field(default=time.sleep, repr=False)


def fetch(root: Path, items: Sequence[Item], patience: Patience | None = None) -> None:
    """Download files into a dataset's folder and unpack the archives among them.

    What is whole is not fetched again, and what is not goes on where it stopped. Archives are kept in
    ``.downloads`` until all is unpacked.

    Parameters
    ----------
    root : Path
        Dataset folder.
    items : sequence of Item
        What to fetch. User and password, or a token, come from the environment only.
    patience : Patience, optional
        See there.

    Raises
    ------
    FetchError
        If an address, an answer, a checksum or an archive is wrong. What was fetched before stays.
    """
    _check(root, items)
    downloads = root / ".downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    found = []
    paths = [_retrieve(item, downloads, patience or Patience()) for item in items]
    # From here on files of the copy are replaced.
    (root / FETCHED_MARKER).unlink(missing_ok=True)
    written: dict[str, Path] = {}
    for item, path in zip(items, paths, strict=True):
        found.append({"name": item.name, "sha256": pooch.file_hash(str(path)), "bytes": path.stat().st_size})
        _place(item, path, root, written)
    write_text(json.dumps({"files": found}, indent=1) + "\n", root / FETCHED_MARKER)
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
            where = (parts.hostname, parts.port)
        except ValueError as error:
            raise FetchError(f"an address cannot be read ({error}); give it as your source did") from None
        if parts.scheme != "file" and where[0] is None:
            raise FetchError(f"{item.url} is no http, https or file address; give one of these")
        if item.sha256 is not None and not DIGEST.fullmatch(item.sha256):
            raise FetchError(f"the checksum {item.sha256!r} of {item.name} is not 64 hexadecimal digits; correct it")
        if parts.username or parts.password:
            raise FetchError(
                f"the address of {item.name} holds a user or password, which would end up in logs; "
                f"put them into the environment as {USER} and {PASSWORD}"
            )
        if parts.scheme not in ("http", "https", "file"):
            raise FetchError(f"{item.url} is no http, https or file address; give one of these")
        if not item.name or item.name.startswith("."):
            raise FetchError(f"{item.url} names no file; give the address of a file")
        if item.name in names:
            raise FetchError(f"{item.name} is the name of two of the files; fetch them into two folders")
        names.add(item.name)
        if _credentials() and parts.scheme == "http" and parts.hostname not in LOCAL:
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
    """Let pooch fetch and check one file."""
    pooch.get_logger().setLevel("WARNING")  # it would print whole addresses
    # A file of the same name from elsewhere is another file.
    folder = downloads / hashlib.sha256(item.url.encode()).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    known = f"sha256:{item.sha256.lower()}" if item.sha256 else None

    def download(url: str, output: str, _: Any) -> None:
        _download(url, folder / f"{item.name}.part", patience)
        (folder / f"{item.name}.part").replace(output)

    try:
        return Path(pooch.retrieve(item.url, known, item.name, str(folder), downloader=download))
    except requests.RequestException as error:
        raise FetchError(f"{_shown(item.url)} cannot be fetched ({type(error).__name__}); check the address") from None
    except OSError as error:
        raise FetchError(f"{folder / item.name} cannot be written ({error.strerror}); is the disk full?") from None
    except ValueError:
        raise FetchError(
            f"{_shown(item.url)} is not the file that was expected: its sha256 is not {item.sha256}; nothing of it was "
            "kept. Compare the checksum with the one of your source, then fetch again"
        ) from None


def _download(url: str, part: Path, patience: Patience) -> None:
    """Fetch into a partial file, attempt after attempt."""
    if url.startswith("file:"):
        _copy(url, part)
        return
    for wait_s in (*patience.waits_s, None):
        try:
            _attempt(url, part, patience.silence_s)
            return
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            fault = f"{_shown(url)}: {_reason(error)}"
        except _ServerError as error:
            fault = str(error)
        if wait_s is not None:
            log.info("%s; again in %g s", fault, wait_s)
            patience.sleep(wait_s)
    raise FetchError(
        f"{fault}, {len(patience.waits_s) + 1} times; what came so far is kept, so the same command goes on from there"
    )


class _ServerError(Exception):
    """An answer that may be another one in a while."""


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended early"
    return "no connection"


def _attempt(url: str, part: Path, silence_s: float) -> None:
    """Ask for what is missing and append it."""
    about = part.with_name(f"{part.name}.json")
    have = part.stat().st_size if part.is_file() and about.is_file() else 0
    credentials = _credentials()
    headers = {"Accept-Encoding": "identity"} | credentials.pop("headers", {})
    if have:
        # If-Range: the rest of the same file, or else all of a newer one.
        headers |= {"Range": f"bytes={have}-", "If-Range": json.loads(about.read_text())["version"]}
    options = {"headers": headers, "stream": True, "timeout": silence_s} | credentials
    with _session() as session, session.get(url, **options) as answer:
        _refuse(url, answer.status_code, part)
        if answer.status_code != 206:
            have = 0
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if version and not version.startswith("W/"):
            write_text(json.dumps({"version": version}), about)
        else:
            about.unlink(missing_ok=True)
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with transfer(part.stem, total) as advance, part.open("ab" if have else "wb") as file:
            advance(have)
            for block in answer.iter_content(BLOCK_BYTES):
                file.write(block)
                advance(len(block))
    about.unlink(missing_ok=True)


def _session() -> requests.Session:
    """Open a session that takes proxies and certificates from the environment, but no password from a file."""
    session = requests.Session()
    session.trust_env = False
    session.proxies.update(getproxies())
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
    return session


def _refuse(url: str, status: int, part: Path) -> None:
    if status in (200, 206):
        return
    if status == 416:
        # There is no such rest: what is here is of another file.
        part.unlink(missing_ok=True)
        raise _ServerError(f"{_shown(url)}: the server has no rest to send")
    if status in AGAIN:
        raise _ServerError(f"{_shown(url)}: the server answers {status}")
    if status in (401, 403):
        raise FetchError(
            f"{_shown(url)}: the server answers {status}, you are not admitted; "
            f"set {USER} and {PASSWORD}, or {TOKEN}, in the environment"
        )
    if status in (404, 410):
        raise FetchError(f"{_shown(url)}: the server answers {status}, there is no such file; ask for the new address")
    raise FetchError(f"{_shown(url)}: the server answers {status}; ask those who gave you the address")


def _copy(url: str, part: Path) -> None:
    source = Path(unquote(urlsplit(url).path))
    try:
        with transfer(source.name, source.stat().st_size), source.open("rb") as file, part.open("wb") as target:
            shutil.copyfileobj(file, target, BLOCK_BYTES)
    except OSError as error:
        raise FetchError(f"{source} cannot be copied ({error.strerror}); check the address") from None
