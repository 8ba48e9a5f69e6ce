import matplotlib
import pytest

from hocbench.experiment.methods import METHODS, with_networks
from hocbench.reporting.figures import FIGURES, Tables, draw_figures
from hocbench.reporting.style import COLOURS, data_label, look, style


def test_no_two_methods_look_the_same_and_one_of_the_user_has_a_look_of_its_own():
    methods = with_networks({"own": "my network"})
    looks = {tuple(look(method).values()) for method in methods.values()}
    assert len(looks) == len(methods) == len(METHODS) + 1
    assert {look(method)["color"] for method in METHODS.values()} == set(COLOURS)


def test_methods_of_one_colour_differ_in_their_marker():
    looks = [look(method) for method in METHODS.values()]
    assert len({(each["color"], each["marker"]) for each in looks}) == len(looks)


def test_settings_of_the_user_change_no_figure_and_are_kept(evaluation, tmp_path):
    draw_figures(evaluation, tmp_path / "plain", ["sparsity"])
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 30, "figure.autolayout": True, "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        draw_figures(evaluation, tmp_path / "own", ["sparsity"])
        assert dict(matplotlib.rcParams) == before
    for kind in ("png", "pdf"):
        assert (tmp_path / f"own/sparsity.{kind}").read_bytes() == (tmp_path / f"plain/sparsity.{kind}").read_bytes()


@pytest.mark.parametrize(("label", "text"), [("synthetic", "SYNTHETIC data"), ("real", "real data")])
def test_the_label_is_spelled_out(label, text):
    assert data_label(label) == text


def test_ranks_of_one_method_are_told_apart_by_the_filling_of_their_markers(write_evaluation):
    def plan(runs):
        for rank in ("same", 0.5):
            runs("affectnet", "static", rank=rank)
        runs("affectnet", "static_dense")

    with style():
        (axes,) = FIGURES["learning_curves"](Tables(write_evaluation("ranks", plan=plan))).figure.axes
    fills = {line.get_label(): line.get_fillstyle() for line in axes.get_lines()}
    assert fills == {
        "CP 2-D, static, rank 0.5": "full",
        "CP 2-D, static, rank same": "none",
        "dense 2-D, static": "full",
    }


def test_factorizations_are_told_apart_by_their_names_and_the_filling_of_their_markers(write_evaluation):
    def plan(runs):
        for factorization in ("cp", "tucker"):
            runs("affectnet", "static", factorization=factorization)

    with style():
        (axes,) = FIGURES["learning_curves"](Tables(write_evaluation("factorizations", plan=plan))).figure.axes
    fills = {line.get_label(): line.get_fillstyle() for line in axes.get_lines()}
    assert fills == {"CP 2-D, static": "full", "Tucker 2-D, static": "none"}
