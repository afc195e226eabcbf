"""Engines other than the fitted kernel: ZOGY, the sfft package, a precomputed difference."""

from dataclasses import replace
from typing import Literal

import numpy as np
from scipy import ndimage

from realbogus.frames import Pair
from realbogus.psf.measure import PsfModel, constant_psf, select_spread
from realbogus.psf.model import cut_stamps
from realbogus.psf.stars import Stars
from realbogus.subtraction.difference import Difference, SubtractionError
from realbogus.subtraction.fit_inputs import blank, find_empty, find_unusable, make_fit_image
from realbogus.subtraction.sfft_engine import subtract_with_sfft
from realbogus.subtraction.significance import NoiseSource, estimate_variance, measure_significance
from realbogus.subtraction.zogy import KnownImage, subtract_properly

_LEAST_COMMON_STARS = 5
_SFFT_STAMP_FWHM = 3.0


def subtract_by_zogy(pair: Pair, stars: Stars, psf_new: PsfModel, psf_reference: PsfModel) -> Difference:
    """Subtract by ZOGY, with the PSFs of the chip's middle; the scale is measured on the stars of the new frame."""
    size = min(psf_new.size, psf_reference.size)
    stamps = [_cut_middle(psf, size) for psf in (psf_new, psf_reference)]
    scale = _measure_scale(pair, stars, psf_new, psf_reference)
    unusable = find_unusable(pair.new) | find_unusable(pair.reference)
    signals = [np.where(unusable, np.float32(0), frame.signal()) for frame in (pair.new, pair.reference)]
    images = [
        KnownImage(
            signal=signal,
            variance=estimate_variance(frame, signal, unusable),
            stamp=stamp,
            sky_rms=float(np.median(frame.background_rms[~unusable])),
        )
        for frame, signal, stamp in zip((pair.new, pair.reference), signals, stamps, strict=True)
    ]
    proper = subtract_properly(images[0], images[1], scale)
    missing = find_empty(pair.new) | find_empty(pair.reference)
    psf = constant_psf(proper.stamp, pair.new.shape)
    return Difference(
        pixels=blank(proper.pixels, missing),
        snr=blank(proper.snr, unusable),
        flux_error=proper.flux_error,
        mask=pair.new.mask | pair.reference.mask,
        psf=psf,
        fwhm_px=psf.fwhm_px,
        matched_new=proper.new_part,
        matched_reference=proper.reference_part,
        background=np.zeros(pair.new.shape, np.float32),
        convolved="both",
        scale=scale,
        kernel=None,
        fit=None,
        pair=pair,
    )


def _cut_middle(psf: PsfModel, size: int) -> np.ndarray:
    """Return the PSF at the chip's middle, (size, size), of sum 1."""
    stamp = psf.at(np.array([psf.shape[1] // 2]), np.array([psf.shape[0] // 2]))[0]
    inside = slice(psf.size // 2 - size // 2, psf.size // 2 + size // 2 + 1)
    return stamp[inside, inside] / stamp[inside, inside].sum()


def _measure_scale(pair: Pair, stars: Stars, psf_new: PsfModel, psf_reference: PsfModel) -> float:
    """Return the flux scale, new over reference counts: the median ratio of the stars' PSF fluxes."""
    usable = stars.star_like & ~stars.saturated
    size = max(psf_new.size, psf_reference.size)
    tie_stars = select_spread(stars.take(usable), pair.new.shape, size // 2 + 1, 100)
    if len(tie_stars) < _LEAST_COMMON_STARS:
        raise SubtractionError(f"{len(tie_stars)} stars to tie the flux scales, {_LEAST_COMMON_STARS} are needed")
    fluxes = []
    for frame, psf in ((pair.new, psf_new), (pair.reference, psf_reference)):
        profile = psf.at(tie_stars.x, tie_stars.y)
        counts = cut_stamps(frame.signal(), tie_stars.x, tie_stars.y, psf.size)
        fluxes.append((profile * counts).sum(axis=(1, 2)) / np.square(profile).sum(axis=(1, 2)))
    lit = (fluxes[0] > 0) & (fluxes[1] > 0)
    if lit.sum() < _LEAST_COMMON_STARS:
        raise SubtractionError(f"{lit.sum()} stars are in both frames, {_LEAST_COMMON_STARS} are needed")
    return float(np.median(fluxes[0][lit] / fluxes[1][lit]))


def subtract_by_sfft(
    pair: Pair,
    convolved: Literal["reference", "new"],
    order: int,
    stars: Stars,
    psf_new: PsfModel,
    psf_reference: PsfModel,
) -> Difference:
    """Subtract by the sfft package, with a kernel of free pixels; the S/N image is normalised to the sky's scatter.

    `stars` are those that the kernel is fitted on, `order` is the degree of the kernel's variation over the chip.
    """
    fwhm = max(psf_new.fwhm_px, psf_reference.fwhm_px)
    new, reference = make_fit_image(pair.new, psf_new.fwhm_px), make_fit_image(pair.reference, psf_reference.fwhm_px)
    fitted = np.zeros(pair.new.shape, bool)
    fitted[np.rint(stars.y).astype(int), np.rint(stars.x).astype(int)] = True
    fitted = ndimage.maximum_filter(fitted, 2 * int(np.ceil(_SFFT_STAMP_FWHM * fwhm)) + 1)
    fitted &= ~(new.unusable | reference.unusable)
    pixels = subtract_with_sfft(new.signal, reference.signal, fitted, convolved, int(np.ceil(2 * fwhm)), order)
    if convolved == "new":
        pixels = pixels * np.float32(_measure_scale(pair, stars, psf_new, psf_reference))
        psf_new = psf_reference
    missing = find_empty(pair.new) | find_empty(pair.reference)
    return replace(adopt_difference(pair, blank(pixels, missing), psf_new), convolved=convolved)


def adopt_difference(pair: Pair, pixels: np.ndarray, psf: PsfModel) -> Difference:
    """Use a precomputed difference, shape (y, x), counts of the new frame.

    How its noise was filtered is unknown, so the S/N image is divided by its own standard deviation (from quartiles).

    Raises
    ------
    SubtractionError
        The difference has no usable pixel, or does not scatter.
    """
    pixels = blank(pixels.astype(np.float32), find_empty(pair.new) | find_empty(pair.reference))
    unusable = ~np.isfinite(pixels) | find_unusable(pair.new) | find_unusable(pair.reference)
    new, reference = (estimate_variance(frame, frame.signal(), unusable) for frame in (pair.new, pair.reference))
    sources = [NoiseSource(new, None), NoiseSource(reference, None)]
    snr, flux_error = measure_significance(blank(pixels, unusable), psf, psf.fwhm_px, sources)
    measured = snr[np.isfinite(snr)]
    low, high = np.percentile(measured, [25, 75]) if len(measured) else (0.0, 0.0)
    factor = np.float32((high - low) / 1.349)
    if not 0 < factor < np.inf:
        raise SubtractionError(
            f"the difference has {np.mean(~unusable):.1%} usable pixels and its S/N a scatter of {factor}: it must "
            f"have noise to be searched"
        )
    return Difference(
        pixels=pixels,
        snr=blank(snr / factor, ~np.isfinite(pixels)),
        flux_error=flux_error * factor,
        mask=pair.new.mask | pair.reference.mask,
        psf=psf,
        fwhm_px=psf.fwhm_px,
        matched_new=pair.new.pixels,
        matched_reference=pair.new.pixels - pair.new.background - pixels,
        background=pair.new.background,
        convolved="unknown",
        scale=1.0,
        kernel=None,
        fit=None,
        pair=pair,
    )
