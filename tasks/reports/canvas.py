"""The canvas of every figure: its style, and its drawing, without pyplot, so that threads share no state."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from tasks.reports.colours import COLOURS, EDGE, GRID, INK, PAPER, QUIET
from tasks.reports.drawing import Drawing, svg_for_pages

PIXELS_PER_INCH = 160


_NAMES = MappingProxyType({colour.light: name for name, colour in COLOURS.items()})
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": EDGE,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "path",
    "svg.hashsalt": "starloom",
    "svg.image_inline": True,
}


@contextmanager
def canvas(width_in: float, height_in: float) -> Iterator[tuple[Figure, Callable[[], Drawing]]]:
    """Give an empty figure in this style, and the function that returns it when it is drawn."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        yield figure, partial(_finish, figure)


def _finish(figure: Figure) -> Drawing:
    figure.draw_without_rendering()  # a first layout is off by pixels where axes keep their aspect
    document = _save(figure, "svg", "none").decode()
    return Drawing(svg_for_pages(document, _NAMES), partial(_draw_pixels, figure))


def _draw_pixels(figure: Figure) -> bytes:
    with mpl.rc_context(_STYLE):
        return _save(figure, "png", PAPER)


def _save(figure: Figure, kind: str, paper: str) -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format=kind, dpi=PIXELS_PER_INCH, facecolor=paper)
    return written.getvalue()
