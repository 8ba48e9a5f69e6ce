"""The data benchmark: index, crops, store and detectors on SYNTHETIC data of the real datasets' sizes."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hocbench.errors import BenchmarkError
from hocbench.evaluation.files import write_csv
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.reporting.markdown import markdown_table
from hocbench.runs.environment import environment
from studies.data import crop_rate, index_rate, store_rate
from studies.speed.bars import AT_LEAST, AT_MOST, bar_text, judge
from studies.speed.timing import Spread, ratios, spread, spread_text


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes
    ----------
    rows : int
        Of the AffectNet index; 414,799 are published.
    clips, clip_frames : int
        Of AFEW-VA, so that there are 30,051 frames or a few more.
    reads, stills : int
        Clips read from each store and round, and faces to detect.
    rounds : int
        Of everything that is compared.
    """

    rows: int
    clips: int
    clip_frames: int
    reads: int
    stills: int
    rounds: int


SCALES = {
    "full": Sizes(rows=414_799, clips=590, clip_frames=51, reads=40, stills=1000, rounds=10),
    "tiny": Sizes(rows=500, clips=4, clip_frames=5, reads=3, stills=12, rounds=2),
}


@dataclass(frozen=True)
class Line:
    """A measured figure and the bar that it has to clear."""

    what: str
    value: Spread
    unit: str
    bar: float | None = None
    direction: str = AT_LEAST

    @property
    def status(self) -> str:
        """Whether the bar is cleared."""
        return "no bar" if self.bar is None else judge(self.value, self.direction, self.bar)


def run_data_benchmark(out: Path, scale: str = "full") -> list[Line]:
    """Measure everything, at scale "full" or, for tests, "tiny", and write ``data.csv`` and ``data.md``.

    Raises
    ------
    BenchmarkError
        If there is no such scale, or ``out`` is a file.
    """
    if scale not in SCALES:
        raise BenchmarkError(f"--scale {scale!r}: choose from {', '.join(SCALES)}")
    if out.is_file():
        raise BenchmarkError(f"{out} is a file; give a folder")
    out.mkdir(parents=True, exist_ok=True)
    lines: list[Line] = []
    groups: tuple[Callable[[Path, Sizes], list[Line]], ...] = (_index, _crops, _store, _detectors)
    for group in groups:
        with tempfile.TemporaryDirectory(prefix="hocbench-", dir=out) as folder:
            lines += group(Path(folder), SCALES[scale])
    with staged(out, "bench") as part:
        write_csv(_table(lines), part / "data.csv")
        write_text(_page(lines, scale), part / "data.md")
    return lines


def _index(folder: Path, sizes: Sizes) -> list[Line]:
    cpu_s, peak_mib = index_rate.measure(folder, sizes.rows)
    what = f"AffectNet index of {sizes.rows:,} rows, parsed, checked and written"
    return [
        Line(f"{what}: CPU time", spread([cpu_s]), "s", 60, AT_MOST),
        Line(f"{what}: peak memory", spread([peak_mib]), "MiB", 2048, AT_MOST),
    ]


def _crops(folder: Path, sizes: Sizes) -> list[Line]:
    ours, bare = crop_rate.measure(folder, sizes.clips, sizes.clip_frames, sizes.rounds)
    what = f"AFEW-VA, {sizes.clips * sizes.clip_frames:,} frames cropped at 224 px: rate by that of a bare loop"
    return [Line(what, spread(ratios(bare, ours)), "×", 0.9)]


def _store(folder: Path, sizes: Sizes) -> list[Line]:
    lines = []
    for form, reads in store_rate.measure_reads(folder, sizes.reads, sizes.rounds).items():
        what = f"random clips of 16 frames at 112 px, {form} store"
        lines.append(Line(f"{what}: rate by decoding the video", spread(ratios(reads.video, reads.store)), "×", 5))
        for workers, (store, files) in reads.loaders.items():
            label = f"{what}: rate by a DataLoader over JPEG files, {workers} workers each"
            lines.append(Line(label, spread(ratios(files, store)), "×", 1))
    share = store_rate.measure_memory(folder, sizes.reads, sizes.rounds)
    what = "memory that a worker holds more, by the bytes that a store is larger"
    return [*lines, Line(what, spread(share), "×", 0.1, AT_MOST)]


def _detectors(folder: Path, sizes: Sizes) -> list[Line]:
    shares = crop_rate.measure_detectors(sizes.stills)
    return [
        Line(f"{name}: faces of {sizes.stills:,} SYNTHETIC stills found with IoU > 0.4", spread([share]), "", bar)
        for (name, share), bar in zip(shares.items(), (0.95, None), strict=True)
    ]


def _table(lines: list[Line]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "what": line.what,
                **dict(zip(("median", "quartile_low", "quartile_high"), line.value, strict=True)),
                "unit": line.unit,
                "bar": line.bar,
                "direction": line.direction,
                "status": line.status,
            }
            for line in lines
        ]
    )


def _page(lines: list[Line], scale: str) -> str:
    machine = environment()
    rows = [
        [line.what, _value(line), "" if line.bar is None else bar_text(line.direction, line.bar), line.status]
        for line in lines
    ]
    trial = "" if scale == "full" else f"**Scale {scale}: a trial, not a measurement.**\n\n"
    return (
        f"# Data\n\n{trial}SYNTHETIC pictures throughout. {machine['processor']}, Python {machine['python']}. Compared "
        "are CPU seconds on one thread, in one process, in turn; loaders by seconds on the clock. Median (quartiles) "
        "over rounds.\n\n" + markdown_table(["what", "measured", "wanted", ""], rows) + "\n"
    )


def _value(line: Line) -> str:
    digits = 0 if line.unit == "MiB" else 2 if line.value.median < 100 else 1
    median, *quartiles = spread_text(line.value, digits).split(" ")
    return " ".join([f"{median} {line.unit}" if line.unit in ("s", "MiB") else median + line.unit, *quartiles])
