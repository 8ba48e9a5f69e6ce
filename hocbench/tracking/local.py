"""The store that needs no server: a database file in the folder of the project, which may be moved."""

import sqlite3
from contextlib import closing
from pathlib import Path

FOLDER = Path(".mlflow")
NAME = "mlflow.db"
# Relative, for whoever reads them from the folder of the project, as all commands do.
ARTIFACTS = (FOLDER / "artifacts").as_posix()
# What SQLite or MLflow say, and what can be done about it.
ADVICE = (
    ("locked", "end the program that holds it, such as a database browser or a backup"),
    ("readonly", "make the file and its folder writable"),
    ("unable to open", "make its folder readable and writable"),
    ("disk is full", "make room on the disk"),
    ("disk I/O", "make room on the disk, or move the project to a file system with locks"),
    ("revision", "it is of another version of MLflow: install that one, or move the file away"),
    ("out-of-date", "it is of another version of MLflow: install that one, or move the file away"),
)
BROKEN = "if it is damaged, move the file away"


def address() -> str:
    """Return the address of the database in the present folder."""
    path = FOLDER.resolve() / NAME
    # An address ends at a question mark and has no other spelling of it; from here, the path has none.
    return f"sqlite:///{FOLDER / NAME if '?' in str(path) else path}"


def forget_the_folder(experiment: str) -> None:
    """Make the places in the database relative, so that artefacts are found where the project is now.

    MLflow makes every place absolute when it first meets it. Other experiments in the same file stay as they are.

    Raises
    ------
    sqlite3.Error
        If the file cannot be written.
    """
    with closing(sqlite3.connect(FOLDER / NAME)) as database, database:
        places = {
            "experiments": ("artifact_location", f"'{ARTIFACTS}'", "name = ?"),
            "runs": (
                "artifact_uri",
                f"'{ARTIFACTS}/' || run_uuid || '/artifacts'",
                "experiment_id IN (SELECT experiment_id FROM experiments WHERE name = ?)",
            ),
        }
        for table, (column, place, ours) in places.items():
            query = f"{ours} AND {column} != {place}"
            if database.execute(f"SELECT 1 FROM {table} WHERE {query} LIMIT 1", (experiment,)).fetchone():
                database.execute(f"UPDATE {table} SET {column} = {place} WHERE {query}", (experiment,))
        # MLflow's default experiment, which stays unused.
        database.execute(
            "UPDATE experiments SET artifact_location = 'mlruns/0' WHERE experiment_id = 0 AND "
            "artifact_location LIKE '%/mlruns/0' AND NOT EXISTS (SELECT 1 FROM runs WHERE experiment_id = 0)"
        )


def advice(message: str) -> str:
    """Return what can be done about an error of the database."""
    remedy = next((remedy for words, remedy in ADVICE if words in message), BROKEN)
    return f"{remedy}; `hocbench mlflow sync` then delivers what is kept, to a new file if there is none"
