"""Where each run is in MLflow: a small file per run, so that a report can link to it without asking the store."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hocbench.files.write import write_text

FOLDER = "links"


@dataclass(frozen=True)
class Link:
    """The place of a run in MLflow: ids of experiment and run, and the server's address without user and password.

    The address is empty if the store is a file, which `hocbench mlflow ui` serves.
    """

    experiment: str
    run: str
    address: str

    @property
    def page(self) -> str:
        """Path of the run's page, to be appended to the address of a server."""
        return f"/#/experiments/{self.experiment}/runs/{self.run}"


def write_link(folder: Path, name: str, link: Link) -> None:
    """Write where a run, such as ``sewa/joint-84c648e6``, is in MLflow; an earlier link is replaced."""
    path = _path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(json.dumps(asdict(link), sort_keys=True) + "\n", path)


def read_link(folder: Path, name: str) -> Link | None:
    """Return where a run is in MLflow, or None if that is not known; see `write_link`."""
    try:
        values = json.loads(_path(folder, name).read_text(encoding="utf-8"))
        return Link(str(values["experiment"]), str(values["run"]), str(values["address"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(folder: Path, name: str) -> Path:
    return folder / FOLDER / f"{name.replace('/', '.')}.json"
