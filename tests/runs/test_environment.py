"""What a manifest says of software and machine, and what it must not say."""

import getpass
import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hocbench.arithmetic import asked
from hocbench.runs.environment import _driver, environment

SECRET = "hunter2-no-manifest-may-hold-this"


def test_environment_names_software_and_machine():
    import torch

    about = environment()
    assert about["python"] == platform.python_version()
    assert set(about["packages"]) >= {"torch", "numpy", "pandas"}
    assert about["machine"] == platform.machine()
    assert 1 <= about["cpus"] <= (os.cpu_count() or 1)
    assert about["c_library"] == " ".join(platform.libc_ver()).strip()
    build = about["torch"]
    assert build["version"] == str(torch.__version__)
    assert build["cuda"] == torch.version.cuda
    assert build["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert (build["gpu"] is None) == (not torch.cuda.is_available())
    assert json.loads(json.dumps(about)) == about


def test_environment_does_not_load_torch():
    code = (
        "import sys; from hocbench.runs.environment import environment; "
        "print('torch' in environment(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_environment_tells_nothing_of_its_owner(monkeypatch):
    for name in ("HOCBENCH_DOWNLOAD_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    text = json.dumps(environment())
    assert SECRET not in text
    for place in (str(Path.home()), str(Path.cwd()), sys.prefix, sys.executable):
        assert place not in text
    words = set(text.replace('"', " ").replace(",", " ").split())
    assert not words & {socket.gethostname(), platform.node(), getpass.getuser()}
    # Short values, such as "1" or "C", are words of everything.
    others = {name: value for name, value in os.environ.items() if name not in asked()}
    assert not [name for name, value in others.items() if len(value) > 8 and value in text]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build  (me@host)\n", "550.54.14"),
        ("something else\n", None),
    ],
)
def test_driver_is_a_version_number_and_nothing_else(tmp_path, line, number):
    info = tmp_path / "version"
    info.write_text(line + "GCC version:  gcc version 12.2.0\n")
    assert _driver(info) == number


def test_driver_without_its_file(tmp_path):
    assert _driver(tmp_path / "version") is None
