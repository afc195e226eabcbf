"""The colours of figures: those of Okabe and Ito, distinct for colour-blind readers, and what they are drawn with."""

from types import MappingProxyType
from typing import NamedTuple


class Colour(NamedTuple):
    """A colour of figures, ``#rrggbb``: on white paper, and on a dark page."""

    light: str
    dark: str


COLOURS = MappingProxyType(
    {
        "blue": Colour("#0072b2", "#58a9e0"),
        "orange": Colour("#e69f00", "#e8ac30"),
        "green": Colour("#009e73", "#2fb78d"),
        "vermilion": Colour("#d55e00", "#f0803f"),
        "purple": Colour("#cc79a7", "#dd9cc0"),
        "sky": Colour("#56b4e9", "#93d3f6"),
        "grey": Colour("#8a8f96", "#8f959d"),
        "ink": Colour("#22262b", "#e4e3de"),
        "quiet": Colour("#5b6168", "#a6adb5"),
        "edge": Colour("#b9bcc0", "#59616a"),
        "grid": Colour("#ececea", "#2e343a"),
        "paper": Colour("#ffffff", "#1b1f24"),
        "cell": Colour("#0b5f93", "#2a77ab"),
    }
)
"""The colours by name: a page's variables are ``--figure-NAME``."""

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY, INK, QUIET, EDGE, GRID, PAPER, CELL = (
    colour.light for colour in COLOURS.values()
)
ON_CELL = "#fdfdfd"
"""Of text on a full `CELL`, everywhere."""
