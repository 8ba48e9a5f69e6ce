"""The ``hocbench`` command: one sub-command per step, files in, files out.

Heavy packages are imported inside the commands that need them, so that each job starts quickly.
"""

import importlib.util
import logging
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from hocbench import paths
from hocbench.arithmetic import make_native, make_portable
from hocbench.cli_cost import print_cost, profile
from hocbench.cli_data import ExcludeOption, data_app
from hocbench.cli_evidence import claims, coverage
from hocbench.cli_laboratory import merge
from hocbench.cli_manifest import manifest_app
from hocbench.cli_mlflow import mlflow_app
from hocbench.cli_output import lasting_output, print_table
from hocbench.cli_report import report
from hocbench.cli_verify import record, verify
from hocbench.errors import HocbenchError, ParameterError, StoppedEarly

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(mlflow_app, name="mlflow")
app.add_typer(data_app, name="data")
app.add_typer(manifest_app, name="manifest")
app.command()(profile)
app.command()(claims)
app.command()(coverage)
app.command()(verify)
app.command()(record)
app.command()(merge)
app.command()(report)

ParamsOption = Annotated[list[Path] | None, typer.Option("--params", help="params.yaml and overlays, in order")]


def main() -> None:
    """Run the command line; exit with 2 and one message for a user's mistake."""
    with lasting_output():
        _main()


def _main() -> None:
    # Of several processes of a run, the first one tells.
    level = logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    # It reports every step of embedding a font into a PDF.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    _ignore_settings_of_matplotlib()
    make_portable()
    try:
        app(standalone_mode=True)
    except HocbenchError as error:
        # Names that are not UTF-8 cannot be written to every stream.
        text = str(error).encode(errors="backslashreplace").decode()
        sys.stderr.write(f"hocbench: error: {text}\n")
        sys.exit(2)
    except OSError as error:
        # A folder that may not be written, a file in the way, a full disk; anything else is a fault of this program.
        if error.strerror is None:
            raise
        where = error.filename2 or error.filename
        named = f"{where}: " if where else ""
        sys.stderr.write(
            f"hocbench: error: {named}{error.strerror}; check the path, its permissions and the free space\n"
        )
        sys.exit(2)
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        # So Python reads the bytes of a name that is not UTF-8; no table can hold it.
        before, after = error.object[: error.start].splitlines(), error.object[error.start :].splitlines()
        name = ((before or [""])[-1] + after[0]).encode(errors="surrogateescape")
        sys.stderr.write(f"hocbench: error: the name of a file or folder is not UTF-8 ({name!r}); rename it\n")
        sys.exit(2)
    except StoppedEarly as stopped:
        sys.stderr.write(f"hocbench: {stopped}\n")
        sys.exit(StoppedEarly.exit_code)


def _ignore_settings_of_matplotlib() -> None:
    """Let figures be the same to the byte, whatever notebook, shell or home directory say about matplotlib.

    Before it is imported, since a backend that it does not know or a file that is not UTF-8 would end the import.
    """
    package = importlib.util.find_spec("matplotlib")
    if package is not None and package.origin is not None:
        own = Path(package.origin).parent / "mpl-data" / "matplotlibrc"
        os.environ |= {"MPLBACKEND": "Agg", "MATPLOTLIBRC": str(own)}


@app.command()
def params() -> None:
    """Describe every key of params.yaml."""
    from rich.table import Table

    from hocbench.describe import describe_params

    table = Table("key", "type", "default", "meaning")
    for row in describe_params():
        table.add_row(*row)
    print_table(table)


@app.command()
def plan(
    params: ParamsOption = None,
    spec: Annotated[str, typer.Option(help="print this run's slice")] = "",
    cost: Annotated[bool, typer.Option("--cost", help="measure steps and estimate what the runs will take")] = False,
) -> None:
    """Show which runs the parameters ask for and what each starts from, or what they will cost on this machine."""
    from rich.table import Table

    from hocbench.params import load_params
    from hocbench.plan import canonical_json, make_plan

    runs = make_plan(load_params(params or [Path("params.yaml")]))
    if spec:
        chosen = [run for run in runs if run.id == spec]
        if not chosen:
            raise ParameterError(f"no run {spec!r} in the plan; `hocbench plan` lists them")
        sys.stdout.write(canonical_json(chosen[0].spec) + "\n")
        return
    if cost:
        print_cost(runs)
        return
    table = Table("dataset", "run", "method", "seed", "fold", "LASSO", "starts from", title=f"{len(runs)} runs")
    for run in runs:
        axes = run.axes
        parent = f"{run.parent.axes.dataset}/{run.parent.id}" if run.parent else ""
        table.add_row(axes.dataset, run.id, run.method, str(axes.seed), str(axes.fold), f"{axes.lasso:g}", parent)
    print_table(table)


@app.command()
def synthesize(dataset: str, root: Path, parameters: Annotated[str, typer.Option(help="JSON")]) -> None:
    """Render a SYNTHETIC dataset in the layout of a real one."""
    from hocbench.cli_options import read_json
    from hocbench.synthetic import synthesize as render

    render(dataset, root, read_json(parameters, "--parameters", Any, "`hocbench params` describes the keys"))


@app.command()
def index(dataset: str, root: Path, out: Path, exclude: ExcludeOption = None) -> None:
    """Read a dataset as distributed into one row per frame: OUT/index.parquet and OUT/index.json."""
    from hocbench.datasets import read_index, write_index

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
    from hocbench.faces import make_crops
    from hocbench.memory import keep_freed_memory

    keep_freed_memory()
    where = {"method": method, "detector": detector}
    make_crops(prepared, root, prepared, size=size, margin=margin, **where, store=store, workers=workers)


@app.command()
def fit(
    out: Path,
    spec: Annotated[str, typer.Option(help="the run's resolved parameters, JSON")],
    crops: Annotated[Path, typer.Option(help="folder of the crop store")],
    parent: Annotated[Path | None, typer.Option(help="run directory to start from")] = None,
    workers: Annotated[int, typer.Option(help="processes that prepare batches")] = 0,
    checkpoint_minutes: Annotated[float, typer.Option(help="from one checkpoint to the next")] = 10.0,
    attempt: Annotated[int, typer.Option(help="which try of a workflow this is")] = 1,
    keep_checkpoint: Annotated[
        bool, typer.Option("--keep-checkpoint", help="until a later step reads the run")
    ] = False,
) -> None:
    """Train one stage and write its run directory; a run that was stopped goes on where it was saved.

    SIGTERM, SIGUSR1 and Ctrl-C save it and end with exit code 75.
    """
    from hocbench.attempts import forget, not_repeated
    from hocbench.cli_options import RunSpec, read_json
    from hocbench.section import Amount, Count, Seed, check_values

    values = read_json(spec, "--spec", RunSpec, "`hocbench plan --spec RUN` prints it")
    check_values(Seed, workers, "--workers")
    check_values(Amount, checkpoint_minutes, "--checkpoint-minutes")
    check_values(Count, attempt, "--attempt")
    if values.get("determinism") == "native":
        make_native()
    folder = paths.checkpoints()
    with not_repeated(folder, str(values.get("run")), attempt):
        from hocbench.training.devices import is_worker, launch

        if values.get("processes", 1) > 1 and not is_worker():
            sys.exit(launch(sys.argv[1:], values["processes"]))
        from hocbench.memory import keep_freed_memory
        from hocbench.training import Saving
        from hocbench.training import fit as train

        keep_freed_memory()
        forget(folder, [parent.name] if parent else [])
        train(values, crops, parent, out, workers, Saving(folder, 60 * checkpoint_minutes, keep_checkpoint))


@app.command()
def audit(
    folders: Annotated[list[Path], typer.Argument(help="results/PROFILE, data/prepared/PROFILE or parts of them")],
    delete: Annotated[
        bool, typer.Option("--delete", help="delete what is damaged; the workflow makes it again")
    ] = False,
) -> None:
    """Look whether stores, runs and tables are still as they were written. Exit code 2: some are not."""
    from hocbench.audit import audit as look
    from hocbench.audit import delete as remove
    from hocbench.errors import DamageError

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
    batch: Annotated[int, typer.Option(help="inputs per call to choose paths for")] = 2,
    clip_length: Annotated[int | None, typer.Option(help="frames per clip, by default the run's")] = None,
    size: Annotated[int | None, typer.Option(help="pixels per side, by default the run's")] = None,
    paths: Annotated[Path | None, typer.Option(help="paths.json of an export to repeat")] = None,
    crops: Annotated[Path | None, typer.Option(help="folder of a crop store to check with")] = None,
) -> None:
    """Write a run's network for inference, as torch.export program and ONNX, and check it against the trained one."""
    from hocbench.export import Options, export_run

    report = export_run(run, out, Options(batch, clip_length, size, paths, crops))
    worst = max(found["relative"] for form in report["differences"].values() for found in form.values())
    sizes = ", ".join(f"{name} {about['bytes'] / 2**20:.1f} MiB" for name, about in report["files"].items())
    sys.stdout.write(f"{out}: {sizes}; differs by at most {worst:.1e} of the largest output ({report['label']})\n")


@app.command()
def bench(
    out: Path,
    scale: Annotated[str, typer.Option(help="paper, small or tiny; the bars are about paper")] = "paper",
    threads: Annotated[list[int] | None, typer.Option(help="of the CPU; may be given more than once")] = None,
    rounds: Annotated[int, typer.Option(help="runs of each step, in turn")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Measure speed and memory against the rivals: OUT/speed.csv, bars.csv, speed.md, speed.png and speed.pdf."""
    from hocbench.bench import Options, run_benchmark
    from hocbench.memory import keep_freed_memory

    keep_freed_memory()  # for every method alike, as in training
    outcomes = run_benchmark(out, Options(scale, tuple(threads or [1]), rounds, device))
    counts = Counter(outcome.status for outcome in outcomes)
    sys.stdout.write(f"{out}: bars " + ", ".join(f"{count} {status}" for status, count in counts.items()) + "\n")


@app.command()
def evaluate(
    out: Path,
    runs: list[Path],
    replicates: Annotated[int, typer.Option(help="bootstrap replicates")],
    seed: Annotated[int, typer.Option(help="root seed")],
    windows: Annotated[str, typer.Option(help="smoothing windows in frames, JSON list")],
) -> None:
    """Score run directories: tidy tables with intervals and paired differences."""
    from hocbench.attempts import forget
    from hocbench.cli_options import read_json
    from hocbench.evaluation import evaluate as score
    from hocbench.section import Odd, Seed, check_values
    from hocbench.sections import Evaluation

    chosen = read_json(windows, "--windows", list[Odd])
    check_values(Evaluation, {"replicates": replicates, "smoothing_windows": chosen}, "--replicates and --windows")
    check_values(Seed, seed, "--seed")
    score(runs, out, replicates, seed, chosen)
    forget(paths.checkpoints(), [run.name for run in runs])


@app.command()
def tables(
    evaluation: Path,
    out: Path,
    expected: Annotated[str, typer.Option(help="rows that must be shown, JSON")],
    setting: Annotated[str, typer.Option(help="profile, width, crop size, rank; JSON")],
) -> None:
    """Write the tables of results as Markdown, HTML, CSV and, in the layout of the paper, LaTeX."""
    from hocbench.cli_options import Row, TableSetting, read_json
    from hocbench.reporting.tables import write_tables

    rows = read_json(expected, "--expected", list[Row])
    write_tables(evaluation, out, rows, read_json(setting, "--setting", TableSetting))


@app.command()
def counts(
    evaluation: Path,
    out: Path,
    setting: Annotated[str, typer.Option(help="profile and width, JSON")],
) -> None:
    """Write the tables that need networks: parameters, ways to count them, blocks as special cases."""
    from hocbench.cli_options import Setting, read_json
    from hocbench.counting import write_counts

    write_counts(evaluation, out, read_json(setting, "--setting", Setting))


@app.command()
def figures(
    evaluation: Path,
    out: Path,
    names: Annotated[list[str] | None, typer.Argument(help="which; all if none is named")] = None,
) -> None:
    """Draw figures as PDF and PNG, each with its title, caption and alt text in a JSON file."""
    from hocbench.reporting.figures import draw_figures

    draw_figures(evaluation, out, names)
