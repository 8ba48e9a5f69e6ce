"""What tests of figures look at: titles, texts, lines, and whether they can be read."""

import shutil

from matplotlib.transforms import Bbox

from hocbench.evaluation.files import read_table, write_csv
from hocbench.experiment.methods import METHODS


def title_of(figure):
    """Title of a figure, of its panels, and headings between rows."""
    texts = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    headings = [text.get_text() for axes in figure.axes for text in axes.texts if text.get_fontweight() == "bold"]
    return " ".join([*texts, *headings]).strip()


def tick_labels(axis):
    low, high = sorted(axis.get_view_interval())
    slack = 1e-6 * (high - low)
    return [tick.label1 for tick in axis.get_major_ticks() if low - slack <= tick.get_loc() <= high + slack]


def legend_texts(figure):
    return [text for legend in figure.legends for text in legend.get_texts()]


def texts_of(figure):
    """Every text that is drawn."""
    found = [*figure.texts, *legend_texts(figure)]
    for axes in figure.axes:
        found += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        found += tick_labels(axes.xaxis) + tick_labels(axes.yaxis)
    return [text for text in dict.fromkeys(found) if text.get_visible() and text.get_text()]


def overlap(first, second):
    both = Bbox.intersection(first, second)
    return both is not None and both.width > 1 and both.height > 1


def assert_legible(figure):
    """No text is cut off or lies on another or, from the legend, on a panel; the page is wide enough."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(figure)]
    page = figure.bbox
    for text, box in boxes:
        inside = (box.x0 > -1, box.y0 > -1, box.x1 < page.x1 + 1, box.y1 < page.y1 + 1)
        assert all(inside), (text, box)
        assert box.height > 0.06 * figure.dpi, text
    for i, (text, box) in enumerate(boxes):
        for other, second in boxes[:i]:
            assert not overlap(box, second), (text, other)
    for legend in figure.legends:
        for axes in figure.axes:
            assert not overlap(legend.get_window_extent(), axes.get_window_extent())
    assert figure.get_size_inches()[0] == 7
    assert figure.get_tightbbox().width < 7.05


def titled(table, column="method"):
    """Call the methods of a table what people read."""
    return table.assign(**{column: [METHODS[name].named("cp") for name in table[column]]})


def labelled_lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def copy_with(evaluation, folder, **changes):
    """Copy an evaluation, passing some of its tables through functions."""
    shutil.copytree(evaluation, folder)
    (folder / "files.json").unlink()
    for name, change in changes.items():
        path = folder / f"{name}.csv"
        write_csv(change(read_table(path)), path)
    return folder
