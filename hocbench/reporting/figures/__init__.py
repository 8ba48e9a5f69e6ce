"""All figures by name, each drawn from the tables of an evaluation and written with its caption and alt text."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hocbench.errors import EvaluationError
from hocbench.files.checksums import sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.reporting.figures import (
    circumplex,
    clips,
    forest,
    learning_curves,
    pareto,
    quadrants,
    recovery,
    score_parameters,
    sparsity,
    sweeps,
    temporal_factors,
    timelines,
)
from hocbench.reporting.figures.parts import Picture
from hocbench.reporting.figures.tables import Tables
from hocbench.reporting.style import save, style

FIGURES: dict[str, Callable[[Tables], Picture]] = {
    "sparsity": sparsity.draw,
    "lasso_path": sweeps.lasso_path,
    "rank_sweep": sweeps.rank_sweep,
    "circumplex": circumplex.draw,
    "timelines": timelines.draw,
    "temporal_factors": temporal_factors.draw,
    "learning_curves": learning_curves.draw,
    "recovery": recovery.draw,
    "score_parameters": score_parameters.draw,
    "pareto": pareto.draw,
    "clips": clips.draw,
    "quadrants": quadrants.draw,
    "forest": forest.draw,
}


def _draw(name: str, tables: Tables, stem: Path) -> None:
    picture = FIGURES[name](tables)
    save(picture.figure, stem)
    words = {"title": picture.title, "caption": picture.caption, "alt": picture.alt, "label": picture.label}
    write_text(sealed(words), stem.with_suffix(".json"))


def draw_figures(evaluation: Path, out: Path, names: Sequence[str] | None = None) -> None:
    """Draw figures and write them down, each under its name.

    Parameters
    ----------
    evaluation : Path
        Folder written by `hocbench.evaluation.evaluate`.
    out : Path
        Where ``.pdf`` and ``.png`` go, and ``.json`` with title, caption, alt (what is to be seen) and label, sealed.
    names : sequence of str, optional
        Some of `FIGURES`; none or no sequence stands for all.

    Raises
    ------
    EvaluationError
        If there is no such figure, before any is drawn, no evaluation, or one of the tables is missing.
    DamageError
        If a table is not as it was written.
    """
    check_names(names or ())
    tables = Tables(evaluation)
    with staged(out, "-".join(names or ["figures"])) as folder, style():
        for name in names or FIGURES:
            _draw(name, tables, folder / name)


def check_names(names: Iterable[str]) -> None:
    """Refuse figures that there are not, `EvaluationError`."""
    for name in names:
        if name not in FIGURES:
            raise EvaluationError(f"no figure {name!r}; choose from {', '.join(FIGURES)}")


__all__ = ["FIGURES", "Picture", "Tables", "draw_figures"]
