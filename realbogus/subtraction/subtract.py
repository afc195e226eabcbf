"""Image subtraction: by a kernel fitted on stars, by ZOGY, by the sfft package, or as given.

The sharper of the two frames is convolved. Whatever the engine, the difference is new minus reference in the new
frame's counts, and ``matched_new - matched_reference - background - pixels = 0`` wherever there is data.
"""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from realbogus.frames import Pair
from realbogus.psf.measure import Psf, PsfModel, measure_psf, select_spread
from realbogus.psf.stars import Stars, find_stars
from realbogus.subtraction.difference import ConvolvedPsf, Difference, SubtractionError
from realbogus.subtraction.engines import adopt_difference, subtract_by_sfft, subtract_by_zogy
from realbogus.subtraction.fit_inputs import blank, find_empty, find_unusable, fit_level, read_side, spread_loss
from realbogus.subtraction.kernel_fit import fit_kernel
from realbogus.subtraction.significance import NoiseSource, measure_significance

__all__ = ["Difference", "SubtractionError", "SubtractionSettings", "subtract"]

_LEAST_USABLE = 0.05
_FEW_STARS = 10  # for a kernel
_SKY_SIGMA = 3.0  # a lower cut would sort the pixels by their own noise


class SubtractionSettings(BaseModel):
    """How a pair is subtracted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["alard-lupton", "zogy", "sfft", "precomputed"] = "alard-lupton"
    """alard-lupton fits a varying kernel on stars; zogy takes the PSFs as known; sfft is an optional package;
    precomputed takes the difference as given."""
    convolve: Literal["sharper", "reference", "new"] = "sharper"
    """Which frame is convolved; `sharper` decides by the FWHM of the two."""
    spatial_order: int = Field(default=2, ge=0, le=3)
    """Highest degree of the kernel's variation over the chip."""
    width_ratios: tuple[float, ...] = (0.7, 1.5, 3.0)
    """Widths of the kernel's Gaussians, in units of the Gaussian that lies between the two PSFs."""
    degrees: tuple[int, ...] = (4, 2, 2)
    """Degree of the polynomial on each Gaussian."""
    most_stars: int = Field(default=250, ge=10)
    """Stars that the kernel is fitted on, the brightest of each part of the chip."""
    least_snr: float = Field(default=20.0, gt=0)
    """S/N of a star in the new frame, in units of its noise."""
    clip_sigma: float = Field(default=4.0, gt=0)
    """Residual, in standard deviations, above which a star is left out as variable."""

    @model_validator(mode="after")
    def _check_widths(self) -> "SubtractionSettings":
        if len(self.width_ratios) != len(self.degrees) or not self.degrees:
            raise ValueError(f"{len(self.width_ratios)} width_ratios but {len(self.degrees)} degrees, expected as many")
        return self


def subtract(
    pair: Pair,
    settings: SubtractionSettings | None = None,
    stars: Stars | None = None,
    psf_new: PsfModel | None = None,
    psf_reference: PsfModel | None = None,
    precomputed: np.ndarray | None = None,
) -> Difference:
    """Subtract the reference of an aligned pair from its new frame.

    Parameters
    ----------
    pair : Pair
        Aligned.
    settings : SubtractionSettings or None
    stars : Stars or None
        Of the new frame; found when None. No list of injections is asked for: what changed between the frames is
        clipped from the fit by its residual.
    psf_new, psf_reference : PsfModel or None
        Measured when None.
    precomputed : ndarray, (y, x), or None
        The difference, new minus reference in the new frame's counts, NaN where there is no data; with the engine
        `precomputed` only.

    Raises
    ------
    SubtractionError
        The pair is not aligned, differs in shape, or has hardly a usable pixel; the engine and `precomputed` contradict
        each other; `sfft` is not installed.
    MatchingError, PsfError
        Too few stars.
    """
    settings = SubtractionSettings() if settings is None else settings
    _check(pair, settings, precomputed)
    stars = find_stars(pair.new) if stars is None else stars
    psf_new = measure_psf(pair.new, stars) if psf_new is None else psf_new
    if settings.engine == "precomputed":
        assert precomputed is not None
        return adopt_difference(pair, precomputed, psf_new)
    psf_reference = measure_psf(pair.reference) if psf_reference is None else psf_reference
    if settings.engine == "zogy":
        return subtract_by_zogy(pair, stars, psf_new, psf_reference)
    if settings.engine == "sfft":
        convolved = _choose_convolved(settings, psf_new, psf_reference)
        chosen = _choose_stars(stars, settings, pair.new.shape)
        return subtract_by_sfft(pair, convolved, settings.spatial_order, chosen, psf_new, psf_reference)
    return _subtract_matched(pair, settings, stars, psf_new, psf_reference)


def _check(pair: Pair, settings: SubtractionSettings, precomputed: np.ndarray | None) -> None:
    name = f"{pair.detector} visit {pair.visit}"
    if not pair.aligned:
        raise SubtractionError(f"the pair {name} is not aligned: call align first")
    if pair.new.shape != pair.reference.shape:
        raise SubtractionError(f"{name} differs in shape: new {pair.new.shape}, reference {pair.reference.shape}")
    if (settings.engine == "precomputed") != (precomputed is not None):
        raise SubtractionError(
            f"engine {settings.engine!r} {'needs a' if precomputed is None else 'takes no'} difference"
        )
    if precomputed is not None and precomputed.shape != pair.new.shape:
        raise SubtractionError(f"the difference of {name} is {precomputed.shape}, the frames {pair.new.shape}")
    for which, frame in (("new", pair.new), ("reference", pair.reference)):
        unmasked = int((np.isnan(frame.pixels) & ~find_empty(frame)).sum())
        if unmasked:
            raise SubtractionError(f"the {which} frame of {name} has {unmasked} NaN pixels that its mask calls good")
        usable = float(np.mean(~find_unusable(frame)))
        if usable < _LEAST_USABLE:
            raise SubtractionError(
                f"the {which} frame of {name} has {usable:.1%} usable pixels, {_LEAST_USABLE:.0%} is needed"
            )


def _subtract_matched(
    pair: Pair, settings: SubtractionSettings, stars: Stars, psf_new: PsfModel, psf_reference: PsfModel
) -> Difference:
    """Subtract by a kernel fitted on stars."""
    convolved = _choose_convolved(settings, psf_new, psf_reference)
    new, reference = read_side(pair.new, psf_new.fwhm_px), read_side(pair.reference, psf_reference.fwhm_px)
    sharp, broad = (reference, new) if convolved == "reference" else (new, reference)
    chosen = _choose_stars(stars, settings, pair.new.shape)
    basis = settings.width_ratios, settings.degrees
    fit = fit_kernel(sharp, broad, chosen.x, chosen.y, settings.spatial_order, *basis, settings.clip_sigma)
    image = fit.kernel.convolve(sharp.signal)
    middle = float(fit.kernel.sums()[pair.new.shape[0] // 2, pair.new.shape[1] // 2])
    reach = fit.kernel.core_radius_px()
    frames = (pair.reference, pair.new) if convolved == "reference" else (pair.new, pair.reference)
    lost = spread_loss(find_empty(frames[0]), reach) | find_empty(frames[1])
    noise = np.hypot(frames[1].background_rms, middle * frames[0].background_rms)
    rest = fit_level(blank(broad.signal - image, lost | (image > _SKY_SIGMA * noise)))
    psf: Psf
    ratio: np.ndarray
    if convolved == "reference":
        ratio, scale, psf = np.ones(1, np.float32), middle, psf_new
        matched_new, matched_reference, background = pair.new.pixels, image, pair.new.background + rest
    else:
        ratio, scale, psf = fit.kernel.sums(), 1 / middle, ConvolvedPsf(psf_new, fit.kernel)
        matched_new, matched_reference, background = image / ratio, reference.signal / ratio, -rest / ratio
    pixels = np.where(lost, np.float32(np.nan), matched_new - matched_reference - background)
    unusable = lost | find_unusable(pair.new) | find_unusable(pair.reference)
    sources = [
        NoiseSource(
            np.where(unusable, np.float32(0), side.variance) / np.square(ratio), fit.kernel if side is sharp else None
        )
        for side in (new, reference)
    ]
    snr, flux_error = measure_significance(blank(pixels, unusable), psf, broad.fwhm_px, sources)
    return Difference(
        pixels=pixels,
        snr=blank(snr, lost),
        flux_error=flux_error,
        mask=pair.new.mask | pair.reference.mask,
        psf=psf,
        fwhm_px=broad.fwhm_px,
        matched_new=matched_new,
        matched_reference=matched_reference,
        background=background,
        convolved=convolved,
        scale=scale,
        kernel=fit.kernel,
        fit=fit,
        pair=pair,
    )


def _choose_convolved(
    settings: SubtractionSettings, psf_new: PsfModel, psf_reference: PsfModel
) -> Literal["reference", "new"]:
    if settings.convolve == "sharper":
        return "reference" if psf_reference.fwhm_px <= psf_new.fwhm_px else "new"
    return settings.convolve


def _choose_stars(stars: Stars, settings: SubtractionSettings, shape: tuple[int, int]) -> Stars:
    """Return what the kernel is fitted on: stars, or sources of any shape where stars are few.

    A galaxy goes through a kernel as a star does; it says less of it.
    """
    bright = ~stars.saturated & (stars.snr > settings.least_snr)
    usable = bright & stars.star_like
    return select_spread(stars.take(usable if usable.sum() >= _FEW_STARS else bright), shape, 0, settings.most_stars)
