"""Why two runs may differ, told from manifests written by hand."""

import copy
import hashlib
import json

import pytest
import typer
from typer.testing import CliRunner

from hocbench.cli.manifest import manifest_app
from hocbench.errors import DamageError, RunError
from hocbench.runs.diff import compare, describe

OUTPUTS = ("history.csv", "network.json", "predictions.parquet", "weights.safetensors")
MANIFEST = {
    "run": "static-rank0.4-11111111",
    "spec": {
        "run": "static-rank0.4-11111111",
        "key": {"dataset": "affectnet", "method": "static", "seed": 0},
        "data": {"synthetic": {"seed": 1}},
        "training": {"loss_weights": {"ccc": 1.0}, "steps": {"learning_rate": 0.1, "precision": "float32"}},
        "parent": None,
        "root_seed": 7,
        "threads": 1,
    },
    "label": "synthetic",
    "recovered_epoch": None,
    "inputs": {"crops.json": "a" * 64, "frames.parquet": "b" * 64, "parent": None, "parent_weights": None},
    "code": "0123456789abcdef",
    "environment": {
        "python": "3.11.7",
        "packages": {"torch": "2.13.0+cpu"},
        "c_library": "glibc 2.36",
        "processor": "AMD EPYC",
        "torch": {"version": "2.13.0+cpu", "cuda": None, "cpu_capability": "AVX2"},
    },
    "device": "cpu",
    "threads": 1,
    "processes": 1,
    "batch": {"size": 8, "batchnorm": "one process"},
    "attempts": 1,
    "deterministic": True,
    "nondeterministic": [],
    "frames": {"train": 10},
    "frames_without_crop": {"train": 0},
    "paths": {"stem": "factorized"},
}
ALL = (
    "parameters, seeds, data, parent run, code, batches, implementations of layers, software, machine, determinism, "
    "interruptions"
)


@pytest.fixture
def make(tmp_path):
    """Write a run; keys are dotted, with / for a dot inside a key, and None as a value takes the key away."""

    def write(name, changes=None, outputs=None):
        manifest = copy.deepcopy(MANIFEST)
        for key, value in (changes or {}).items():
            *way, last = (part.replace("/", ".") for part in key.split("."))
            place = manifest
            for part in way:
                place = place.setdefault(part, {})
            place[last] = value
            if value is None:
                del place[last]
        folder = tmp_path / name
        folder.mkdir()
        contents = dict.fromkeys(OUTPUTS, "same") | {"cost.json": name} | (outputs or {})
        for file, text in contents.items():
            (folder / file).write_text(text)
        manifest["files"] = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in contents.items()}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return write


def explain(a, b):
    return describe(compare(a, b))


def test_a_repetition_is_identical(make):
    a, b = make("a"), make("b")
    assert explain(a, b) == (
        f"A  {a}\nB  {b}\n\n"
        "Outputs identical: history.csv, network.json, predictions.parquet, weights.safetensors.\n\n"
        "Nothing that they record differs.\n\n"
        f"Equal: {ALL}.\n"
    )


def test_manifests_are_taken_as_files_too(make):
    a, b = make("a"), make("b")
    first, second = compare(a, b), compare(a / "manifest.json", b / "manifest.json")
    assert (first.outputs, first.equal) == (second.outputs, second.equal)


def test_reasons_come_in_the_order_of_likelihood(make):
    a = make("a")
    changes = {
        "run": "static-rank0.4-22222222",
        "spec.run": "static-rank0.4-22222222",
        "spec.training.steps.learning_rate": 0.2,
        "spec.training.steps.precision": "bfloat16",
        "spec.training.loss_weights.ccc": 2.0,
        "spec.root_seed": 8,
        "spec.key.seed": 1,
        "inputs.crops/json": "c" * 64,
        "inputs.parent": "static-1",
        "code": "ffff",
        "batch.size": 4,
        "paths.stem": "reconstructed",
        "environment.packages.torch": "2.13.0+cu130",
        "environment.torch.cuda": "13.0",
        "environment.processor": "Xeon",
        "threads": 2,
        "nondeterministic": ["put_", "cumsum_cuda_kernel"],
        "attempts": 2,
        "brand_new": True,
    }
    b = make("b", changes, {"weights.safetensors": "other", "history.csv": "other"})
    assert explain(a, b).split("\n\n", 1)[1] == (
        "Outputs differ: history.csv, weights.safetensors; equal: network.json, predictions.parquet.\n\n"
        "What may explain it, the likeliest first:\n"
        "1. parameters: another experiment was asked for\n"
        "   training.loss_weights.ccc: 1.0 -> 2.0\n"
        "   training.steps.learning_rate: 0.1 -> 0.2\n"
        "   training.steps.precision: float32 -> bfloat16\n"
        "2. seeds: other random numbers: first weights, order of batches, augmentation, splits\n"
        "   key.seed: 0 -> 1\n"
        "   root_seed: 7 -> 8\n"
        "3. data: other crops, or other frames of them\n"
        "   inputs.crops.json: aaaaaaaaaaaa... -> cccccccccccc...\n"
        "4. parent run: training began with another network; compare the two parents in the same way\n"
        "   inputs.parent: none -> static-1\n"
        "5. code: sources that training depends on were edited\n"
        "   code: 0123456789abcdef -> ffff\n"
        "6. batches: gradients and BatchNorm statistics come from other parts of a batch\n"
        "   batch.size: 8 -> 4\n"
        "7. implementations of layers: factors were multiplied in another order, which rounds differently\n"
        "   paths.stem: factorized -> reconstructed\n"
        "8. software: another version may compute the same formula with another rounding\n"
        "   packages.torch: 2.13.0+cpu -> 2.13.0+cu130\n"
        "   torch.cuda: none -> 13.0\n"
        "9. machine: sums are taken in another order, and training makes such roundings grow\n"
        "   processor: AMD EPYC -> Xeon\n"
        "   threads: 1 -> 2\n"
        "10. determinism: without it, sums are taken in an order that changes from run to run\n"
        "   nondeterministic: none -> put_, cumsum_cuda_kernel\n"
        "11. interruptions: a stopped run goes on from its checkpoint, which should change nothing\n"
        "   attempts: 1 -> 2\n"
        "12. other: recorded by a version of hocbench that knows more than this one\n"
        "   brand_new: not recorded -> true\n\n"
        "Besides, this may change from run to run:\n"
        "- operations of B without a deterministic implementation: put_, cumsum_cuda_kernel\n"
    )


def test_what_is_equal_is_no_cause(make):
    text = explain(make("a"), make("b", {"code": "ffff"}, {"weights.safetensors": "other"}))
    assert text.endswith(f"\n\nEqual, so not the cause: {ALL.replace('code, ', '')}.\n")
    assert "Besides" not in text


def test_outputs_that_differ_without_a_recorded_reason(make):
    text = explain(make("a"), make("b", None, {"predictions.parquet": "other"}))
    assert text.split("\n\n", 1)[1] == (
        "Outputs differ: predictions.parquet; equal: history.csv, network.json, weights.safetensors.\n\n"
        "Nothing that both manifests record differs. What remains:\n"
        "- input files that were changed after their hashes were taken\n"
        "- an error of memory or processor; run both again: the one that comes out differently had it\n\n"
        f"Equal, so not the cause: {ALL}.\n"
    )


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"nondeterministic": ["put_"]}, "operations of {} without a deterministic implementation: put_"),
        ({"nondeterministic": None}, "operations of {} without a deterministic implementation: not recorded"),
        ({"deterministic": False}, "deterministic mode was off in {}"),
    ],
)
def test_what_was_not_deterministic_remains_as_a_reason(make, changes, doubt):
    text = explain(make("a", changes), make("b", changes, {"weights.safetensors": "other"}))
    remaining = text.split("What remains:\n")[1].splitlines()
    assert remaining[:2] == [f"- {doubt.format('A')}", f"- {doubt.format('B')}"]
    assert "determinism" not in text.split("Equal, so not the cause: ")[1]


def test_differences_that_made_no_difference(make):
    text = explain(make("a"), make("b", {"environment.processor": "Xeon"}))
    assert "Outputs identical" in text
    assert "These differences made no difference:\n1. machine: sums" in text
    assert "   processor: AMD EPYC -> Xeon\n" in text
    assert f"\n\nEqual: {ALL.replace('machine, ', '')}.\n" in text
    assert "What remains" not in text


def test_old_manifests_lack_keys(make):
    old = dict.fromkeys(("batch", "attempts", "processes", "nondeterministic"))
    a, b = make("a", old), make("b", None, {"weights.safetensors": "other"})
    text = explain(a, b)
    assert "What only one of them records, and may explain it:\n1. batches" in text
    assert "   batch.size: not recorded -> 8\n" in text
    assert "   processes: not recorded -> 1\n" in text
    assert "Nothing that both manifests record differs. What remains:\n- operations of A" in text
    assert "- operations of A without a deterministic implementation: not recorded\n" in text
    assert "operations of B" not in text
    text = explain(a, make("c", old))
    assert text.endswith("\nRecorded by neither: batches, interruptions.\n")


def test_a_key_that_both_record_stands_before_one_that_only_one_does(make):
    (reason,) = compare(make("a", {"label": None}), make("b", {"frames.train": 11})).reasons
    assert [(each.key, each.certain) for each in reason[1]] == [("frames.train", True), ("label", False)]


def test_layers_of_one_network_alone_are_no_reason(make):
    comparison = compare(make("a"), make("b", {"paths": {"layer1": "factorized"}}))
    assert comparison.reasons == ()


def test_modules_say_nothing_that_the_hash_of_the_code_does_not(make):
    assert compare(make("a"), make("b", {"sources": {"hocbench/nn": "ffff"}})).reasons == ()


def test_costs_are_never_named(make):
    text = explain(make("a"), make("b", {"code": "ffff"}))
    assert "cost.json" not in text
    assert "manifest.json" not in text


def test_an_output_that_one_does_not_record(make):
    a, b = make("a"), make("b", None, {"curves.csv": "new"})
    assert "weights.safetensors; not recorded in both: curves.csv." in explain(a, b)
    manifest = json.loads((b / "manifest.json").read_text())
    (b / "manifest.json").write_text(json.dumps({**manifest, "files": None, "threads": 2}))
    text = explain(a, b)
    assert "Outputs cannot be compared: their hashes are not recorded in both manifests.\n\nWhat differs:\n1." in text


def test_outputs_that_were_changed_after_the_run_are_named(make):
    a, b = make("a"), make("b")
    (b / "predictions.parquet").write_text("edited")
    (b / "cost.json").write_text("edited")
    (b / "history.csv").unlink()
    comparison = compare(a, b)
    assert (comparison.a.changed, comparison.b.changed) == ((), ("predictions.parquet",))
    assert (
        f"\n{b}: predictions.parquet is no longer the file that the manifest records; copy it back or run it again\n"
        in describe(comparison)
    )


def test_values_cannot_disturb_the_terminal(make):
    text = explain(make("a"), make("b", {"environment.processor": "\x1b[31mred\nline", "label": " "}))
    assert r'processor: AMD EPYC -> "\u001b[31mred\nline"' in text
    assert 'label: synthetic -> " "' in text


def test_manifests_that_cannot_be_read(make, tmp_path):
    good, bad = make("good"), tmp_path / "bad"
    bad.mkdir()
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(RunError, match=rf"^{bad} is not a finished run \(no manifest\.json\)"):
            compare(*pair)
    file = tmp_path / "bytes.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamageError, match=r"bytes\.json is damaged \('utf-8' codec"):
        compare(file, good)


def test_the_command_prints_the_comparison(make):
    app = typer.Typer()
    app.add_typer(manifest_app, name="manifest")
    a, b = make("a"), make("b", {"code": "ffff"}, {"weights.safetensors": "other"})
    done = CliRunner().invoke(app, ["manifest", "diff", str(a), str(b)])
    assert (done.exit_code, done.stdout) == (0, explain(a, b))
    failed = CliRunner().invoke(app, ["manifest", "diff", str(a), str(a / "none")])
    assert isinstance(failed.exception, RunError)


@pytest.mark.parametrize(
    ("key", "neutral", "other"),
    [
        ("spec.training.steps.precision", "float32", "bfloat16"),
        ("spec.training.steps.augmentation.shift", 0.0, 0.1),
        ("spec.task.kind", "affect", "classification"),
        ("spec.task.targets", ["valence", "arousal"], ["class"]),
    ],
)
def test_a_parameter_that_was_added_since_differs_only_if_it_is_used(make, key, neutral, other):
    without = make("a", {"spec.training.steps.precision": None})
    assert not compare(without, make("b", {"spec.training.steps.precision": None, key: neutral})).reasons
    [(group, [difference])] = compare(without, make("c", {"spec.training.steps.precision": None, key: other})).reasons
    assert (group.name, difference.a) == ("parameters", None)
