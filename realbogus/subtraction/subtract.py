"""Image subtraction: by a kernel fitted on stars, by ZOGY, by the sfft package, or with a precomputed difference.

By default the sharper of the two frames is convolved. With every engine the difference is new minus reference in the
new frame's counts, and ``matched_new - matched_reference - background - pixels = 0`` wherever there is data.
"""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from realbogus.frames import Pair
from realbogus.psf.extraction import ExtractionError
from realbogus.psf.measure import Psf, PsfError, PsfModel, measure_psf, select_spread
from realbogus.psf.stars import Stars, find_stars
from realbogus.subtraction.difference import ConvolvedPsf, Difference, SubtractionError
from realbogus.subtraction.engine_names import SubtractionEngine
from realbogus.subtraction.engines import adopt_difference, subtract_by_sfft, subtract_by_zogy
from realbogus.subtraction.fit_inputs import (
    FitImage,
    blank,
    dilate_missing,
    find_empty,
    find_unusable,
    fit_level,
    make_fit_image,
)
from realbogus.subtraction.kernel_fit import FitOptions, KernelFit, fit_kernel
from realbogus.subtraction.significance import NoiseSource, measure_significance

__all__ = ["Difference", "SubtractionError", "SubtractionSettings", "subtract"]

_LEAST_USABLE = 0.05  # fraction of a frame
_FEW_STARS = 10  # for a kernel
_SKY_SIGMA = 3.0  # of a pixel still counted as sky; a lower cut would select pixels by their own noise


class SubtractionSettings(BaseModel):
    """How a pair is subtracted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: SubtractionEngine = "alard-lupton"
    """alard-lupton fits a varying kernel on stars; zogy takes the PSFs as known; sfft is an optional package;
    precomputed takes the difference as given."""
    convolve: Literal["sharper", "reference", "new"] = "sharper"
    """Which frame is convolved; `sharper` decides by the FWHM of the two."""
    spatial_order: int = Field(default=2, ge=0, le=3)
    """Highest degree of the kernel's variation over the chip."""
    width_ratios: tuple[float, ...] = (0.7, 1.5, 3.0)
    """Widths of the kernel's Gaussians, in units of the Gaussian that broadens one PSF to the other."""
    degrees: tuple[int, ...] = (4, 2, 2)
    """Degree of the polynomial on each Gaussian."""
    most_stars: int = Field(default=250, ge=10)
    """Number of stars that the kernel is fitted on, the brightest of each part of the chip."""
    least_snr: float = Field(default=20.0, gt=0)
    """Least S/N of such a star in the new frame."""
    clip_sigma: float = Field(default=4.0, gt=0)
    """Residual, in standard deviations, above which a star is clipped as variable."""

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
        Of the new frame; detected when None. Injections need not be listed: sources that changed between the frames
        are clipped from the fit by their residual.
    psf_new, psf_reference : PsfModel or None
        Measured when None.
    precomputed : ndarray of shape (y, x) or None
        The difference, new minus reference in the new frame's counts, NaN where there is no data; with the engine
        `precomputed` only.

    Raises
    ------
    SubtractionError
        The pair is not aligned, differs in shape, or has fewer than 5 % usable pixels; `precomputed` is missing for its
        engine or given for another.
    EngineError
        The package sfft is not installed.
    KernelFitError, PsfError
        Too few stars, or stars that determine no kernel or PSF.
    ExtractionError
        A frame is too crowded.
    LevelFitError
        The values of the difference overflow.
    """
    settings = SubtractionSettings() if settings is None else settings
    _check(pair, settings, precomputed)
    stars = find_stars(pair.new) if stars is None else stars
    psf_new = measure_psf(pair.new, stars) if psf_new is None else psf_new
    if settings.engine == "precomputed":
        assert precomputed is not None
        return adopt_difference(pair, precomputed, psf_new)
    psf_reference = _measure_reference(pair) if psf_reference is None else psf_reference
    if settings.engine == "zogy":
        return subtract_by_zogy(pair, stars, psf_new, psf_reference)
    if settings.engine == "sfft":
        convolved = _choose_convolved(settings, psf_new, psf_reference)
        fit_stars = _choose_stars(stars, settings, pair.new.shape)
        return subtract_by_sfft(pair, convolved, settings.spatial_order, fit_stars, psf_new, psf_reference)
    return _subtract_by_kernel(pair, settings, stars, psf_new, psf_reference)


def _measure_reference(pair: Pair) -> PsfModel:
    """Measure the PSF of the reference; an error says that it is of the reference."""
    try:
        return measure_psf(pair.reference)
    except (PsfError, ExtractionError) as error:
        raise type(error)(f"the reference frame: {error}") from error


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


def _subtract_by_kernel(
    pair: Pair, settings: SubtractionSettings, stars: Stars, psf_new: PsfModel, psf_reference: PsfModel
) -> Difference:
    """Subtract by a kernel fitted on stars."""
    convolved = _choose_convolved(settings, psf_new, psf_reference)
    new, reference = make_fit_image(pair.new, psf_new.fwhm_px), make_fit_image(pair.reference, psf_reference.fwhm_px)
    sharp, broad = (reference, new) if convolved == "reference" else (new, reference)
    fit_stars = _choose_stars(stars, settings, pair.new.shape)
    options = FitOptions(settings.spatial_order, settings.width_ratios, settings.degrees, settings.clip_sigma)
    fit = fit_kernel(sharp, broad, fit_stars.x, fit_stars.y, options)
    image = fit.kernel.convolve(sharp.signal)
    middle = float(fit.kernel.sums()[pair.new.shape[0] // 2, pair.new.shape[1] // 2])
    frames = (pair.reference, pair.new) if convolved == "reference" else (pair.new, pair.reference)
    missing = dilate_missing(find_empty(frames[0]), fit.kernel.core_radius_px()) | find_empty(frames[1])
    noise = np.hypot(frames[1].background_rms, middle * frames[0].background_rms)
    level = fit_level(blank(broad.signal - image, missing | (image > _SKY_SIGMA * noise)))
    psf: Psf
    ratio: np.ndarray
    if convolved == "reference":
        ratio, scale, psf = np.ones(1, np.float32), middle, psf_new
        matched_new, matched_reference, background = pair.new.pixels, image, pair.new.background + level
    else:
        ratio, scale, psf = fit.kernel.sums(), 1 / middle, ConvolvedPsf(psf_new, fit.kernel)
        matched_new, matched_reference, background = image / ratio, reference.signal / ratio, -level / ratio
    pixels = np.where(missing, np.float32(np.nan), matched_new - matched_reference - background)
    unusable = missing | find_unusable(pair.new) | find_unusable(pair.reference)
    sources = _noise_sources(sharp, broad, fit, unusable, ratio)
    snr, flux_error = measure_significance(blank(pixels, unusable), psf, broad.fwhm_px, sources)
    return Difference(
        pixels=pixels,
        snr=blank(snr, missing),
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


def _noise_sources(
    sharp: FitImage, broad: FitImage, fit: KernelFit, unusable: np.ndarray, ratio: np.ndarray
) -> list[NoiseSource]:
    """Return both images' variances, (y, x), in the difference's counts; the sharper went through the kernel."""
    variances = [np.where(unusable, np.float32(0), image.variance) / np.square(ratio) for image in (sharp, broad)]
    return [NoiseSource(variances[0], fit.kernel), NoiseSource(variances[1], None)]


def _choose_convolved(
    settings: SubtractionSettings, psf_new: PsfModel, psf_reference: PsfModel
) -> Literal["reference", "new"]:
    if settings.convolve == "sharper":
        return "reference" if psf_reference.fwhm_px <= psf_new.fwhm_px else "new"
    return settings.convolve


def _choose_stars(stars: Stars, settings: SubtractionSettings, shape: tuple[int, int]) -> Stars:
    """Return the sources that the kernel is fitted on: stars, or sources of any shape where stars are few.

    The kernel acts on a galaxy as on a star; a galaxy only constrains it less.
    """
    bright = ~stars.saturated & (stars.snr > settings.least_snr)
    usable = bright & stars.star_like
    return select_spread(stars.take(usable if usable.sum() >= _FEW_STARS else bright), shape, 0, settings.most_stars)
