"""How commands print: output that cannot be shown, or is no longer read, costs no work."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.table import Table


class _Output:
    """A stream of the process that never raises; ``lost`` says why what was written is not where it belongs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = ""

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            # A reader that has seen enough, such as `head`, misses nothing.
            if not isinstance(error, BrokenPipeError):
                self.lost = str(error.strerror)
            self._discard()

    def _discard(self) -> None:
        """Send what follows, and what is still held here, nowhere: the end of the process would fail of it."""
        with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Keep a command at work whatever becomes of its output, and exit with 2 if some of it is lost.

    A character that the terminal's encoding does not have is replaced; streams may be closed, at once or later.
    """
    before = sys.stdout, sys.stderr
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As it stands, standard error never fails.
        sys.stdout.reconfigure(errors="replace")
    # A stream that was closed before the start (`>&-`) is None.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        out, messages = _Output(sys.stdout or nowhere), _Output(sys.stderr or nowhere)
        sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, messages)
        try:
            yield
        finally:
            out.flush()
            if out.lost:
                messages.write(f"hocbench: error: standard output cannot be written ({out.lost}); send it elsewhere\n")
            messages.flush()
            sys.stdout, sys.stderr = before
    if out.lost:
        sys.exit(2)


def print_rows(header: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print rows of plain text as a table."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*map(escape, row))
    print_table(table)


def print_table(table: "Table") -> None:
    """Print a table as wide as the terminal, or wide enough for every name."""
    from rich.console import Console

    # A pipe has no width of its own, and ids and keys must never be cut there.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
