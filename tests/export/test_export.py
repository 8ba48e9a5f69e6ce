import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from hocbench.errors import ExportError
from hocbench.experiment.tasks import VALENCE_AROUSAL
from hocbench.export import Options, export_run
from hocbench.export.forms import write_forms
from hocbench.export.inputs import crops_input
from hocbench.faces.store import CropStore
from hocbench.files.checksums import file_hash
from hocbench.nn.folding import fold
from hocbench.nn.layers import factorized_layers
from hocbench.training import fit
from hocbench.training.networks import load_network
from tests.conftest import ROOT
from tests.export.conftest import FILES, LENGTH, TOLERANCE, alternating, trained, write
from tests.training.conftest import SIZE, make_runs, write_store
from tests.training.test_tasks import MOODS, moods, relabelled


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
    for count, name in enumerate(factorized_layers(network)):
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
    chosen = next(run for run in plan if run.key.method == "static")
    write_store(tmp_path / "crops", [1] * 60, dataset="affectnet")
    fit(chosen.spec, tmp_path / "crops", None, tmp_path / "run")
    shutil.copytree(tmp_path / "crops", tmp_path / "data" / "prepared" / chosen.spec.profile / "affectnet")
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
    assert list(json.loads((tmp_path / "exported" / "paths.json").read_text())) == sorted(factorized_layers(network))
    assert_forms_compute_the_same(tmp_path / "exported", network.eval())


def test_the_program_says_nothing_but_what_a_user_must_know(tmp_path):
    network = trained(2, "tt")
    run = write(tmp_path / "run", network)
    command = [sys.executable, "-m", "hocbench", "export", str(run), "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    place = Path("data/prepared/tests/sewa")
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


def test_real_runs_are_labelled_real_and_a_dense_network_has_no_implementations(tmp_path):
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
        for name in factorized_layers(network):
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
    paths.write_text(json.dumps(dict.fromkeys(factorized_layers(network), "factorized")))
    out.mkdir()
    (out / "export.json").write_text("older")
    text = rf"on random input, the folded network differs from the trained one by {share} of the largest output"
    with pytest.raises(ExportError, match=text):
        export_run(run, out, Options(paths=paths))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "paths.json", "run"]
    assert [path.read_text() for path in out.iterdir()] == ["older"]


def test_the_usual_store_is_left_alone_if_its_crops_have_another_size(store, caplog):
    batches, note = crops_input(None, store, (2, 3, 20, 20), VALENCE_AROUSAL)
    reason = f"crops in {store} have {SIZE} pixels per side, the export has 20"
    assert (batches, note) == ([], {"checked": False, "reason": reason})
    assert caplog.messages == [f"not checked on crops: {reason}"]


def test_crops_that_are_labelled_with_classes_are_checked_too(tmp_path):
    folder = tmp_path / "sewa"
    relabelled(folder, moods)
    batches, note = crops_input(folder, folder, (2, 3, 4, SIZE, SIZE), MOODS)
    assert torch.cat(batches).shape[1:] == (3, 4, SIZE, SIZE)
    assert note["checked"]


@pytest.mark.parametrize("length", [1, 3, 50])
def test_checked_crops_are_windows_of_usable_frames_from_all_clips(store, length):
    batches, note = crops_input(store, store, (2, 3, length, SIZE, SIZE), VALENCE_AROUSAL)
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
