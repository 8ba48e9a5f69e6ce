"""A parameter file is read as it is meant, or refused with its name and line."""

import pytest

from hocbench.config.yaml_text import read_yaml, typed
from hocbench.errors import ParameterError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("# nothing yet\n", {}),
        ("\ufeffseed: 5\r\nthreads: 2\r\n", {"seed": 5, "threads": 2}),
        ("a: {rate: 1e-3, seed: 010, mask: 0x1f, off: no, gap: ~, far: .inf}", None),
        ("small: &small {epochs: 1, rate: 0.5}\nlarge: {<<: *small, rate: 0.1}", None),
        ("both: {<<: [{a: 1, b: 1}, {b: 2, c: 2}], c: 3}", {"both": {"a": 1, "b": 1, "c": 3}}),
        ("x: &x {<<: {a: 1}, a: 2}\ny: *x\nz: {<<: *x}", {key: {"a": 2} for key in "xyz"}),
        ('text: ["16", !!str 16, 1_000, 12:30, 2026-01-01, yes]', None),
        ("no: 1\noff: 2", {"no": 1, "off": 2}),
    ],
)
def test_a_file_means_what_yaml_1_2_says(tmp_path, text, values):
    expected = {
        "a": {"rate": 0.001, "seed": 10, "mask": 31, "off": "no", "gap": None, "far": float("inf")},
        "small": {"epochs": 1, "rate": 0.5},
        "large": {"epochs": 1, "rate": 0.1},
        "text": ["16", "16", "1_000", "12:30", "2026-01-01", "yes"],
    }
    path = tmp_path / "overlay.yaml"
    path.write_bytes(text.encode())
    found = read_yaml(path)
    assert found == ({key: expected[key] for key in found} if values is None else values)
    assert found or values == {}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"seed: 1\nthreads: 2\nseed: 3\n", "line 3, column 1: the key 'seed' stands here and in line 1"),
        (b"a:\n  - {b: 1}\n  - {d: 1, e: 2,\n     d: 3}\n", "line 4, column 6: the key 'd' stands here and in line 3"),
        (b"on: 1\n'on': 2\n", "line 2, column 1: the key 'on' stands here and in line 1"),
        (b"1: a\n1: b\n", "line 2, column 1: the key '1' stands here and in line 1"),
        (b"a: &a {x: 1}\nb: {<<: *a, <<: *a}\n", "line 2, column 13: the key '<<' stands here and in line 2"),
        (b"a: &a {x: 1, x: 2}\nb: {<<: *a}\n", "line 1, column 14: the key 'x' stands here and in line 1"),
        ("seed: 1\n# 8 px\n".encode("utf-16"), "line 1: byte 0xff is not UTF-8; save the file as UTF-8"),
        ("seed: 1\n# Köln\n".encode("cp1252"), "line 2: byte 0xf6 is not UTF-8; save the file as UTF-8"),
        (b"seed: 1\nname: a\x00b\n", "line 2: character U+0000 is not allowed in YAML; take it out"),
        (b"sweep:\n\trank: [1]\n", r"line 2, column 1: while scanning for the next token, found character '\t'"),
        (b"sweep:\n\trank: [1]\n", "; indent with blanks, not with tabs"),
        (b"- seed: 1\n", "line 1: a list at top level; give keys with values, such as `seed: 1`"),
        (b"seed\n", "line 1: a single value at top level"),
        (b"seed: 1\n---\nseed: 2\n", "line 2, column 1: expected a single document in the stream"),
        (b"? [a, b]\n: 1\n", "line 1, column 3: a key is a list or a mapping, not a word"),
        (b"a: [1,\n", "line 2, column 1: while parsing a flow node"),
        (b"a: *b\n", "line 1, column 4: found undefined alias 'b'"),
        (b"a: !!python/object/apply:os.getcwd []\n", "line 1, column 4: could not determine a constructor"),
        (b"a: !!bool maybe\n", "cannot be read as YAML"),
        (b"[" * 600, "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_parameters_is_refused_by_name_and_line(tmp_path, content, text):
    path = tmp_path / "over lay.yaml"
    path.write_bytes(content)
    with pytest.raises(ParameterError) as error:
        read_yaml(path)
    assert str(error.value).startswith(str(path))
    assert text in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path, why in ((tmp_path / "absent.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ParameterError, match=why) as error:
            read_yaml(path)
        assert str(path) in str(error.value)


def test_words_of_a_command_line_get_the_types_of_a_file():
    words = {"rank": ["16", "16.0", "same", "1e-3", "010"], "gap": "null", "on": "true", "name": "no", "empty": ""}
    assert typed(words) == {
        "rank": [16, 16.0, "same", 0.001, 10],
        "gap": None,
        "on": True,
        "name": "no",
        "empty": "",
    }
    assert [type(each) for each in typed(["16", "16.0"])] == [int, float]
    assert typed([5, 0.5, None, "<<", "a: b", "[1"]) == [5, 0.5, None, "<<", "a: b", "[1"]
