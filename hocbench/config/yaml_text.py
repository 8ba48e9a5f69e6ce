"""YAML as the parameters are written in it: version 1.2, UTF-8, no key twice.

DVC reads ``params.yaml`` by version 1.2 too, in which ``no`` and ``on`` are words, ``1e-3`` is a number and ``010`` is
ten. PyYAML alone follows version 1.1.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from hocbench.errors import ParameterError

_TAG = "tag:yaml.org,2002:"
# The core schema of YAML 1.2, with the merge key of 1.1: tag, spelling, characters that it begins with.
_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
)


class _Loader(yaml.SafeLoader):
    """Builds plain values only; a mapping with one key twice is refused."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.flat: list[yaml.MappingNode] = []

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Every mapping passes here before it is built, one that is merged into several passes more than once. From
        # then on it holds what was merged into it, and a key of its own may stand for one of those.
        if node not in self.flat:
            self.flat.append(node)
            _check_keys(node)
        super().flatten_mapping(node)
        for key, _ in node.value:
            key.tag = f"{_TAG}str"

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


_Loader.yaml_implicit_resolvers = {}  # those of version 1.1
for _tag, _spelling, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"{_TAG}{_tag}", re.compile(rf"^(?:{_spelling})$"), _first)
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_yaml_int)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: dict[str, yaml.Mark] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key is a list or a mapping, not a word", problem_mark=key.start_mark)
        if key.value in seen:
            first = seen[key.value].line + 1
            problem = f"the key {key.value!r} stands here and in line {first}; leave out one of them"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        seen[key.value] = key.start_mark


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values; an empty one has no keys.

    Raises
    ------
    ParameterError
        If it cannot be read, is not UTF-8 or not YAML, holds one key twice, or is not made of keys: file, line, what
        to do.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ParameterError(
            f"{path} cannot be read as parameters ({error.strerror}); check the path, and start in "
            "the folder of the project"
        ) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ParameterError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None
    try:
        values = _Loader(text).get_single_data()
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ParameterError(
            f"{path}, line {line}: character U+{ord(text[error.position]):04X} is not allowed in YAML; take it out"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise ParameterError(f"{path}, {_described(error)}") from None
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:
        raise ParameterError(f"{path} cannot be read as YAML ({error}); correct it") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        kind = "a list" if isinstance(values, list) else "a single value"
        raise ParameterError(f"{path}, line 1: {kind} at top level; give keys with values, such as `seed: 1`")
    return values


def _described(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    hint = "; indent with blanks, not with tabs" if r"'\t'" in problem else ""
    return f"{line}: {problem}{hint}"


def typed(value: Any) -> Any:
    """Convert the words in a value to the types that they have in a file: ``"16"`` becomes 16, ``"null"`` None.

    Snakemake leaves the words inside of lists and mappings of ``--config`` text.
    """
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    # Without a word there is no telling '' from nothing, and nothing can be said by null.
    if not isinstance(value, str) or not value:
        return value
    loader = _Loader("")
    tag = loader.resolve(yaml.ScalarNode, value, (True, False))
    return loader.construct_object(yaml.ScalarNode(tag, value)) if tag != f"{_TAG}merge" else value
