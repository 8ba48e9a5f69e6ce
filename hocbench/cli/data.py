"""``hocbench data``: what a holder of the datasets does with a copy before any network is trained."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hocbench.errors import DatasetError

data_app = typer.Typer(no_args_is_help=True, help="Your own copies of AffectNet, SEWA and AFEW-VA.")
ListOption = Annotated[
    Path | None, typer.Option("--checksums", help="list of checksums, by default data/checksums/DATASET.sha256")
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(help="clip to leave out, by name or by its folder below ROOT; may be given more than once"),
]


def _list_of(dataset: str, path: Path | None) -> Path:
    from hocbench.datasets.adapters import ADAPTERS

    if dataset not in ADAPTERS:
        raise DatasetError(f"unknown dataset {dataset!r}; choose from {', '.join(ADAPTERS)}")
    return path or Path("data") / "checksums" / f"{dataset}.sha256"


@data_app.command()
def check(
    dataset: str,
    root: Path,
    out: Annotated[Path | None, typer.Option(help="folder for check.txt and check.json")] = None,
    exclude: ExcludeOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="headers only; no damage is looked for after them")] = False,
    workers: Annotated[int | None, typer.Option(help="processes, by default one per core")] = None,
) -> None:
    """Check a copy: files, read to their ends, labels, splits, duplicates, published counts.

    Exit code 2: not usable.
    """
    from hocbench.config.base import Count, check_values
    from hocbench.datasets.check import check_dataset, describe_inventory, refused, write_inventory
    from hocbench.datasets.index import read_index
    from hocbench.datasets.published_counts import describe_counts
    from hocbench.malloc import keep_freed_memory
    from hocbench.parallel import cores

    keep_freed_memory()
    processes: int = check_values(Count, cores() if workers is None else workers, "--workers")
    try:
        index = read_index(dataset, root, exclude or [])
        inventory = check_dataset(dataset, root, index, quick=quick, workers=processes)
    except DatasetError as error:
        inventory = refused(dataset, error)
    if out is not None:
        write_inventory(inventory, out)
    sys.stdout.write(describe_inventory(inventory) + describe_counts(inventory))
    if not inventory["usable"]:
        raise DatasetError("\n".join(inventory["problems"]))


@data_app.command()
def register(dataset: str, root: Path, checksums: ListOption = None) -> None:
    """Write the sha256 of every file of a copy."""
    from hocbench.datasets.checksums import register as write

    path = _list_of(dataset, checksums)
    sys.stdout.write(f"{write(root, path):,} files of {root} listed in {path}\n")


@data_app.command()
def verify(dataset: str, root: Path, checksums: ListOption = None) -> None:
    """Compare a copy with the list that register wrote. Exit code 2: something changed."""
    from hocbench.datasets.checksums import verify as compare

    path = _list_of(dataset, checksums)
    changes = compare(root, path)
    for what in ("changed", "missing", "added"):
        for name in getattr(changes, what):
            sys.stdout.write(f"{what}: {name}\n")
    if changes.any:
        counts = f"{len(changes.changed)} changed, {len(changes.missing)} missing, {len(changes.added)} added"
        raise DatasetError(f"{root} is not what {path} lists: {counts}; copy these files again, or register them again")
    sys.stdout.write(f"{root}: {changes.checked:,} files as listed in {path}\n")


@data_app.command()
def fetch(
    root: Path,
    url: Annotated[list[str], typer.Option(help="address, or address#sha256=HEX; may be given more than once")],
) -> None:
    """Download files into ROOT, resumed and checked, and unpack archives; credentials come from the environment."""
    from hocbench.datasets.download import Item
    from hocbench.datasets.download import fetch as download

    # No server gets to see what stands after a #.
    parts = [address.partition("#sha256=") for address in url]
    download(root, [Item(address, digest or None) for address, _, digest in parts])


@data_app.command()
def splits(
    prepared: Path,
    split: Annotated[str, typer.Option(help="the protocol, JSON")],
    seed: Annotated[int, typer.Option(help="root seed")],
) -> None:
    """Write who is in which part: PREPARED/splits.csv, ids and hashes only, and PREPARED/splits.json."""
    from hocbench.cli.options import read_json
    from hocbench.config.base import Section, Seed, check_values
    from hocbench.config.datasets import AnySplit
    from hocbench.datasets.prepared import load_index
    from hocbench.datasets.splits import INDEX_COLUMNS, make_splits, write_splits

    given = read_json(split, "--split", AnySplit, "`hocbench params` describes the keys")
    checked: Section = check_values(AnySplit, given, "--split")
    protocol = checked.model_dump(mode="json", exclude_unset=True)
    check_values(Seed, seed, "--seed")
    index, _ = load_index(prepared, INDEX_COLUMNS)
    write_splits(index, make_splits(index, protocol, seed), protocol, prepared)


@data_app.command()
def hashes(
    out: Path,
    prepared: Annotated[list[Path], typer.Argument(help="data/prepared/PROFILE/DATASET, of all data sets")],
    rendered: Annotated[str, typer.Option(help="folders of rendered data sets by name, JSON")] = "{}",
) -> None:
    """Write hashes, and no content, of rendered files, index, crops, ledger and splits to OUT."""
    from hocbench.cli.options import read_json
    from hocbench.datasets.hashes import write_hashes

    roots = read_json(rendered, "--rendered", dict[str, Path], "a folder by the name of each data set")
    write_hashes(prepared, {name: Path(root) for name, root in roots.items()}, out)


@data_app.command()
def montage(
    prepared: Path, stem: Annotated[Path | None, typer.Argument(help="by default PREPARED/montage")] = None
) -> None:
    """Draw crops with their labels, random and special ones, as STEM.png and STEM.pdf."""
    from hocbench.reporting.montage import draw_montage

    draw_montage(prepared, stem or prepared / "montage")
