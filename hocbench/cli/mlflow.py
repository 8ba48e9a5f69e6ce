"""``hocbench mlflow``: what MLflow is told beside the runs themselves, and the way to its pages."""

import os
import sys
from typing import Annotated

import typer

mlflow_app = typer.Typer(no_args_is_help=True, help="The MLflow view of all runs.")


@mlflow_app.command()
def start(profile: str) -> None:
    """Prepare the store and print the id of the reproduction's parent run, or `later` if the store is unreachable."""
    from hocbench.tracking.mlflow_writer import LATER
    from hocbench.tracking.switch import is_off
    from hocbench.tracking.sync import start_reproduction

    if not is_off():
        sys.stdout.write(start_reproduction(profile) or LATER)


@mlflow_app.command()
def finish(profile: str, parameters: Annotated[str, typer.Option(help="all parameters as used, JSON")] = "{}") -> None:
    """Send tables, figures, report and parameters of a finished reproduction to its parent run."""
    from hocbench.tracking.sync import finish_reproduction

    finish_reproduction(profile, parameters)


@mlflow_app.command()
def sync() -> None:
    """Deliver what could not be sent while the runs ran; called again, it changes nothing."""
    from hocbench.tracking.sync import sync as deliver

    for line in deliver():
        sys.stdout.write(f"{line}\n")


@mlflow_app.command()
def ui(port: Annotated[int, typer.Option(help="local port")] = 5000) -> None:
    """Open the MLflow pages of all runs; of a server, say where they are."""
    from pydantic import Field

    from hocbench.config.base import check_values
    from hocbench.tracking.secrets import without_secrets
    from hocbench.tracking.store import experiment_page, tracking_uri

    check_values(Annotated[int, Field(ge=1, le=65535)], port, "--port")
    store, page = tracking_uri(), experiment_page()
    if store.startswith("http"):
        sys.stderr.write(f"open {without_secrets(store).rstrip('/')}{page}\n")
        return
    sys.stderr.write(f"open http://127.0.0.1:{port}{page}\n")
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    # Not as an argument: the address of a database may hold a password, and `ps` shows arguments to everybody.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store
    arguments = ["mlflow", "ui", "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])
