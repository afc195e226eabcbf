"""Small sources put onto a pixel grid: points and round-about exponential blobs, before the seeing is applied.

The grid is (3, height, width) float32, bands g, r, i; places are pixels, a pixel's centre having whole numbers.
What lies off the grid is left out.
"""

import numpy as np


def add_points(sampled: np.ndarray, columns: np.ndarray, lines: np.ndarray, flux: np.ndarray) -> None:
    """Add point sources, each shared among the sixteen pixels around it; flux is (n, 3).

    Cubic shares (Keys 1981) keep place and width: linear ones would blur by up to half a pixel.
    """
    left, top = np.floor(columns).astype(int) - 1, np.floor(lines).astype(int) - 1
    for down in range(4):
        for right in range(4):
            share = _cubic(lines - top - down) * _cubic(columns - left - right)
            x, y = left + right, top + down
            kept = (x >= 0) & (x < sampled.shape[2]) & (y >= 0) & (y < sampled.shape[1])
            for band in range(3):
                np.add.at(sampled[band], (y[kept], x[kept]), (share * flux[:, band])[kept])


def _cubic(distance: np.ndarray) -> np.ndarray:
    far = np.abs(distance)
    near = 1 - 2.5 * far**2 + 1.5 * far**3
    return np.where(far < 1, near, 2 - 4 * far + 2.5 * far**2 - 0.5 * far**3)


def add_blob(
    sampled: np.ndarray, column: float, line: float, flux: np.ndarray, size_px: float, ratio: float, angle_rad: float
) -> None:
    """Add an exponential disc of scale length `size_px`, drawn out to six of them."""
    reach = int(6 * size_px) + 2
    top, left = int(line) - reach, int(column) - reach
    if top + 2 * reach < 0 or left + 2 * reach < 0:
        return
    lines, columns = slice(max(top, 0), top + 2 * reach + 1), slice(max(left, 0), left + 2 * reach + 1)
    window = sampled[:, lines, columns]
    y = np.arange(window.shape[1], dtype=np.float32)[:, None] + (lines.start - line)
    x = np.arange(window.shape[2], dtype=np.float32)[None, :] + (columns.start - column)
    along = x * np.cos(angle_rad) + y * np.sin(angle_rad)
    across = (y * np.cos(angle_rad) - x * np.sin(angle_rad)) / ratio
    light = np.exp(-np.sqrt(along**2 + across**2 + 0.05) / size_px)
    window += flux[:, None, None].astype(np.float32) * (light / (2 * np.pi * size_px**2 * ratio)).astype(np.float32)
