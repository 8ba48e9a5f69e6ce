"""No terminal, pipe or log ends a command."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PARAMS = (sys.executable, "-m", "hocbench", "params")
# A small program around the same entry point, so that six starts cost little.
SPEAKER = """
import sys
from hocbench.cli import main, start
def speak(*_):
    for _ in range(int(sys.argv[2])):
        sys.stdout.write(sys.argv[1] + "\\n")
        sys.stdout.flush()
    open(sys.argv[3], "w").write("done")
start._run = speak
main.main()
"""


def speak(text, path, *, shell="exec {}", count=1, **environment):
    command = " ".join(["'" + sys.executable + "'", "-c", '"$SPEAKER"', "'" + text + "'", str(count), f"'{path}'"])
    own = {"SPEAKER": SPEAKER, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0", **environment}
    return subprocess.run(
        ["bash", "-c", shell.format(command)], env=os.environ | own, cwd=ROOT, capture_output=True, check=False
    )


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "K?ln ? 3 ??"),
        ("iso8859-15", "Köln ? 3 ?²"),
        ("cp850", "Köln ? 3 ?²"),
        ("utf-8", "Köln ≥ 3 ✔²"),
        ("ascii:strict", "K?ln ? 3 ??"),
    ],
)
def test_a_character_that_cannot_be_shown_costs_that_character(tmp_path, encoding, shown):
    done = speak("Köln ≥ 3 ✔²", tmp_path / "done", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding.partition(":")[0]).strip() == shown
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("shell", ["{} | true", "{} | head -1", "{} >&-", "{} 2>&- >&-"])
def test_nobody_has_to_listen(tmp_path, shell):
    done = speak("a line of text", tmp_path / "done", shell=f"set -o pipefail; {shell}", count=20_000)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "done").exists()


def test_output_on_a_full_disk_is_an_error_after_the_work(tmp_path):
    done = speak("a line of text", tmp_path / "done", shell="{} > /dev/full")
    assert done.returncode == 2
    expected = b"hocbench: error: standard output cannot be written (No space left on device); send it elsewhere\n"
    assert done.stderr == expected
    assert (tmp_path / "done").exists()


def test_tables_are_drawn_in_the_letters_of_the_terminal():
    own = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(PARAMS, env=os.environ | own, cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"| list of int ? 0 " in done.stdout
