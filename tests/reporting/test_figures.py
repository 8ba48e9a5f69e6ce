import json
import os
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest

from hocbench.errors import EvaluationError
from hocbench.files.checksums import read_sealed
from hocbench.paths import FIGURE_FILES
from hocbench.paths import FIGURES as NAMES
from hocbench.reporting.figures import FIGURES, Tables, draw_figures
from hocbench.reporting.style import style
from tests.reporting.drawing import assert_legible, copy_with, title_of

NOTHING = {
    "sparsity": "No run with LASSO, real data",
    "lasso_path": "No sweep of LASSO weights, real data",
    "rank_sweep": "No sweep of ranks: same only, real data",
    "circumplex": "No fine-tuned video network to draw, real data",
    "timelines": "No test clip to draw, real data",
    "temporal_factors": "No temporal factors were trained, real data",
    "learning_curves": "AffectNet, real data",
    "recovery": "No temporal factors were trained, real data",
    "score_parameters": "No score on clips, real data",
    "pareto": "No score on clips, real data",
    "clips": "No network was trained on fewer clips, real data",
    "quadrants": "AffectNet, real data; images: ",
    "forest": "No pair of methods to compare, real data",
}


@pytest.fixture(scope="module")
def seen(evaluation, real, scanty):
    """All figures of three experiments, each drawn once."""
    folders, drawn = {"synthetic": evaluation, "real": real, "scanty": scanty}, {}

    def look(name, kind):
        if (name, kind) not in drawn:
            with style():
                drawn[name, kind] = FIGURES[name](Tables(folders[kind]))
        return drawn[name, kind]

    return look


@pytest.mark.parametrize("name", ["sparsity", "rank_sweep"])  # one that is drawn, one that says why it is not
def test_a_figure_is_written_as_png_pdf_and_words_with_the_same_bytes_each_time(evaluation, tmp_path, name):
    before = plt.get_fignums()
    for folder in ("first", "second"):
        draw_figures(evaluation, tmp_path / folder, [name])
    first = tmp_path / "first"
    assert sorted(path.name for path in first.iterdir()) == sorted(f"{name}.{kind}" for kind in FIGURE_FILES)
    for kind in FIGURE_FILES:
        assert (first / f"{name}.{kind}").read_bytes() == (tmp_path / "second" / f"{name}.{kind}").read_bytes()
    pdf = (first / f"{name}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf
    assert plt.get_fignums() == before
    words = read_sealed(first / f"{name}.json")
    assert words == {
        key: getattr(FIGURES[name](Tables(evaluation)), key) for key in ("title", "caption", "alt", "label")
    }
    width = plt.imread(first / f"{name}.png").shape[1]
    assert width < 1450
    assert width > 1350 or name == "rank_sweep"


def test_settings_of_the_user_change_no_byte(evaluation, tmp_path):
    draw_figures(evaluation, tmp_path / "plain", ["sparsity"])
    own = {"text.usetex": True, "font.size": 20, "font.family": "serif", "figure.dpi": 300, "savefig.bbox": "standard"}
    own |= {"figure.autolayout": True, "pdf.compression": 0, "axes.grid": True, "savefig.transparent": True}
    with plt.rc_context(own):
        draw_figures(evaluation, tmp_path / "own", ["sparsity"])
    for kind in FIGURE_FILES:
        name = f"sparsity.{kind}"
        assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    # In another process: what matplotlib reads when it is imported, and what would end the import.
    (tmp_path / "matplotlibrc").write_bytes("# Universität\nfont.size: 30\n".encode("cp1252"))
    environment = {"MPLBACKEND": "nosuch", "MATPLOTLIBRC": str(tmp_path), "MPLCONFIGDIR": str(tmp_path)}
    command = [sys.executable, "-m", "hocbench", "figures", str(evaluation), str(tmp_path / "shell"), "sparsity"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shell/sparsity.png").read_bytes() == (tmp_path / "plain/sparsity.png").read_bytes()


def test_the_figures_are_those_of_the_workflow():
    assert tuple(FIGURES) == NAMES


def test_an_unknown_figure_is_an_error_that_names_the_known_ones(evaluation, tmp_path):
    with pytest.raises(EvaluationError, match="no figure 'sparsty'; choose from sparsity, lasso_path"):
        draw_figures(evaluation, tmp_path / "x", ["sparsty"])


def test_several_figures_are_drawn_under_their_names(evaluation, tmp_path):
    draw_figures(evaluation, tmp_path / "some", ["forest", "clips"])
    assert {path.stem for path in (tmp_path / "some").iterdir()} == {"forest", "clips"}
    with pytest.raises(EvaluationError, match="no figure 'sparsty'"):
        draw_figures(evaluation, tmp_path / "none", ["forest", "sparsty"])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_evaluation_is_an_error_that_says_what_to_run(tmp_path, name):
    with pytest.raises(EvaluationError, match=rf"No meta\.json in {tmp_path}\. Run `hocbench evaluate` first"):
        draw_figures(tmp_path, tmp_path / "figures", [name])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_table_is_an_error_that_says_what_to_run(evaluation, tmp_path):
    folder = copy_with(evaluation, tmp_path / "e")
    (folder / "sparsity.csv").unlink()
    with pytest.raises(EvaluationError, match=rf"No result table at {folder}/sparsity\.csv\. Run `hocbench evaluate`"):
        draw_figures(folder, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize("name", NAMES)
def test_synthetic_data_are_named_in_title_and_caption_and_real_data_never(seen, name):
    for text in (title_of(seen(name, "synthetic").figure), seen(name, "synthetic").caption):
        assert "SYNTHETIC data" in text
    for text in (title_of(seen(name, "real").figure), seen(name, "real").caption):
        assert "real data" in text
        assert "SYNTHETIC" not in text
    assert (seen(name, "synthetic").label, seen(name, "real").label) == ("synthetic", "real")
    assert all(text and text == text.strip() for text in vars(seen(name, "real")).values() if isinstance(text, str))


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_cut_off_or_covered(seen, name):
    for kind in ("synthetic", "scanty"):
        figure = seen(name, kind).figure
        figure.canvas.draw()
        assert_legible(figure)


@pytest.mark.parametrize("name", NAMES)
def test_captions_say_from_how_much_they_are_and_descriptions_have_numbers(seen, name):
    picture = seen(name, "synthetic")
    if picture.caption.startswith("Nothing to draw"):
        assert name in ("rank_sweep", "clips")
        assert picture.alt.startswith("No figure, only the words")
        return
    assert re.search(r"\b[12] seeds?\b", picture.caption)
    counted = r"30 test images|480 test frames of 6 subjects|480 validation frames|3 layers|30 validation images"
    assert re.search(counted, picture.caption)
    assert re.search(r"\d\.\d\d|\d %", picture.alt)


@pytest.mark.parametrize("name", NAMES)
def test_stills_alone_without_lasso_still_give_a_figure_that_says_so(seen, name):
    assert title_of(seen(name, "scanty").figure).startswith(NOTHING[name])


def test_a_history_without_training_is_said_to_be_empty(draw, evaluation, tmp_path):
    folder = copy_with(evaluation, tmp_path / "e", history=lambda table: table[table["epoch"] == 0])
    assert title_of(draw("learning_curves", folder)) == "No network was trained, SYNTHETIC data"
    draw_figures(folder, tmp_path / "figures", ["learning_curves"])
    words = json.loads((tmp_path / "figures" / "learning_curves.json").read_text())
    assert words["caption"] == "Nothing to draw: No network was trained, SYNTHETIC data."


def test_a_figure_of_synthetic_and_real_data_is_labelled_as_both(evaluation, tmp_path):
    def relabel(table):
        return table.assign(label=["real" if name == "sewa" else "synthetic" for name in table["dataset"]])

    folder = copy_with(evaluation, tmp_path / "e", costs=relabel, history=relabel, counts=relabel)
    picture = FIGURES["learning_curves"](Tables(folder))
    assert picture.label == "synthetic and real"
    assert "AffectNet, SYNTHETIC data: 30 validation images" in picture.caption
    assert "SEWA, real data: 480 validation frames" in picture.caption
