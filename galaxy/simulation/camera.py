"""A camera on the synthetic sky: the galaxies and faint sources of a field, and its picture.

Everything follows from the sky's seed and the position: the same request gives the same picture, alone or in any
order.
"""

import numpy as np
from scipy.spatial import cKDTree

from galaxy.catalogue.positions import chord, unit_vectors
from galaxy.images.footprint import inside_footprint
from galaxy.simulation.rendering import Sources, render
from galaxy.simulation.synthetic_sky import synthetic_sky

_CELL_ARCMIN = 1.0  # faint sources are drawn cell by cell
_STARS_PER_CELL, _GALAXIES_PER_CELL = 1.6, 5.0  # per square arcmin, to the limits below, at high latitude
_BRIGHTEST_STAR_MAG, _FAINTEST_MAG = 14.0, 22.6
_MOST_CELLS = 400  # wider fields show only the catalogue's galaxies
_REACH_R90 = 3.0  # radius within which a catalogue galaxy contributes light


class SkyCamera:
    """Takes pictures of one synthetic sky.

    Parameters
    ----------
    count : int
        Number of galaxies of the sky.
    seed : int
    """

    def __init__(self, count: int, seed: int) -> None:
        truth = synthetic_sky(count, seed).truth
        self._seed = seed
        self._columns = {name: truth[name].to_numpy(zero_copy_only=False) for name in truth.column_names}
        ra, dec = self._columns["ra_deg"], self._columns["dec_deg"]
        self._tree = cKDTree(unit_vectors(ra, dec))
        self._largest_r90_arcsec = float(self._columns["r90_arcsec"].max(initial=0.0))

    def picture(
        self, ra_deg: float, dec_deg: float, scale_arcsec_per_px: float, width_px: int, height_px: int
    ) -> np.ndarray | None:
        """Return the field's picture, (height_px, width_px, 3) uint8; None outside the survey's footprint."""
        if not inside_footprint(np.array(ra_deg), np.array(dec_deg)):
            return None
        half_arcsec = scale_arcsec_per_px * max(width_px, height_px) / 2
        galaxies = self._galaxies_within(ra_deg, dec_deg, half_arcsec)
        sources = self._sources_within(ra_deg, dec_deg, half_arcsec)
        place = [round(ra_deg * 3.6e5), round((dec_deg + 90) * 3.6e5), round(scale_arcsec_per_px * 1e5)]
        rng = np.random.default_rng([self._seed, *place, width_px, height_px])
        return render(galaxies, ra_deg, dec_deg, scale_arcsec_per_px, width_px, height_px, rng, sources)

    def _galaxies_within(self, ra_deg: float, dec_deg: float, half_arcsec: float) -> list[dict[str, object]]:
        """Return the rows of the truth table that contribute light to the field, the nearest first."""
        reach = half_arcsec * np.sqrt(2) + _REACH_R90 * self._largest_r90_arcsec
        centre = unit_vectors(np.array([ra_deg]), np.array([dec_deg]))[0]
        rows = np.array(self._tree.query_ball_point(centre, chord(min(reach, 3e5))), int)
        distance = np.linalg.norm(self._tree.data[rows] - centre, axis=1) * 206264.8
        shining = distance < half_arcsec * np.sqrt(2) + _REACH_R90 * self._columns["r90_arcsec"][rows]
        order = np.argsort(distance[shining], kind="stable")
        return [{name: values[row] for name, values in self._columns.items()} for row in rows[shining][order]]

    def _sources_within(self, ra_deg: float, dec_deg: float, half_arcsec: float) -> Sources | None:
        half_deg = (half_arcsec + 10) / 3600
        side_deg = _CELL_ARCMIN / 60
        low, high = (int(np.floor((dec_deg + sign * half_deg + 90) / side_deg)) for sign in (-1, 1))
        if (high - low + 1) ** 2 > _MOST_CELLS:
            return None
        drawn = []
        for line in range(low, high + 1):
            width_deg = side_deg / max(np.cos(np.radians(line * side_deg - 90)), 0.01)
            west, east = (
                int(np.floor((ra_deg + sign * half_deg * width_deg / side_deg) / width_deg)) for sign in (-1, 1)
            )
            cells = int(360 / width_deg)
            drawn += [_draw_cell(self._seed, line, cell % cells, side_deg, width_deg) for cell in range(west, east + 1)]
        stacked = np.concatenate(drawn, axis=1)
        return Sources(stacked[0], stacked[1], stacked[2:5].T, stacked[5], stacked[6], stacked[7])


def _draw_cell(seed: int, line: int, cell: int, side_deg: float, width_deg: float) -> np.ndarray:
    """Draw the stars and faint galaxies of one cell: rows as the fields of `Sources`, flux in three."""
    rng = np.random.default_rng([seed, 7, line, cell])
    stars, galaxies = rng.poisson(_STARS_PER_CELL), rng.poisson(_GALAXIES_PER_CELL)
    count = stars + galaxies
    star = np.arange(count) < stars
    ra = (cell + rng.random(count)) * width_deg % 360
    dec = (line + rng.random(count)) * side_deg - 90
    # Counts rise by 10^(0.16 m) for stars, 10^(0.35 m) for galaxies.
    depth = rng.random(count)
    magnitude = _FAINTEST_MAG + np.log10(np.maximum(depth, 1e-5)) / np.where(star, 0.16, 0.35)
    magnitude = np.maximum(magnitude, np.where(star, _BRIGHTEST_STAR_MAG, 17.5))
    g_r = np.where(
        star, rng.choice([0.35, 0.6, 1.35], count) + rng.normal(0, 0.12, count), rng.normal(0.85, 0.35, count)
    )
    r_i = np.where(star & (g_r > 1.1), rng.uniform(0.5, 1.6, count), 0.2 + 0.3 * g_r)
    flux = 10 ** ((22.5 - np.stack([magnitude + g_r, magnitude, magnitude - r_i])) / 2.5)
    size = np.where(star, 0.0, 0.55 * 10 ** (0.12 * (20.5 - magnitude)) * rng.lognormal(0, 0.25, count))
    ratio, angle = rng.uniform(0.3, 1.0, count), rng.uniform(0, np.pi, count)
    return np.stack([ra, dec, *flux, size, ratio, angle])
