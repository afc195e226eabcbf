"""Domain randomisation: what differs from survey to survey, drawn anew for each visit and for each reference.

A network that is to be used on a survey of which nothing is simulated exactly has to see the range of what that survey
may be like (Tobin et al. 2017, arXiv:1703.06907). The spread 0 to 1 scales every range below; 0 leaves all as it is.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from realbogus.simulation.survey_settings import SurveySettings

_SEEING_FACTOR = (0.7, 1.6)
_REFERENCE_SEEING_FACTOR = (0.85, 1.15)
_REGISTRATION_PX = (0.0, 0.3)
_RESAMPLING_PX = (0.0, 0.5)
_BLANK_CHANCE = 0.3
_CLUSTERS = (0.0, 50.0)


@dataclass(frozen=True)
class VisitVariety:
    """How one stack of exposures departs from its survey.

    Attributes
    ----------
    seeing_factor : float
        On the seeing.
    registration_rms_px : float
        Error of the astrometry.
    resampling_px : float
        Fraction of a pixel by which its exposures were resampled bilinearly, 0 to 0.5, which correlates their noise.
    blank_chance : float
        Probability of lost rows, beside uneven strips along the borders.
    clusters : float
        Mean number of clusters of bad pixels on 2000 x 1128 pixels that no mask lists.
    """

    seeing_factor: float
    registration_rms_px: float
    resampling_px: float
    blank_chance: float
    clusters: float


def draw_variety(settings: SurveySettings, rng: np.random.Generator, *, of_reference: bool = False) -> VisitVariety:
    """Draw how a visit or a reference departs from its survey, by the settings' `randomisation`."""
    spread = settings.randomisation
    seeing, registration, resampling, clusters = rng.random(4)
    low, high = np.log(_REFERENCE_SEEING_FACTOR if of_reference else _SEEING_FACTOR)
    drawn_px = _within(_REGISTRATION_PX, registration)
    return VisitVariety(
        seeing_factor=float(np.exp(spread * (low + seeing * (high - low)))),
        registration_rms_px=settings.registration_rms_px + spread * (drawn_px - settings.registration_rms_px),
        resampling_px=spread * _within(_RESAMPLING_PX, resampling) if of_reference else 0.0,
        blank_chance=spread * _BLANK_CHANCE,
        clusters=0.0 if of_reference else spread * _within(_CLUSTERS, clusters),
    )


def vary_settings(settings: SurveySettings, variety: VisitVariety) -> SurveySettings:
    """Return a survey's settings for one visit: its seeing and its error of registration."""
    return settings.model_copy(
        update={
            "seeing_fwhm_arcsec": settings.seeing_fwhm_arcsec * variety.seeing_factor,
            "registration_rms_px": variety.registration_rms_px,
        }
    )


def correlate_noise(noise: np.ndarray, shift_px: float) -> np.ndarray:
    """Return noise (y, x) as a bilinear resampling by a fraction of a pixel along both axes leaves it.

    Of white noise of unit variance the variance becomes ``((1 - p)^2 + p^2)^2`` and the covariance of neighbours
    ``p (1 - p) ((1 - p)^2 + p^2)``.
    """
    kernel = np.array([shift_px, 1 - shift_px, 0])
    return np.asarray(ndimage.convolve1d(ndimage.convolve1d(noise, kernel, axis=0), kernel, axis=1))


def _within(limits: tuple[float, float], share: float) -> float:
    return limits[0] + share * (limits[1] - limits[0])
