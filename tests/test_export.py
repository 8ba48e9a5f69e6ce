import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

from hocbench import cli
from hocbench.datasets.contract import write_text
from hocbench.errors import ExportError
from hocbench.export import Options, export_run
from hocbench.export.forms import write_forms
from hocbench.export.inputs import crops_input
from hocbench.faces import CropStore
from hocbench.manifest import file_hash
from hocbench.nn import resnet18
from hocbench.nn.folding import FOLDED_PATHS, factorized_names, fold
from hocbench.training import fit
from hocbench.training.rundir import load_network, write_run
from tests.nn.oracles import aged
from tests.training.conftest import SIZE, make_runs, restored_globals, write_store  # noqa: F401

ROOT = Path(__file__).parents[1]
FILES = ["export.json", "network.onnx", "network.pt2", "paths.json"]
LENGTH = 4
TOLERANCE = 1e-5


def trained(order, kind="cp", **options):
    """Make a float32 network in evaluation mode that looks trained."""
    torch.manual_seed(3)
    return aged(resnet18(order, kind, 4, stem="small", **options)).float()


def sparse(order, **options):
    network = trained(order, temporal_padding="replicate" if order == 3 else "zeros", **options)
    with torch.no_grad():
        for count, name in enumerate(factorized_names(network)):
            network.get_submodule(name).weights[: count % 3] = 0
    return network


def alternating(network):
    return {name: FOLDED_PATHS[place % 2] for place, name in enumerate(factorized_names(network))}


def write(folder, network, label="synthetic"):
    """Write the run directory of a network."""
    spec = {"axes": {"dataset": "sewa"}, "profile": "none", "root_seed": 0}
    spec |= {"training": {"clip_length": LENGTH}, "data": {"crop": {"size": SIZE}}}
    tables = dict.fromkeys(("history", "predictions"), pd.DataFrame({"epoch": [0]}))
    write_run(folder, network, [], tables, {}, {"run": folder.name, "label": label, "spec": spec})
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "sewa"
    write_store(folder, [3, 10, 6, 9], unusable=(4,))
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory, store):
    """Export a sparse network for clips, its layers by both paths in turn: folder, network and report."""
    folder = tmp_path_factory.mktemp("clips")
    network = sparse(3)
    run = write(folder / "clip-network", network)
    paths = folder / "paths.json"
    write_text(json.dumps(alternating(network)), paths)
    report = export_run(run, folder / "deep" / "out", Options(batch=2, paths=paths, crops=store))
    return folder / "deep" / "out", network, report


@pytest.fixture
def images_run(tmp_path):
    return write(tmp_path / "image-network", trained(2))


@pytest.fixture
def hocbench(monkeypatch, capsys, tmp_path):
    """Run a command; return its exit code and what it printed to both streams."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hocbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return run


def program_of(folder):
    return torch.export.load(folder / "network.pt2").module()


def graph_of(folder):
    session = onnxruntime.InferenceSession(folder / "network.onnx", providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["predictions"], {"crops": x.numpy()})[0])


def assert_close(actual, expected):
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype == torch.float32
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE * expected.abs().max().item())


@torch.no_grad()
def assert_forms_compute_the_same(folder, network):
    for form in (program_of(folder), graph_of(folder)):
        for batch in (1, 2, 5):
            for length in (1, 2, 3, 7) if network.config.order == 3 else [None]:
                x = torch.randn(batch, 3, *([length] if length else []), SIZE, SIZE)
                assert_close(form(x), network(x))


def test_clips_of_any_number_and_length_are_computed_as_by_the_network(clips):
    folder, network, _ = clips
    assert_forms_compute_the_same(folder, network)


def test_inner_activations_are_computed_as_by_the_network(tmp_path):
    network = trained(3, "tucker", inner_activation=True, temporal_padding="replicate")
    assert sorted(write_forms(tmp_path, fold(network), SIZE, {})) == ["onnx", "pt2"]
    assert_forms_compute_the_same(tmp_path, network)


def test_an_export_has_exactly_its_files_and_their_hashes(clips):
    folder, _, report = clips
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["out"]
    assert json.loads((folder / "export.json").read_text()) == report
    for name, about in report["files"].items():
        assert about == {"bytes": (folder / name).stat().st_size, "sha256": file_hash(folder / name)}
    assert set(report["files"]) == set(FILES) - {"export.json"}


def test_the_report_says_what_was_exported(clips):
    folder, network, report = clips
    assert report["run"] == "clip-network"
    assert report["label"] == "SYNTHETIC"
    assert report["config"] == network.config.as_dict()
    assert report["input"]["shape"] == [2, 3, LENGTH, SIZE, SIZE]
    assert report["dynamic"] == ["batch", "time"]
    assert report["paths"] == "given"
    assert json.loads((folder / "paths.json").read_text()) == alternating(network)
    # Every other layer but one lost one or two components: λ and a column of out, in, time, height and width each.
    lost = 0
    for count, name in enumerate(factorized_names(network)):
        lost += (count % 3) * (1 + sum(network.get_submodule(name).sizes.values()))
    assert report["parameters"]["trained"] - report["parameters"]["compacted"] == lost > 0


def test_every_form_was_checked_on_random_input_and_on_crops(clips, store):
    *_, report = clips
    assert set(report["differences"]) == {"folded", "pt2", "onnx"}
    for form in report["differences"].values():
        assert set(form) == {"random", "crops"}
        assert all(0 < found["relative"] < TOLERANCE and found["absolute"] > 0 for found in form.values())
    digest = file_hash(store / "crops.json")
    assert report["crops"] == {"checked": True, "label": "synthetic", "frames": 8 * LENGTH, "crops.json": digest}


def test_both_files_carry_run_and_label(clips):
    folder, *_ = clips
    extra = {"label.json": ""}
    torch.export.load(folder / "network.pt2", extra_files=extra)
    model = onnx.load(folder / "network.onnx")
    wanted = {"run": "clip-network", "label": "SYNTHETIC"}
    assert json.loads(extra["label.json"]) == wanted
    assert {entry.key: entry.value for entry in model.metadata_props} == wanted


def test_the_graph_is_valid_and_of_the_stated_opset(clips):
    folder, _, report = clips
    model = onnx.load(folder / "network.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [report["opset"]]
    assert [entry.name for entry in model.graph.input] == ["crops"]
    assert not any(node.metadata_props for node in model.graph.node)
    dimensions = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert dimensions == ["batch", 3, "time", SIZE, SIZE]


def test_no_file_names_a_folder_of_the_machine(clips):
    folder, *_ = clips
    with zipfile.ZipFile(folder / "network.pt2") as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    contents += [(folder / name).read_bytes() for name in FILES]
    for place in (str(ROOT), "site-packages", str(Path.home()), str(folder)):
        assert not any(place.encode() in content for content in contents)


def test_the_program_needs_no_code_of_ours(clips):
    folder, network, _ = clips
    x = torch.randn(3, 3, LENGTH, SIZE, SIZE)
    np.save(folder.parent / "x.npy", x.numpy())
    code = (
        "import sys, numpy, torch; sys.modules['hocbench'] = None; "
        f"program = torch.export.load({str(folder / 'network.pt2')!r}).module(); "
        f"numpy.save('y.npy', program(torch.from_numpy(numpy.load('x.npy'))).detach().numpy())"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder.parent, check=True, capture_output=True)
    with torch.no_grad():
        assert_close(torch.from_numpy(np.load(folder.parent / "y.npy")), network(x))
    for name in ("x.npy", "y.npy"):
        (folder.parent / name).unlink()


def test_a_fitted_run_is_exported_by_the_command(hocbench, tmp_path):
    plan = make_runs(tmp_path, {"datasets": {"affectnet": {"crop": {"size": SIZE}}}})
    chosen = next(run for run in plan if run.axes.stage == "static" and run.axes.kind == "cp")
    write_store(tmp_path / "crops", [1] * 60, dataset="affectnet")
    fit(chosen.spec, tmp_path / "crops", None, tmp_path / "run")
    shutil.copytree(tmp_path / "crops", tmp_path / "data" / "prepared" / chosen.spec["profile"] / "affectnet")
    code, out, err = hocbench("export", "run", "--out", "exported", "--batch", 3)
    assert (code, err) == (0, "")
    assert out.startswith("exported: network.pt2 ")
    assert out.endswith(" of the largest output (SYNTHETIC)\n")
    report = json.loads((tmp_path / "exported" / "export.json").read_text())
    assert report["run"] == chosen.id
    assert report["input"]["shape"] == [3, 3, SIZE, SIZE]
    assert report["crops"]["frames"] == 32
    assert report["paths"] == "measured"
    network, _ = load_network(tmp_path / "run")
    assert list(json.loads((tmp_path / "exported" / "paths.json").read_text())) == sorted(factorized_names(network))
    assert_forms_compute_the_same(tmp_path / "exported", network.eval())


def test_the_program_says_nothing_but_what_a_user_must_know(tmp_path):
    network = trained(2, "tt")
    run = write(tmp_path / "run", network)
    command = [sys.executable, "-m", "hocbench", "export", str(run), "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    place = Path("data/prepared/none/sewa")
    assert done.stderr == f"not checked on crops: there is no crop store at {place}; name one by --crops\n"
    assert done.stdout.count("\n") == 1
    report = json.loads((tmp_path / "out" / "export.json").read_text())
    assert report["crops"] == {
        "checked": False,
        "reason": f"there is no crop store at {place}; name one by --crops",
    }
    assert all(set(form) == {"random"} for form in report["differences"].values())
    assert report["dynamic"] == ["batch"]
    assert_forms_compute_the_same(tmp_path / "out", network)


def test_real_runs_are_labelled_real_and_a_dense_network_has_no_paths(tmp_path):
    network = trained(2, "dense")
    (tmp_path / "out").mkdir()
    for name in (*FILES, "notes.txt"):
        (tmp_path / "out" / name).write_text("older")
    report = export_run(write(tmp_path / "run", network, "real"), tmp_path / "out", Options(size=SIZE + 4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]
    assert (tmp_path / "out" / "notes.txt").read_text() == "older"
    assert report["label"] == "real"
    assert report["parameters"]["trained"] == report["parameters"]["compacted"]
    assert json.loads((tmp_path / "out" / "paths.json").read_text()) == {}
    x = torch.randn(2, 3, SIZE + 4, SIZE + 4)
    with torch.no_grad():
        assert_close(graph_of(tmp_path / "out")(x), network(x))


def magnify(network):
    """Let two components cancel each other but for their rounding errors."""
    with torch.no_grad():
        for name in factorized_names(network):
            layer = network.get_submodule(name)
            for factor in layer.factors.values():
                factor[:, 1] = factor[:, 0]
            layer.weights[:2] = torch.tensor([1e6, -1e6])


def overflow(network):
    with torch.no_grad():
        network.head.weight.fill_(3e38)


@pytest.mark.parametrize(("spoil", "share"), [(magnify, r"\d\.\de[+-]\d\d"), (overflow, "nan")])
def test_an_export_that_differs_is_refused_and_leaves_an_older_one_alone(tmp_path, spoil, share):
    network = trained(2)
    spoil(network)
    run, out = write(tmp_path / "run", network), tmp_path / "out"
    paths = tmp_path / "paths.json"
    paths.write_text(json.dumps(dict.fromkeys(factorized_names(network), "factorized")))
    out.mkdir()
    (out / "export.json").write_text("older")
    text = rf"on random input, the folded network differs from the trained one by {share} of the largest output"
    with pytest.raises(ExportError, match=text):
        export_run(run, out, Options(paths=paths))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "paths.json", "run"]
    assert [path.read_text() for path in out.iterdir()] == ["older"]


def assert_refused(outcome, text, out):
    code, printed, err = outcome
    assert code == 2
    assert err.splitlines()[-1].startswith(f"hocbench: error: {text}")
    assert err.count("hocbench: error:") == 1
    assert "Traceback" not in printed + err
    assert not out.exists()


def test_a_missing_run_is_refused(hocbench, tmp_path):
    run, out = tmp_path / "nosuch", tmp_path / "out"
    assert_refused(hocbench("export", run, "--out", out), f"{run} is not a finished run (no manifest.json)", out)


def test_an_unfinished_run_is_refused(hocbench, images_run, tmp_path):
    (images_run / "manifest.json").unlink()
    outcome = hocbench("export", images_run, "--out", tmp_path / "out")
    assert_refused(outcome, f"{images_run} is not a finished run (no manifest.json)", tmp_path / "out")


def test_damaged_weights_are_refused(hocbench, images_run, tmp_path):
    file = images_run / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
    outcome = hocbench("export", images_run, "--out", tmp_path / "out")
    assert_refused(outcome, f"{file} is damaged (its hash differs from the manifest)", tmp_path / "out")


def test_a_manifest_without_parameters_is_refused(hocbench, images_run, tmp_path):
    file = images_run / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["spec"]["training"]
    file.write_text(json.dumps(manifest))
    outcome = hocbench("export", images_run, "--out", tmp_path / "out")
    assert_refused(outcome, f"{file} lacks 'training'; delete the folder and run it again", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "[Errno 2] No such file or directory"),
        ("{", "Expecting property name"),
        ("[]", "'list' object has no attribute 'items'"),
        ("{}", "paths: nothing is said about the factorized layer 'stem'"),
        ('{"layer5.0.conv1": "factorized"}', "paths: layer 'layer5.0.conv1' is not a factorized layer of this network"),
    ],
)
def test_a_wrong_file_of_paths_is_refused(hocbench, images_run, tmp_path, content, reason):
    file = tmp_path / "mine.json"
    if content is not None:
        file.write_text(content)
    outcome = hocbench("export", images_run, "--out", tmp_path / "out", "--paths", file)
    assert_refused(outcome, f"{file} cannot be used ({reason}", tmp_path / "out")
    assert outcome[2].endswith("); give the paths.json of an export of this run\n")


@pytest.mark.parametrize("option", ["--batch", "--size", "--clip-length"])
def test_nothing_of_nothing_is_refused(hocbench, tmp_path, option):
    run = write(tmp_path / "clip-network", trained(3))
    outcome = hocbench("export", run, "--out", tmp_path / "out", option, 0)
    assert_refused(outcome, f"{option} 0: give at least 1", tmp_path / "out")


def test_a_clip_length_for_single_images_is_refused(hocbench, images_run, tmp_path):
    outcome = hocbench("export", images_run, "--out", tmp_path / "out", "--clip-length", 4)
    assert_refused(outcome, "--clip-length: run image-network has a network for single images", tmp_path / "out")


def test_crops_of_another_size_are_refused(hocbench, images_run, tmp_path, store):
    outcome = hocbench("export", images_run, "--out", tmp_path / "out", "--crops", store, "--size", 20)
    text = f"crops in {store} have {SIZE} pixels per side, the export has 20; change --size or --crops"
    assert_refused(outcome, text, tmp_path / "out")


def test_the_usual_store_is_left_alone_if_its_crops_have_another_size(store, caplog):
    batches, note = crops_input(None, store, (2, 3, 20, 20))
    reason = f"crops in {store} have {SIZE} pixels per side, the export has 20"
    assert (batches, note) == ([], {"checked": False, "reason": reason})
    assert caplog.messages == [f"not checked on crops: {reason}"]


@pytest.mark.parametrize("length", [1, 3, 50])
def test_checked_crops_are_windows_of_usable_frames_from_all_clips(store, length):
    batches, note = crops_input(store, store, (2, 3, length, SIZE, SIZE))
    clips = torch.cat(batches)
    assert clips.shape[1:] == (3, length, SIZE, SIZE)
    assert note["frames"] == len(clips) * length
    data = CropStore(store)
    pixels = torch.from_numpy(data.crops.copy()).movedim(-1, 1).float().sub(127.5).div(63.75)
    found = [[int((pixels == frame).flatten(1).all(1).nonzero()) for frame in clip.unbind(1)] for clip in clips]
    clip_of = data.frames["clip"].tolist()
    assert all(4 not in rows for rows in found)  # it has no face
    assert all(len({clip_of[row] for row in rows}) == 1 for rows in found)
    assert len({clip_of[rows[0]] for rows in found}) == (1 if length == 50 else 4)


def test_an_incomplete_store_is_refused(hocbench, images_run, tmp_path):
    outcome = hocbench("export", images_run, "--out", tmp_path / "out", "--crops", tmp_path)
    assert_refused(outcome, f"{tmp_path} is not a complete crop store", tmp_path / "out")


def test_a_file_is_no_folder_to_write(hocbench, images_run, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("mine")
    code, _, err = hocbench("export", images_run, "--out", file)
    assert (code, err) == (2, f"hocbench: error: {file} is a file; give a folder by --out\n")
    code, _, err = hocbench("export", images_run, "--out", file / "out")
    assert code == 2
    assert err.splitlines()[-1].startswith(f"hocbench: error: {file / 'out'} cannot be written (")
    assert file.read_text() == "mine"
