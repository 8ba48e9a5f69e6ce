"""The ``hocbench`` command: one sub-command per step, files in, files out.

Heavy packages are imported inside the commands that need them, so that each job starts quickly.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hocbench import paths
from hocbench.arithmetic import make_native
from hocbench.cli.conformance import conformance
from hocbench.cli.cost import print_cost, profile
from hocbench.cli.data import ExcludeOption, data_app
from hocbench.cli.evidence import claims
from hocbench.cli.laboratory import merge
from hocbench.cli.manifest import manifest_app
from hocbench.cli.mlflow import mlflow_app
from hocbench.cli.output import print_rows
from hocbench.cli.report import report
from hocbench.cli.start import start
from hocbench.cli.verify import record, verify
from hocbench.cli.why import why
from hocbench.errors import ParameterError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(mlflow_app, name="mlflow")
app.add_typer(data_app, name="data")
app.add_typer(manifest_app, name="manifest")
app.command()(profile)
app.command()(why)
app.command()(claims)
app.command()(conformance)
app.command()(verify)
app.command()(record)
app.command()(merge)
app.command()(report)

ParamsOption = Annotated[list[Path] | None, typer.Option("--params", help="params.yaml and overlays, in order")]


def main() -> None:
    """Run the command line; exit with 2 and one message for a user's mistake."""
    start(app)


@app.command()
def params() -> None:
    """Describe every key of params.yaml."""
    from hocbench.config.describe import describe_params

    print_rows(("key", "type", "default", "meaning"), describe_params())


@app.command()
def plan(
    params: ParamsOption = None,
    spec: Annotated[str, typer.Option(help="print this run's slice")] = "",
    cost: Annotated[bool, typer.Option("--cost", help="measure steps and estimate what the runs will take")] = False,
) -> None:
    """Show which runs the parameters ask for and what each starts from, or what they will cost on this machine."""
    from hocbench.config.load import load_params
    from hocbench.experiment.plan import make_plan

    runs = make_plan(load_params(params or [Path("params.yaml")]))
    if spec:
        chosen = [run for run in runs if run.id == spec]
        if not chosen:
            raise ParameterError(f"no run {spec!r} in the plan; `hocbench plan` lists them")
        sys.stdout.write(chosen[0].spec.text() + "\n")
        return
    if cost:
        print_cost(runs)
        return
    rows = []
    for run in runs:
        key, parent = run.key, run.parent.spec.name if run.parent else ""
        rows.append([key.dataset, run.id, run.title, str(key.seed), str(key.fold), f"{key.lasso:g}", parent])
    print_rows(("dataset", "run", "method", "seed", "fold", "LASSO", "starts from"), rows, f"{len(runs)} runs")


@app.command()
def synthesize(dataset: str, root: Path, parameters: Annotated[str, typer.Option(help="JSON")]) -> None:
    """Render a SYNTHETIC dataset in the layout of a real one."""
    from hocbench.cli.options import read_json
    from hocbench.synthetic import synthesize as render

    render(dataset, root, read_json(parameters, "--parameters", Any, "`hocbench params` describes the keys"))


@app.command()
def index(dataset: str, root: Path, out: Path, exclude: ExcludeOption = None) -> None:
    """Read a dataset as distributed into one row per frame: OUT/index.parquet and OUT/index.json."""
    from hocbench.datasets.index import read_index, write_index

    write_index(read_index(dataset, root, exclude or []), out)


@app.command()
def crop(
    prepared: Path,
    root: Path,
    size: Annotated[int, typer.Option(help="pixels per side")],
    margin: Annotated[float, typer.Option(help="side in face sizes")],
    method: Annotated[str, typer.Option(help="auto, landmarks, box or detector")] = "auto",
    detector: Annotated[str, typer.Option(help="haar or lbp")] = "haar",
    store: Annotated[str, typer.Option(help="raw or jpeg")] = "raw",
    workers: Annotated[int, typer.Option(help="processes")] = 1,
) -> None:
    """Cut and align the faces of an index into PREPARED/crops.npy, with a ledger of what was dropped or repaired."""
    from hocbench.faces.crops import make_crops
    from hocbench.malloc import keep_freed_memory

    keep_freed_memory()
    where = {"method": method, "detector": detector}
    make_crops(prepared, root, prepared, size=size, margin=margin, **where, store=store, workers=workers)


@app.command()
def fit(
    out: Path,
    spec: Annotated[str, typer.Option(help="the run's resolved parameters, JSON")],
    crops: Annotated[Path, typer.Option(help="folder of the crop store")],
    parent: Annotated[Path | None, typer.Option(help="run directory to start from")] = None,
    networks: Annotated[str, typer.Option(help="places of networks of your own by name, JSON")] = "{}",
    workers: Annotated[int, typer.Option(help="processes that prepare batches")] = 0,
    checkpoint_minutes: Annotated[float, typer.Option(help="from one checkpoint to the next")] = 10.0,
    attempt: Annotated[int, typer.Option(help="which attempt of a workflow this is")] = 1,
    keep_checkpoint: Annotated[
        bool, typer.Option("--keep-checkpoint", help="until a later step reads the run")
    ] = False,
) -> None:
    """Train one stage and write its run directory; a run that was stopped goes on where it was saved.

    SIGTERM, SIGUSR1 and Ctrl-C save it and end with exit code 75.
    """
    from hocbench.cli.options import read_json
    from hocbench.config.base import Amount, Count, Seed, check_values
    from hocbench.experiment.spec import RunSpec
    from hocbench.runs.attempts import forget, not_repeated

    run_spec: RunSpec = read_json(spec, "--spec", RunSpec, "`hocbench plan --spec RUN` prints it")
    run_spec = run_spec.with_places(read_json(networks, "--networks", dict[str, str], "{NAME: FILE.py:CLASS}"))
    check_values(Seed, workers, "--workers")
    check_values(Amount, checkpoint_minutes, "--checkpoint-minutes")
    check_values(Count, attempt, "--attempt")
    if run_spec.determinism == "native":
        make_native()
    folder = paths.checkpoints()
    with not_repeated(folder, run_spec.run, attempt):
        from hocbench.training.devices import is_worker, launch

        if run_spec.processes > 1 and not is_worker():
            sys.exit(launch(sys.argv[1:], run_spec.processes))
        from hocbench.malloc import keep_freed_memory
        from hocbench.training import Saving
        from hocbench.training import fit as train

        keep_freed_memory()
        forget(folder, [parent.name] if parent else [])
        train(run_spec, crops, parent, out, workers, Saving(folder, 60 * checkpoint_minutes, keep_checkpoint))


@app.command()
def audit(
    folders: Annotated[list[Path], typer.Argument(help="results/PROFILE, data/prepared/PROFILE or parts of them")],
    delete: Annotated[
        bool, typer.Option("--delete", help="delete what is damaged; the workflow makes it again")
    ] = False,
) -> None:
    """Check that stores, runs and tables are still as they were written. Exit code 2: some are not."""
    from hocbench.errors import DamageError
    from hocbench.files.audit import audit as look
    from hocbench.files.audit import delete as remove

    verdict = look(folders)
    for fault in verdict.damaged.values():
        sys.stdout.write(f"{fault}\n")
    if delete:
        remove(verdict)
        count = f"{len(verdict.damaged)} of {verdict.checked:,} files"
        sys.stdout.write(f"{count} were damaged and are deleted; start the workflow again\n")
    elif verdict.damaged:
        raise DamageError(
            f"{len(verdict.damaged)} of {verdict.checked:,} files are damaged; delete them, or give --delete, and "
            "start the workflow again"
        )
    else:
        sys.stdout.write(f"{verdict.checked:,} files are as they were written\n")


@app.command()
def export(
    run: Path,
    out: Annotated[Path, typer.Option(help="folder to write")],
    batch: Annotated[int, typer.Option(help="inputs per call to choose implementations for")] = 2,
    clip_length: Annotated[int | None, typer.Option(help="frames per clip, by default the run's")] = None,
    size: Annotated[int | None, typer.Option(help="pixels per side, by default the run's")] = None,
    paths: Annotated[Path | None, typer.Option(help="paths.json of an export to repeat")] = None,
    crops: Annotated[Path | None, typer.Option(help="folder of a crop store to check with")] = None,
) -> None:
    """Write a run's network for inference, as torch.export program and ONNX, and check it against the trained one."""
    from hocbench.export import Options, export_run

    report = export_run(run, out, Options(batch, clip_length, size, paths, crops))
    worst = max(difference["relative"] for form in report["differences"].values() for difference in form.values())
    sizes = ", ".join(f"{name} {file['bytes'] / 2**20:.1f} MiB" for name, file in report["files"].items())
    sys.stdout.write(f"{out}: {sizes}; differs by at most {worst:.1e} of the largest output ({report['label']})\n")


@app.command()
def evaluate(
    out: Path,
    runs: list[Path],
    replicates: Annotated[int, typer.Option(help="bootstrap replicates")],
    seed: Annotated[int, typer.Option(help="root seed")],
    experiment: Annotated[str, typer.Option(help="datasets, methods and the rows to show, JSON")],
    windows: Annotated[str, typer.Option(help="smoothing windows in frames, JSON list")],
) -> None:
    """Score run directories: tidy tables with intervals and paired differences."""
    from hocbench.cli.options import read_json
    from hocbench.config.base import Odd, Seed, check_values
    from hocbench.config.params import Evaluation
    from hocbench.evaluation.scores import evaluate as score
    from hocbench.experiment.description import parse_description
    from hocbench.runs.attempts import forget

    chosen = read_json(windows, "--windows", list[Odd])
    check_values(Evaluation, {"replicates": replicates, "smoothing_windows": chosen}, "--replicates and --windows")
    check_values(Seed, seed, "--seed")
    score(runs, out, parse_description(experiment, "--experiment"), replicates, seed, chosen)
    forget(paths.checkpoints(), [run.name for run in runs])


@app.command()
def tables(evaluation: Path, out: Path) -> None:
    """Write the tables of results as Markdown, HTML, CSV and, in the layout of the paper, LaTeX."""
    from hocbench.reporting.tables import write_tables

    write_tables(evaluation, out)


@app.command()
def counts(evaluation: Path, out: Path) -> None:
    """Write the tables that need networks: parameters, ways to count them, blocks as special cases."""
    from hocbench.network_tables.write import write_counts

    write_counts(evaluation, out)


@app.command()
def figures(
    evaluation: Path,
    out: Path,
    names: Annotated[list[str] | None, typer.Argument(help="which; all if none is named")] = None,
) -> None:
    """Draw figures as PDF and PNG, each with its title, caption and alt text in a JSON file."""
    from hocbench.reporting.figures import draw_figures

    draw_figures(evaluation, out, names)
