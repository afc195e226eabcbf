"""The point-spread function of a frame, measured on its own stars and varying over the chip.

A star's stamp samples one band-limited function. In Fourier space each frequency of a stamp is a sum over that
frequency and its aliases, shifted in phase by the star's sub-pixel position, so that one small linear fit per frequency
recovers the function beyond the pixels' own resolution (Lauer 1999, PASP 111, 227, here with a polynomial of the chip
position). Drawing evaluates the same sum and is exact at every sub-pixel position.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft
from scipy.spatial import cKDTree

from realbogus.frames import Frame, Mask
from realbogus.psf.kernels import polynomial_terms
from realbogus.psf.model import (
    Psf,
    PsfError,
    PsfModel,
    add_stamps,
    constant_psf,
    cut_stamps,
    find_pixels,
    make_disc,
    measure_fwhm,
    shift_phases,
    to_stamps,
)
from realbogus.psf.stars import Stars, find_stars

__all__ = ["Psf", "PsfError", "PsfModel", "Stars", "constant_psf", "find_stars", "measure_psf", "select_spread"]

LEAST_STARS = 12
_STARS_FOR_ORDER = {1: 24, 2: 60}
_MOST_STARS = 300
_CELLS = (3, 5)  # rows and columns of the chip from which the brightest stars are taken in turn
_LEAST_SNR = 15.0
_RADIUS_FWHM = 4.0
_CORE_FWHM = 1.2  # radius within which a source's flux is fitted, in FWHM
_RADIUS_PX = (8, 25)
_JACKKNIFE_GROUPS = 10
_CLIP_SIGMA = 4.0
_MODEL_ERROR = 0.03  # relative, allowed before a pixel is attributed to another source
_MOST_FOREIGN = 0.1  # fraction of a star's core that may be attributed to other sources
_LEVEL_STEP = 3  # pixels
_STAR_ERROR = 0.002  # relative, so that one very bright star does not dominate the fit


def measure_psf(frame: Frame, stars: Stars | None = None) -> PsfModel:
    """Measure the point-spread function of a frame.

    Parameters
    ----------
    frame : Frame
    stars : Stars or None
        Of this frame; detected when None.

    Raises
    ------
    PsfError
        Fewer than 12 stars are usable, or the fitted FWHM is implausible.
    ExtractionError
        The frame is too crowded.
    """
    stars = find_stars(frame) if stars is None else stars
    try:
        return _measure(frame, stars)
    except np.linalg.LinAlgError as error:
        raise PsfError(f"the stars give no PSF ({error}): check the frame's gain and variance") from error


def _measure(frame: Frame, stars: Stars) -> PsfModel:
    """Select the stars, fit the model to them, and fit it again without their neighbours."""
    usable = stars.star_like & stars.isolated & ~stars.saturated & (stars.snr > _LEAST_SNR)
    if usable.sum() < LEAST_STARS:
        raise PsfError(_too_few_stars(int(usable.sum()), len(stars)))
    radius = int(np.clip(np.ceil(_RADIUS_FWHM * np.median(stars.fwhm[usable])), *_RADIUS_PX))
    core_px = int(np.ceil(_CORE_FWHM * np.median(stars.fwhm[usable])))
    psf_stars = select_spread(stars.take(usable), frame.shape, core_px, _MOST_STARS)
    signal = frame.signal()
    samples = _cut_samples(frame, signal, psf_stars, 2 * radius + 1)
    if len(samples.x) < LEAST_STARS:
        raise PsfError(_too_few_stars(len(samples.x), len(stars)))
    order = max((order for order, least in _STARS_FOR_ORDER.items() if len(samples.x) >= least), default=0)
    model = _solve(samples, order, frame.shape, float(np.median(psf_stars.fwhm)))
    samples = _remove_neighbours(samples, stars, model, signal, frame.mask)
    for _ in range(2):
        samples = _refine(samples, model)
        if len(samples.x) < LEAST_STARS:
            raise PsfError(_too_few_stars(len(samples.x), len(stars)))
        model = _solve(samples, order, frame.shape, model.fwhm_px)
    if not 0.8 < model.fwhm_px < model.size / 2:
        raise PsfError(f"the stars give a FWHM of {model.fwhm_px:.2f} px, no plausible PSF: check the frame's stars")
    return model


def select_spread(stars: Stars, shape: tuple[int, int], margin_px: int, most: int) -> Stars:
    """Return up to `most` stars at least `margin_px` inside of a frame of this shape, spread evenly over the chip.

    The brightest star of each of 15 cells comes first, then the second brightest of each, and so on.
    """
    inside = (stars.x > margin_px) & (stars.x < shape[1] - 1 - margin_px)
    inside &= (stars.y > margin_px) & (stars.y < shape[0] - 1 - margin_px)
    stars = stars.take(inside)
    cell = (stars.y / shape[0] * _CELLS[0]).astype(int) * _CELLS[1] + (stars.x / shape[1] * _CELLS[1]).astype(int)
    order = np.argsort(-stars.flux, kind="stable")
    rank = np.empty(len(stars), int)
    for number in np.unique(cell):
        in_cell = order[cell[order] == number]
        rank[in_cell] = np.arange(len(in_cell))
    return stars.take(np.sort(np.lexsort((-stars.flux, rank))[:most]))


def _too_few_stars(usable: int, sources: int) -> str:
    return (
        f"{usable} usable stars (single, unsaturated, S/N above {_LEAST_SNR:g}) of {sources} sources, "
        f"{LEAST_STARS} are needed to measure the PSF: give a deeper frame or a PSF of its own"
    )


@dataclass(frozen=True)
class _Samples:
    """Stamps of stars: positions, fluxes, (n,); counts, filled counts, variances, missing pixels, (n, size, size)."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    counts: np.ndarray
    filled: np.ndarray
    variance: np.ndarray
    missing: np.ndarray


def _cut_samples(frame: Frame, signal: np.ndarray, stars: Stars, size: int) -> _Samples:
    """Cut the stamps of stars without masked pixels in the core, without saturated pixels, and of positive flux.

    Masked pixels outside of the core, and pixels beyond the frame, are missing.
    """
    radius = size // 2
    x, y = stars.x + radius, stars.y + radius
    masked = cut_stamps(np.pad(frame.mask, radius, constant_values=int(Mask.NO_DATA)), x, y, size)
    counts = cut_stamps(np.pad(signal, radius), x, y, size).astype(float)
    sky = cut_stamps(np.pad(frame.background_rms, radius, mode="edge"), x, y, size).astype(float) ** 2
    core = make_disc(size, float(np.median(stars.fwhm)) if len(stars) else 1.0)
    flux = (counts * core).sum(axis=(1, 2))
    disqualifying = ((masked > 0) & core) | ((masked & Mask.SATURATED) > 0)
    good = (flux > 0) & ~disqualifying.any(axis=(1, 2))
    counts, flux, missing = counts[good], flux[good], masked[good] > 0
    variance = sky[good] + np.maximum(counts, 0) / frame.gain_e_per_count
    filled = _fill_by_median(counts, flux, variance, missing, core) if good.any() else counts
    return _Samples(stars.x[good], stars.y[good], flux, counts, filled, variance, missing)


def _fill_by_median(
    counts: np.ndarray, flux: np.ndarray, variance: np.ndarray, missing: np.ndarray, core: np.ndarray
) -> np.ndarray:
    """Return the stamps with missing pixels, and other sources outside of the core, replaced by the median star.

    The median is over the stars' stamps scaled to unit flux.
    """
    ordered = np.sort(np.where(missing, np.nan, counts / flux[:, None, None]), axis=0)  # a sort puts NaN last
    count = (~missing).sum(axis=0)
    middle = [np.take_along_axis(ordered, (np.maximum(count - last, 0) // 2)[None], 0)[0] for last in (1, 0)]
    typical = np.where(count > 0, sum(middle) / 2, 0) * flux[:, None, None]
    foreign = (counts - typical > _CLIP_SIGMA * np.sqrt(variance) + 0.5 * np.abs(typical)) & ~core
    return np.where(foreign | missing, typical, counts)


def _remove_neighbours(
    samples: _Samples, stars: Stars, model: PsfModel, signal: np.ndarray, mask: np.ndarray
) -> _Samples:
    """Subtract the frame's other sources from the stamps, each drawn as a star of the flux measured in its core.

    The median of the source-subtracted frame is subtracted too: the mesh background keeps part of the stars' wings.
    """
    reach = int(np.ceil(_CORE_FWHM * model.fwhm_px))
    core = slice(model.size // 2 - reach, model.size // 2 + reach + 1)
    stamps = model.at(stars.x, stars.y)
    masked = (mask & (Mask.NO_DATA | Mask.DEFECT)) > 0
    counts, is_usable = (
        cut_stamps(np.pad(image, reach), stars.x + reach, stars.y + reach, 2 * reach + 1) for image in (signal, ~masked)
    )
    profile = stamps[:, core, core] * is_usable
    power = np.maximum(np.square(profile).sum(axis=(1, 2)), np.finfo(np.float32).tiny)
    flux = np.maximum((profile * counts).sum(axis=(1, 2)) / power, 0)
    light = add_stamps(stamps * flux[:, None, None], stars.x, stars.y, signal.shape)
    own = cKDTree(np.column_stack([stars.x, stars.y])).query(np.column_stack([samples.x, samples.y]))[1]
    radius = model.size // 2
    drawn = cut_stamps(np.pad(light, radius), samples.x + radius, samples.y + radius, model.size)
    others = drawn - flux[own, None, None] * stamps[own]
    sparse = np.s_[::_LEVEL_STEP, ::_LEVEL_STEP]
    level = np.median((signal - light)[sparse][~masked[sparse]])
    return replace(samples, counts=samples.counts - others - level, flux=flux[own].astype(float))


def _refine(samples: _Samples, model: PsfModel) -> _Samples:
    """Fit each star's position and flux with the model, fill missing and foreign pixels from it, drop poor stars."""
    design = _differentiate(model, samples)
    core = make_disc(model.size, _CORE_FWHM * model.fwhm_px)
    fitted = _fit_linearly(design, samples.counts, (core & ~samples.missing) / samples.variance)
    predicted = np.einsum("ni,niyx->nyx", fitted, design)
    residual = samples.counts - predicted
    foreign = residual**2 > _CLIP_SIGMA**2 * (samples.variance + (_MODEL_ERROR * predicted) ** 2)
    foreign |= samples.missing
    flux, across, up = fitted[:, 0], fitted[:, 1] / fitted[:, 0], fitted[:, 2] / fitted[:, 0]
    good = (flux > 0) & (np.hypot(across, up) < 0.5) & ((foreign & core).sum(axis=(1, 2)) <= _MOST_FOREIGN * core.sum())
    if not good.any():
        raise PsfError(f"none of {len(good)} stars resembles their mean: check the frame's stars")
    x = _move(samples.x, across - np.median(across[good]))  # the windowed centroids define the model's centre
    y = _move(samples.y, up - np.median(up[good]))
    filled = np.where(foreign, predicted, samples.counts)
    rest = samples.counts, filled, samples.variance, samples.missing
    return _Samples(x[good], y[good], flux[good], *(stamps[good] for stamps in rest))


def _differentiate(model: PsfModel, samples: _Samples) -> np.ndarray:
    """Return the stars' images of unit flux and their derivatives in x and y, (n, 3, size, size)."""
    transform = model.transform(samples.x, samples.y)
    wave_y, wave_x = fft.fftfreq(model.size) * 2j * np.pi, fft.rfftfreq(model.size) * 2j * np.pi
    return np.stack([to_stamps(part) for part in (transform, -transform * wave_x, -transform * wave_y[:, None])], 1)


def _fit_linearly(design: np.ndarray, counts: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weighted least-squares coefficients, (n, unknowns), of the images of `design` in each stamp."""
    columns = design.reshape(*design.shape[:2], -1)
    weighted = columns * weight.reshape(len(weight), 1, -1)
    right = weighted @ counts.reshape(len(counts), -1, 1)
    return np.linalg.solve(weighted @ columns.swapaxes(1, 2), right)[..., 0]


def _move(position: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Shift positions, (n,), where they stay within the pixel that the stamp is centred on."""
    return np.where(find_pixels(position + shift) == find_pixels(position), position + shift, position)


def _solve(samples: _Samples, order: int, shape: tuple[int, int], fwhm: float) -> PsfModel:
    """Fit the model to all stars' stamps, and again without each jackknife group."""
    size = samples.counts.shape[-1]
    spectrum = fft.rfft2(fft.ifftshift(samples.filled / samples.flux[:, None, None], axes=(1, 2)))
    along_y, along_x, base_y, base_x = shift_phases(samples.x, samples.y, size)
    spectrum = spectrum / (base_y[:, :, None] * base_x[:, None, :])
    noise = samples.variance.mean(axis=(1, 2)) / samples.flux**2 + (_STAR_ERROR / size) ** 2
    weight = 1 / (noise * size**2)
    terms = polynomial_terms(samples.x, samples.y, shape, order)
    penalty = _penalise(size, fwhm, terms.shape[1])
    groups = np.arange(len(samples.x)) % _JACKKNIFE_GROUPS
    coefficients = np.zeros((1 + _JACKKNIFE_GROUPS, terms.shape[1] + 3, size, size // 2 + 1), complex)
    frequencies = fft.fftfreq(size)
    for rows in (frequencies >= 0, frequencies < 0):
        first = np.flatnonzero(rows)[-1]
        shifts = np.stack([along_y[:, first], along_x, along_y[:, first] * along_x], axis=1)
        design = np.concatenate([terms, shifts], axis=1)
        normal, right = [], []
        for group in range(_JACKKNIFE_GROUPS):
            in_group = groups == group
            weighted = (design[in_group] * weight[in_group, None]).conj().T
            normal.append(weighted @ design[in_group])
            right.append(np.tensordot(weighted, spectrum[in_group][:, rows], 1))
        total = sum(normal), sum(right)
        sets = [total] + [(total[0] - normal[g], total[1] - right[g]) for g in range(_JACKKNIFE_GROUPS)]
        for number, (matrix, vector) in enumerate(sets):
            # (frequencies, unknowns, unknowns): the same matrix except for the penalty
            stiff = matrix + np.moveaxis(penalty[:, rows], 0, -1)[..., None] * np.eye(len(matrix))
            solved = np.linalg.solve(stiff, np.moveaxis(vector, 0, -1)[..., None])[..., 0]
            coefficients[number][:, rows] = np.moveaxis(solved, -1, 0)
    return _build(coefficients, order, shape, len(samples.x))


def _build(coefficients: np.ndarray, order: int, shape: tuple[int, int], stars: int) -> PsfModel:
    size = coefficients.shape[2]
    spectra = np.stack([_normalise(realisation[:-3]) for realisation in coefficients])
    spread = spectra[0] + np.sqrt(_JACKKNIFE_GROUPS - 1) * (spectra[1:] - spectra[0])
    model = PsfModel(spectra[0], coefficients[0][-3:], order, shape, size, size / 2, 0.0, stars, spread)
    return replace(model, fwhm_px=measure_fwhm(model))


def _normalise(spectra: np.ndarray) -> np.ndarray:
    """Normalise the PSF, (terms, size, size // 2 + 1), to a sum of 1 within the radius at every position.

    The sum of the constant term is then 1, that of the others 0.
    """
    sums = (to_stamps(spectra) * make_disc(spectra.shape[1], spectra.shape[1] / 2)).sum(axis=(1, 2))
    if not sums[0] > 0:
        raise PsfError(f"the stars' mean light within the PSF's radius is {sums[0]:.3g}, expected about 1")
    normalised = spectra / sums[0]
    normalised[1:] -= (sums[1:] / sums[0])[:, None, None] * normalised[0]
    return normalised


def _penalise(size: int, fwhm: float, terms: int) -> np.ndarray:
    """Return the inverse of each coefficient's expected variance, (terms + 3, size, size // 2 + 1).

    The expectation is the transfer function T of seeing with three quarters of the FWHM (Kolmogorov, exponent 5/3), so
    that frequencies that the seeing suppresses do not fit noise. A varying FWHM changes T by T ln T, which vanishes at
    the lowest frequencies, where the light of neighbours would be fitted. The constant term is not penalised.
    """
    wave_y, wave_x = np.abs(fft.fftfreq(size))[:, None], fft.rfftfreq(size)
    transfers = [
        np.exp(-3.44 * (np.hypot(up, across) * 0.75 * fwhm / 0.976) ** (5 / 3))
        for up, across in ((wave_y, wave_x), (1 - wave_y, wave_x), (wave_y, 1 - wave_x), (1 - wave_y, 1 - wave_x))
    ]
    free = np.zeros((1, size, size // 2 + 1))
    bending = 0.3 * transfers[0] * np.minimum(-np.log(np.maximum(transfers[0], 1e-30)), 1)
    varying = np.repeat([bending], terms - 1, axis=0).reshape(-1, size, size // 2 + 1)
    expected = np.maximum(np.concatenate([varying, np.stack(transfers[1:])]), 1e-9)
    return np.concatenate([free, 1 / expected**2])
