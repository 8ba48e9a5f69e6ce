"""Every command of the README and of the guides to verify and to evidence runs as written.

In a git checkout whose main profile is the tiny one, finished and recorded as the reference.
"""

import ast
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import yaml

from hocbench.config.load import _merge
from hocbench.paths import FIGURES
from tests.conftest import ROOT, TINY, environment_of

pytestmark = pytest.mark.workflow
README = (ROOT / "README.md").read_text(encoding="utf-8")
VERIFY = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
EVIDENCE = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
# `make test` is what runs this file; `make mlflow` serves until it is stopped and has a test of its own.
ELSEWHERE = ("make test", "make test-statistics", "make mlflow")
FILES = ("Makefile", "pyproject.toml", "constraints.txt", ".gitignore", ".dvcignore")


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text=README):
    lines = [line.split(" #")[0].strip() for block in blocks("sh", text) for line in block.splitlines()]
    return [line for line in lines if line]


def environment(folder):
    # The environment of these tests stands for the one that `make setup` would make.
    return environment_of(folder) | {"MAKEFLAGS": "-o .venv/.ready"}


def call(folder, command):
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def newcomer(tiny_reproduction, tmp_path_factory):
    folder = shutil.copytree(tiny_reproduction, tmp_path_factory.mktemp("clone") / "hocbench")
    for name in FILES:
        shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    (folder / ".venv").symlink_to(sys.prefix)
    values = _merge(yaml.safe_load((ROOT / "params.yaml").read_text()), yaml.safe_load((ROOT / TINY).read_text()))
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    stage = (ROOT / "dvc.yaml").read_text()
    assert "results/embedded" in stage
    (folder / "dvc.yaml").write_text(stage.replace("results/embedded", "results/tiny"))
    rules = (folder / "Makefile").read_text()
    (folder / "Makefile").write_text(rules.replace("results/embedded", "results/tiny"))
    # The report shows the laboratories of the reference.
    done = call(folder, "make reference report")
    assert done.returncode == 0, done.stdout + done.stderr
    identity = "-c user.name=newcomer -c user.email=newcomer@example.org"
    done = call(folder, f"git init -q && git add . && git {identity} commit -q -m clone")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_readme_has_commands():
    assert {"make reproduce", "make test", "snakemake --cores all", "dvc repro"} <= set(commands())


def test_the_guide_to_verify_has_commands():
    assert {"make verify", "hocbench verify results/embedded"} <= set(commands(VERIFY))


@pytest.mark.parametrize(
    "command", dict.fromkeys(line for line in commands(README + VERIFY + EVIDENCE) if line not in ELSEWHERE)
)
def test_command_works(newcomer, command):
    # The main profile of this checkout is the tiny one.
    done = call(newcomer, command.replace("embedded", "tiny"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    if command in ("make reproduce", "snakemake --cores all", "snakemake --cores all tables"):
        assert "Nothing to be done" in done.stdout + done.stderr
    if command == "make reproduce":
        assert "Open results/tiny/report.html" in done.stdout


def test_dvc_records_the_stage_and_shows_metrics_and_plots(newcomer):
    assert call(newcomer, "dvc repro").returncode == 0
    again = call(newcomer, "dvc repro")
    assert "didn't change" in again.stdout
    metrics = json.loads(call(newcomer, "dvc metrics show --json").stdout)
    values = metrics[""]["data"]["results/tiny/evaluation/metrics.json"]["data"]
    assert values == json.loads((newcomer / "results/tiny/evaluation/metrics.json").read_text())
    shown = call(newcomer, "dvc plots show")
    page = newcomer / "dvc_plots" / "index.html"
    assert page.is_file(), shown.stdout + shown.stderr
    for name in FIGURES:
        (shown_as,) = page.parent.rglob(f"*{name}.png")
        assert shown_as.read_bytes() == (newcomer / f"results/tiny/figures/{name}.png").read_bytes()
        assert shown_as.name in page.read_text()
    assert call(newcomer, "dvc status").stdout.strip().endswith("up to date.")


def test_python_examples_run(capsys):
    network, layers = blocks("python")
    exec(network, {})
    shape, counts = capsys.readouterr().out.splitlines()
    assert shape == "torch.Size([1, 8, 2])"
    before, after = map(int, counts.split())
    assert before < after < 1.1 * before
    exec(layers, {})
    strided, errors, left, shape = capsys.readouterr().out.splitlines()
    assert strided == "torch.Size([2, 128, 8, 14, 14])"
    assert all(0 < error < 1 for error in ast.literal_eval(errors).values())
    assert left == "{}"
    assert shape == "torch.Size([1, 2, 8, 48, 48])"


def test_make_mlflow_serves_the_page_that_it_names(newcomer):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["make", "mlflow"],
        cwd=newcomer,
        env=environment(newcomer) | {"PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        line = next(line for line in process.stderr if line.startswith("open "))
        experiment = re.fullmatch(rf"open http://127.0.0.1:{port}/#/experiments/(\w+)/runs\n", line).group(1)
        found = ask(f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search", {"experiment_ids": [experiment]})
        runs = list((newcomer / "results/tiny/runs").glob("*/*"))
        children = [run for run in found["runs"] if "mlflow.parentRunId" in {tag["key"] for tag in run["data"]["tags"]}]
        # Beside them stands their parent; another one, since this tree was moved after its runs.
        assert len(children) == len(runs) < len(found["runs"])
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def ask(url, body, timeout_s=120):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
        time.sleep(0.5)
    raise AssertionError(f"no answer from {url}")
