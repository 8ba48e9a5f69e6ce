"""The parts of a report that show what there is: summary, tables, figures, cost."""

from collections.abc import Iterable, Sequence

from hocbench.reporting.facts import counted as facts_counted
from hocbench.reporting.html.drawings import Drawing
from hocbench.reporting.html.elements import (
    Html,
    details,
    element,
    facts,
    page_blocks,
    picture,
    prose,
    scrolled,
    section,
)
from hocbench.reporting.html.material import Material
from hocbench.reporting.html.runs import FINISHED
from hocbench.reporting.html.verdicts import counted

COST = "cost"
# A part of the page: anchor, title, and the same of its parts.
Entry = tuple[str, str, Sequence[tuple[str, str]]]


def banner(found: Material) -> Html:
    """Say what kind of data the results are from, before anything else."""
    labels = found.labels
    synthetic = [found.name_of(name) for name in labels if "synthetic" in labels[name]]
    real = [found.name_of(name) for name in labels if "real" in labels[name]]
    if synthetic:
        parts = [element("strong", "SYNTHETIC data"), f" ({', '.join(synthetic)}): drawn by a program. "]
        parts.append("Scores on them say nothing about real faces.")
        if real:
            parts.append(f" Real data: {', '.join(real)}.")
        return element("p", *parts, class_="banner synthetic")
    if real:
        return element("p", element("strong", "Real data"), f": {', '.join(real)}.", class_="banner")
    unknown = "Nothing here says whether the data are synthetic or real."
    return element("p", element("strong", "Unknown data"), f". {unknown}", class_="banner synthetic")


def summary_section(found: Material) -> Html:
    """Write what this report is about, in a few lines."""
    runs = list(found.runs.values())
    finished = sum(run.state == FINISHED for run in runs)
    data_seeds: dict[str, set[str]] = {}
    specs = [manifest["spec"] for manifest in found.manifests]
    for spec in specs:
        synthetic = (spec.get("data") or {}).get("synthetic") or {}
        if "seed" in synthetic:
            data_seeds.setdefault(str(spec["key"].get("dataset")), set()).add(str(synthetic["seed"]))
    seeds, folds = ({str(spec["key"].get(name)) for spec in specs} for name in ("seed", "fold"))
    costs = found.tables.get("costs.csv")
    if costs is not None and {"seed", "fold"} <= set(costs.columns):
        seeds |= set(map(str, costs["seed"]))
        folds |= set(map(str, costs["fold"]))
    drawn = "; ".join(f"{found.name_of(name)} {_listed(data_seeds[name])}" for name in found.in_order(data_seeds))
    pairs: list[tuple[str, str]] = [
        ("Profile", found.profile),
        ("Runs", f"{finished} finished of {len(runs)}"),
        ("Datasets", ", ".join(map(found.name_of, found.labels)) or "none"),
        *_ranks(found),
        ("Data seeds", drawn or "not known"),
        ("Training seeds", _listed(seeds) or "not known"),
        ("Folds", _listed(folds) or "not known"),
        ("Verdicts", counted(found.claims) if len(found.claims) else "none yet"),
        (
            "Missing",
            element("a", facts_counted(len(found.gaps), "thing"), href="#missing") if found.gaps else "nothing",
        ),
    ]
    return section("summary", "Summary", facts(pairs))


def _ranks(found: Material) -> list[tuple[str, str]]:
    """Say which rank scores are of where nothing else is said, if the sweep has several."""
    known = found.description
    if len(known.ranks) < 2:
        return []
    said = f"{', '.join(known.ranks)}; verdicts, and scores without a rank of their own, are of rank {known.rank}"
    return [("Ranks", said)]


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(values, key=lambda text: (len(text), text)))


def tables_section(found: Material) -> tuple[Html, Entry]:
    """Write the tables that follow from results, each row linked to its runs."""
    parts: list[Html] = []
    entries: list[tuple[str, str]] = []
    for name, page in found.pages.items():
        if name == COST:
            continue
        body = page_blocks(page, anchors=found.rows.anchors)
        parts.append(section(anchor := f"table-{len(parts) + 1}", page.title, body, level=3))
        entries.append((anchor, page.title))
    if not parts:
        parts = [element("p", "No table is there.")]
    return section("tables", "Tables", *parts), ("tables", "Tables", entries)


def figures_section(found: Material) -> tuple[Html, Entry]:
    """Write the figures with what they show in words."""
    parts: list[Html] = []
    entries: list[tuple[str, str]] = []
    for drawing in found.drawings:
        parts.append(section(anchor := f"figure-{len(parts) + 1}", drawing.title, figure(drawing), level=3))
        entries.append((anchor, drawing.title))
    if not parts:
        parts = [element("p", "No figure is there.")]
    return section("figures", "Figures", *parts), ("figures", "Figures", entries)


def figure(drawing: Drawing) -> Html:
    """Write one figure; its description can be read by all."""
    caption = drawing.caption or f"{drawing.name}: no caption was recorded."
    image = picture(drawing.content, drawing.size, drawing.alt)
    return element(
        "figure",
        scrolled(f"Figure: {drawing.title}", image),
        element("figcaption", element("p", caption), details("What is to be seen", drawing.alt)),
    )


def cost_section(found: Material) -> Html:
    """Write what the runs cost, and the speed benchmark where it was run."""
    parts: list[Html] = []
    if COST in found.pages:
        parts.append(page_blocks(found.pages[COST], 1, found.rows.anchors))
    else:
        parts.append(element("p", "The table of costs is missing."))
    if found.speed_page:
        drawn = [figure(found.speed_drawing)] if found.speed_drawing else []
        body = page_blocks(found.speed_page)
        title = f"{found.speed_page.title} benchmark"
        parts.append(section("speed", title, *drawn, details("Bars and measurements", body), level=3))
    else:
        parts.append(
            element("p", prose("The speed benchmark is not part of a reproduction; `snakemake speed` runs it."))
        )
    return section("cost", "Cost", *parts)


def contents(entries: Sequence[Entry]) -> Html:
    """Write the table of contents."""

    def link(anchor: str, title: str) -> Html:
        return element("a", title, href=f"#{anchor}")

    items = [
        element("li", link(anchor, title), element("ul", *(element("li", link(*part)) for part in parts)))
        if parts
        else element("li", link(anchor, title))
        for anchor, title, parts in entries
    ]
    return element("nav", element("h2", "Contents", id="contents"), element("ul", *items), aria_labelledby="contents")
