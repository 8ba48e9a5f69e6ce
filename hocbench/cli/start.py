"""How a program of ours begins, and how it ends when something is wrong."""

import importlib.util
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

import typer

from hocbench.arithmetic import make_portable
from hocbench.cli.output import lasting_output
from hocbench.errors import HocbenchError, StoppedEarly


def start(app: typer.Typer, name: str = "hocbench") -> None:
    """Run the commands of an app; exit with 2 and one message, after the name of the program, for a user's mistake."""
    with lasting_output():
        _run(app, name)


def _run(app: typer.Typer, name: str) -> None:
    # Of several processes of a run, the first one tells.
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    # It reports every step of embedding a font into a PDF.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    _ignore_settings_of_matplotlib()
    make_portable()
    try:
        app(standalone_mode=True)
    except HocbenchError as error:
        # Names that are not UTF-8 cannot be written to every stream.
        _refuse(name, str(error).encode(errors="backslashreplace").decode())
    except OSError as error:
        # A folder that may not be written, a file in the way, a full disk; anything else is a fault of this program.
        if error.strerror is None:
            raise
        where = error.filename2 or error.filename
        path = f"{where}: " if where else ""
        _refuse(name, f"{path}{error.strerror}; check the path, its permissions and the free space")
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        # So Python reads the bytes of a name that is not UTF-8; no table can hold it.
        before, after = error.object[: error.start].splitlines(), error.object[error.start :].splitlines()
        word = ((before or [""])[-1] + after[0]).encode(errors="surrogateescape")
        _refuse(name, f"the name of a file or folder is not UTF-8 ({word!r}); rename it")
    except StoppedEarly as stopped:
        sys.stderr.write(f"{name}: {stopped}\n")
        sys.exit(StoppedEarly.exit_code)


def _refuse(name: str, message: str) -> NoReturn:
    sys.stderr.write(f"{name}: error: {message}\n")
    sys.exit(2)


def _ignore_settings_of_matplotlib() -> None:
    """Make figures the same to the byte, whatever notebook, shell or home directory say about matplotlib.

    Before it is imported, since a backend that it does not know or a file that is not UTF-8 would end the import.
    """
    package = importlib.util.find_spec("matplotlib")
    if package is not None and package.origin is not None:
        settings = Path(package.origin).parent / "mpl-data" / "matplotlibrc"
        os.environ |= {"MPLBACKEND": "Agg", "MATPLOTLIBRC": str(settings)}
