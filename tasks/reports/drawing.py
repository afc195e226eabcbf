"""What a figure is drawn as: vectors in the colours of the page they lie in, and pixels on white paper."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

_OUTER = re.compile(r"^.*?(?=<svg )", re.DOTALL)
_DROPPED = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|(?<=<g) id=\"[^\"]*\"", re.DOTALL)
_COORDINATES = re.compile(r'(?<= )(?:d|x|y)="[^"]*"')
_DIGITS = re.compile(r"(\.\d\d)\d+")
_SIZE = re.compile(r'(<svg [^>]*?)width="([\d.]+)pt" height="[\d.]+pt"')
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_STYLE = re.compile(r'style="[^"]*"')
_PIXELS_PER_POINT = 96 / 72


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes
    ----------
    svg : str
        An element ``svg`` for an HTML page, whose colours are the page's variables ``--figure-NAME``.
    draw_pixels : callable
        Draws the same on white paper, as PNG.
    """

    svg: str
    draw_pixels: Callable[[], bytes]

    @cached_property
    def png(self) -> bytes:
        """The figure on white paper, drawn when it is first asked for: pages do without."""
        return self.draw_pixels()


def svg_for_pages(document: str, colours: Mapping[str, str]) -> str:
    """Return the element of an SVG document, small and without what would speak to the page around it.

    Parameters
    ----------
    document : str
        As Matplotlib writes it.
    colours : dict of str to str
        By colour, as ``#rrggbb``: the name of the variable that takes its place.
    """
    element = _DROPPED.sub("", _OUTER.sub("", document))
    element = _SIZE.sub(lambda found: f'{found[1]}width="{float(found[2]) * _PIXELS_PER_POINT:.0f}"', element)
    element = _STYLE.sub(_each(_COLOUR, lambda found: _variable(found[0], colours)), element)
    element = _COORDINATES.sub(_each(_DIGITS, lambda found: found[1]), element)
    return re.sub(r"(?<=base64,)\s+", "", re.sub(r"\s+", " ", element)).replace("> <", "><").strip()


def _variable(colour: str, names: Mapping[str, str]) -> str:
    return f"var(--figure-{names[colour]})" if colour in names else colour


def _each(pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
    """Return a replacement of a whole match that replaces each `pattern` in it."""
    return lambda whole: pattern.sub(replace, whole[0])
