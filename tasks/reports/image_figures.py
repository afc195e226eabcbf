"""Figures of images: strips, titled rows, and images under their heat maps."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from tasks.reports.canvas import canvas
from tasks.reports.colours import BLUE, VERMILION
from tasks.reports.drawing import Drawing

OPACITY = 0.6
"""Of the largest value of a heat map."""


def image_rows(rows: Mapping[str, tuple[NDArray, Sequence[str]]]) -> Drawing:
    """Draw a row of images for each title: images (n, height, width, 1 or 3) uint8, and their captions."""
    columns = max(len(captions) for _, captions in rows.values())
    with canvas(1.45 * columns + 1.2, 1.9 * len(rows)) as (figure, finish):
        panels = figure.subplots(len(rows), columns, squeeze=False)
        for line, (title, (images, captions)) in zip(panels, rows.items(), strict=True):
            for axes in line:
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            for axes, image, caption in zip(line, images, captions, strict=False):
                axes.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray")
                axes.set_xlabel(caption, fontsize=7)
            line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8.5)
        return finish()


def heat_map_strip(images: NDArray, maps: NDArray, captions: Sequence[str]) -> Drawing:
    """Draw images (n, height, width, 1 or 3) uint8, each above itself under its map.

    Parameters
    ----------
    images : (n, height, width, 1 or 3) uint8
    maps : (n, height, width)
        Each scaled to its own largest magnitude; positive orange, negative blue, 0 transparent.
    captions : (n,) str
    """
    columns = min(6, len(images))
    lines = -(-len(images) // columns)
    positive, negative = (np.array(mpl.colors.to_rgb(color)) for color in (VERMILION, BLUE))
    with canvas(1.55 * columns, 3.75 * lines) as (figure, finish):
        panels = figure.subplots(2 * lines, columns, squeeze=False)
        for axes in panels.ravel():
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for number, (image, heat, caption) in enumerate(zip(images, maps, captions, strict=True)):
            line, column = divmod(number, columns)
            gray = image.mean(axis=-1, keepdims=True) / 255
            strength = (np.abs(heat) / max(float(np.abs(heat).max()), 1e-12))[..., None]
            color = np.where(heat[..., None] > 0, positive, negative)
            panels[2 * line, column].imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray")
            panels[2 * line + 1, column].imshow(gray * (1 - OPACITY * strength) + OPACITY * strength * color)
            panels[2 * line + 1, column].set_xlabel(caption, fontsize=7)
        return finish()


def image_strip(images: NDArray, captions: Sequence[str], columns: int = 6) -> Drawing:
    """Draw images, (n, height, width, 1 or 3) uint8, in rows, each above its caption."""
    lines = -(-len(images) // columns)
    caption_lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    with canvas(1.55 * columns, (1.6 + 0.17 * caption_lines) * lines) as (figure, finish):
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in panels:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, image, caption in zip(panels, images, captions, strict=False):
            axes.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray")
            axes.set_xlabel(caption, fontsize=7.5)
        return finish()
