"""Figures: pictures of the size drawn for, whatever little there is to draw."""

import io
import re
from functools import cache
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure as MatplotlibFigure
from PIL import Image

from tasks.learning import measures
from tasks.reports import figures, image_figures
from tasks.reports.canvas import PIXELS_PER_INCH
from tasks.reports.colours import COLOURS, ON_CELL
from tasks.reports.drawing import Drawing
from tasks.reports.page import css_width

RIGHT = measures.rate(8, 10)
CURVE = (np.array([0.5, 1.0]), np.array([1.0, 0.9]))
BINS = [measures.ReliabilityBin(0.6, RIGHT, 10), measures.ReliabilityBin(0.9, RIGHT, 10)]
DRAWN = {
    "confusion": lambda: figures.confusion_figure(np.array([[5, 1], [0, 0]]), ["a", "b"]),
    "one class": lambda: figures.confusion_figure(np.array([[3]]), ["only"]),
    "reliability": lambda: figures.reliability_figure({"x": BINS, "y": BINS[:1]}),
    "coverage": lambda: figures.coverage_figure({"x": CURVE}),
    "coverage of one sample": lambda: figures.coverage_figure({"x": (np.array([1.0]), np.array([0.0]))}),
    "training": lambda: figures.training_figure({"train_loss": [1.0, 0.5], "validation_loss": [1.0]}, best_epoch=1),
    "covariate": lambda: figures.covariate_figure({"z": [(0.1, RIGHT), (0.2, RIGHT)]}),
    "three covariates": lambda: figures.covariate_figure({name: [(0.1, RIGHT)] for name in "abc"}),
    "roc": lambda: figures.roc_figure({str(number): CURVE for number in range(6)}),
    "precision": lambda: figures.precision_figure({"here": CURVE, "a night": CURVE}),
    "strip": lambda: image_figures.image_strip(np.zeros((2, 8, 8, 3), np.uint8), ["one\ntwo", "three"]),
    "five covariates": lambda: figures.covariate_figure({name: [(0.1, RIGHT)] for name in "abcde"}),
    "histograms": lambda: figures.histogram_panels(
        {"x": {"right": np.arange(5.0), "wrong": np.array([])}, "y": {"right": np.ones(2), "wrong": np.ones(1)}},
        {"x": {"E7": 3.0}},
        {"x": 2.0},
    ),
    "rows": lambda: image_figures.image_rows(
        {"one\nrow": (np.zeros((2, 8, 8, 3), np.uint8), ["a", "b"]), "two": (np.zeros((1, 8, 8, 1), np.uint8), ["c"])}
    ),
    "heat maps": lambda: image_figures.heat_map_strip(
        np.zeros((7, 8, 8, 3), np.uint8), np.linspace(-1, 1, 448).reshape(7, 8, 8), [""] * 7
    ),
    "sizes": lambda: figures.size_figure(
        {"accuracy": {"x": [(100, RIGHT), (3000, RIGHT)], "y": [(100, RIGHT)]}, "AUC": {"y": [(100, RIGHT)]}}
    ),
    "planes": lambda: image_figures.image_strip(np.zeros((7, 8, 8, 1), np.uint8), [""] * 7),
}


@cache
def drawn(name: str) -> Drawing:
    return DRAWN[name]()


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_a_png_that_says_its_size(name):
    png = drawn(name).png
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert css_width(png) == pytest.approx(image.width * 96 / PIXELS_PER_INCH, abs=1)
        assert len(np.unique(np.asarray(image.convert("L")))) > 1


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_takes_its_colours_from_the_page_and_brings_no_style_or_text(name):
    svg = drawn(name).svg
    root = ElementTree.fromstring(svg)
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds <= {"svg", "g", "defs", "path", "use", "clipPath", "rect", "image"}
    styles = " ".join(element.get("style", "") for element in root.iter())
    assert not set(re.findall("#[0-9a-f]{6}", styles)) - {ON_CELL}
    assert set(re.findall(r"var\(--figure-([a-z]+)\)", styles)) <= set(COLOURS)
    assert "var(--figure-ink)" in styles or name in ("heat maps", "planes")
    assert all(address.startswith(("#", "data:image/png;base64,iVBOR")) for address in addresses(root))


def addresses(root):
    """What elements refer to."""
    return [value for element in root.iter() for key, value in element.attrib.items() if key.endswith("href")]


def test_drawing_leaves_no_setting_behind():
    before = dict(mpl.rcParams)
    assert figures.roc_figure({"x": CURVE}).png
    assert dict(mpl.rcParams) == before


def test_pixels_are_drawn_once_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    kinds: list[str] = []
    save = MatplotlibFigure.savefig
    monkeypatch.setattr(
        MatplotlibFigure, "savefig", lambda *words, **more: kinds.append(more["format"]) or save(*words, **more)
    )
    drawing = figures.roc_figure({"x": CURVE})
    assert kinds == ["svg"]
    assert drawing.png == drawing.png
    assert kinds == ["svg", "png"]


def test_a_confusion_matrix_is_darkest_where_the_share_is_largest():
    counts = np.array([[9, 1], [5, 5]])
    with Image.open(io.BytesIO(figures.confusion_figure(counts, ["a", "b"]).png)) as image:
        gray = np.asarray(image.convert("L"), float)
    middle_of_9, middle_of_1 = gray[60:120, 130:200].mean(), gray[60:120, 330:400].mean()
    assert middle_of_9 < middle_of_1
