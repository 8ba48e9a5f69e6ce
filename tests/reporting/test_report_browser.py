"""The report in a real browser, without a network: nothing complains, all is seen, and it fits narrow and wide."""

from pathlib import Path

import pytest

from hocbench.reporting.html.inputs import Inputs
from hocbench.reporting.html.write import write_report
from tests.conftest import ROOT
from tests.reporting.chromium import Page, program
from tests.reporting.report_folder import DENSE, METHOD, Reproduction

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(program() is None, reason="no Chromium on this machine"),
]
WIDTHS = (360, 1600)
HOSTILE = "<script>console.error('run')</script><img src=x onerror=console.error('run')>"
# What does not fit into the page, boxes that scroll by themselves apart.
TOO_WIDE = """[...document.querySelectorAll('main *, nav *, header *')]
    .filter(e => !e.parentElement.closest('.scroll, pre') && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.outerHTML.slice(0, 100))"""
BROKEN = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"
# Goes to every target once, for browsers hold back pages that do so all the time: it has to be seen then, unfolded if
# it was folded.
LOST = """(async () => {
    const lost = [];
    const links = [...document.querySelectorAll('a[href^="#"]')].map(link => link.getAttribute('href'));
    for (const href of new Set(links)) {
        document.querySelectorAll('details').forEach(part => part.open = false);
        location.hash = href;
        await new Promise(requestAnimationFrame);
        await new Promise(done => setTimeout(done, 0));
        const target = document.getElementById(href.slice(1));
        if (!target || !target.checkVisibility() || !target.getBoundingClientRect().height) lost.push(href);
    }
    return lost;
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Page(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The recorded reference, whose runs are gone, and a small reproduction with dangerous and long names."""
    folder = tmp_path_factory.mktemp("reports")
    recorded = Inputs(ROOT / "results" / "reference", folder / "none", folder / "none", folder / "none")
    write_report(recorded, folder / "reference.html")
    runs = {f"static-{'long-' * 20}1234": (METHOD, "0.22", 0), "static-dense-9abc": (f"{DENSE} {HOSTILE}"[:90], "", 0)}
    hostile = Reproduction(folder / "hostile", profile="x" * 80, extra=HOSTILE + "long" * 40, runs=runs)
    write_report(hostile.write().sources, folder / "hostile.html")
    return {path.stem: path for path in folder.glob("*.html")}


@pytest.fixture(params=["reference", "hostile"])
def report(request, reports):
    return reports[request.param]


@pytest.fixture(params=WIDTHS)
def width(request):
    return request.param


def test_nothing_complains_and_nothing_is_loaded(browser, report, width):
    browser.events.clear()
    browser.open(report, width)
    assert browser.complaints() == []
    assert set(browser.requests()) == {report.resolve().as_uri()}


def test_all_pictures_are_shown(browser, report, width):
    browser.open(report, width)
    assert browser.evaluate("document.images.length") >= 1
    assert browser.evaluate(BROKEN) == []


def test_the_page_is_as_wide_as_the_window(browser, report, width):
    browser.open(report, width)
    browser.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(TOO_WIDE) == []
    # What is wide is in boxes, and all of it can be reached there.
    boxes = "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth)"
    assert browser.evaluate(f"{boxes}.every(box => getComputedStyle(box).overflowX === 'auto')")
    assert browser.evaluate(f"{boxes}.length") > 0


def test_every_link_leads_to_something_that_is_seen(browser, report, width):
    browser.open(report, width)
    assert browser.evaluate("document.querySelectorAll('a[href^=\"#\"]').length") > 20
    assert browser.evaluate(LOST) == []


def test_it_can_be_printed(browser, report, tmp_path):
    browser.open(report, 1600)
    browser.print(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_the_checks_find_what_is_wrong(browser, tmp_path):
    page = tmp_path / "wrong.html"
    page.write_text(
        "<!doctype html><main><a href='#nowhere'>x</a><img alt='lost' src='gone.png'>"
        "<div style='width:5000px'>wide</div><script>console.error('so')</script></main>"
    )
    browser.events.clear()
    browser.open(page, 360)
    assert len(browser.complaints()) == 2
    assert Path(browser.requests()[1]).name == "gone.png"
    assert browser.evaluate(BROKEN) == ["lost"]
    assert browser.evaluate(LOST) == ["#nowhere"]
    assert len(browser.evaluate(TOO_WIDE)) == 1
    assert browser.evaluate("document.documentElement.scrollWidth") > 360
