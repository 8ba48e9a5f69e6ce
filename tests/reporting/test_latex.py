import re
import shutil
import subprocess

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hocbench.evaluation.files import read_table
from hocbench.experiment.description import KEY_COLUMNS
from hocbench.experiment.methods import METHODS
from hocbench.network_tables.parameters import parameter_latex, parameter_table
from hocbench.paths import PAPER_DATASETS
from hocbench.reporting.latex import escape, number, published_number, score_lines
from hocbench.reporting.layout import read_layout
from hocbench.reporting.paper_scores import read_results
from hocbench.reporting.score_latex import score_latex
from hocbench.runs.finished import TARGETS
from tests.reporting.pages import DATASETS, description_of

PAPER_TABLES = (*PAPER_DATASETS, "parameters")
METRICS = ("rmse", "sagr", "pcc", "ccc")
CELLS = [(target, metric) for target in TARGETS for metric in METRICS]
COMMAND = re.compile(r"\\(?:text[a-z]+\{\}|[{}$&#%_])|\$\\[A-Za-z]+\$|\{[][*]\}")
DOCUMENT = r"""\documentclass[twocolumn,a4paper]{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.fixture(scope="module")
def sources(evaluation):
    return latex_of(evaluation)


@pytest.fixture(scope="module")
def real_sources(real):
    return latex_of(real)


@pytest.fixture(scope="module")
def description(evaluation):
    return description_of(evaluation)


def latex_of(folder):
    return all_latex(folder, *tables_in(folder), description_of(folder))


def tables_in(folder):
    return tuple(read_table(folder / f"{name}.csv") for name in ("intervals", "counts"))


def all_latex(folder, intervals, counts, description):
    texts = {name: score_latex(name, intervals, counts, description) for name in DATASETS}
    return texts | {"parameters": parameter_latex(parameter_table(read_table(folder / "sparsity.csv")), description)}


def tabulars(text):
    """Cells of the lines of each tabular, spans repeated, the header's lines first."""
    bodies = re.findall(r"\\begin\{tabular\}\{@\{\}[lc]+@\{\}\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    return [[_cells(line) for line in body.splitlines() if line.endswith(r" \\")] for body in bodies]


def _cells(line):
    found = []
    for cell in re.split(r"(?<!\\)&", line.removesuffix(r" \\")):
        span = re.match(r"\s*\\multicolumn\{(\d+)\}", cell)
        found += [cell.strip()] * (int(span[1]) if span else 1)
    return found


def rows_of(table):
    """Lines by the name of the row that they belong to."""
    rows = {}
    for cells in table[2:]:
        if not cells[0].startswith((r"{\tiny", r"\quad")):
            name = cells[0]
        rows.setdefault(name, []).append(cells)
    return rows


@given(st.text())
def test_any_text_is_escaped_to_what_latex_prints(text):
    escaped = escape(text)
    assert escaped.isascii()
    assert not re.search(r"[\\{}$&#%_^~<>|\"\[\]*\x00-\x1f]", COMMAND.sub("", escaped))


def test_names_are_escaped():
    assert escape(r"50% of a_b & {c} \d #1 $x^2$") == (
        r"50\% of a\_b \& \{c\} \textbackslash{}d \#1 \$x\textasciicircum{}2\$"
    )
    assert (escape("λ ± é"), escape("顔"), escape("[x]*")) == (r"$\lambda$ $\pm$ e", "U+9854", "{[}x{]}{*}")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.8123, ".812"), (-0.5, "$-$.500"), (-0.0001, ".000"), (1.25, "1.250"), (0.9999, "1.000")]
)
def test_scores_have_three_decimals_and_no_leading_zero(value, shown):
    assert number(value) == shown


def test_a_score_shows_what_there_is():
    nothing = float("nan")
    assert score_lines(0.5, 0.4, 0.6, 0.01) == (r".500$\pm$.010", r"{\tiny[.400, .600]}")
    assert score_lines(0.5, nothing, nothing, nothing) == (".500", "")
    assert [published_number(0.8, status) for status in "PSU"] == [
        ".80",
        r".80\rlap{$^\ddagger$}",
        r".80\rlap{$^\dagger$}",
    ]


@pytest.mark.parametrize("name", DATASETS)
def test_all_lines_have_a_cell_for_each_column(sources, real_sources, name):
    for text in (sources[name], real_sources[name]):
        assert {len(cells) for table in tabulars(text) for cells in table} == {9}
        assert text.count("{") == text.count("}")


@pytest.mark.parametrize("name", DATASETS)
def test_the_rows_are_those_of_the_layout(sources, name):
    ours, published = (list(rows_of(table)) for table in tabulars(sources[name]))
    entries = [entry["row"] for entry in read_layout(name)]
    assert ours == entries
    assert published == [entry["row"] for entry in read_layout(name) if entry["kind"] == "paper"]


def test_scores_and_intervals_are_those_of_the_evaluation(evaluation, sources):
    intervals = read_table(evaluation / "intervals.csv").query(
        "dataset == 'sewa' and pooling == 'pooled' and lasso == 0"
    )
    truths = intervals.set_index(["method", "target", "metric"])
    rows = rows_of(tabulars(sources["sewa"])[0])
    for title, method in (("HO-CPConv transduction", "joint"), ("untrained, transducted", "untrained")):
        scores, limits = rows[title]
        assert METHODS[method].named("cp") in limits[0]
        for k, cell in enumerate(CELLS):
            truth = truths.loc[(method, *cell)]
            assert scores[1 + k] == rf"{number(truth['mean'])}$\pm${number(truth['seed_sd'])}"
            assert limits[1 + k] == rf"{{\tiny[{number(truth['low'])}, {number(truth['high'])}]}}"


def test_what_has_no_score_says_why(sources, description):
    rows = rows_of(tabulars(sources["sewa"])[0])
    assert rows["ResNet-18 (2+1)D"][0][1:] == ["not run"] * 8
    rows = rows_of(tabulars(score_latex("sewa", *without_runs(), description))[0])
    assert rows["HO-CPConv static"][0][1:] == ["missing"] * 8


def without_runs():
    """Intervals and counts of an evaluation without any run of a dataset."""
    columns = [*KEY_COLUMNS, "target", "metric", "pooling"]
    return pd.DataFrame(columns=columns), pd.DataFrame(columns=["dataset"])


@pytest.mark.parametrize("name", DATASETS)
def test_synthetic_scores_are_labelled_and_share_no_tabular_with_published_ones(sources, name):
    text = sources[name]
    assert r"\caption{\textbf{SYNTHETIC data" in text
    ours, published = tabulars(text)
    assert "dagger" not in str(ours)
    assert r"\pm" not in str(published)
    marks = {"S": r"\ddagger", "U": r"\dagger"}
    for row in read_results(name).itertuples():
        (cells,) = rows_of(published)[row.method]
        shown = cells[1 + CELLS.index((row.target, row.metric))]
        assert shown == f"{row.value:.2f}".removeprefix("0") + rf"\rlap{{$^{marks[row.status]}$}}"


def test_real_scores_stand_above_the_published_ones_of_their_row(real_sources):
    assert "SYNTHETIC" not in str(real_sources)
    (table,) = tabulars(real_sources["sewa"])
    for title, lines in rows_of(table).items():
        paper = title in set(read_results("sewa")["method"])
        assert len(lines) == (3 if paper else 2)
        assert (lines[-1][0] == r"\quad published") == paper
    assert rows_of(table)["HO-CPConv transduction"][2][3] == r".84\rlap{$^\ddagger$}"


def test_the_caption_states_the_sample_and_the_interval(sources, real_sources):
    for part in (
        "480 per run, of 6 subjects",
        "2 training seeds, 1 fold",
        "95 \\% ",
        "conditional on the seeds",
    ):
        assert part in sources["sewa"]
    assert "1 training seed, 2 folds" in real_sources["afew_va"]
    assert "real data, in the layout of the paper" in real_sources["sewa"]


def test_a_dataset_that_is_no_part_of_the_experiment_has_the_published_scores_alone(scanty):
    text = score_latex("sewa", *tables_in(scanty), description_of(scanty, rows=()))
    assert r"\caption{SEWA (clips): this dataset is no part of the experiment. The published scores.}" in text
    ours, published = tabulars(text)
    assert {cell for cells in ours[2:] for cell in cells[1:]} == {"not run", ""}
    assert list(rows_of(published)) == list(dict.fromkeys(read_results("sewa")["method"]))


def test_notes_of_intervals_are_marked_and_explained(evaluation, description):
    intervals, counts = tables_in(evaluation)
    intervals = intervals.assign(note="")
    intervals.loc[(intervals["method"] == "static") & (intervals["metric"] == "ccc"), "note"] = "constant predictions"
    text = score_latex("sewa", intervals, counts, description)
    assert rows_of(tabulars(text)[0])["HO-CPConv static"][0][4].endswith(r"\rlap{$^{\mathrm{a}}$}")
    assert r"$^{\mathrm{a}}$~constant predictions" in text


def test_projections_from_synthetic_data_share_no_row_with_a_published_count(sources, real_sources):
    lines = [cells for cells in tabulars(sources["parameters"])[0] if cells[2] in ("0.01", "0.05")]
    assert [cells[3:5] for cells in lines[:2]] == [["10.6", "--"], ["10.0", "--"]]
    assert [cells[3] for cells in lines[2:]] == ["--", "--"]
    (line,) = [cells for cells in tabulars(real_sources["parameters"])[0] if cells[2] == "0.05"]
    assert line[3] == "10.0"
    assert 11 < float(line[4]) < 11.243


@pytest.mark.system
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (texlive-latex-recommended)")
@pytest.mark.parametrize("label", ["synthetic", "real", "hostile"])
def test_the_tables_compile_in_a_two_column_article(request, tmp_path, label):
    texts = hostile(request.getfixturevalue("evaluation")) if label == "hostile" else None
    texts = texts or request.getfixturevalue("real_sources" if label == "real" else "sources")
    assert set(texts) == set(PAPER_TABLES)
    for name, text in texts.items():
        (tmp_path / f"{name}.tex").write_text(text, encoding="utf-8")
    references = "\n".join(rf"See Table~\ref{{tab:hocbench-{name.replace('_', '-')}}}." for name in PAPER_TABLES)
    tables = "\n".join(rf"\input{{{name}.tex}}\clearpage" for name in PAPER_TABLES)
    (tmp_path / "paper.tex").write_text(DOCUMENT % f"{references}\n{tables}", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):  # the second time for the references
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
    assert [points for points in too_wide if points > 5] == []
    assert not re.search(r"Overfull \\vbox|Float too large|undefined|multiply defined|Missing character", log)
    # A page for the sentences and one for each table.
    assert re.search(r"Output written on paper.pdf \((\d+) pages?", log)[1] == "5"


def hostile(evaluation):
    """Names that LaTeX would stumble over, and the widest cells: all negative, some with a note, seeds that differ."""
    intervals, counts = tables_in(evaluation)
    numbers = ["mean", "low", "high"]
    correlations = intervals["metric"].isin(["pcc", "ccc"])
    intervals.loc[correlations, numbers] = -intervals.loc[correlations, numbers].abs()
    intervals["note"] = ["constant_predictions & more"] * len(intervals)
    intervals.loc[intervals["method"] == "static", "n_seeds"] = 1
    description = description_of(evaluation, profile=r"a_b & {50 %} \x $y^2$ <é> [λ] 顔 #1 ~")
    texts = all_latex(evaluation, intervals, counts, description)
    assert "1 of 2 seeds" in texts["sewa"]
    return texts
