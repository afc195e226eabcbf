"""Sources of a frame that can brighten, and which of them an injection lies on: variable stars and active nuclei.

An injection on a source adds light at the source's own position, as if it were brighter than in the reference. Its flux
is drawn by the law of all injections; the source is drawn by the density of the amplitude that this flux would mean.
"""

from dataclasses import dataclass

import numpy as np

from realbogus.frames import Frame, Mask
from realbogus.psf.measure import PsfModel, Stars
from realbogus.stamps import cut_plane

AMPLITUDE_MAG = (0.05, 1.0)
"""Least and greatest brightening, magnitudes."""
_MEDIAN_AMPLITUDE_MAG, _AMPLITUDE_SCATTER = 0.3, 0.8
_NUCLEAR_SHARE = 0.35
_NUCLEUS_PX = 1.5  # a detected source this close to a galaxy's centre is its nucleus


@dataclass(frozen=True)
class VariableSources:
    """Sources that can brighten; all arrays are (n,).

    Attributes
    ----------
    x, y : ndarray, pixels
    flux_counts : ndarray
        Of a point source fitted at the position.
    is_nucleus : ndarray of bool
        Whether it is the centre of a catalogued galaxy, not a star.
    """

    x: np.ndarray
    y: np.ndarray
    flux_counts: np.ndarray
    is_nucleus: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> "VariableSources":
        """Return the sources at `rows`: indices, or flags of shape (n,)."""
        return VariableSources(self.x[rows], self.y[rows], self.flux_counts[rows], self.is_nucleus[rows])


def find_variable_sources(
    frame: Frame, psf: PsfModel, stars: Stars, nuclei: tuple[np.ndarray, np.ndarray]
) -> VariableSources:
    """Return the unsaturated stars of a frame and the nuclei of its catalogued galaxies.

    Parameters
    ----------
    frame : Frame
    psf : PsfModel
        The frame's measured PSF.
    stars : Stars
        All sources that were detected in it.
    nuclei : (x, y)
        Centres of the galaxies inside the frame, (n,) pixels each.
    """
    usable = stars.star_like & ~stars.saturated
    if len(nuclei[0]) and len(stars):
        apart = np.hypot(stars.x[:, None] - nuclei[0], stars.y[:, None] - nuclei[1]).min(axis=1)
        usable &= apart > _NUCLEUS_PX
    x = np.concatenate([stars.x[usable], nuclei[0]])
    y = np.concatenate([stars.y[usable], nuclei[1]])
    flux, is_whole = _fit_fluxes(frame, psf, x, y)
    is_nucleus = np.arange(len(x)) >= int(usable.sum())
    return VariableSources(x, y, flux, is_nucleus).take(is_whole & (flux > 0))


def draw_variable_sources(sources: VariableSources, flux_counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the source that each of n injections lies on; no source is drawn twice.

    The amplitude that follows from the flux of source and injection, ``2.5 log10(1 + injection / source)``, is
    log-normal and within `AMPLITUDE_MAG`; about a third are nuclei.

    Parameters
    ----------
    sources : VariableSources
    flux_counts : ndarray of shape (n,)
        Of the injections.
    rng : Generator

    Returns
    -------
    ndarray of int, shape (n,)
        Number of the source, -1 where none has a possible amplitude.
    """
    drawn = np.full(len(flux_counts), -1)
    is_free = np.ones(len(sources), bool)
    for number, flux in enumerate(flux_counts.tolist()):
        weight = _amplitude_density(2.5 * np.log10(1 + flux / sources.flux_counts)) * is_free
        of_nuclei, of_stars = weight[sources.is_nucleus].sum(), weight[~sources.is_nucleus].sum()
        wants_nucleus = rng.random() < _NUCLEAR_SHARE
        if of_nuclei > 0 and of_stars > 0:
            weight = weight * (sources.is_nucleus == wants_nucleus)
        if weight.sum() > 0:
            drawn[number] = rng.choice(len(sources), p=weight / weight.sum())
            is_free[drawn[number]] = False
    return drawn


def _amplitude_density(amplitude_mag: np.ndarray) -> np.ndarray:
    """Return the density of amplitudes, (n,), up to a factor: log-normal, 0 outside of `AMPLITUDE_MAG`."""
    deviation = np.log(np.maximum(amplitude_mag, 1e-9) / _MEDIAN_AMPLITUDE_MAG) / _AMPLITUDE_SCATTER
    density = np.exp(-(deviation**2) / 2) / amplitude_mag
    return np.where((amplitude_mag >= AMPLITUDE_MAG[0]) & (amplitude_mag <= AMPLITUDE_MAG[1]), density, 0.0)


def _fit_fluxes(frame: Frame, psf: PsfModel, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the flux of a point source fitted at each position, counts, and whether no core pixel is masked, (n,)."""
    if len(x) == 0:
        return np.zeros(0), np.zeros(0, bool)
    profiles = psf.at(x, y).astype(float)
    core = profiles >= 0.1 * profiles.max(axis=(1, 2), keepdims=True)
    signal = np.nan_to_num(cut_plane(frame.signal(), x, y, psf.size))
    bad = np.nan_to_num(cut_plane((frame.mask & (Mask.NO_DATA | Mask.SATURATED)) > 0, x, y, psf.size), nan=1.0) > 0
    weighted = profiles * core
    flux = (weighted * signal).sum(axis=(1, 2)) / (weighted * profiles).sum(axis=(1, 2))
    return flux, ~(bad & core).any(axis=(1, 2))
