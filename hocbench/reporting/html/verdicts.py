"""The first thing to read: what became of each claim, and why."""

from collections.abc import Sequence

import pandas as pd

from hocbench.reporting.html.elements import Html, bullets, details, element, facts, html, number, prose, section, table
from hocbench.reporting.html.material import Material
from hocbench.reporting.margins import MARGIN_HEADER, MARGIN_NOTE, SINCE_NOTE, margin_cells, of_what_was_run
from hocbench.reporting.markdown import STATUS_NOTE, records

# Of a verdict: a sign beside the word, for those who do not see colours, and the colours' class.
SIGNS = {
    "reproduced": ("✓", "good"),
    "better than published": ("▲", "good"),
    "not reproduced": ("✗", "bad"),
    "inconclusive": ("?", "open"),
    "not run": ("–", "none"),
    "holds on synthetic data": ("✓", "synthetic"),
    "does not hold on synthetic data": ("✗", "bad"),
}
# Column of evidence.csv → heading.
EVIDENCE = {
    "statistic": "statistic",
    "method": "method",
    "reference": "against",
    "target": "target",
    "metric": "metric",
    "value": "value [95 %]",
    "tolerance": "tolerance",
    "outcome": "outcome",
    "published": "published",
    "p_holm": "p (Holm)",
    "rank": "rank",
    "lasso": "LASSO",
    "n_seeds": "seeds",
    "n_clusters": "clusters",
    "dataset": "data",
    "label": "from",
    "note": "note",
}


def verdicts_section(found: Material) -> Html:
    """Write the table of verdicts, and under it what stands behind each."""
    claims, evidence = records(found.claims), records(found.evidence)
    if not claims:
        return section(
            "verdicts",
            "Verdicts on the paper's claims",
            element("p", "No claim has been judged yet; ", _to_missing("see what is missing"), "."),
        )
    places = {id(claim): f"verdict-{place}" for place, claim in enumerate(claims, 1)}
    rows = [_row(claim, places[id(claim)], found) for claim in claims]
    head = ("Claim", "What the authors say", "Data", "Verdict", "Why")
    header = element("tr", *(element("th", name, scope="col") for name in head))
    whole = element("table", element("thead", header), element("tbody", *rows), class_="verdicts")
    note = (
        "Whether a claim holds is judged by the ranges of claims.yaml, which were fixed after the embedded profile had "
        "been seen and before any run of the profiles full and paper. A claim about data is reproduced only on real "
        f"ones, and against published numbers of status P or S; on synthetic data it can at most hold. {SINCE_NOTE}"
    )
    hang = _margins_section(found) if len(found.margins) else html()
    behind = [_behind(claim, places[id(claim)], evidence, found) for claim in claims]
    return section(
        "verdicts",
        "Verdicts on the paper's claims",
        element("p", note),
        whole,
        hang,
        section("evidence", "Evidence behind the verdicts", *behind, element("p", STATUS_NOTE), level=3),
    )


def verdict(name: str) -> Html:
    """Write a verdict as a sign and its words."""
    sign, kind = SIGNS.get(name, ("•", "none"))
    return element("span", element("span", sign, aria_hidden="true"), f" {name}", class_=f"verdict {kind}")


def counted(claims: pd.DataFrame) -> Html:
    """Say how many claims got which verdict."""
    counts = claims["verdict"].value_counts()
    order = [*SIGNS, *sorted(set(counts.index) - set(SIGNS))]
    told = [
        element("span", verdict(name), f" {counts[name]}", class_="count") for name in order if name in counts.index
    ]
    return html(*(part for one in told for part in (one, " ")))


def _row(claim: dict[str, str], anchor: str, found: Material) -> Html:
    title = claim.get("title", "")
    name = html(element("a", claim["claim"], href=f"#{anchor}"), f" {title}")
    cells = (
        ("What the authors say", claim.get("statement", "")),
        ("Data", found.name_of(claim.get("dataset", "")) or "-"),
        ("Verdict", verdict(claim["verdict"])),
        ("Why", claim.get("reason", "")),
    )
    return element(
        "tr", element("th", name, scope="row"), *(element("td", cell, data_label=label) for label, cell in cells)
    )


def _margins_section(found: Material) -> Html:
    """Write at which bounds of their ranges the verdicts would flip."""
    known = found.description
    titles = {method.id: method.named(known.factorization) for method in known.methods.values()}
    rows = [
        [row["claim"], found.name_of(row["dataset"]) or "-", verdict(row["verdict"]), *margin_cells(row, titles)]
        for row in of_what_was_run(found.margins)
    ]
    title = "What the verdicts hang on"
    whole = table(title, ["Claim", "Data", "Verdict", *MARGIN_HEADER], rows)
    return section("margins", title, element("p", MARGIN_NOTE), whole, level=3)


def _behind(claim: dict[str, str], anchor: str, evidence: Sequence[dict[str, str]], found: Material) -> Html:
    """Write what is behind one verdict: all evidence about the claim where none is about the verdict's data."""
    about = [row for row in evidence if row["claim"] == claim["claim"]]
    own = [row for row in about if row.get("dataset", "") == claim.get("dataset", "")] or about
    name = " ".join(filter(None, [claim["claim"], claim.get("title", "")]))
    data = f", {found.name_of(claim['dataset'])}" if claim.get("dataset") else ""
    source = " ".join(filter(None, [claim.get("source"), f"(status {claim['status']})" if claim.get("status") else ""]))
    told = facts(
        [
            ("Source", source or "not recorded"),
            ("Differences in protocol", claim.get("protocol") or "none recorded"),
            ("What would change the verdict", claim.get("would_change") or "not recorded"),
            ("By seed", claim.get("by_seed", "not recorded") or "nothing was trained"),
            ("Ranges since", claim.get("since") or "not recorded"),
        ]
    )
    rows = _evidence(name, own, found) if own else element("p", "No row of evidence is recorded.")
    return details(html(f"{name}{data}: ", verdict(claim["verdict"])), told, rows, anchor=anchor)


def _evidence(name: str, rows: Sequence[dict[str, str]], found: Material) -> Html:
    lines = [_line(row, found) for row in rows]
    shown = [column for column in EVIDENCE if any(line[column] for line in lines)]
    cells = [[line[column] or "-" for column in shown] for line in lines]
    return table(f"Evidence for {name}", [EVIDENCE[column] for column in shown], cells, kind="evidence")


def _line(row: dict[str, str], found: Material) -> dict[str, str]:
    line = {column: number(row.get(column, "")) for column in EVIDENCE}
    line["value"] = number(row.get("value", "")) + _limits(row.get("low", ""), row.get("high", ""))
    line["tolerance"] = _limits(row.get("tolerance_low", ""), row.get("tolerance_high", "")).strip()
    # What others wrote down stays as they wrote it.
    line |= {column: row.get(column, "") for column in ("rank", "published")}
    line |= {"method": row.get("title", ""), "reference": row.get("reference_title", "")}
    line["metric"] = row.get("metric", "").upper()
    line["lasso"] = _weight(row.get("lasso", ""))
    line["dataset"] = found.name_of(row.get("dataset", ""))
    if line["published"] and row.get("status"):
        line["published"] += f" {row['status']}"
    return line


def _weight(text: str) -> str:
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _limits(low: str, high: str) -> str:
    """Write an interval; a side without a limit is open."""
    if not low and not high:
        return ""
    low, high = (text.replace("inf", "∞") for text in (low, high))
    return f" [{number(low) or '-∞'},\u00a0{number(high) or '∞'}]"


def missing_section(found: Material) -> Html:
    """Name what is missing, each with what is to be done."""
    if not found.gaps:
        return section("missing", "What is missing", element("p", "Nothing."))
    items = []
    for gap in found.gaps:
        head = html(element("strong", gap.what), ": ", prose(gap.why))
        if len(gap.items) > 4:
            head = html(head, details(f"{len(gap.items)} names", bullets([prose(item) for item in gap.items])))
        elif gap.items:
            head = html(head, bullets([prose(item) for item in gap.items]))
        items.append(head)
    return section(
        "missing", "What is missing", element("p", "Everything else is reported as far as it is there."), bullets(items)
    )


def _to_missing(text: str) -> Html:
    return element("a", text, href="#missing")
