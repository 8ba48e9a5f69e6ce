"""``hocbench why``: whether a run would be done again, and why."""

import difflib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hocbench import paths
from hocbench.errors import ParameterError

ConfigfileOption = Annotated[
    list[Path] | None, typer.Option(help="overlay of params.yaml, as Snakemake is given; may be repeated")
]


def why(
    run: Annotated[str, typer.Argument(help="run id, the beginning of one, dataset/id, or run directory")],
    configfile: ConfigfileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print an object")] = False,
) -> None:
    """Explain whether the workflow would do a run again: parameters, code, data, and the run that it starts from."""
    from hocbench.config.load import load_params
    from hocbench.experiment.plan import make_plan
    from hocbench.runs.dry_run import dry_run
    from hocbench.runs.why import Explainer

    overlays = configfile or []
    params = load_params([Path("params.yaml"), *overlays])
    plan = {planned.spec.name: planned for planned in make_plan(params)}
    made = [path.parent for path in (paths.results(params.profile) / "runs").glob("*/*/manifest.json")]
    name = find_run(run, plan, [f"{path.parent.name}/{path.name}" for path in made])
    answer = Explainer(params.profile, plan, dry_run(overlays)).explain(name)
    sys.stdout.write(json.dumps(asdict(answer), indent=1) + "\n" if as_json else answer.text())


def find_run(asked: str, plan: Iterable[str], made: Iterable[str]) -> str:
    """Find the run that is meant, by dataset and id.

    Parameters
    ----------
    asked : str
        A run id, the beginning of one, dataset/id, or the path of a run directory.
    plan, made : iterable of str
        Runs of the plan, which go first, and finished ones.

    Raises
    ------
    ParameterError
        If no run begins so, or several do.
    """
    asked = "/".join(Path(asked).parts[-2:])
    names = list(dict.fromkeys([*plan, *made]))
    exact = [name for name in names if asked in (name, name.partition("/")[2])]
    fitting = exact or [name for name in names if name.startswith(asked) or name.partition("/")[2].startswith(asked)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        shown = ", ".join(fitting[:8]) + (f" and {len(fitting) - 8} more" if len(fitting) > 8 else "")
        raise ParameterError(f"{asked!r} may be {shown}; give more of its id")
    by_id = {spelling: name for name in names for spelling in (name, name.partition("/")[2])}
    near = [by_id[spelling] for spelling in difflib.get_close_matches(asked, by_id, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else "`hocbench plan` lists them"
    raise ParameterError(f"no run {asked!r} in the plan or among the finished ones; {hint}")
