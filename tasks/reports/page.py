"""Self-contained HTML pages: text, tables and pictures in one file that needs no network.

A page may be mailed, printed or opened years later, so it contains its styles, its pictures and one script, which sorts
tables and moves thresholds; without it everything is still there to read. A Content-Security-Policy allows this script
by its hash and forbids everything else. All text is escaped: ids and reasons come from outside.
"""

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image, UnidentifiedImageError

from tasks.reports.colours import COLOURS
from tasks.reports.drawing import Drawing

Cell = str | int | float | None


Sufficiency = Literal["enough", "little", "too few"]
"""Whether the data answers the question: within narrow limits, within wide ones, or not."""


@dataclass(frozen=True)
class Answer:
    """What a page is opened for, on its first screen.

    Attributes
    ----------
    text : str
        The answer in one sentence.
    evidence : str
        The figures that it rests on.
    data : Sufficiency, optional
        Whether there is enough data for it.
    advice : str
        How much data there is, and where it is too little, what to ask for.
    """

    text: str
    evidence: str = ""
    data: Sufficiency | None = None
    advice: str = ""


@dataclass(frozen=True)
class Heading:
    """A section's title; it also becomes an entry of the table of contents."""

    text: str


@dataclass(frozen=True)
class Text:
    """One paragraph of plain text; ``quiet`` sets it small and grey, for remarks."""

    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under named columns. Numbers may be passed as they are; ``None`` is shown as a dash."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def by_column(self) -> dict[str, list[Cell]]:
        """Return the cells of each column; without rows the columns are empty."""
        return {name: [row[position] for row in self.rows] for position, name in enumerate(self.columns)}


@dataclass(frozen=True)
class Figure:
    """A drawing, or a PNG or JPEG image, with its caption and alternative text."""

    caption: str
    picture: Drawing | bytes
    alt: str

    @property
    def pixels(self) -> bytes:
        """PNG or JPEG."""
        return self.picture.png if isinstance(self.picture, Drawing) else self.picture


@dataclass(frozen=True)
class Headline:
    """A key number: ``value`` in large type, ``label`` above, ``detail`` below it."""

    label: str
    value: Cell
    detail: str = ""


@dataclass(frozen=True)
class Headlines:
    """Headlines in a row."""

    figures: Sequence[Headline]


@dataclass(frozen=True)
class Link:
    """A link to a file beside the page; ``address`` is relative, so both can be moved together."""

    text: str
    address: str


@dataclass(frozen=True)
class Stamp:
    """A small picture of a sample, PNG or JPEG; ``about`` says in a word why it is shown."""

    name: str
    about: str
    picture: bytes


@dataclass(frozen=True)
class Stamps:
    """Small pictures side by side under one caption."""

    caption: str
    stamps: Sequence[Stamp]


@dataclass(frozen=True)
class ScoredStamp:
    """A small picture of a sample with its score; ``name`` says which sample it is and what it counts as."""

    score: float
    name: str
    picture: bytes


@dataclass(frozen=True)
class ThresholdSlider:
    """A curve with a threshold to move along it, and stamps that change sides with it.

    Attributes
    ----------
    caption : str
    quantity : str
        Name of the score that has the threshold.
    thresholds : sequence of m floats
        Of the curve's points, in descending order.
    readings : dict of name to m floats
        Shown at the threshold; the first is drawn along the horizontal axis, the second along the vertical one. Those
        with a total of `counts` are shares of it.
    counts : dict of name to int
        What the reading of the same name is a share of.
    start : float
        The threshold at first.
    logarithmic : bool
        Whether the horizontal axis is.
    stamps : sequence of ScoredStamp
    """

    caption: str
    quantity: str
    thresholds: Sequence[float]
    readings: Mapping[str, Sequence[float]]
    counts: Mapping[str, int]
    start: float
    logarithmic: bool = False
    stamps: Sequence[ScoredStamp] = ()

    @property
    def points(self) -> str:
        """All that the script needs, as JSON."""
        return json.dumps(
            {
                "quantity": self.quantity,
                "thresholds": [round(float(value), 4) for value in self.thresholds],
                "readings": {
                    name: [float(f"{value:.5g}") for value in values] for name, values in self.readings.items()
                },
                "counts": dict(self.counts),
                "logarithmic": self.logarithmic,
            }
        )


Block = Answer | Heading | Text | Table | Figure | Stamps | Headlines | Link | ThresholdSlider


def page(title: str, blocks: Sequence[Block], subtitle: str | None = None) -> str:
    """Return a complete HTML document of ``blocks`` in their order."""
    return _template().render(
        title=title,
        subtitle=subtitle,
        blocks=blocks,
        colours=COLOURS,
        script=Markup(_script()),
        script_source=script_source(),
    )


def script_source() -> str:
    """Return what a Content-Security-Policy calls the one script of pages: its hash."""
    digest = hashlib.sha256(_script().encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def cell_text(cell: Cell) -> str:
    """Return the text of a table cell: four significant digits, grouped thousands, a dash for None and NaN."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return f"{cell:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{cell:.4g}"


def is_numeric_column(table: Table, position: int) -> bool:
    """Return whether all cells of a column read as numbers, which are aligned right."""
    cells = [row[position] for row in table.rows if row[position] not in (None, "", "–")]
    return bool(cells) and all(_reads_as_number(cell) for cell in cells)


def _reads_as_number(cell: Cell) -> bool:
    if not isinstance(cell, str):
        return True
    return cell[:1] in set("+-−<>≤≥.0123456789") and not any(letter.isalpha() or letter == ";" for letter in cell)


def _drawn(picture: Drawing | bytes) -> Markup | None:
    """Return the element of a drawing; its text is outlines, so nothing in it is markup of others."""
    return Markup(picture.svg) if isinstance(picture, Drawing) else None


def _data_address(picture: bytes) -> str:
    kind = "jpeg" if picture.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def css_width(picture: bytes) -> int | None:
    """Return the width in CSS pixels that shows a picture at its own resolution; None if it states none."""
    try:
        with Image.open(io.BytesIO(picture)) as image:
            per_inch = image.info.get("dpi", (0, 0))[0]
            return round(image.width * 96 / per_inch) if per_inch > 96 else None
    except UnidentifiedImageError:
        return None


@cache
def _script() -> str:
    return (Path(__file__).parent / "page.js").read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell_text
    environment.filters["address"] = _data_address
    environment.filters["css_width"] = css_width
    environment.filters["drawn"] = _drawn
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.globals["is_numeric_column"] = is_numeric_column
    return environment.get_template("page.html")
