"""A network of the user's own is trained, saved, resumed, loaded and counted like one of ours."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hocbench.cost.estimate import measure_step
from hocbench.cost.hours import as_built
from hocbench.cost.profile import profile_run
from hocbench.errors import ExportError, ParameterError, RunError
from hocbench.experiment.spec import RunSpec
from hocbench.export import export_run
from hocbench.training import fit
from hocbench.training.networks import load_network
from hocbench.training.starting_network import begin
from tests.training.conftest import make_runs
from tests.training.test_resume import killer, restart_until_done  # noqa: F401 - a fixture
from tests.training.test_stages import SAME_BYTES

SOURCE = Path(__file__).parents[2] / "examples" / "networks.py"
# Random while it learns, so that resuming has to bring back a generator of torch's.
DROPOUT = "self.head = nn.Sequential(nn.Dropout(), nn.Linear(8 * width, outputs))"


class Own:
    """The planned runs of a network of the user's own."""

    def __init__(self, folder, laboratory):
        self.folder, self.laboratory, self.file = folder, laboratory, folder / "networks.py"
        self.write(SOURCE.read_text().replace("self.head = nn.Linear(8 * width, outputs)", DROPOUT))

    def write(self, text):
        self.file.write_text(text)

    def run(self, seed=0):
        changes = {"networks": {"tsm": f"{self.file}:TSM"}, "datasets": {"sewa": {"baselines": ["tsm"]}}}
        runs = make_runs(self.folder, changes)
        (run,) = [run for run in runs if (run.key.method, run.key.dataset, run.key.seed) == ("tsm", "sewa", seed)]
        return run

    def fit(self, out):
        fit(self.run().spec, self.laboratory.crops["sewa"], None, out)
        return out


@pytest.fixture
def own(tmp_path, laboratory):
    return Own(tmp_path, laboratory)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, laboratory):
    made = Own(tmp_path_factory.mktemp("own"), laboratory)
    return made, made.fit(made.folder / "runs" / made.run().id)


def read(path, name):
    return json.loads((path / name).read_text())


def test_it_is_a_run_from_scratch_whose_files_say_what_it_is(fitted):
    own, path = fitted
    config, spec = read(path, "network.json")["config"], own.run().spec
    assert config == {
        "kind": "tsm",
        "place": f"{own.file}:TSM",
        "source": spec.network.source,
        "outputs": 2,
        "width": 8,
        "stem": "small",
        "clip_length": 4,
    }
    layers, cost = read(path, "network.json")["layers"], read(path, "cost.json")
    assert [layer["name"] for layer in layers[:2]] == ["stem.0", "blocks.0.inside.0"] and len(layers) == 17
    weights = load_file(path / "weights.safetensors")
    network, loaded_layers = load_network(path)
    assert loaded_layers == layers and type(network).__name__ == "TSM"
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert cost["parameters"] == sum(value.numel() for value in network.parameters())
    sizes = {"stem": 8} | {f"blocks.{place}": 8 >> place // 2 for place in range(8)}
    by_hand = sum(
        value.numel() * next(size for start, size in sizes.items() if name.startswith(start)) ** 2
        for name, value in weights.items()
        if value.ndim == 4
    )
    assert cost["multiply_adds"] == by_hand + weights["head.1.weight"].numel()
    manifest = read(path, "manifest.json")
    assert manifest["paths"] == {} and str(own.folder) not in json.dumps(manifest)


def test_a_folder_that_was_moved_and_other_words_change_no_run_and_another_line_does(fitted, own):
    text = own.file.read_text()
    assert own.run().id == fitted[0].run().id
    own.write(text.replace('"""A 2-D', '"""Our 2-D') + "# a comment\n")
    assert own.run().id == fitted[0].run().id
    own.write(text.replace("// 8", "// 4"))
    assert own.run().id != fitted[0].run().id


def test_stopped_again_and_again_it_is_the_run_that_never_stopped(fitted, own, tmp_path, killer):  # noqa: F811
    run = fitted[0].run()
    starts = restart_until_done(own.laboratory, run, tmp_path / "out", tmp_path / "saved", killer, every=4)
    assert starts > 1
    for file in SAME_BYTES:
        assert (tmp_path / "out" / file).read_bytes() == (fitted[1] / file).read_bytes(), file


def test_first_weights_depend_on_seeds_and_on_nothing_else(own):
    spec = own.run().spec
    states = []
    for seed, before in ((0, 1), (0, 2), (1, 2)):
        torch.manual_seed(before)
        other = spec.model_copy(update={"key": spec.key.model_copy(update={"seed": seed})})
        states.append(begin(other, None, None, None)[0].stem[0].weight)
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_profile_and_estimate_measure_it_and_export_says_what_to_do(fitted, tmp_path):
    own, path = fitted
    profile = profile_run(path, own.laboratory.crops["sewa"], steps=1)
    assert profile.step_ms > 0 and measure_step(as_built(own.run())).wall > 0
    with pytest.raises(ExportError, match=r"has a network of your own.*load its weights\.safetensors into your class"):
        export_run(path, tmp_path / "out")


TWO_CLASSES = "class Rest(nn.Module):\n    pass\n\n\nclass TSM:"


@pytest.mark.parametrize(
    ("line", "change", "message"),
    [
        (
            "outputs, width, stem, clip_length",
            "size",
            r"cannot be built by \(outputs=2, width=8, stem='small', clip",
        ),
        ("class TSM(nn.Module):", TWO_CLASSES, r"makes a TSM; a network is a class of torch\.nn\.Module"),
        (".unflatten(0, (-1, frames))", "", r"makes torch\.float32 of \(8, 2\) of clips .* = \(2, 4, 2\) is promised"),
        ("pad(clips[:, :-1", "none(clips[:, :-1", r"clips of shape \(2, 3, 4, 32, 32\) do not pass through it"),
    ],
)
def test_what_breaks_the_contract_is_refused_before_the_first_step(own, line, change, message):
    text = own.file.read_text()
    place = text.rindex(line)
    own.write(text[:place] + change + text[place + len(line) :])
    with pytest.raises(ParameterError, match=r"networks\.tsm: .*" + message):
        begin(own.run().spec, None, None, None)


def test_a_run_that_is_told_without_a_place_or_whose_file_has_changed_is_refused(own):
    spec = own.run().spec
    told = RunSpec.model_validate_json(spec.text())
    assert str(own.folder) not in spec.text() and told.digest == spec.digest
    with pytest.raises(
        RunError, match=r"""trains a network 'tsm' of your own; say where it is by --networks '{"tsm": """
    ):
        begin(told, None, None, None)
    assert begin(told.with_places({"tsm": f"{own.file}:TSM"}), None, None, None)[0].head
    own.write(own.file.read_text().replace("// 8", "// 4"))
    with pytest.raises(
        ParameterError, match=r"networks\.tsm: \S+networks\.py:TSM has changed since this run was planned"
    ):
        begin(spec, None, None, None)
