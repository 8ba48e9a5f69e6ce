"""Daemons that a test started end with it, also when the tests are killed."""

import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import ROOT

# A daemon as they are: in a session of its own, left by its parent, with a child; its number is written when all is up.
DAEMON = """
import os, subprocess, sys, time
if os.fork():
    os._exit(0)
os.setsid()
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""
TEST = """
import subprocess, sys, time

def test_that_is_killed():
    subprocess.run([sys.executable, "-c", {daemon!r}, {place!r}], check=True)
    time.sleep({rest})
"""


@pytest.mark.parametrize("end", ["killed", "done"])
def test_daemons_end_with_the_tests_that_started_them(tmp_path, end):
    place = tmp_path / "numbers"
    test = tmp_path / "test_once.py"
    test.write_text(TEST.format(daemon=DAEMON, place=str(place), rest=600 if end == "killed" else 0))
    command = [sys.executable, "-m", "pytest", "-p", "tests.watchdog", "-p", "no:cacheprovider", "-q", str(test)]
    tests = subprocess.Popen([*command, "-c", "/dev/null", "--rootdir", str(tmp_path)], cwd=ROOT)
    wait_for(lambda: place.exists())
    numbers = [int(word) for word in place.read_text().split()]
    if end == "killed":
        assert all(map(psutil.pid_exists, numbers))
        tests.kill()
    assert (tests.wait(timeout=60) == 0) == (end == "done")
    wait_for(lambda: not any(map(runs, numbers)))


def runs(number):
    return psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE


def wait_for(look, timeout_s=120):
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.1)
