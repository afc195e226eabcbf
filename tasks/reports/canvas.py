"""The canvas of every figure: its style, and its bytes as PNG, without pyplot, so that threads share no state.

Colours are from Okabe and Ito, distinct for colour-blind readers.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

BLUE, ORANGE, GREEN, VERMILION, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#8A8F96"
SKY, INK = "#56B4E9", "#22262b"
PIXELS_PER_INCH = 160

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": "#b9bcc0",
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ececea",
    "xtick.color": "#5b6168",
    "ytick.color": "#5b6168",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


@contextmanager
def canvas(width_in: float, height_in: float) -> Iterator[tuple[Figure, Callable[[], bytes]]]:
    """Give an empty figure in this style, and the function that returns it as PNG when it is drawn."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        yield figure, partial(_png, figure)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=PIXELS_PER_INCH, facecolor="white")
    return stream.getvalue()
