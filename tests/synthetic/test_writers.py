import pytest

from hocbench.datasets.index import read_index
from hocbench.errors import DatasetError, ParameterError
from hocbench.synthetic import synthesize
from tests.synthetic.conftest import PARAMETERS, summary_of, tree

NAMES = list(PARAMETERS)
FEWER = {"affectnet": {"images": 20, "validation_images": 5}, "sewa": {"subjects": 8}, "afew_va": {"clips": 3}}
PICTURES = (".jpg", ".png", ".avi")


def pictures_of(root):
    return {path: content for path, content in tree(root).items() if path.endswith(PICTURES)}


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_bytes(rendered, tmp_path, name):
    synthesize(name, tmp_path / "deeper" / name, PARAMETERS[name])
    assert tree(tmp_path / "deeper" / name) == tree(rendered[name])


@pytest.mark.parametrize("name", NAMES)
def test_other_seeds_give_other_pictures_and_labels(rendered, tmp_path, name):
    synthesize(name, tmp_path / name, PARAMETERS[name] | {"seed": 5})
    old, new = (pictures_of(root) for root in (rendered[name], tmp_path / name))
    assert not any(new[path] == content for path, content in old.items() if path in new)
    labels = [read_index(name, root).frames["valence"].dropna() for root in (rendered[name], tmp_path / name)]
    assert set(labels[0].round(3)) != set(labels[1].round(3))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_rendered_does_not_depend_on_how_much(rendered, tmp_path, name):
    synthesize(name, tmp_path, PARAMETERS[name] | FEWER[name])
    fewer, more = pictures_of(tmp_path), pictures_of(rendered[name])
    defects = summary_of(tmp_path)["defects"] + summary_of(rendered[name])["defects"]
    damaged = {defect["file"] for defect in defects if "file" in defect}
    compared = [path for path in fewer if not path.endswith(tuple(damaged))]
    assert set(fewer) < set(more)
    assert len(compared) >= len(fewer) - 2
    assert all(fewer[path] == more[path] for path in compared)


def test_stills_do_not_depend_on_how_many_chunks_there_are(rendered, tmp_path):
    synthesize("affectnet", tmp_path, PARAMETERS["affectnet"] | {"images": 101})
    many, few = pictures_of(tmp_path), pictures_of(rendered["affectnet"])
    assert sum(many[path] != content for path, content in few.items()) <= 2
    assert len(set(many.values())) == len(many)


@pytest.mark.parametrize("name", NAMES)
def test_rendering_again_leaves_nothing_of_the_older_rendering(rendered, tmp_path, name):
    synthesize(name, tmp_path, PARAMETERS[name] | {"seed": 5})
    synthesize(name, tmp_path, PARAMETERS[name])
    assert tree(tmp_path) == tree(rendered[name])
    synthesize(name, tmp_path, PARAMETERS[name] | FEWER[name])
    assert len(read_index(name, tmp_path).frames) < len(read_index(name, rendered[name]).frames)


@pytest.mark.parametrize("name", NAMES)
def test_every_folder_says_that_it_is_synthetic(rendered, name):
    folders = [rendered[name], *(path for path in rendered[name].rglob("*") if path.is_dir())]
    # Readers of SEWA take every text file beside the landmarks; the manually annotated folder holds only folders.
    marked = [folder for folder in folders if not folder.name.endswith(("-Landmarks", "Manually_Annotated"))]
    assert len(marked) == {"affectnet": 5, "sewa": 15, "afew_va": 6}[name]
    for folder in marked:
        text = (folder / "SYNTHETIC.txt").read_text()
        assert text.startswith(f"SYNTHETIC data: faces drawn by a program, no real person. In the layout of {name};")


@pytest.mark.parametrize("name", NAMES)
def test_the_marker_is_written_last_with_the_parameters(rendered, name):
    root = rendered[name]
    marker = (root / "SYNTHETIC.json").stat().st_mtime_ns
    assert all(path.stat().st_mtime_ns <= marker for path in root.rglob("*") if path.is_file())
    summary = summary_of(root)
    assert (summary["dataset"], summary["synthetic"], summary["parameters"]) == (name, True, PARAMETERS[name])


def test_a_rendering_that_fails_leaves_no_marker(tmp_path):
    synthesize("affectnet", tmp_path, PARAMETERS["affectnet"])
    lists = tmp_path / "Manually_Annotated"
    lists.rename(tmp_path / "elsewhere")
    lists.write_text("a file where a folder should be")
    with pytest.raises(OSError, match="Manually_Annotated"):
        synthesize("affectnet", tmp_path, PARAMETERS["affectnet"])
    assert not (tmp_path / "SYNTHETIC.json").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_with_other_files_is_refused_and_left_untouched(tmp_path, name):
    (tmp_path / "001").mkdir()
    (tmp_path / "001" / "00000.png").write_bytes(b"a real picture")
    before = tree(tmp_path)
    with pytest.raises(DatasetError) as error:
        synthesize(name, tmp_path, PARAMETERS[name])
    assert str(error.value) == (
        f"{tmp_path} holds files that are not synthetic; nothing was written. Choose an empty folder"
    )
    assert tree(tmp_path) == before


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(DatasetError, match=r"/file is a file; nothing was written\. Choose an empty folder"):
        synthesize("sewa", path, PARAMETERS["sewa"])
    assert path.read_text() == "mine"


def test_an_unknown_dataset_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(DatasetError) as error:
        synthesize("emotic", tmp_path / "new", {})
    assert str(error.value) == "no synthetic dataset 'emotic'; choose from affectnet, sewa, afew_va"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("affectnet", {"images": 0}, "datasets.affectnet.synthetic.images: Input should be greater than or equal to 1"),
        ("affectnet", {"pixels": 9}, "datasets.affectnet.synthetic.pixels: Extra inputs are not permitted"),
        ("sewa", {"subjects": 5}, "datasets.sewa.synthetic.subjects: Input should be a multiple of 2"),
        ("sewa", {"fps": "fast"}, "datasets.sewa.synthetic.fps: Input should be a valid integer"),
        ("afew_va", {"clips": 1}, "datasets.afew_va.synthetic.clips: 1 is too few, two clips are damaged on purpose"),
        (
            "afew_va",
            {"frames_min": 9},
            "datasets.afew_va.synthetic.frames_min: 9 is more than frames_max, 7; swap them",
        ),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_lost(rendered, name, change, text):
    before = tree(rendered[name])
    with pytest.raises(ParameterError) as error:
        synthesize(name, rendered[name], PARAMETERS[name] | change)
    assert str(error.value).startswith(text)
    assert tree(rendered[name]) == before


@pytest.mark.parametrize("name", NAMES)
def test_every_missing_parameter_is_named(tmp_path, name):
    with pytest.raises(ParameterError) as error:
        synthesize(name, tmp_path / "new", {})
    for key in set(PARAMETERS[name]) - {"motion_cues"}:
        assert f"datasets.{name}.synthetic.{key}: Field required" in str(error.value)
    assert str(error.value).endswith("; `hocbench params` describes the keys")
    assert not (tmp_path / "new").exists()


def test_motion_cues_are_on_unless_switched_off(rendered, tmp_path):
    parameters = {key: value for key, value in PARAMETERS["sewa"].items() if key != "motion_cues"}
    synthesize("sewa", tmp_path, parameters)
    assert tree(tmp_path) == tree(rendered["sewa"])
