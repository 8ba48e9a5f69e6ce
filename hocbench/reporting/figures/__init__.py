"""All figures by name, each drawn from the tables of an evaluation and written with its caption and alt text."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hocbench.errors import EvaluationError
from hocbench.files.checksums import sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.reporting.figures.blocks import sparsity
from hocbench.reporting.figures.curves import learning_curves, recovery
from hocbench.reporting.figures.parts import Picture
from hocbench.reporting.figures.plane import circumplex, timelines
from hocbench.reporting.figures.rows import forest, quadrants
from hocbench.reporting.figures.scores import pareto, score_parameters
from hocbench.reporting.figures.sweeps import clips, lasso_path, rank_sweep
from hocbench.reporting.figures.taps import temporal_factors
from hocbench.reporting.style import save, style

FIGURES: dict[str, Callable[[Path], Picture]] = {
    "sparsity": sparsity,
    "lasso_path": lasso_path,
    "rank_sweep": rank_sweep,
    "circumplex": circumplex,
    "timelines": timelines,
    "temporal_factors": temporal_factors,
    "learning_curves": learning_curves,
    "recovery": recovery,
    "score_parameters": score_parameters,
    "pareto": pareto,
    "clips": clips,
    "quadrants": quadrants,
    "forest": forest,
}


def draw_figure(name: str, evaluation: Path, stem: Path) -> None:
    """Draw one figure and write it down with its words.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    evaluation : Path
        Folder written by `hocbench.evaluation.evaluate`.
    stem : Path
        Where ``.pdf`` and ``.png`` go, and ``.json`` with title, caption, alt (what is to be seen) and label, sealed.

    Raises
    ------
    EvaluationError
        If there is no such figure or one of its tables is missing.
    DamageError
        If a table is not as it was written.
    """
    check_names([name])
    with staged(stem.parent, stem.name) as folder, style():
        _draw(name, evaluation, folder / stem.name)


def _draw(name: str, evaluation: Path, stem: Path) -> None:
    picture = FIGURES[name](evaluation)
    save(picture.figure, stem)
    words = {"title": picture.title, "caption": picture.caption, "alt": picture.alt, "label": picture.label}
    write_text(sealed(words), stem.with_suffix(".json"))


def draw_figures(evaluation: Path, out: Path, names: Sequence[str] | None = None) -> None:
    """Draw several figures, each under its name.

    Parameters
    ----------
    evaluation, out : Path
        Folder written by `hocbench.evaluation.evaluate`, and where the figures go.
    names : sequence of str, optional
        Some of `FIGURES`; none or no sequence stands for all.

    Raises
    ------
    EvaluationError
        If there is no such figure, before any is drawn, or one of the tables is missing.
    DamageError
        If a table is not as it was written.
    """
    check_names(names or ())
    # The workflow draws each figure by a command of its own.
    with staged(out, "-".join(names or ["figures"])) as folder, style():
        for name in names or FIGURES:
            _draw(name, evaluation, folder / name)


def check_names(names: Iterable[str]) -> None:
    """Refuse figures that there are not, `EvaluationError`."""
    for name in names:
        if name not in FIGURES:
            raise EvaluationError(f"no figure {name!r}; choose from {', '.join(FIGURES)}")


__all__ = ["FIGURES", "Picture", "draw_figure", "draw_figures"]
