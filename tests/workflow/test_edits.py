"""A changed line runs exactly the steps again that execute it, whatever `hocbench.files.code` thinks of imports."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

from hocbench.datasets.adapters import adapter_module
from hocbench.files import code
from tests.workflow import executed

RULES = "".join(path.read_text() for path in sorted((code.ROOT / "workflow" / "rules").glob("*.smk")))
RULE = re.compile(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r'"(?:exec )?(?:hocbench|python -m (?=studies)(?P<studies>studies)) ((?:data )?\w+) ')
ADAPTER = "afew_va"  # for the rules whose steps depend on who reads the dataset
# What a step executes and is no reason to run it again.
EXEMPT = {
    "hocbench.cli": "words of the command line",
    "studies.__main__": "words of the command line",
    "hocbench.config": "checks once more what the workflow has checked, where no result depends on it",
    "hocbench.datasets.published_counts": "what `data check` says in its log",
    "hocbench.metrics.records": "names of what MLflow is sent of a training",
    "hocbench.files.code": "which version of the sources it is, for the provenance of the report",
}
# Whatever is edited, what was fetched is not fetched again.
WITHOUT_SOURCES = {"fetch"}


@dataclass(frozen=True)
class Step:
    """A rule: the words of its command, the modules whose hash is a parameter of it, and whether it reads datasets."""

    words: str
    modules: tuple[str, ...]
    adapters: tuple[str, ...]

    def hash(self):
        return code.code_hash(*self.modules, *map(adapter_module, self.adapters))

    def sources(self):
        return set(code.sources(*self.modules, *map(adapter_module, self.adapters), *code.EVERYWHERE))


def read_steps():
    steps = {}
    for name, body in RULE.findall(RULES):
        command = COMMAND.search(body)
        if command is None or name in WITHOUT_SOURCES:
            continue
        call = body[body.index("code_hash(") :].splitlines()[0]
        adapters = (ADAPTER,) if "adapter_module" in call else ()
        words = f"{command['studies'] or 'hocbench'} {command[2]}"
        steps[name] = Step(words, tuple(re.findall(r'"([\w.]+)"', call)), adapters)
    return steps


STEPS = read_steps()


def is_below(module, names):
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.fixture(scope="module")
def loaded():
    """The modules that each step loads, but for those that no result depends on."""
    commands = {step.words: step.adapters for step in STEPS.values()}
    program = [sys.executable, executed.__file__, json.dumps(commands)]
    done = subprocess.run(program, cwd=code.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = json.loads(done.stdout)
    return {
        rule: {name for name in modules[step.words] if not is_below(name, code.NEUTRAL)} for rule, step in STEPS.items()
    }


def test_every_rule_with_a_command_hashes_its_sources():
    assert len(STEPS) >= 14
    assert {name for name, body in RULE.findall(RULES) if COMMAND.search(body)} == {*STEPS, *WITHOUT_SOURCES}


@pytest.mark.parametrize("rule", STEPS)
def test_a_step_hashes_what_it_executes(loaded, rule):
    hashed = STEPS[rule].sources()
    assert hashed - loaded[rule] == set(), "hashed, and never executed"
    missed = {name for name in loaded[rule] - hashed if not is_below(name, EXEMPT)}
    assert missed == set(), "executed, and not hashed"


def test_exemptions_are_used(loaded):
    extra = set().union(*(loaded[rule] - STEPS[rule].sources() for rule in STEPS))
    assert {name for name in EXEMPT if any(is_below(module, [name]) for module in extra)} == set(EXEMPT)


def rooms():
    """Yield a module of each room, the largest one, apart from those that no result depends on."""
    for folder in sorted(path.parent for path in code.PACKAGE.rglob("__init__.py")):
        names = {
            path: ".".join(path.relative_to(code.ROOT).with_suffix("").parts).removesuffix(".__init__")
            for path in folder.glob("*.py")
        }
        counted = [path for path, name in names.items() if not is_below(name, (*code.NEUTRAL, "hocbench.cli"))]
        if counted:
            path = max(counted, key=lambda path: path.stat().st_size)
            yield path.relative_to(code.ROOT), names[path]


def test_a_changed_line_in_any_room_changes_the_steps_that_execute_it(loaded, tmp_path, monkeypatch):
    modules = list(rooms())
    for room in code.ROOMS:
        shutil.copytree(code.ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "ROOT", tmp_path)
    before = {rule: step.hash() for rule, step in STEPS.items()}
    touched = {}
    for path, name in modules:
        text = (tmp_path / path).read_text()
        (tmp_path / path).write_text(f"{text}\nEDITED = True\n")
        touched[name] = {rule for rule, step in STEPS.items() if step.hash() != before[rule]}
        (tmp_path / path).write_text(text)
        exempt = is_below(name, EXEMPT)
        expected = {rule for rule in STEPS if name in loaded[rule] and (not exempt or name in STEPS[rule].sources())}
        assert touched[name] == expected, name
    # Some are executed by one step, some by several, and some, such as exports, by none.
    assert {len(rules) for rules in touched.values()} >= {0, 1, 2}
