"""A small reproduction as it lies on disk, written file by file, and a reader of the report on it."""

import json
import struct
import zlib
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

from hocbench import paths
from hocbench.evaluation.files import write_csv, write_seal
from hocbench.experiment.description import META, Description, RowKey
from hocbench.experiment.methods import METHODS, with_networks
from hocbench.experiment.records import BUILT_IN
from hocbench.files.checksums import hashes_of, sealed
from hocbench.reporting.html.inputs import Inputs
from hocbench.reporting.html.write import write_report
from hocbench.reporting.markdown import escape
from hocbench.reporting.pages import Page, Table, write_page
from hocbench.tracking.links import Link, write_link

METHOD, SMOOTHED, DENSE = "CP 2-D, static", "CP 2-D, static + moving average", "dense 2-D, static"
IDS = {method.named("cp"): method.id for method in METHODS.values()}
OWN = "own"  # id of a method with any other title
RUNS = {
    "static-1234": (METHOD, "0.22", 0),
    "static-seed1-5678": (METHOD, "0.22", 1),
    "static-dense-9abc": (DENSE, "", 0),
}
VOID = {"img", "meta"}


def png(width=12, height=7):
    """A grey picture."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x80" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@dataclass
class Reproduction:
    """Writes everything that a report reads; every name from data can be chosen."""

    root: Path
    profile: str = "written"
    dataset: str = "sewa"
    label: str = "synthetic"
    extra: str = ""  # stands wherever data may bring text of their own
    runs: dict = field(default_factory=lambda: dict(RUNS))
    ranks: tuple = ("0.22",)

    @property
    def results(self):
        return self.root / "results" / "folder"

    @property
    def prepared(self):
        return self.root / "data"

    @property
    def logs(self):
        return self.root / "logs"

    @property
    def tracking(self):
        return self.root / ".mlflow"

    @property
    def sources(self):
        return Inputs(self.results, self.prepared, self.logs, self.tracking)

    @property
    def description(self):
        known = dict(BUILT_IN)
        if self.dataset not in known:
            title, control = ("SEWA control", "sewa") if self.dataset == "sewa_control" else (self.dataset, "")
            known[self.dataset] = replace(BUILT_IN["sewa"], name=self.dataset, title=title, control_of=control)
        titles = [title for title, *_ in self.runs.values() if title not in IDS]
        others, ranks = dict.fromkeys([OWN][: len(titles)], "".join(titles)), self.ranks
        return Description(self.profile, 16, ranks[0], "cp", ranks, {}, known, with_networks(others), ())

    @property
    def tables(self):
        """Names of the tables."""
        return paths.all_tables(self.description.datasets.values())

    def write(self):
        for part in ("evaluation", "tables", "figures", "claims"):
            (self.results / part).mkdir(parents=True)
        self.write_runs()
        self.write_evaluation()
        self.write_tables()
        self.write_figures()
        self.write_claims()
        self.write_data()
        return self

    def write_runs(self):
        for seed, (run, (title, rank, _)) in enumerate(self.runs.items()):
            folder = self.results / "runs" / self.dataset / run
            folder.mkdir(parents=True)
            for name in paths.RUN_FILES[:-1]:
                (folder / name).write_text(name)
            key = {"dataset": self.dataset, "method": IDS.get(title, OWN), "factorization": "cp" if rank else None}
            key |= {"rank": float(rank) if rank else None, "lasso": 0.0, "ablation": "", "seed": seed % 2, "fold": 0}
            spec = {
                "profile": self.profile,
                "key": key,
                "run": run,
                "data": {"synthetic": {"seed": 4}} if self.label == "synthetic" else {},
                "split": {"kind": "file", "path": "/home/somebody/mine.csv"},
                "training": {"epochs": 3 + seed, "note": self.extra},
            }
            manifest = {"run": run, "spec": spec, "label": self.label, "device": "cpu", "threads": 1}
            manifest |= {"code": "0ced63ec1ffee5d1", "deterministic": True, "nondeterministic": []}
            manifest |= {"environment": {"python": "3.11.7", "packages": {"torch": "2.13.0"}, "processor": "fast"}}
            (folder / "manifest.json").write_text(sealed(manifest))
            for kind, text in (("", "epoch 1: loss 0.5\n"), ("benchmark/", "s\tmax_rss\n106.2\t833.9\n")):
                log = self.logs / f"{kind}fit" / self.dataset / f"{run}{'.tsv' if kind else '.log'}"
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text(text)
            write_link(self.tracking, f"{self.dataset}/{run}", Link("1", f"feed{seed}", ""))

    def write_evaluation(self):
        folder, rows = self.results / "evaluation", []
        for run, (method, rank, seed) in self.runs.items():
            row = {"dataset": self.dataset, "method": IDS.get(method, OWN), "factorization": "cp" if rank else ""}
            row |= {"rank": rank, "lasso": 0.0, "ablation": ""}
            rows.append(row | {"seed": seed, "fold": 0, "run": run, "label": self.label})
        write_csv(pd.DataFrame(rows), folder / "costs.csv")
        scores = [row | {"mean": 0.5} for row in [*rows, rows[0] | {"method": IDS[SMOOTHED]}]]
        write_csv(pd.DataFrame(scores).drop(columns=["run", "seed", "fold"]), folder / "intervals.csv")
        (folder / META).write_text(self.description.text() + "\n")
        for name in set(paths.EVALUATION_FILES) - {"costs.csv", "intervals.csv", META, "files.json"}:
            (folder / name).write_text("nothing,more\n")
        write_seal([name for name in paths.EVALUATION_FILES if name != "files.json"], folder)

    def write_tables(self):
        for name in self.tables:
            rows = [(escape(method), rank, "0.5 [0.4, 0.6] ± 0.1") for method, rank, _ in self.runs.values()]
            rows.append((SMOOTHED, "0.22", "missing"))
            lines = [[method, rank or "-", "0", cell] for method, rank, cell in rows]
            keys = [self.key(method, rank) for method, rank, _ in [*self.runs.values(), rows[-1]]]
            table = Table(["method", "rank", "LASSO", "valence CCC"], lines, keys)
            page = Page(f"Title of {name}", [escape(self.extra), table])
            write_page(self.results / "tables" / name, page, pd.DataFrame())

    def key(self, title, rank):
        """Return the key of a method by its title."""
        return RowKey(self.dataset, IDS.get(title, OWN), "cp" if rank else "", rank)

    def write_figures(self):
        for name in paths.FIGURES:
            self.write_figure(name)

    def write_figure(self, name):
        stem = self.results / "figures" / name
        stem.with_suffix(".png").write_bytes(png())
        about = {"title": f"About {name} {self.extra}", "caption": f"What {name} states {self.extra}"}
        about |= {"alt": f"Dots of {name} {self.extra}", "label": self.label}
        stem.with_suffix(".json").write_text(sealed(about))

    def write_claims(self):
        names = ("holds on synthetic data", "inconclusive", "not run")
        claims = [
            {
                "claim": f"C{n}",
                "title": f"title {n}",
                "statement": f"statement {n} {self.extra}",
                "dataset": self.dataset,
            }
            | {"verdict": verdict, "reason": f"reason {n} {self.extra}", "would_change": f"change {n} {self.extra}"}
            | {"protocol": f"protocol {n} {self.extra}", "label": self.label, "since": "2026-11-26"}
            | {"source": "table 1", "status": "S", "n_seeds": 2}
            | {"by_seed": f"0: {verdict}; 1: inconclusive"}
            for n, verdict in enumerate(names, 1)
        ]
        evidence = [
            {"claim": "C1", "dataset": self.dataset, "statistic": "paired difference", "method": IDS[METHOD]}
            | {"test": 1, "judged": 1, "title": METHOD, "reference_title": DENSE + self.extra, "note": self.extra}
            | {"reference": IDS[DENSE], "rank": "0.22", "lasso": 0.0, "target": "valence"}
            | {"metric": "ccc", "value": 0.0684787, "low": 0.055, "high": 0.0842, "p_holm": 0.0004}
            | {"tolerance_low": -0.02, "tolerance_high": "inf", "published": 0.71, "status": "S", "n_seeds": 2}
            | {"n_clusters": 40, "outcome": "inside", "label": self.label}
        ]
        margins = [
            {"claim": "C1", "test": 1, "dataset": self.dataset, "statistic": "difference", "method": IDS[METHOD]}
            | {"reference": IDS[DENSE] + self.extra, "metric": "ccc", "side": "at_least", "bound": -0.02}
            | {"verdict": names[0], "tighter_bound": 0.055, "tighter_verdict": "inconclusive"}
            | {"wider_bound": "", "wider_verdict": "", "label": self.label}
        ]
        folder = self.results / "claims"
        pd.DataFrame(margins).to_csv(folder / "margins.csv", index=False)
        pd.DataFrame(claims).to_csv(folder / "claims.csv", index=False)
        pd.DataFrame(evidence).to_csv(folder / "evidence.csv", index=False)
        (folder / "claims.json").write_text(
            sealed({"files": hashes_of(folder, ["claims.csv", "evidence.csv", "margins.csv"])})
        )

    def write_data(self):
        folder = self.prepared / self.dataset
        folder.mkdir(parents=True)
        (folder / "check.txt").write_text(f"{self.dataset}: usable {self.extra}\n")
        check = {"dataset": self.dataset, "usable": True, "label": self.label, "problems": [], "layout": {}}
        check["splits"] = {"all": {"frames": 6400, "labelled": 6357, "clips": 200, "subjects": 200}}
        (folder / "check.json").write_text(json.dumps(check))
        rows = [("a", 1, "index", "landmarks_failed" + self.extra, "repaired", "")] * 43
        table = pd.DataFrame(rows, columns=["clip", "frame", "step", "reason", "action", "detail"])
        table.to_csv(folder / "ledger.csv", index=False)
        crops = {"label": self.label, "frames": 6400, "usable": 6357, "repaired": 43, "dropped": 0, "size": 48}
        (folder / "crops.json").write_text(sealed(crops | {"files": hashes_of(folder, ["ledger.csv"])}))
        parts = {"fold 0": {"test": {"clips": 40, "frames": 1280, "subjects": 40}}}
        (folder / "splits.json").write_text(sealed({"parts": parts, "label": self.label}))

    def report(self, **changes):
        """Write the report; return what was found, and the page as a `Reader`."""
        sources = Inputs(**(vars(self.sources) | changes))
        out = self.root / "report.html"
        found = write_report(sources, out)
        return found, Reader(out.read_text(encoding="utf-8"))


@dataclass
class Tag:
    """An element: its name, attributes, text, and those that it stands in."""

    name: str
    attributes: dict
    path: tuple
    text: str = ""


class Reader(HTMLParser):
    """Lists the elements of a page, insisting that each is closed in its place."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.source, self.tags, self._open = text, [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), (tag, attrs)
        found = Tag(tag, dict(attrs), tuple(self._open))
        self.tags.append(found)
        if tag not in VOID:
            self._open.append(found)

    def handle_endtag(self, tag):
        assert self._open.pop().name == tag

    def handle_data(self, data):
        for tag in self._open:
            tag.text += data

    def all(self, name, **attributes):
        """Elements with a name and attributes, in order."""
        wanted = attributes.items()
        return [tag for tag in self.tags if tag.name == name and all(tag.attributes.get(k) == v for k, v in wanted)]

    def section(self, anchor):
        """Text of a part of the page."""
        (found,) = [tag for tag in self.tags if tag.attributes.get("id") == anchor]
        return found.text

    def inside(self, anchor, name):
        """Elements with a name inside the one with an id."""
        return [tag for tag in self.all(name) if any(outer.attributes.get("id") == anchor for outer in tag.path)]
