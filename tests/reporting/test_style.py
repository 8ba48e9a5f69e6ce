import matplotlib
import pytest

from hocbench.experiment.plan import method_name
from hocbench.reporting.figures import FIGURES, draw_figure
from hocbench.reporting.style import COLOURS, LOOKS, data_label, look, place, style

STAGES = {"static": ("cp", "dense"), "frames": ("cp",), "lasso": ("cp",), "temporal": ("cp",)}
STAGES |= {"joint": ("cp", "inflated"), "scratch": ("cp", "dense", "2plus1d")}


def test_each_method_of_the_plan_has_a_look():
    names = [
        method_name(stage, kind, epochs, "sewa")
        for stage, kinds in STAGES.items()
        for kind in kinds
        for epochs in (0, 3)
    ]
    smoothed = ["CP 2-D, static + moving average", "CP 2-D, fine-tuned on frames + moving average"]
    assert set(LOOKS) == {*names, *smoothed}


def test_no_two_methods_look_the_same_and_an_unknown_one_has_a_look_of_its_own():
    looks = {tuple(look(method).values()) for method in [*LOOKS, "unheard of"]}
    assert len(looks) == len(LOOKS) + 1
    assert {look(method)["color"] for method in LOOKS} == set(COLOURS)


def test_methods_of_one_colour_differ_in_their_marker():
    for method in LOOKS:
        for other in set(LOOKS) - {method}:
            if look(method)["color"] == look(other)["color"]:
                assert look(method)["marker"] != look(other)["marker"]


def test_unknown_methods_come_last_in_the_order_of_their_names():
    known = list(LOOKS)
    assert sorted(["b", *known[::-1], "a"], key=place) == [*known, "a", "b"]


def test_settings_of_the_user_change_no_figure_and_are_kept(evaluation, tmp_path):
    draw_figure("sparsity", evaluation, tmp_path / "plain")
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 30, "figure.autolayout": True, "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        draw_figure("sparsity", evaluation, tmp_path / "own")
        assert dict(matplotlib.rcParams) == before
    for kind in ("png", "pdf"):
        assert (tmp_path / f"own.{kind}").read_bytes() == (tmp_path / f"plain.{kind}").read_bytes()


@pytest.mark.parametrize(("label", "text"), [("synthetic", "SYNTHETIC data"), ("real", "real data")])
def test_the_label_is_spelled_out(label, text):
    assert data_label(label) == text


def test_ranks_of_one_method_are_told_apart_by_the_filling_of_their_markers(write_evaluation):
    def plan(runs):
        for rank in ("same", 0.5):
            runs("affectnet", "static", rank=rank)
        runs("affectnet", "static", "dense")

    with style():
        (axes,) = FIGURES["learning_curves"](write_evaluation("ranks", plan=plan)).figure.axes
    fills = {line.get_label(): line.get_fillstyle() for line in axes.get_lines()}
    assert fills == {
        "CP 2-D, static, rank 0.5": "full",
        "CP 2-D, static, rank same": "none",
        "dense 2-D, static": "full",
    }
