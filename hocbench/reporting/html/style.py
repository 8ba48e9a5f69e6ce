"""How the report looks: on a telephone, on a wide screen, and on paper."""

STYLE = """
:root { color-scheme: light; --ink: #1a1a1a; --quiet: #4d5358; --line: #c6cbd0; --tint: #f3f5f7; --link: #0b4a86; }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: #fff; font: 1rem/1.5 system-ui, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 3px solid #d55e00; outline-offset: 2px; }
h1, h2, h3, h4 { line-height: 1.25; margin: 1.6em 0 .6em; }
h1 { font-size: 1.7rem; margin-top: 1rem; }
h2 { font-size: 1.4rem; padding-top: .8rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.15rem; }
h4 { font-size: 1rem; }
p, dl, main ul { max-width: 80ch; }
code, pre { font: .85em/1.45 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
pre { overflow-x: auto; padding: .8rem; background: var(--tint); }
.page { max-width: 104rem; margin: 0 auto; padding: 0 1rem 3rem; }
nav h2 { font-size: 1rem; border: 0; margin: 0 0 .4rem; padding: 0; }
nav ul { margin: 0; padding-left: 1.1rem; }
nav > ul { padding: 0; list-style: none; }
nav li { margin: .2rem 0; }
.banner { padding: .7rem 1rem; border-left: .4rem solid #007a5a; background: var(--tint); }
.banner.synthetic { border-color: #b34700; background: #fff4e8; }
dl > div { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .25rem 0; border-bottom: 1px solid var(--line); }
dt { flex: 0 0 13rem; color: var(--quiet); }
dd { flex: 1 1 18rem; margin: 0; min-width: 0; }
.scroll { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .85rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; }
thead th { background: var(--tint); vertical-align: bottom; }
tbody th { font-weight: 400; }
.scroll tr > :first-child { min-width: 8rem; }
.right { text-align: right; }
.centre { text-align: center; }
.missing { font-style: italic; color: #8a2b00; }
.runs th[scope=rowgroup] { padding-top: .8rem; font-weight: 600; }
.runs code, .runs td { white-space: nowrap; }
.evidence td:nth-child(2), .evidence td:nth-child(3), .scroll .method { min-width: 10rem; }
.evidence td:last-child { min-width: 12rem; }
.verdicts { width: 100%; table-layout: fixed; }
.verdicts thead th:nth-child(1) { width: 15%; }
.verdicts thead th:nth-child(2) { width: 24%; }
.verdicts thead th:nth-child(3) { width: 9%; }
.verdicts thead th:nth-child(4) { width: 13%; }
.verdicts tbody th { font-weight: 600; }
.verdict { white-space: nowrap; font-weight: 600; }
.verdict.good { color: #00603f; }
.verdict.synthetic { color: #0b4a86; }
.verdict.bad { color: #a11515; }
.verdict.open { color: #7a4a00; }
.verdict.none { color: var(--quiet); }
.verdicts .verdict { white-space: normal; }
figure { margin: .8rem 0 1.6rem; }
img { display: block; max-width: min(100%, 62rem); height: auto; }
figcaption { max-width: 80ch; font-size: .92rem; }
details { margin: .5rem 0; }
summary { cursor: pointer; padding: .25rem 0; }
footer { margin-top: 3rem; color: var(--quiet); font-size: .9rem; }
.count { white-space: nowrap; margin-right: 1.2rem; }
details > div, tr, tbody { scroll-margin-top: 3.5rem; }
tr:target, tbody:target { background: #fff3c4; }
@media (max-width: 50rem) {
  .verdicts thead { position: absolute; clip-path: inset(50%); height: 1px; width: 1px; overflow: hidden; }
  .verdicts, .verdicts tbody, .verdicts tr, .verdicts th, .verdicts td { display: block; }
  .verdicts tr { padding: .6rem 0; border-bottom: 2px solid var(--line); }
  .verdicts tbody th, .verdicts td { border: 0; padding: .15rem 0; }
  .verdicts td::before { content: attr(data-label) ": "; color: var(--quiet); }
  dt { flex-basis: 100%; }
  img { max-width: none; width: 40rem; }
}
@media screen and (min-width: 75rem) {
  .page { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 0 3rem; }
  header, footer { grid-column: 2; }
  nav { grid-column: 1; grid-row: 1 / span 2; position: sticky; top: 0; max-height: 100vh; overflow-y: auto;
    padding: 1.2rem 0; font-size: .9rem; }
  main { grid-column: 2; min-width: 0; }
}
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { font-size: 9.5pt; }
  nav { display: none; }
  .scroll, pre { overflow: visible; }
  table { font-size: 6.5pt; }
  .scroll tr > :first-child, .evidence td:nth-child(n), .scroll .method { min-width: 5rem; }
  th, td { padding: 1pt 3pt; }
  .runs code, .runs td { white-space: normal; }
  .runs code, .runs a { overflow-wrap: anywhere; }
  pre { white-space: pre-wrap; }
  tr, figure, dl > div { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
  a { color: inherit; text-decoration: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
