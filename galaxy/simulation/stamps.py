"""Small sources added to a pixel grid: points and elliptical exponential blobs, before the seeing is applied.

The grid is (3, height, width) float32, bands g, r, i; positions are in pixels, integers at pixel centres.
Light beyond the grid is dropped.
"""

import numpy as np


def add_points(sampled: np.ndarray, columns: np.ndarray, lines: np.ndarray, flux: np.ndarray) -> None:
    """Add point sources, each shared among the sixteen pixels around it; flux is (n, 3).

    Cubic weights (Keys 1981) preserve position and width: linear ones would blur by up to half a pixel.
    """
    first_x, first_y = np.floor(columns).astype(int) - 1, np.floor(lines).astype(int) - 1
    for down in range(4):
        for right in range(4):
            share = _cubic(lines - first_y - down) * _cubic(columns - first_x - right)
            x, y = first_x + right, first_y + down
            is_inside = (x >= 0) & (x < sampled.shape[2]) & (y >= 0) & (y < sampled.shape[1])
            for band in range(3):
                np.add.at(sampled[band], (y[is_inside], x[is_inside]), (share * flux[:, band])[is_inside])


def _cubic(distance: np.ndarray) -> np.ndarray:
    far = np.abs(distance)
    near = 1 - 2.5 * far**2 + 1.5 * far**3
    return np.where(far < 1, near, 2 - 4 * far + 2.5 * far**2 - 0.5 * far**3)


def add_blob(
    sampled: np.ndarray, centre: tuple[float, float], flux: np.ndarray, size_px: float, shape: tuple[float, float]
) -> None:
    """Add an exponential disc of scale length `size_px`, drawn out to six scale lengths.

    Parameters
    ----------
    sampled : (3, height, width) float32
        Changed in place.
    centre : column and line, pixels
    flux : (3,)
    shape : axis ratio and position angle in radians
    """
    column, line = centre
    ratio, angle_rad = shape
    reach = int(6 * size_px) + 2
    first_y, first_x = int(line) - reach, int(column) - reach
    if first_y + 2 * reach < 0 or first_x + 2 * reach < 0:
        return
    lines, columns = slice(max(first_y, 0), first_y + 2 * reach + 1), slice(max(first_x, 0), first_x + 2 * reach + 1)
    window = sampled[:, lines, columns]
    y = np.arange(window.shape[1], dtype=np.float32)[:, None] + (lines.start - line)
    x = np.arange(window.shape[2], dtype=np.float32)[None, :] + (columns.start - column)
    along = x * np.cos(angle_rad) + y * np.sin(angle_rad)
    across = (y * np.cos(angle_rad) - x * np.sin(angle_rad)) / ratio
    light = np.exp(-np.sqrt(along**2 + across**2 + 0.05) / size_px)
    window += flux[:, None, None].astype(np.float32) * (light / (2 * np.pi * size_px**2 * ratio)).astype(np.float32)
